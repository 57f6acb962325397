"""One instrument's signals: what each kind remembers, and the step an event makes it take.

An event takes an open signal to its close: by `horizon`, else by `left`; one that is not usable by `unusable`. A kind
that is FLAT opens where |z| reaches its bar, some time after its last close; there is no flip without FLAT between.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

import msgspec

from processors.derived.followed import FollowedLog
from processors.signals.forecasts import Forecast, Forecasts
from processors.signals.measure import Baseline, Measure, measure
from processors.signals.thresholds import KindRules, SignalThresholds
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorEvent, SignalKind, SignalReason, Status

MID: Final = FACTOR_INDEX["mid"]
USABLE: Final = (Status.OK, Status.THIN)


class OpenSignal(msgspec.Struct, frozen=True):
    """The open signal: its side, 1 or -1, and the event that opened it."""

    side: int
    offset: int
    received_ns: int
    mid: float | None


class KindState(msgspec.Struct):
    """What is known of one kind. Serialisable as it stands.

    Attributes:
        baseline: What its factor was.
        forecasts: How its signals came out.
        opened: The open signal; null where it is FLAT.
        closed_ns: When the last one closed; null where none did since the memory began.
    """

    baseline: Baseline = msgspec.field(default_factory=Baseline)
    forecasts: Forecasts = msgspec.field(default_factory=Forecasts)
    opened: OpenSignal | None = None
    closed_ns: int | None = None


class SignalState(msgspec.Struct):
    """Memory of one instrument: how far its events were taken, and its kinds. Serialisable as it stands."""

    followed: FollowedLog = msgspec.field(default_factory=FollowedLog)
    kinds: dict[SignalKind, KindState] = {}


class SignalStep(NamedTuple):
    """One step of one kind.

    Attributes:
        kind: Which.
        reason: Why; ENTERED is an opening, all others close.
        opened: The signal.
        measure: What the event says.
        confidence: How often signals of this kind and side were right, as known now.
        judged: Of how many that is.
    """

    kind: SignalKind
    reason: SignalReason
    opened: OpenSignal
    measure: Measure
    confidence: float
    judged: int


def forget(state: SignalState, outcomes: Counter[str]) -> None:
    """Start every memory afresh, as another stream begins; what was counted of forecasts stays."""
    for kind in state.kinds.values():
        kind.opened = kind.closed_ns = None
        _break(kind, outcomes)


def take_event(
    state: SignalState,
    event: FactorEvent,
    rules: dict[SignalKind, KindRules],
    settings: SignalThresholds,
    outcomes: Counter[str],
) -> list[SignalStep]:
    """Take one new event, and return the steps it makes the kinds take.

    Args:
        state: The instrument's memory; changed in place.
        event: The event.
        rules: Of each kind.
        settings: Thresholds.
        outcomes: Counts what became of forecasts.
    """
    steps = []
    for kind, of_kind in rules.items():
        step = _take(state.kinds.setdefault(kind, KindState()), kind, event, of_kind, settings, outcomes)
        if step is not None:
            steps.append(step)
    return steps


def _take(
    state: KindState,
    kind: SignalKind,
    event: FactorEvent,
    rules: KindRules,
    settings: SignalThresholds,
    outcomes: Counter[str],
) -> SignalStep | None:
    is_usable, at_ns = event.status in USABLE, event.received_ns
    if event.status is Status.RESYNCING:
        _break(state, outcomes)
    found = measure(state.baseline, event, rules, settings, is_usable=is_usable)
    state.forecasts.take(at_ns, event.values[MID] if is_usable else None, settings, outcomes)
    opened, reason = state.opened, None
    if opened is not None:
        reason = _closes(opened, found, at_ns, settings, is_usable=is_usable)
        if reason is not None:
            state.opened, state.closed_ns = None, at_ns
    elif _opens(state, found, at_ns, rules, settings):
        opened, reason = _open(state, event, found), SignalReason.ENTERED
    if opened is None or reason is None:
        return None
    hits = state.forecasts.of_side(opened.side)
    return SignalStep(kind, reason, opened, found, hits.confidence, hits.judged)


def _break(state: KindState, outcomes: Counter[str]) -> None:
    """Forget what lies before a hole. What was counted of forecasts stays, and so does an open signal, to be closed."""
    state.baseline = Baseline()
    discarded = state.forecasts.discard()
    if discarded:
        outcomes["forecast_broken"] += discarded


def _closes(
    opened: OpenSignal, found: Measure, at_ns: int, settings: SignalThresholds, *, is_usable: bool
) -> SignalReason | None:
    if not is_usable:
        return SignalReason.UNUSABLE
    if at_ns - opened.received_ns >= settings.horizon_ns:
        return SignalReason.HORIZON
    if found.z is None:
        return SignalReason.UNUSABLE
    return SignalReason.LEFT if found.z * opened.side < settings.leave else None


def _opens(state: KindState, found: Measure, at_ns: int, rules: KindRules, settings: SignalThresholds) -> bool:
    if found.z is None or abs(found.z) < rules.enter:
        return False
    if state.closed_ns is not None and at_ns < state.closed_ns + settings.cooldown_ns:
        return False
    # The product of two small numbers may be 0 where both have a sign.
    return not settings.need_trend or (found.trend not in (None, 0.0) and (found.trend > 0.0) == (found.z > 0.0))


def _open(state: KindState, event: FactorEvent, found: Measure) -> OpenSignal:
    side = 1 if (found.z or 0.0) > 0.0 else -1
    state.opened = OpenSignal(side, event.source_offset, event.received_ns, event.values[MID])
    state.forecasts.pending.append(Forecast(side, event.received_ns))
    return state.opened
