"""Running confidence: how often the mid moved a signal's way over its horizon, of the times that it moved.

An opening is a forecast. It waits until time t + L + horizon, and is then judged by the mids that held at t + L and at
t + L + horizon. Where the book broke in between, or the mid is the same, it says nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from processors.signals.thresholds import SignalThresholds

HITS_BEFORE: Final = 10
FORECASTS_BEFORE: Final = 20
"""What is assumed before anything was seen: twenty forecasts, half of them right."""


class Forecast(msgspec.Struct):
    """An opening that is not judged yet.

    Attributes:
        side: 1 for a rise, -1 for a fall.
        opened_ns: When the signal opened.
        mid: Mid that held the latency later; null until that time is past.
    """

    side: int
    opened_ns: int
    mid: float | None = None


class Hits(msgspec.Struct):
    """How forecasts of one side came out: how many were judged, and how many were right."""

    judged: int = 0
    right: int = 0

    @property
    def confidence(self) -> float:
        """P(the mid moves in the signal's direction over its horizon | it moves)."""
        return (HITS_BEFORE + self.right) / (FORECASTS_BEFORE + self.judged)


class Forecasts(msgspec.Struct):
    """Forecasts of one kind of signal of one instrument. Serialisable as it stands.

    Attributes:
        pending: Not judged yet, oldest first.
        rises, falls: How those of each side came out.
        mid: The last usable mid.
    """

    pending: list[Forecast] = []
    rises: Hits = msgspec.field(default_factory=Hits)
    falls: Hits = msgspec.field(default_factory=Hits)
    mid: float | None = None

    def of_side(self, side: int) -> Hits:
        """How forecasts of a side came out."""
        return self.rises if side > 0 else self.falls

    def discard(self) -> int:
        """Give up what is pending, since the book broke; how many that were."""
        discarded = len(self.pending)
        self.pending, self.mid = [], None
        return discarded

    def take(self, at_ns: int, mid: float | None, settings: SignalThresholds, outcomes: Counter[str]) -> None:
        """Take an event's mid, null where the event is not usable, and judge the forecasts that are due.

        Args:
            at_ns: When the event was received.
            mid: Its mid.
            settings: Latency and horizon.
            outcomes: Counts what became of forecasts.
        """
        for forecast in self.pending:
            if forecast.mid is None and at_ns > forecast.opened_ns + settings.latency_ns:
                forecast.mid = self.mid
        while self.pending and at_ns >= (due_ns := _due_ns(self.pending[0], settings)):
            end = mid if at_ns == due_ns and mid is not None else self.mid
            outcomes[self._judge(self.pending.pop(0), end)] += 1
        self.mid = self.mid if mid is None else mid

    def _judge(self, forecast: Forecast, end: float | None) -> str:
        if forecast.mid is None or end is None:
            return "forecast_broken"
        if end == forecast.mid:
            return "forecast_unmoved"
        hits, is_right = self.of_side(forecast.side), (end > forecast.mid) == (forecast.side > 0)
        hits.judged += 1
        hits.right += is_right
        return "forecast_right" if is_right else "forecast_wrong"


def _due_ns(forecast: Forecast, settings: SignalThresholds) -> int:
    return forecast.opened_ns + settings.latency_ns + settings.horizon_ns
