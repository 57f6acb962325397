"""The mid at every full step of time, and what was traded in between.

Steps are multiples of their length in `received_ns`; a bar ends with its step, that included. The mid at its end is
that of the last record up to it: a bar is closed by the first record after it, with what was known before that record.
"""

from __future__ import annotations

from collections import deque
from math import log1p
from typing import Final

BPS: Final = 10_000.0


class Bars:
    """The newest closed bars of one length.

    Attributes:
        step_ns: Their length.
        open_bar: Number of the bar that is open.
        mid: Twice the mid now, in ticks; 0 where the book is not open.
        last_mid: That at the end of the bar before; 0 where it was not open, None before the first end.
        traded: Signed notional of the open bar in exact units, + is bought.
        returns: 10⁴·ln of mid over mid, a closed bar; None where one of the two was not known.
        flows: Signed notional of each, in exact units.
    """

    __slots__ = ("flows", "last_mid", "mid", "open_bar", "returns", "step_ns", "traded")

    def __init__(self, step_ns: int, keep: int) -> None:
        self.step_ns = step_ns
        self.returns: deque[float | None] = deque(maxlen=keep)
        self.flows: deque[int] = deque(maxlen=keep)
        self.begin(0, 0)

    def begin(self, received_ns: int, mid: int) -> None:
        """Forget everything: the book became LIVE now. The bar it did so in is not whole, and does not count."""
        self.open_bar, self.mid, self.traded = self._bar_of(received_ns), mid, 0
        self.last_mid: int | None = None
        self.returns.clear()
        self.flows.clear()

    def add(self, received_ns: int, mid: int, traded: int) -> None:
        """Take a record: twice the mid after it in ticks, and the signed notional of its trades in exact units."""
        bar = self._bar_of(received_ns)
        for _ in range(min(bar - self.open_bar, self.keep + 1)):  # bars without a record are all alike
            self._close()
        self.open_bar = max(bar, self.open_bar)
        self.mid = mid
        self.traded += traded

    @property
    def keep(self) -> int:
        """Most bars that are remembered."""
        return self.returns.maxlen or 0

    def _bar_of(self, received_ns: int) -> int:
        return -(-received_ns // self.step_ns)

    def _close(self) -> None:
        if self.last_mid is not None:
            is_known = self.mid and self.last_mid
            # of the exact difference: the quotient of two mids is near 1, and has few digits beyond that
            self.returns.append(BPS * log1p((self.mid - self.last_mid) / self.last_mid) if is_known else None)
            self.flows.append(self.traded)
        self.last_mid, self.traded = self.mid, 0
