"""Trades that wait for the next delta of their book."""

from __future__ import annotations

from orderbook.decimals import Levels, Scale, SideLevels, TextGrid
from producers.books.options import StreamCounters
from schemas.bounds import MAX_TRADES
from schemas.errors import InvalidNumber

MAX_PENDING_TRADES = MAX_TRADES
"""Trades waiting for the next delta. More than that means that depth stopped while trading goes on: an overload."""


class PendingTrades:
    """Trades on the book's grid, oldest first. No trade moves a grid, or stops a book.

    Args:
        counters: Where trades are counted that the book's grid does not hold: they are in `trades.v1` alone.

    Attributes:
        ticks, lots: What waits, `lots` signed.
    """

    def __init__(self, counters: StreamCounters) -> None:
        self._counters = counters
        self.ticks, self.lots = SideLevels([], [])

    def add(self, levels: Levels, sign: int, grid: TextGrid) -> None:
        """Let a trade wait, where it lies on the grid."""
        try:
            placed = grid.levels(levels)
        except InvalidNumber:  # beyond int64 in the finer steps of the book: on the listed grid it was read already
            placed = None
        if placed is None:
            self._counters.trades_off_grid += 1
            return
        self.ticks.append(placed.ticks[0])
        self.lots.append(sign * placed.lots[0])

    def scale(self, scale: Scale) -> None:
        """Follow the book to a finer grid; what cannot stays behind."""
        waited = len(self.ticks)
        self.ticks, self.lots = scale.within_int64(self.drain())
        self._counters.trades_off_grid += waited - len(self.ticks)

    def drain(self) -> SideLevels:
        """Give them away: none wait any more."""
        trades = SideLevels(self.ticks, self.lots)
        self.ticks, self.lots = [], []
        return trades
