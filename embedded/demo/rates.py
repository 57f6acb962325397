"""What went through in the last seconds: counts at moments, and how fast they grew."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

SPAN_S: Final = 5.0
"""Rates are means over so long; a figure that is older says nothing of now."""


class Figures(NamedTuple):
    """Counts since the demo began, or of each per second.

    Attributes:
        l2: Records of books on the log.
        trades: Records of trades on the log.
        events: Factor events on the log.
        rows: Rows of the factor table.
        regimes, signals, anomalies, quotes, arbitrage: Records of each on the log.
    """

    l2: float = 0
    trades: float = 0
    events: float = 0
    rows: float = 0
    regimes: float = 0
    signals: float = 0
    anomalies: float = 0
    quotes: float = 0
    arbitrage: float = 0


class RateWindow:
    """Remembers looks for as long as rates are means over.

    Args:
        span_s: How long.
    """

    def __init__(self, span_s: float = SPAN_S) -> None:
        self._span_s = span_s
        self._looks: deque[tuple[float, Figures]] = deque()

    def add(self, now_s: float, counts: Figures) -> Figures:
        """Take a look, and tell how fast each count has grown.

        Args:
            now_s: When, on any clock that only goes forward.
            counts: What was counted.

        Returns:
            Each per second over the span, or since the first look where that is later; 0 at the first.
        """
        self._looks.append((now_s, counts))
        while len(self._looks) > 2 and self._looks[1][0] <= now_s - self._span_s:
            self._looks.popleft()
        first_s, first = self._looks[0]
        if now_s <= first_s:
            return Figures()
        return Figures(*((now - before) / (now_s - first_s) for now, before in zip(counts, first, strict=True)))
