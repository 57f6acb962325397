"""x, z and trend of one kind of signal: what an event says, against what held before it."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from processors.derived.averages import HeldAverage, HeldTrail
from processors.signals.thresholds import KindRules, SignalThresholds
from schemas.messages import FactorEvent

TREND_EVENTS: Final = 5
"""Events on each side of the classic trend."""


class Measure(NamedTuple):
    """What an event says of one kind; null is no value: the factor has none, or the memory is still warming up."""

    x: float | None
    z: float | None
    trend: float | None


class Baseline(msgspec.Struct):
    """What one kind remembers of its factor. Serialisable as it stands.

    Attributes:
        average: Mean and variance of what held; for kinds without a z of their own.
        trail: The last seconds; for the same kinds.
        last: The last values, oldest first; for the classic kind, which counts events.
    """

    average: HeldAverage = msgspec.field(default_factory=HeldAverage)
    trail: HeldTrail = msgspec.field(default_factory=HeldTrail)
    last: list[float] = []


def measure(
    baseline: Baseline, event: FactorEvent, rules: KindRules, settings: SignalThresholds, *, is_usable: bool
) -> Measure:
    """Measure an event, which then becomes part of the baseline."""
    x = event.values[rules.factor] if is_usable else None
    if rules.z_factor is None:
        return _by_time(baseline, x, event.received_ns, rules, settings)
    if x is None:
        return Measure(None, None, None)
    baseline.last = [*baseline.last, x][-2 * TREND_EVENTS :]
    return Measure(x, event.values[rules.z_factor], _trend_by_events(baseline.last))


def _by_time(baseline: Baseline, x: float | None, at_ns: int, rules: KindRules, settings: SignalThresholds) -> Measure:
    average, trail = baseline.average, baseline.trail
    average.advance(at_ns, settings.half_life_ns)
    trail.advance(at_ns, settings.trail_ns)
    is_warm = x is not None and average.begun and average.observed_ns >= settings.warmup_ns
    z = average.z(x, rules.sd_floor) if x is not None and is_warm else None
    trend = None if x is None else _trend_by_time(trail, at_ns, settings)
    average.hold(x)
    trail.hold(x)
    return Measure(x, z, trend)


def _trend_by_time(trail: HeldTrail, at_ns: int, settings: SignalThresholds) -> float | None:
    if not trail.covers(at_ns - settings.trail_ns):
        return None
    edge_ns = at_ns - settings.trend_ns
    now, before = trail.mean(edge_ns, at_ns), trail.mean(at_ns - settings.trail_ns, edge_ns)
    return None if now is None or before is None else now - before


def _trend_by_events(last: list[float]) -> float | None:
    if len(last) < 2 * TREND_EVENTS:
        return None
    return (sum(last[TREND_EVENTS:]) - sum(last[:TREND_EVENTS])) / TREND_EVENTS
