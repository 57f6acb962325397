"""A whole book fetched beside a LIVE one: when it is due, what came meanwhile, and where the two can be compared.

A book over REST knows so many levels a side. As the price moves, the range about mid that is known shrinks on one side,
and nothing in the stream widens it. So before the range is left a book is fetched, brought to where the LIVE one stands
with the updates that came since it was asked for, and compared with it. Each is also a check against the venue's own
book, which is why one is due from time to time even where the range holds.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from orderbook.book import Book
from orderbook.decimals import TextGrid
from orderbook.known import Known, covering
from orderbook.validity import TrackedBook
from producers.books.bridge import Held, NoBridge, Waiting
from producers.messages import DepthDelta, DepthSnapshot
from producers.sequencing import Alignment, SequenceRule
from schemas.errors import MessageError
from schemas.messages import Coverage
from schemas.units import NS_PER_SECOND

LEAD: Final = 1.5
"""A book is due where less than so many times the wanted range is known: the price moves while it is fetched."""
WORTHWHILE: Final = 0.8
"""And less than so much of what the last one knew there: else another one would hardly know more."""
NEARLY: Final = 0.95
"""Within the wanted range a smaller gain is worth a request: less than so much of what the last one knew."""
CHECK_EVERY_NS: Final = 600 * NS_PER_SECOND
"""At the latest after so long, one is due as a check."""
PACE_NS: Final = 10 * NS_PER_SECOND
"""Never two within so long: what a fetch cannot widen is not to be asked for in a tight circle."""
PATIENCE_NS: Final = 30 * NS_PER_SECOND
"""After so long without an answer it is asked for anew."""
MOST_KEPT: Final = 10_000


class Joined(NamedTuple):
    """A fetched book, and the updates that bring it to where the LIVE one stands."""

    snapshot: DepthSnapshot
    deltas: list[Waiting]


class BookBeside:
    """What concerns one instrument's book beside its LIVE one.

    Args:
        rule: Places an update against a snapshot.
        wanted_bps: Range about mid that is kept known; 0: no book is ever asked for.
    """

    def __init__(self, rule: SequenceRule, wanted_bps: float) -> None:
        self._rule = rule
        self._wanted_bps = wanted_bps
        self._given: tuple[float | None, float | None] = (None, None)  # what the last book knew of each side, bps
        self._fetched_ns = 0
        self._asked_ns: int | None = None
        self._kept: deque[Waiting] = deque()
        self._held: Held | None = None

    @property
    def is_asked(self) -> bool:
        """Whether one is under way."""
        return self._asked_ns is not None

    def is_due(self, tracked: TrackedBook, now_ns: int) -> bool:
        """Tell whether one is to be fetched now, and take it for asked."""
        if not self._wanted_bps or tracked.known.coverage is not Coverage.RANGE:
            return False
        if self._asked_ns is not None:
            if now_ns - self._asked_ns > PATIENCE_NS:
                self._answered(now_ns)
            return False
        if now_ns - self._fetched_ns < PACE_NS:
            return False
        if now_ns - self._fetched_ns < CHECK_EVERY_NS and not self._is_narrow(tracked):
            return False
        self._asked_ns = now_ns
        return True

    def keep(self, delta: DepthDelta, received_ns: int) -> None:
        """Keep an update that the LIVE book took while one is under way."""
        self._kept.append(Waiting(delta, received_ns))
        if len(self._kept) > MOST_KEPT:
            self._answered(received_ns)

    def hold(self, snapshot: DepthSnapshot, now_ns: int) -> None:
        """Hold the book that came."""
        self._held = Held(snapshot, now_ns)

    def join(self) -> Joined | NoBridge | None:
        """Give the book once an update bridges it, or both where none can any more; None: not yet."""
        if self._held is None:
            return None
        snapshot = self._held.snapshot
        while self._kept:
            alignment = self._rule.align(self._kept[0].delta, snapshot.sequence)
            if alignment is Alignment.STALE:
                self._kept.popleft()
                continue
            deltas = list(self._kept)
            self._answered(self._held.received_ns)
            return Joined(snapshot, deltas) if alignment is Alignment.BRIDGES else NoBridge(snapshot, deltas[0].delta)
        return None

    def widened(self, tracked: TrackedBook, now_ns: int) -> None:
        """Take note of what a book of the venue made known."""
        self._given = known_bps(tracked)
        self._answered(now_ns)

    def end(self) -> None:
        """Give up what is under way: the book is no longer LIVE, or another one."""
        self._asked_ns, self._held = None, None
        self._kept.clear()

    def _answered(self, now_ns: int) -> None:
        self._fetched_ns = now_ns
        self.end()

    def _is_narrow(self, tracked: TrackedBook) -> bool:
        return any(self._is_worth(left, given) for left, given in zip(known_bps(tracked), self._given, strict=True))

    def _is_worth(self, left: float | None, given: float | None) -> bool:
        """Whether another book would know more of a side, and more is wanted."""
        if left is None or left >= LEAD * self._wanted_bps:
            return False
        return given is None or left < max(WORTHWHILE * given, min(self._wanted_bps, NEARLY * given))


def known_bps(tracked: TrackedBook) -> tuple[float | None, float | None]:
    """Distance from mid up to which each side is known, bps; None for a side that is whole, or without a mid."""
    book, known = tracked.book, tracked.known
    bid, ask = book.best_bid, book.best_ask
    if bid is None or ask is None or not bid + ask:
        return None, None
    middle = bid + ask
    below = None if known.bid is None else 10_000 * (middle - 2 * known.bid) / middle
    above = None if known.ask is None else 10_000 * (2 * known.ask - middle) / middle
    return below, above


def place_beside(joined: Joined, listed: TextGrid, grid: TextGrid) -> tuple[Book, Known] | None:
    """Bring a fetched book to where the LIVE one stands; None where it does not lie on the same grid.

    Args:
        joined: The fetched book, and the updates since.
        listed: The venue's own grid.
        grid: That of the LIVE book.
    """
    try:
        whole = listed.place(joined.snapshot.bids, joined.snapshot.asks)
        if whole.grid is not grid:
            whole = grid.place(joined.snapshot.bids, joined.snapshot.asks)
        changes = [grid.place(delta.bids, delta.asks) for delta, *_ in joined.deltas]
    except MessageError:
        return None
    if any(placed.grid is not grid for placed in (whole, *changes)):
        return None
    book, known = Book(), covering(joined.snapshot.coverage, whole.bids, whole.asks)
    book.replace(*whole.bids, *whole.asks)
    for placed in changes:
        book.update(*placed.bids, *placed.asks)
    return book, known
