"""What flowed through the best quotes between two depth records: order flow of every update, folded into one number.

With P, q the best price and its size of a side, after and before (') an update of the best quotes, Cont, Kukanov and
Stoikov (2014) count
e = q_b·1[P_b ≥ P_b'] - q_b'·1[P_b ≤ P_b'] - q_a·1[P_a ≤ P_a'] + q_a'·1[P_a ≥ P_a'].
A depth record sums up 50 to 100 ms; between its two books the best quotes move and come back unseen. So the producer,
who sees each update, folds them: two integers in place of ten times the messages.

The venue's order counts, not that of receipt: updates that came since the previous delta are sorted by their ids before
they are folded. One that comes after a later one was folded is a hole in the next record; the one it was missing from
is written. Everything is a hole while a second connection joins; its copies count once.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Final, NamedTuple

from orderbook.decimals import TextGrid
from producers.books.quotes import OFF_GRID, BestLevels, on_grid
from producers.messages import BestQuote
from schemas.bounds import INT64_MAX

MAX_PENDING: Final = 100_000
"""Updates between two deltas; more than that means that depth has stopped, and is a hole."""
MAX_KNOWN: Final = 10_000
"""Ids remembered, by which a copy is told from one that comes late."""


class QuoteFlow(NamedTuple):
    """What flowed since the previous delta.

    Attributes:
        lots: Order flow of the best quotes, lots; None where it is not known.
        events: Updates of the best quotes that were received, copies apart.
    """

    lots: int | None
    events: int = 0


NOT_KNOWN: Final = QuoteFlow(None)


class QuoteFolder:
    """Folds the best quotes of one instrument.

    Args:
        silent_ns: After so long without any update the stream counts as silent, and the flow as unknown.

    Attributes:
        is_idle: Whether nothing was ever taken: then nothing is known, and nothing has to be let go of.
    """

    def __init__(self, silent_ns: int) -> None:
        self.is_idle = True  # no property: asked for each update of a book
        self._silent_ns = silent_ns
        self._last: BestQuote | None = None
        self._last_ns = 0
        self._pending: list[BestQuote] = []
        self._late = 0
        self._has_hole = False
        self._is_joining = False
        self._seen: set[int] = set()
        self._order: deque[int] = deque()

    def add(self, quote: BestQuote, received_ns: int) -> None:
        """Take an update of the best quotes, or the copy that a second connection brings."""
        self._last_ns = received_ns
        self.is_idle = False
        if quote.sequence is None:
            self._has_hole = self._has_hole or self._is_joining  # a copy could not be told from an update
        elif quote.sequence in self._seen:
            self._is_joining = False  # the slower of two has come to where the faster one began
            return
        else:
            self._remember(quote.sequence)
            if self._last is not None and self._last.sequence is not None and quote.sequence < self._last.sequence:
                self._late += 1
                self._has_hole = True
                return
        self._pending.append(quote)
        if len(self._pending) > MAX_PENDING:
            self._take_pending()
            self._has_hole = True

    def join(self) -> None:
        """Note that a second connection brings the stream too, from some update on.

        What the first one brings late, from before that update, may come behind it: until an update came twice, nothing
        tells that none is missing.
        """
        self._is_joining = True

    def part(self) -> None:
        """Note that one of two connections is gone: what came of neither yet is missing, if anything is."""
        self._has_hole, self._is_joining = self._has_hole or self._is_joining, False
        self.is_idle = self.is_idle and not self._has_hole

    def miss(self) -> None:
        """Note that an update is missing."""
        self._has_hole, self.is_idle = True, False

    def take(self, grid: TextGrid, now_ns: int) -> QuoteFlow:
        """Fold what came since the last delta, on the grid of its book; the next one begins here."""
        flow = self.told(grid, now_ns)
        self.skip()
        return flow

    def told(self, grid: TextGrid, now_ns: int) -> QuoteFlow:
        """Fold the same, and change nothing."""
        before, late, has_hole = self._last, self._late, self._has_hole or self._is_joining
        updates = self._pending = _in_venue_order(self._pending)
        events = len(updates) + late
        if before is None or has_hole or now_ns - self._last_ns > self._silent_ns:
            return QuoteFlow(None, events)
        return QuoteFlow(_flow([on_grid(quote, grid) for quote in (before, *updates)]), events)

    def skip(self) -> None:
        """Let go of what came since the last delta: that one is not published by itself."""
        self._take_pending()

    def forget(self) -> None:
        """Forget everything: the connection was lost, and with it updates that nobody counted."""
        self._last, self._last_ns, self._is_joining = None, 0, False
        self._pending, self._late, self._has_hole = [], 0, False
        self.is_idle = True
        self._seen.clear()
        self._order.clear()

    def _take_pending(self) -> list[BestQuote]:
        """Take the pending updates, in the venue's order, as folded."""
        updates = _in_venue_order(self._pending) if len(self._pending) > 1 else self._pending
        self._pending, self._late, self._has_hole = [], 0, False
        if updates:
            self._last = updates[-1]
        self.is_idle = self._last is None
        return updates

    def _remember(self, sequence: int) -> None:
        self._seen.add(sequence)
        self._order.append(sequence)
        if len(self._order) > MAX_KNOWN:
            self._seen.discard(self._order.popleft())


def _in_venue_order(quotes: list[BestQuote]) -> list[BestQuote]:
    """By id; as received where they have none."""
    if any(quote.sequence is None for quote in quotes):
        return quotes
    return sorted(quotes, key=lambda quote: quote.sequence or 0)


def _flow(tops: list[BestLevels]) -> int | None:
    """Sum e over successive best quotes; None where one has an empty side or does not lie on the grid."""
    total = 0
    for before, after in pairwise(tops):
        if None in before or None in after or OFF_GRID in before or OFF_GRID in after:
            return None
        total += _side(before.bid, before.bid_lots, after.bid, after.bid_lots)
        total -= _side(before.ask, before.ask_lots, after.ask, after.ask_lots, sign=-1)
    return total if abs(total) <= INT64_MAX else None


def _side(was: int | None, had: int | None, now: int | None, has: int | None, *, sign: int = 1) -> int:
    """What a side gained: the new queue where its price is as good or better, less the old one where it is not."""
    assert was is not None and had is not None and now is not None and has is not None  # noqa: S101, PT018 (the caller looked)
    better = sign * (now - was)
    return (has if better >= 0 else 0) - (had if better <= 0 else 0)
