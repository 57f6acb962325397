"""Trades in buckets of equal volume (Easley, López de Prado, O'Hara 2012), by the venue's own word of the aggressor.

Volume is notional in exact units, Σ ticks·lots (on inverse contracts Σ lots). A trade is split where a bucket is full.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from math import ceil
from typing import Final

from orderbook.grid import Grid

BUCKETS: Final = 50
BUCKET_THIN_NOTIONALS: Final = 10
"""Notional of a bucket, in thin_notionals."""
MOST_UNITS: Final = 2**54
"""Largest bucket, in units; of a grid so fine that it would take more there are none."""


class VolumeBuckets:
    """The newest full buckets, and the one that is being filled.

    Attributes:
        size: Units of a bucket; 0: there are none.
        bought, sold: Units of the one that is being filled.
        gaps: |bought - sold| of the newest full ones.
    """

    __slots__ = ("bought", "gaps", "size", "sold")

    def __init__(self) -> None:
        self.gaps: deque[int] = deque(maxlen=BUCKETS)
        self.begin(0)

    def begin(self, size: int) -> None:
        """Forget everything: buckets have this size from now on."""
        self.size, self.bought, self.sold = size, 0, 0
        self.gaps.clear()

    def add(self, units: int) -> None:
        """Take one trade: its notional in exact units, + where the buyer was the aggressor."""
        if not self.size:
            return
        left, sign = abs(units), 1 if units > 0 else -1
        room = self.size - self.bought - self.sold
        if left >= room:
            self._fill(room, sign)
            self.gaps.append(abs(self.bought - self.sold))
            self.bought = self.sold = 0
            whole, left = divmod(left - room, self.size)
            self.gaps.extend([self.size] * min(whole, BUCKETS))
        self._fill(left, sign)

    def _fill(self, units: int, sign: int) -> None:
        if sign > 0:
            self.bought += units
        else:
            self.sold += units


def bucket_units(grid: Grid, thin_notional: float) -> int:
    """Size of a bucket on a grid, in units, rounded up; 0 where it is beyond `MOST_UNITS`."""
    unit = Fraction(grid.notional_num) / Fraction(grid.notional_den)
    units = max(1, ceil(Fraction(thin_notional) * BUCKET_THIN_NOTIONALS / unit))
    return units if units <= MOST_UNITS else 0
