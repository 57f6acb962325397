"""Anomalies begin and end once an episode, and a shift of liquidity is found where one is: section 2, "Acceptance"."""

from __future__ import annotations

import os
from math import log, sqrt
from random import Random

import pytest

from obflow.settings import Settings
from processors.anomalies.episodes import AnomalyStep
from processors.anomalies.state import AnomalyState, take_event
from processors.anomalies.thresholds import anomaly_thresholds
from schemas.messages import AnomalyKind, AnomalyReason, FactorEvent, LevelSide, Status
from tests.processors.signals.made import factor_event

SETTINGS = anomaly_thresholds(Settings().anomalies)
RATE = 20
WHOLE = os.environ.get("OBFLOW_FUZZ") == "all"
HOURS, STEPS = (10.0, 200) if WHOLE else (0.5, 20)


def steps_of(events: list[FactorEvent]) -> list[AnomalyStep]:
    state = AnomalyState()
    return [step for event in events for step in take_event(state, event, SETTINGS)]


def depth_events(seed: int, seconds: float, drop_at_s: float = 1e9, left: float = 1.0) -> list[FactorEvent]:
    """A book whose ln-depth is AR(1), sd 0.12 and half-life 2 s, with a lasting step at a time."""
    chance, x = Random(seed), 0.0
    phi = 0.5 ** (1.0 / (2.0 * RATE))
    found = []
    for offset in range(int(seconds * RATE)):
        x = phi * x + chance.gauss(0.0, 0.12 * sqrt(1.0 - phi * phi))
        at_s = offset / RATE
        depth = 1e6 * (left if at_s >= drop_at_s else 1.0) * 2.718281828**x
        found.append(factor_event(offset, at_s, bid_depth_10bps=depth / 2, ask_depth_10bps=depth / 2, mid=100.0))
    return found


def test_a_stationary_depth_gives_at_most_an_alarm_an_hour() -> None:
    began = [step for step in steps_of(depth_events(1, HOURS * 3600)) if step.reason is AnomalyReason.BEGAN]
    assert len(began) <= max(1, HOURS)


def test_a_lasting_drop_to_half_is_found_within_two_seconds() -> None:
    found = 0
    for seed in range(STEPS):
        began = [
            step for step in steps_of(depth_events(seed, 122.05, 120.0, 0.5)) if step.reason is AnomalyReason.BEGAN
        ]
        found += any(120.0 <= step.event.source_offset / RATE <= 122.0 for step in began)
    assert found >= 0.95 * STEPS


def dropped(depths: list[float], *, rate: float = 10.0) -> list[AnomalyStep]:
    return steps_of(
        [
            factor_event(at, at / rate, bid_depth_10bps=depth / 2, ask_depth_10bps=depth / 2, mid=100.0)
            for at, depth in enumerate(depths)
        ]
    )


def test_an_episode_tells_how_long_half_of_the_drop_took_to_come_back() -> None:
    began, ended = dropped([1e6] * 700 + [4e5] * 30 + [9e5] * 10)
    assert (began.reason, ended.reason) == (AnomalyReason.BEGAN, AnomalyReason.ENDED)
    assert began.event.source_offset == 705, "half a second after the drop"
    assert began.episode.first_offset == 700
    assert began.evidence["x"] == pytest.approx(log(4e5))
    assert ended.event.source_offset > began.event.source_offset
    assert ended.episode.recovery_s in (None, pytest.approx(2.5))


def test_a_drop_that_lasts_less_than_half_a_second_is_none() -> None:
    assert dropped([1e6] * 700 + [4e5] * 5 + [1e6] * 10) == []


@pytest.mark.parametrize(("status", "kind"), [(Status.ONE_SIDED, "one_sided"), (Status.LOCKED, "locked")])
def test_a_status_that_lasts_begins_and_ends_one_episode(status: Status, kind: str) -> None:
    statuses = [Status.OK] * 3 + [status] * 4 + [Status.OK] + [status] * 12 + [Status.OK] * 5
    factors = {"best_ask": 1.0} if status is Status.ONE_SIDED else {}
    steps = steps_of([factor_event(at, at / 10, one, **factors) for at, one in enumerate(statuses)])
    assert [(step.kind.value, step.reason.value, step.event.source_offset) for step in steps] == [
        (kind, "began", 13),
        (kind, "ended", 20),
    ]
    assert steps[0].episode.side is (LevelSide.BID if status is Status.ONE_SIDED else None)


def test_a_break_ends_every_episode_and_begins_all_memory_anew() -> None:
    events = [factor_event(at, at / 10, Status.ONE_SIDED) for at in range(10)]
    events += [factor_event(10, 1.0, Status.RESYNCING), factor_event(11, 1.1, Status.ONE_SIDED)]
    steps = steps_of(events)
    assert [(step.kind, step.reason) for step in steps] == [
        (AnomalyKind.ONE_SIDED, AnomalyReason.BEGAN),
        (AnomalyKind.ONE_SIDED, AnomalyReason.BROKEN),
    ]


def test_a_depth_that_is_not_known_is_no_drop() -> None:
    known = [factor_event(at, at / 10, bid_depth_10bps=5e5, ask_depth_10bps=5e5, mid=100.0) for at in range(700)]
    unknown = [factor_event(at, at / 10, bid_depth_10bps=5e5, mid=100.0) for at in range(700, 800)]
    nothing = [factor_event(at, at / 10, bid_depth_10bps=0.0, ask_depth_10bps=0.0, mid=1.0) for at in range(800, 900)]
    assert steps_of([*known, *unknown, *nothing]) == []
