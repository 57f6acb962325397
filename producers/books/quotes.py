"""The venue's own best quote against the book: an end-to-end check of everything before it.

A quote with an id is compared by id: the book after update u must show the last quote whose id is at or below u. That
quote may arrive after the update did, so an update is judged once a quote with a higher id has come. (Comparing with
the last quote *received* before the update would give 476 false alarms on a recording without an error.)
A quote without an id is only comparable by time: the newest one received within a second before the update is compared,
and a difference is counted as such, never as wrong.

A book is contradicted where `CONTRADICTIONS` updates in a row are: by id, where they are wrong; without ids, where no
quote received from a second before the update to a second after it shows what the book does, nor the one that held
when that second began: a quote that holds for longer is not told again. A single one proves nothing: an update of the
best quote may have been lost. Of quotes that the venue samples only the prices count, each side by itself: a size that
lasted shorter than the interval is in no quote, and a book that shows it is right.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from orderbook.book import Book
from orderbook.decimals import Steps, TextGrid
from producers.messages import BestQuote, DepthSnapshot, SnapshotOrigin
from schemas.errors import InvalidNumber
from schemas.messages import Coverage
from schemas.units import NS_PER_SECOND

MAX_UNJUDGED = 1_000
"""Updates that wait for a later quote; a feed this far behind is judged by what it has."""
MAX_QUOTES = 10_000
"""Quotes remembered while no update asks for them."""
COMPARABLE_NS = NS_PER_SECOND
CONTRADICTIONS = 3
"""Updates in a row, after which the book is wrong."""
OFF_GRID = -1
"""A price or size that no book on the grid can show."""


class BestLevels(NamedTuple):
    """Best levels of a book after an update, in ticks and lots; None where a side is empty."""

    bid: int | None
    bid_lots: int | None
    ask: int | None
    ask_lots: int | None


class _Unjudged(NamedTuple):
    sequence: int
    top: BestLevels
    grid: TextGrid
    is_believed: bool


class _Timed(NamedTuple):
    received_ns: int
    top: BestLevels
    grid: TextGrid


class QuoteCheck:
    """The check of one instrument.

    Attributes:
        has_quotes: Whether there is anything to compare a book with.
        checked, wrong: Updates judged against a quote with an id, and those that showed another best bid or ask.
        compared, different: The same for quotes without an id.
        contradicted: Updates of a believed book in a row, up to the last judged, that the quotes contradict.
    """

    def __init__(self) -> None:
        self.has_quotes = False  # no property: asked after each update of a book
        self.checked = 0
        self.wrong = 0
        self.compared = 0
        self.different = 0
        self._quotes: deque[tuple[int, BestQuote]] = deque(maxlen=MAX_QUOTES)  # by id, ascending
        self._unjudged: deque[_Unjudged] = deque()
        self.contradicted = 0
        self._unnumbered: deque[tuple[int, BestQuote]] = deque(maxlen=MAX_QUOTES)  # without an id, and when they came
        self._timed: deque[_Timed] = deque(maxlen=MAX_UNJUDGED)  # updates that quotes without an id have yet to judge

    def on_quote(self, quote: BestQuote, received_ns: int) -> None:
        """Take a quote; updates with lower ids now know their last one."""
        self.has_quotes = True
        if quote.sequence is None:
            self._unnumbered.append((received_ns, quote))
            self._judge_by_time(received_ns)
            return
        entry = (quote.sequence, quote)
        if self._quotes and quote.sequence < self._quotes[-1][0]:
            if len(self._quotes) == self._quotes.maxlen:
                self._quotes.popleft()
            insort(self._quotes, entry, key=_id_of)
        else:
            self._quotes.append(entry)
        if self._unjudged:
            self._judge_known()

    @property
    def is_contradicted(self) -> bool:
        """Whether the venue's own quotes show that the book is wrong."""
        return self.contradicted >= CONTRADICTIONS

    def on_book(
        self, sequence: int, top: BestLevels, grid: TextGrid, received_ns: int, *, is_believed: bool = True
    ) -> None:
        """Take the book's best levels after an update; of one that nobody believes nothing is contradicted."""
        if self._unnumbered:
            self._compare(self._unnumbered[-1], top, grid, received_ns)
            if is_believed:
                self._timed.append(_Timed(received_ns, top, grid))
            self._judge_by_time(received_ns)
        if self._quotes:
            self._unjudged.append(_Unjudged(sequence, top, grid, is_believed))
            self._judge_known()

    def begin(self) -> None:
        """Count contradictions anew: the book is another one."""
        self.contradicted = 0
        self._timed.clear()
        self._unjudged = deque(update._replace(is_believed=False) for update in self._unjudged)

    def forget(self) -> None:
        """Forget everything: what came before says nothing of what comes after, and a quote may be missing."""
        self.has_quotes = False
        self._unjudged.clear()
        self._quotes.clear()
        self._unnumbered.clear()
        self._timed.clear()
        self.contradicted = 0

    def empty_between(self, first: int, last: int) -> tuple[bool, bool]:
        """Whether quotes of these ids showed that there are no bids, and no asks, as far as they are remembered."""
        told = [quote for number, quote in self._quotes if first <= number <= last]
        return any(_is_zero(quote.bid_size) for quote in told), any(_is_zero(quote.ask_size) for quote in told)

    def finish(self) -> None:
        """Judge what still waits: no later quote will come."""
        while self._unjudged:
            self._judge(self._unjudged.popleft())

    def _judge_known(self) -> None:
        newest = self._quotes[-1][0]
        while self._unjudged and (newest > self._unjudged[0].sequence or len(self._unjudged) > MAX_UNJUDGED):
            self._judge(self._unjudged.popleft())

    def _judge(self, update: _Unjudged) -> None:
        quotes = self._quotes
        while len(quotes) > 1 and quotes[1][0] <= update.sequence:
            quotes.popleft()
        if quotes[0][0] <= update.sequence:
            is_wrong = on_grid(quotes[0][1], update.grid) != update.top
            self.checked += 1
            self.wrong += is_wrong
            if update.is_believed:
                self.contradicted = self.contradicted + 1 if is_wrong else 0

    def _judge_by_time(self, now_ns: int) -> None:
        """Judge the updates around which every quote has come, and forget quotes that no later update asks for."""
        while self._timed and now_ns - self._timed[0].received_ns > COMPARABLE_NS:
            at_ns, top, grid = self._timed.popleft()
            while len(self._unnumbered) > 1 and self._unnumbered[1][0] < at_ns - COMPARABLE_NS:
                self._unnumbered.popleft()  # the last one before that second held on into it
            around = [entry for entry in self._unnumbered if entry[0] <= at_ns + COMPARABLE_NS]
            if around and around[-1][0] >= at_ns - COMPARABLE_NS:
                shown = [quote for _, quote in around]
                self.contradicted = 0 if _agree(shown, top, grid) else self.contradicted + 1

    def _compare(self, entry: tuple[int, BestQuote], top: BestLevels, grid: TextGrid, received_ns: int) -> None:
        quoted_ns, quote = entry
        if received_ns - quoted_ns <= COMPARABLE_NS:
            self.compared += 1
            self.different += on_grid(quote, grid) != top


def _agree(quotes: Sequence[BestQuote], top: BestLevels, grid: TextGrid) -> bool:
    """Whether a quote shows the best levels; where they are samples, whether each best price is in one of them."""
    shown = [on_grid(quote, grid) for quote in quotes]
    if not quotes[0].is_sampled:
        return top in shown
    return any(levels.bid == top.bid for levels in shown) and any(levels.ask == top.ask for levels in shown)


def _id_of(entry: tuple[int, BestQuote]) -> int:
    return entry[0]


def shows_empty(quote: BestQuote) -> bool:
    """Whether a quote says that a side has no orders."""
    return _is_zero(quote.bid_size) or _is_zero(quote.ask_size)


def _is_zero(size: str) -> bool:
    return not size.strip("0.")


def top_of(quote: BestQuote) -> DepthSnapshot:
    """Write a best quote as a book; a side without orders is written as price 0, size 0."""
    bids, asks = (
        [(price, size)] if price.strip("0.") or size.strip("0.") else []
        for price, size in ((quote.bid, quote.bid_size), (quote.ask, quote.ask_size))
    )
    origin, coverage = SnapshotOrigin.IN_STREAM, Coverage.TOP_N
    return DepthSnapshot(quote.symbol, quote.number or 0, bids, asks, origin=origin, coverage=coverage)


def best_levels(book: Book) -> BestLevels:
    """The best levels of a book."""
    return BestLevels(*book.best_levels)


def on_grid(quote: BestQuote, grid: TextGrid) -> BestLevels:
    """Place a quote on a book's grid; `OFF_GRID` where it is finer, None for a side without orders."""
    ticks, lots = grid.price.known.get, grid.size.known.get
    remembered = (ticks(quote.bid), lots(quote.bid_size), ticks(quote.ask), lots(quote.ask_size))
    if all(remembered):  # as mostly: it was read when it came, and has orders on both sides
        return BestLevels(*remembered)
    bid, ask = _side(grid, quote.bid, quote.bid_size), _side(grid, quote.ask, quote.ask_size)
    return BestLevels(*bid, *ask)


def _side(grid: TextGrid, price: str, size: str) -> tuple[int | None, int | None]:
    """Place one side; a venue writes one without orders as size 0, at price 0 or at any other."""
    ticks, lots = _steps(grid.price, price), _steps(grid.size, size)
    return (None, None) if lots == 0 else (ticks, lots)


def _steps(steps: Steps, text: str) -> int:
    """Count the steps, or give `OFF_GRID`: a quote may be finer than the book, or beyond int64 on a later grid."""
    try:
        count = steps.count(text)
    except InvalidNumber:
        return OFF_GRID
    return OFF_GRID if count is None else count
