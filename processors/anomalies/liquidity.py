"""liquidity_shift: the depth near mid is far below what it was, and stays there.

x is the logarithm of the notional within 10 bps of mid, both sides. Its baseline is a mean by time, plain at first, and
its scale the mean distance from that, which one wild moment moves less than a variance. An alarm needs both a z and a
share, so that neither a very quiet book nor a very restless one gives many.
"""

from __future__ import annotations

from math import log
from typing import Final

import msgspec

from processors.anomalies.thresholds import AnomalyThresholds

NORMAL: Final = 1.2533
"""Standard deviation over mean distance, of normal numbers."""


class DepthBaseline(msgspec.Struct):
    """What the depth of one book was. Serialisable as it stands.

    Attributes:
        mean, distance: Of x and of |x - mean|.
        held: x that holds since `at_ns`; null where there is none.
        observed_ns: For how long there was an x.
    """

    mean: float = 0.0
    distance: float = 0.0
    held: float | None = None
    at_ns: int = 0
    observed_ns: int = 0

    def advance(self, at_ns: int, half_life_ns: float) -> None:
        """Take in the x that held until `at_ns`."""
        elapsed_ns, self.at_ns = at_ns - self.at_ns, at_ns
        if self.held is None or elapsed_ns <= 0:
            return
        self.observed_ns += elapsed_ns
        weight = max(1.0 - 0.5 ** (elapsed_ns / half_life_ns), elapsed_ns / self.observed_ns)
        step = self.held - self.mean
        self.distance += weight * (abs(step) - self.distance) if self.observed_ns > elapsed_ns else 0.0
        self.mean += weight * step

    def hold(self, x: float | None) -> None:
        """Say what holds from now on."""
        self.held = x

    def z(self, x: float, floor: float) -> float:
        """How far x lies from the baseline, standard deviations."""
        return (x - self.mean) / max(NORMAL * self.distance, floor)


def log_depth(bid: float | None, ask: float | None) -> float | None:
    """X of the depths of both sides; null where one is not known, or nothing is there."""
    return None if bid is None or ask is None or bid + ask <= 0.0 else log(bid + ask)


def is_shift(x: float, z: float, mean: float, settings: AnomalyThresholds) -> bool:
    """Whether x lies as far below its mean as an alarm needs."""
    return z <= -settings.shift_z and x - mean <= log(settings.shift_share)


def has_recovered(x: float, opened_x: float, baseline: float) -> bool:
    """Whether half of the drop, from the baseline to x at the opening, is regained."""
    return x >= (opened_x + baseline) / 2.0
