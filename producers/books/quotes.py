"""The venue's own best quote against the book: an end-to-end check of everything before it.

A quote with an id is compared by id: the book after update u must show the last quote whose id is at or below u. That
quote may arrive after the update did, so an update is judged once a quote with a higher id has come. (Comparing with
the last quote *received* before the update would give 476 false alarms on a recording without an error.)
A quote without an id is only comparable by time: the newest one received within a second before the update is compared,
and a difference is counted as such, never as wrong.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import NamedTuple

from orderbook.decimals import Steps, TextGrid
from producers.messages import BestQuote
from schemas.errors import InvalidNumber
from schemas.units import NS_PER_SECOND

MAX_UNJUDGED = 1_000
"""Updates that wait for a later quote; a feed this far behind is judged by what it has."""
MAX_QUOTES = 10_000
"""Quotes remembered while no update asks for them."""
COMPARABLE_NS = NS_PER_SECOND
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


class QuoteCheck:
    """The check of one instrument.

    Attributes:
        checked, wrong: Updates judged against a quote with an id, and those that showed another best bid or ask.
        compared, different: The same for quotes without an id.
    """

    def __init__(self) -> None:
        self.checked = 0
        self.wrong = 0
        self.compared = 0
        self.different = 0
        self._quotes: deque[tuple[int, BestQuote]] = deque(maxlen=MAX_QUOTES)  # by id, ascending
        self._unjudged: deque[_Unjudged] = deque()
        self._unnumbered: tuple[int, BestQuote] | None = None  # the newest quote without an id, and when it came

    def on_quote(self, quote: BestQuote, received_ns: int) -> None:
        """Take a quote; updates with lower ids now know their last one."""
        if quote.sequence is None:
            self._unnumbered = (received_ns, quote)
            return
        entry = (quote.sequence, quote)
        if self._quotes and quote.sequence < self._quotes[-1][0]:
            if len(self._quotes) == self._quotes.maxlen:
                self._quotes.popleft()
            insort(self._quotes, entry, key=_id_of)
        else:
            self._quotes.append(entry)
        self._judge_known()

    def on_book(self, sequence: int, top: BestLevels, grid: TextGrid, received_ns: int) -> None:
        """Take the book's best levels after an update."""
        if self._unnumbered is not None:
            self._compare(self._unnumbered, top, grid, received_ns)
        if self._quotes:
            self._unjudged.append(_Unjudged(sequence, top, grid))
            self._judge_known()

    def forget(self) -> None:
        """Forget everything: what came before says nothing of what comes after, and a quote may be missing."""
        self._unjudged.clear()
        self._quotes.clear()
        self._unnumbered = None

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
            self.checked += 1
            self.wrong += _on_grid(quotes[0][1], update.grid) != update.top

    def _compare(self, entry: tuple[int, BestQuote], top: BestLevels, grid: TextGrid, received_ns: int) -> None:
        quoted_ns, quote = entry
        if received_ns - quoted_ns <= COMPARABLE_NS:
            self.compared += 1
            self.different += _on_grid(quote, grid) != top


def _id_of(entry: tuple[int, BestQuote]) -> int:
    return entry[0]


def _on_grid(quote: BestQuote, grid: TextGrid) -> BestLevels:
    bid, ask = _side(grid, quote.bid, quote.bid_size), _side(grid, quote.ask, quote.ask_size)
    return BestLevels(*bid, *ask)


def _side(grid: TextGrid, price: str, size: str) -> tuple[int | None, int | None]:
    """Place one side; a venue writes one without orders as price 0, size 0."""
    ticks, lots = _steps(grid.price, price), _steps(grid.size, size)
    return (None, None) if ticks == lots == 0 else (ticks, lots)


def _steps(steps: Steps, text: str) -> int:
    """Count the steps, or give `OFF_GRID`: a quote may be finer than the book, or beyond int64 on a later grid."""
    try:
        count = steps.count(text)
    except InvalidNumber:
        return OFF_GRID
    return OFF_GRID if count is None else count
