"""The book as the exchange itself has it, now and at every recent update id."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sortedcontainers import SortedDict

HISTORY_CHANGES = 200_000
"""Changes that can be taken back to show the book at an older update id: about a quarter of an hour of one market."""


class Change(NamedTuple):
    """One level was set: `lots` is its new size, 0 removes it."""

    sequence: int
    is_bid: bool
    tick: int
    lots: int


class BookView(NamedTuple):
    """A whole book at one update id; levels best first, as (tick, lots)."""

    sequence: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class UnknownSequence(LookupError):
    """The book at that update id is not, or no longer, known."""


class TrueBook:
    """Levels of both sides, and the changes that led to them.

    Args:
        sequence: Update id of the empty book.
    """

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.bids: SortedDict[int, int] = SortedDict()
        self.asks: SortedDict[int, int] = SortedDict()
        self._oldest = sequence
        self._undo: deque[Change] = deque()

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
        self._undo.append(Change(change.sequence, change.is_bid, change.tick, side.get(change.tick, 0)))
        if len(self._undo) > HISTORY_CHANGES:
            self._oldest = self._undo.popleft().sequence
        _put(side, change.tick, change.lots)
        self.sequence = change.sequence

    def forget(self) -> None:
        """Begin the history here: the levels the market opened with are no updates."""
        self._undo.clear()
        self._oldest = self.sequence

    def view(self, limit: int | None = None) -> BookView:
        """The book now, at most `limit` levels a side."""
        return _view(self.sequence, self.bids, self.asks, limit)

    def view_at(self, sequence: int, limit: int | None = None) -> BookView:
        """The book after all changes up to and including an update id.

        Raises:
            UnknownSequence: It lies in the future, or too far back.
        """
        if not self._oldest <= sequence <= self.sequence:
            raise UnknownSequence(f"the book is known from update {self._oldest} to {self.sequence}")
        bids, asks = self.bids.copy(), self.asks.copy()
        for change in reversed(self._undo):
            if change.sequence <= sequence:
                break
            _put(bids if change.is_bid else asks, change.tick, change.lots)
        return _view(sequence, bids, asks, limit)


def _put(side: SortedDict[int, int], tick: int, lots: int) -> None:
    if lots:
        side[tick] = lots
    else:
        side.pop(tick, None)


def _view(sequence: int, bids: SortedDict[int, int], asks: SortedDict[int, int], limit: int | None) -> BookView:
    count = len(bids) + len(asks) if limit is None else limit
    best_bids = [(tick, bids[tick]) for tick in reversed(bids.keys()[-count:])] if count else []
    return BookView(sequence, best_bids, list(asks.items()[:count]))
