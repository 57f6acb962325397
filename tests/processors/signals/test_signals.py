"""Signals open, close and foretell as the page of derived streams says; in its words "Tests" of section 1."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.derived.fees import FeeTable
from processors.signals.events import cost_bps, edge_bps, return_bps
from processors.signals.state import SignalStep
from processors.signals.thresholds import signal_thresholds, slopes_of
from schemas.errors import UsageError
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorEvent, SignalKind, SignalReason, Status
from schemas.units import NS_PER_SECOND
from tests.processors.signals.made import factor_event, steps_of, thresholds

QUICK = thresholds(half_life_seconds=10.0, warmup_seconds=5.0, imbalance_enter=1.0, flow_enter=1.0)


def wild_events(seed: int, count: int) -> list[FactorEvent]:
    """A random walk of everything, with breaks, at times that sometimes stand still."""
    chance, found, at_s, walk = Random(seed), [], 0.0, 0.0
    for offset in range(count):
        at_s += chance.choice((0.0, 0.05, 0.2, 0.5, 1.5))
        walk = max(-1.0, min(1.0, walk + chance.gauss(0.0, 0.3)))
        status = chance.choices([Status.OK, Status.ONE_SIDED, Status.RESYNCING], [0.97, 0.02, 0.01])[0]
        factors = {"obi_l5": walk, "obi_l1": walk, "ofi_l1_1s": 10 * walk, "obi_l1_z": chance.gauss(0.0, 1.5)}
        mid = {"mid": 100.0 + chance.gauss(0.0, 0.1), "spread_bps": 1.0}
        found.append(factor_event(offset, at_s, status, **(factors | mid if status is Status.OK else {})))
    return found


def mirrored(event: FactorEvent) -> FactorEvent:
    """The event of the book whose sides are swapped. The mid mirrors about 100 in its logarithm."""
    signed = ("obi_l5", "obi_l1", "ofi_l1_1s", "obi_l1_z")
    values = list(event.values)
    for name in signed:
        value = values[FACTOR_INDEX[name]]
        values[FACTOR_INDEX[name]] = None if value is None else -value
    mid = values[FACTOR_INDEX["mid"]]
    values[FACTOR_INDEX["mid"]] = None if mid is None else 1e4 / mid
    return FactorEvent(event.source_offset, event.sequence, event.received_ns, event.status, tuple(values))


def seen(step: SignalStep, sign: int) -> tuple[object, ...]:
    """What a step says, with the sides swapped where the sign is -1."""
    measured = tuple(None if value is None else sign * value for value in step.measure)
    return (step.kind, step.reason, sign * step.opened.side, step.opened.offset, measured, step.confidence, step.judged)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_swapping_the_sides_mirrors_every_step(seed: int) -> None:
    events = wild_events(seed, 300)
    plain = [seen(step, -1) for _, step in steps_of(events, QUICK)]
    other = [seen(step, 1) for _, step in steps_of([mirrored(event) for event in events], QUICK)]
    assert plain == other
    assert len(plain) > 5


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_a_signal_outlives_its_horizon_by_one_event_at_most(seed: int) -> None:
    events = wild_events(seed, 300)
    at_ns = [event.received_ns for event in events]
    for event, step in steps_of(events, QUICK):
        if step.reason is not SignalReason.ENTERED:
            before = at_ns[event.source_offset - 1]
            assert before - step.opened.received_ns < QUICK.horizon_ns or before == step.opened.received_ns


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_each_kind_opens_and_closes_by_turns_and_rests_between(seed: int) -> None:
    for kind in SignalKind:
        steps = [(event, step) for event, step in steps_of(wild_events(seed, 300), QUICK) if step.kind is kind]
        assert [step.reason is SignalReason.ENTERED for _, step in steps] == [at % 2 == 0 for at in range(len(steps))]
        for (closing, _), (opening, _) in zip(steps[1::2], steps[2::2], strict=False):
            assert opening.received_ns >= closing.received_ns + QUICK.cooldown_ns


def test_an_input_that_trembles_about_a_bar_opens_once_a_cool_down() -> None:
    bar = thresholds(imbalance_enter=9, flow_enter=9, classic_enter=2.0, leave=1.999, need_trend=False)
    events = [
        factor_event(at, at / 20, obi_l1=0.5, obi_l1_z=2.0 + (1e-3 if at % 2 else -2e-3), mid=100.0)
        for at in range(2_000)
    ]
    opened = [event.received_ns for event, step in steps_of(events, bar) if step.reason is SignalReason.ENTERED]
    assert len(opened) > 50
    assert all(after - before >= NS_PER_SECOND for before, after in pairwise(opened))


def test_white_noise_foretells_nothing() -> None:
    """2,000 forecasts and more, half of them right, and the running confidence says so."""
    chance, outcomes = Random(11), Counter[str]()
    noisy = thresholds(imbalance_enter=0.5, flow_enter=0.5, classic_enter=9, leave=0.25, need_trend=False)
    events = [
        factor_event(
            at, at / 2, obi_l5=chance.gauss(0, 0.3), ofi_l1_1s=chance.gauss(0, 3), mid=100 + chance.gauss(0, 1)
        )
        for at in range(8_000)
    ]
    steps = steps_of(events, noisy, outcomes)
    judged = outcomes["forecast_right"] + outcomes["forecast_wrong"]
    assert judged > 2_000
    assert abs(outcomes["forecast_right"] / judged - 0.5) < 3 * 0.5 / judged**0.5
    last = {(step.kind, step.opened.side): step for _, step in steps}
    assert len(last) == 4
    pooled = sum(step.confidence * step.judged for step in last.values()) / sum(step.judged for step in last.values())
    assert abs(pooled - 0.5) < 0.03


def test_a_forecast_is_judged_by_the_mids_that_held_and_not_by_later_ones() -> None:
    alone = thresholds(need_trend=False, latency_ms=100.0)
    outcomes = Counter[str]()
    said = {"obi_l1": 0.5, "mid": 100.0}
    events = [
        factor_event(0, 0.0, obi_l1_z=3.0, **said),
        factor_event(1, 0.1, obi_l1_z=0.0, obi_l1=0.5, mid=101.0),  # holds at t + L
        factor_event(2, 0.2, obi_l1_z=0.0, obi_l1=0.5, mid=102.0),
        factor_event(3, 5.1, obi_l1_z=0.0, obi_l1=0.5, mid=101.0),  # holds at t + L + horizon: no move
        factor_event(4, 9.0, obi_l1_z=3.0, **said),
        factor_event(5, 20.0, obi_l1_z=0.0, obi_l1=0.5, mid=120.0),  # the mid before it held at both times
        factor_event(6, 30.0, obi_l1_z=3.0, **said),
        factor_event(7, 31.0, Status.RESYNCING),
        factor_event(8, 40.0, obi_l1_z=3.0, **said),
        factor_event(9, 40.05, obi_l1_z=0.0, obi_l1=0.5, mid=99.0),
        factor_event(10, 45.05, obi_l1_z=0.0, obi_l1=0.5, mid=99.5),
        factor_event(11, 46.0, obi_l1_z=3.0, obi_l1=0.5, mid=90.0),
    ]
    steps = [step for _, step in steps_of(events, alone, outcomes) if step.kind is SignalKind.CLASSIC]
    assert outcomes == {"forecast_unmoved": 2, "forecast_broken": 1, "forecast_right": 1}
    assert (steps[-1].confidence, steps[-1].judged) == (11 / 21, 1)


def test_a_break_closes_what_is_open_and_warms_up_anew_but_keeps_its_record() -> None:
    found = thresholds(warmup_seconds=5.0, need_trend=False, imbalance_enter=1.0)
    events = [factor_event(at, float(at), obi_l5=0.0 if at < 8 else 0.9, mid=100.0) for at in range(10)]
    events += [factor_event(10, 10.0, Status.RESYNCING)]
    events += [factor_event(at, float(at), obi_l5=0.0 if at < 17 else 0.9, mid=100.0) for at in range(11, 19)]
    steps = [(event.source_offset, step.reason) for event, step in steps_of(events, found)]
    assert steps == [
        (8, SignalReason.ENTERED),
        (10, SignalReason.UNUSABLE),
        (17, SignalReason.ENTERED),
    ]


def test_costs_and_edges_are_null_where_nothing_is_known() -> None:
    event = factor_event(0, 0.0, spread_bps=0.5)
    fees = FeeTable("v spot t 2020-01-01 1 5; v spot t 2023-01-01 1 4; w spot t 2030-01-01 1 1", "t")
    assert cost_bps(event, "v", fees) == 8.5
    assert cost_bps(event, "w", fees) is None, "its row begins later"
    assert cost_bps(event, "v", FeeTable(fees.text, "other")) is None
    assert cost_bps(factor_event(0, 0.0), "v", fees) is None
    assert (edge_bps(3.0, None), edge_bps(-9.0, 0.5), edge_bps(None, 0.5)) == (None, 2.0, None)
    assert return_bps(-1, 100.0, 99.0) == pytest.approx(100.503, abs=1e-3)
    assert return_bps(1, None, 99.0) is None


@pytest.mark.parametrize("slopes", ["binance BTCUSDT imbalance", "binance BTCUSDT nothing 0.3", "a b flow x"])
def test_settings_that_make_no_sense_are_refused(slopes: str) -> None:
    with pytest.raises(UsageError, match="slopes"):
        slopes_of(slopes)
    with pytest.raises(UsageError, match=r"signals\.leave"):
        thresholds(leave=1.5)
    assert signal_thresholds(thresholds()) == thresholds()
