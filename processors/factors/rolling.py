"""What the factors remember: the previous events, and the applied deltas of the last second.

It restarts when the book was not LIVE or its epoch changed, is untouched by routine snapshots and is part of the
checkpoint. Sums run over the rings in order, oldest first: a running float sum would drift.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from processors.factors.trades import TradeMemory
from schemas.units import NS_PER_SECOND

WINDOW_NS: Final = NS_PER_SECOND
"""Windows are (t - 1 s, t] by `received_ns`."""
Z_EVENTS: Final = 20
"""Previous events behind obi_l1_z and liquidity_shift."""
CHANGE_EVENTS: Final = 10
"""Most previous events behind obi_change_rate."""
WINDOW_MAX: Final = 10_000
"""Most deltas a window remembers. Beyond it the window is incomplete, and its factors null, until the loss is past."""

LEVELS_MAX: Final = 1_024
"""Most deltas whose flows by level are remembered; a second of more has no such flow."""

T = TypeVar("T")


def known(values: Sequence[T | None]) -> Sequence[T] | None:
    """The values, where all of them are known."""
    return None if None in values else values  # type: ignore[return-value] # none of them is None


class Rolling:
    """Rolling state of one instrument.

    Attributes:
        whole_since_ns: The window is complete where it starts here or later: the time the book became LIVE, or of the
            last delta lost to `WINDOW_MAX`.
        times, flows, added, removed: The applied deltas of the window: received_ns, order flow at the best level
            (proportional to base units, None where it has none), lots added and removed near the top (None where the
            top is not known).
        levels: Flows at levels 1, 2 … of the newest `LEVELS_MAX` of them, as far as both books had those levels.
        quotes: Order flow at the best quotes that came with each, base units; None where it carried none.
        obi_l1, obi_l5, depth: Of the previous events with status OK or THIN, oldest first; depth is the 10 bps
            notional of both sides. None where it is not known.
        trades: What is remembered of trades.
    """

    __slots__ = (
        *("added", "depth", "flows", "levels", "obi_l1", "obi_l5"),
        *("quotes", "removed", "times", "trades", "whole_since_ns"),
    )

    def __init__(self) -> None:
        self.whole_since_ns = 0
        self.times: deque[int] = deque()
        self.flows: deque[float | None] = deque()
        self.levels: deque[tuple[float, ...]] = deque(maxlen=LEVELS_MAX)
        self.added: deque[int | None] = deque()
        self.removed: deque[int | None] = deque()
        self.quotes: deque[float | None] = deque()
        self.trades = TradeMemory()
        self.obi_l1: deque[float] = deque(maxlen=Z_EVENTS)
        self.obi_l5: deque[float | None] = deque(maxlen=CHANGE_EVENTS)
        self.depth: deque[float | None] = deque(maxlen=Z_EVENTS)

    def restart(self, received_ns: int) -> None:
        """Forget everything: the book became LIVE now."""
        self.whole_since_ns = received_ns
        for ring in self._rings:
            ring.clear()
        self.trades.begin(received_ns, 0, 0)

    @property
    def _rings(self) -> tuple[deque[Any], ...]:
        window = (self.times, self.flows, self.levels, self.added, self.removed, self.quotes)
        return (*window, self.obi_l1, self.obi_l5, self.depth)

    def add_delta(
        self,
        received_ns: int,
        flow: float | None,
        added: int | None,
        removed: int | None,
        quotes: float | None,
        levels: tuple[float, ...] = (),
    ) -> None:
        """One applied delta enters the window; what is a second older leaves it."""
        self.times.append(received_ns)
        self.flows.append(flow)
        self.quotes.append(quotes)
        self.levels.append(levels)
        self.added.append(added)
        self.removed.append(removed)
        while self.times[0] <= received_ns - WINDOW_NS:
            self._drop_oldest()
        if len(self.times) > WINDOW_MAX:
            self.whole_since_ns = self._drop_oldest()

    def add_event(self, obi_l1: float, obi_l5: float | None, depth: float | None) -> None:
        """One event with status OK or THIN becomes a previous event."""
        self.obi_l1.append(obi_l1)
        self.obi_l5.append(obi_l5)
        self.depth.append(depth)

    @property
    def newest_ns(self) -> int:
        """Time of the newest applied delta, or when the book became LIVE."""
        return self.times[-1] if self.times else self.whole_since_ns

    def is_whole(self, received_ns: int) -> bool:
        """True where the window that ends now holds all it should."""
        return received_ns - self.whole_since_ns >= WINDOW_NS

    def flow(self) -> float | None:
        """Sum of the flows in the window; None where no delta in it has one."""
        total, seen = 0.0, False
        for flow in self.flows:
            if flow is not None:
                total += flow
                seen = True
        return total if seen else None

    def flows_at(self, level: int) -> Sequence[float] | None:
        """The flows at a level in the window, oldest first; None where one of its deltas has none, or too many came."""
        if len(self.levels) < len(self.times) or min(map(len, self.levels), default=0) < level:
            return None
        return [flows[level - 1] for flows in self.levels]

    def _drop_oldest(self) -> int:
        self.flows.popleft()
        self.quotes.popleft()
        self.added.popleft()
        self.removed.popleft()
        if len(self.levels) == len(self.times):
            self.levels.popleft()
        return self.times.popleft()
