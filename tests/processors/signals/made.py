"""Factor events made by hand for signals and anomalies: what is not named has no value."""

from __future__ import annotations

from collections import Counter

from obflow.settings import Settings
from processors.signals.state import SignalState, SignalStep, take_event
from processors.signals.thresholds import SignalThresholds, kind_rules, signal_thresholds
from schemas.factors import FACTOR_INDEX, NO_FACTORS
from schemas.messages import FactorEvent, Status
from schemas.units import NS_PER_SECOND

T0_NS = 1_700_000_000 * NS_PER_SECOND


def factor_event(offset: int, at_s: float, status: Status = Status.OK, **factors: float) -> FactorEvent:
    """An event with these factors, `at_s` seconds after the beginning."""
    values = list(NO_FACTORS)
    for name, value in factors.items():
        values[FACTOR_INDEX[name]] = value  # type: ignore[call-overload] # nullable floats
    return FactorEvent(offset, offset, T0_NS + round(at_s * NS_PER_SECOND), status, tuple(values))


def thresholds(**changed: object) -> SignalThresholds:
    """The settings' thresholds, but for these."""
    return signal_thresholds(Settings().signals.model_copy(update=changed))


def steps_of(
    events: list[FactorEvent], settings: SignalThresholds, outcomes: Counter[str] | None = None
) -> list[tuple[FactorEvent, SignalStep]]:
    """The steps that events make, each with its event."""
    state, rules = SignalState(), kind_rules(settings)
    counts = Counter[str]() if outcomes is None else outcomes
    return [(event, step) for event in events for step in take_event(state, event, rules, settings, counts)]
