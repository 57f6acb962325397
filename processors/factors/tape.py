"""The trades of the last seconds: what each record's came to, and their sums over windows that end with it.

Numbers are whole lots, so that running sums are exact. A record's trades count at its `received_ns`; a window
(t - w, t] is whole once the book has been LIVE for w.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.units import NS_PER_SECOND

WINDOWS_S: Final = (1, 5, 30)
TAPE_MAX: Final = 4_096
"""Most records with trades a window remembers. Beyond it the window is incomplete until the loss is past."""


class Traded(NamedTuple):
    """What the trades of one record come to.

    Attributes:
        received_ns: Its time.
        bought, sold: Lots by aggressive buyers, and by aggressive sellers.
        trades: Their number.
        paid: Σ lots·2·10⁴·(price - mid)/mid, + against the aggressor, mid before the record; None where it has none.
    """

    received_ns: int
    bought: int
    sold: int
    trades: int
    paid: float | None


class TradeWindow:
    """One window.

    Attributes:
        span_ns: w.
        whole_since_ns: It is complete where it begins here or later.
        records: Those in it that have trades, oldest first.
        bought, sold, trades: Their sums.
    """

    __slots__ = ("bought", "records", "sold", "span_ns", "trades", "whole_since_ns")

    def __init__(self, span_s: int) -> None:
        self.span_ns = span_s * NS_PER_SECOND
        self.records: deque[Traded] = deque()
        self.restart(0)

    def restart(self, received_ns: int) -> None:
        """Forget everything: the book became LIVE now."""
        self.whole_since_ns = received_ns
        self.records.clear()
        self.bought = self.sold = self.trades = 0

    def hold(self, since_ns: int, records: Sequence[Traded]) -> None:
        """Take records as they were held, oldest first."""
        self.restart(since_ns)
        for traded in records:
            self.records.append(traded)
            self._count(traded, 1)

    def add(self, traded: Traded) -> None:
        """Take a record's trades, if any; what is older than the window leaves it."""
        while self.records and self.records[0].received_ns <= traded.received_ns - self.span_ns:
            self._drop_oldest()
        if traded.trades:
            self.records.append(traded)
            self._count(traded, 1)
            if len(self.records) > TAPE_MAX:
                self.whole_since_ns = self._drop_oldest()

    def is_whole(self, received_ns: int) -> bool:
        """True where the window that ends now holds all it should."""
        return received_ns - self.whole_since_ns >= self.span_ns

    def _drop_oldest(self) -> int:
        oldest = self.records.popleft()
        self._count(oldest, -1)
        return oldest.received_ns

    def _count(self, traded: Traded, sign: int) -> None:
        self.bought += sign * traded.bought
        self.sold += sign * traded.sold
        self.trades += sign * traded.trades
