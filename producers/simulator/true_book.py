"""The book as the exchange itself has it, now and at every recent update id."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from sortedcontainers import SortedDict

HISTORY_CHANGES = 100_000
"""Changes that can be taken back to show the book at an older update id: five minutes of a market at the usual rate, in
2.4 MB."""


class Change(NamedTuple):
    """One level was set: `lots` is its new size, 0 removes it."""

    sequence: int
    is_bid: bool
    tick: int
    lots: int


class WholeBook(NamedTuple):
    """A whole book at one update id; levels best first, as (tick, lots)."""

    sequence: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]

    def refined(self, times: int) -> WholeBook:
        """The same book in ticks of so many to one of the old ones."""
        bids, asks = ([(tick * times, lots) for tick, lots in side] for side in (self.bids, self.asks))
        return self._replace(bids=bids, asks=asks)


class UnknownSequence(LookupError):
    """The book at that update id is not, or no longer, known."""


class _History:
    """The last changes with the size each replaced, in a ring of numbers: as tuples they took seven times as much.

    Args:
        sequence: Update id before the first change.

    Attributes:
        oldest: Update id of the oldest book that can be shown.
    """

    def __init__(self, sequence: int) -> None:
        self.oldest = sequence
        self._rows = array("q")  # sequence, tick (an ask's is negative), lots
        self._next = 0

    def append(self, sequence: int, is_bid: bool, tick: int, lots: int) -> None:
        """Keep one more change, in the place of the oldest where there are enough."""
        at, rows = self._next, self._rows
        if at < len(rows):
            self.oldest = rows[at]
            rows[at], rows[at + 1], rows[at + 2] = sequence, tick if is_bid else -tick, lots
        else:
            rows.extend((sequence, tick if is_bid else -tick, lots))
        self._next = (at + 3) % (3 * HISTORY_CHANGES)

    def refine(self, times: int) -> None:
        """Write every price in ticks of so many to one of the old ones."""
        rows = self._rows
        for at in range(1, len(rows), 3):
            rows[at] *= times

    def newest_first(self) -> Iterator[Change]:
        """Every change that is kept."""
        length = len(self._rows)
        for back in range(3, length + 3, 3):
            at = (self._next - back) % length
            sequence, tick, lots = self._rows[at : at + 3]
            yield Change(sequence, tick > 0, abs(tick), lots)


class TrueBook:
    """Levels of both sides, and the changes that led to them.

    Args:
        sequence: Update id of the empty book.
    """

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.bids: SortedDict[int, int] = SortedDict()
        self.asks: SortedDict[int, int] = SortedDict()
        self._history = _History(sequence)

    @property
    def best_bid(self) -> int:
        """Highest bid, in ticks."""
        return int(self.bids.peekitem(-1)[0])

    @property
    def best_ask(self) -> int:
        """Lowest ask, in ticks."""
        return int(self.asks.peekitem(0)[0])

    def top(self) -> tuple[int, int, int, int]:
        """Best bid and its lots, best ask and its lots."""
        bid, ask = self.bids.peekitem(-1), self.asks.peekitem(0)
        return bid[0], bid[1], ask[0], ask[1]

    def put(self, change: Change) -> None:
        """Set a level."""
        side = self.bids if change.is_bid else self.asks
        self._history.append(change.sequence, change.is_bid, change.tick, side.get(change.tick, 0))
        _put(side, change.tick, change.lots)
        self.sequence = change.sequence

    def refine(self, times: int) -> None:
        """Write every price in ticks of so many to one of the old ones, now and before."""
        self.bids = SortedDict({tick * times: lots for tick, lots in self.bids.items()})
        self.asks = SortedDict({tick * times: lots for tick, lots in self.asks.items()})
        self._history.refine(times)

    def forget(self) -> None:
        """Begin the history here: the levels the market opened with are no updates."""
        self._history = _History(self.sequence)

    def view(self, limit: int | None = None) -> WholeBook:
        """The book now, at most `limit` levels a side."""
        return _view(self.sequence, self.bids, self.asks, limit)

    def view_at(self, sequence: int, limit: int | None = None) -> WholeBook:
        """The book after all changes up to and including an update id.

        Raises:
            UnknownSequence: It lies in the future, or too far back.
        """
        oldest = self._history.oldest
        if not oldest <= sequence <= self.sequence:
            raise UnknownSequence(f"the book is known from update {oldest} to {self.sequence}")
        bids, asks = self.bids.copy(), self.asks.copy()
        for change in self._history.newest_first():
            if change.sequence <= sequence:
                break
            _put(bids if change.is_bid else asks, change.tick, change.lots)
        return _view(sequence, bids, asks, limit)


def _put(side: SortedDict[int, int], tick: int, lots: int) -> None:
    if lots:
        side[tick] = lots
    else:
        side.pop(tick, None)


def _view(sequence: int, bids: SortedDict[int, int], asks: SortedDict[int, int], limit: int | None) -> WholeBook:
    count = len(bids) + len(asks) if limit is None else limit
    best_bids = [(tick, bids[tick]) for tick in reversed(bids.keys()[-count:])] if count else []
    return WholeBook(sequence, best_bids, list(asks.items()[:count]))
