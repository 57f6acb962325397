"""The measured figures of derived streams, on the recordings, with default settings."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from processors.regimes.rules import RuleState, judge, rule_settings
from processors.regimes.state import RegimeState, close_windows
from processors.regimes.window import WindowSummary
from processors.settings import RegimeSettings
from schemas.factors import FACTOR_INDEX, FACTOR_SET
from schemas.messages import FactorEvent, Regime, SignalAction, SignalEvent, Status
from tests.processors.derived.recorded import (
    emitted,
    factor_records,
    known_range_events,
    run_stage,
    whole_book_events,
)

pytestmark = [pytest.mark.recorded, pytest.mark.slow]
FUTURES, SPOT = "binance-futures", "binance"


class Golden(NamedTuple):
    """Openings by side, closings by reason, and the first opening."""

    opened: dict[str, int]
    closed: dict[str, int]
    first: tuple[int, str, float] | None = None


SIGNALS = {
    (FUTURES, "imbalance"): Golden(
        {"long": 16, "short": 27}, {"left": 42, "horizon": 1}, (5123113163133, "short", -2.325740365)
    ),
    (FUTURES, "flow"): Golden({"long": 6, "short": 6}, {"left": 12}, (5123114684919, "long", 3.288001712)),
    (FUTURES, "classic"): Golden({"long": 75, "short": 79}, {"left": 153}),
    (SPOT, "imbalance"): Golden(
        {"long": 14, "short": 10}, {"left": 19, "horizon": 5}, (50093271562, "short", -1.88417013)
    ),
    (SPOT, "flow"): Golden({"long": 6, "short": 4}, {"left": 10}),
    (SPOT, "classic"): Golden({"long": 48, "short": 51}, {"left": 98}),
}
"""Section 1, "Golden". Those of the classic kind hold as long as `obi_l1_z` has the floor of factor set a1."""
KNOWN_RANGE = {"imbalance": 19, "flow": 7, "classic": 98}
"""Openings on the spot recording where its book ends at what its snapshot knew: measured here. Each time the price
leaves that, every memory starts afresh; on the futures recording that leaves 16, 7 and 139."""


@cache
def signals(venue: str, events: tuple[Any, ...]) -> list[SignalEvent]:
    return emitted(run_stage("signals", factor_records(venue, events)))


@pytest.mark.parametrize(("venue", "kind"), SIGNALS)
def test_the_recordings_give_the_measured_signals(recordings: Path, venue: str, kind: str) -> None:
    golden, events = SIGNALS[venue, kind], whole_book_events(recordings, venue)
    steps = [step for step in signals(venue, events) if step.kind == kind]
    opened = [step for step in steps if step.action is SignalAction.OPEN]
    closed = [step for step in steps if step.action is SignalAction.CLOSE]
    assert Counter(step.side.value for step in opened) == golden.opened
    assert Counter(step.reason.value for step in closed) == golden.closed
    if golden.first is not None:
        sequence, side, z = golden.first
        found = {event.source_offset: event.sequence for event in events}[opened[0].source_offset]
        assert (found, opened[0].side.value) == (sequence, side)
        assert opened[0].z == pytest.approx(z, abs=1e-8)
    assert FACTOR_SET == "a2", "the floor of obi_l1_z may have moved: measure the classic figures again"


def test_books_that_end_at_what_is_known_give_fewer_signals(recordings: Path) -> None:
    steps = signals(SPOT, known_range_events(recordings, SPOT))
    assert Counter(step.kind.value for step in steps if step.action is SignalAction.OPEN) == KNOWN_RANGE


@pytest.mark.parametrize("venue", [FUTURES, SPOT])
def test_a_takers_round_trip_costs_ten_and_more(recordings: Path, venue: str) -> None:
    steps = signals(venue, whole_book_events(recordings, venue))
    assert min(step.cost_bps for step in steps if step.cost_bps is not None) >= 10.0
    assert {step.edge_bps for step in steps} == {None}
    assert {step.tradable for step in steps} == {None}


REGIMES = {
    FUTURES: (
        {"UNKNOWN": 12, "BALANCED": 18, "BEARISH_PRESSURE": 11, "BULLISH_PRESSURE": 3}
        | {"REGIME_CHANGE": 2, "VOLATILE": 22},
        9,
        1,
    ),
    SPOT: ({"UNKNOWN": 12, "BALANCED": 12, "BEARISH_PRESSURE": 24, "VOLATILE": 21}, 5, 0),
}
"""Section 4, "Golden": windows by label, flips, changes. So it is by the imbalance of r1, a mean over events; by time
the labels are the same."""


@pytest.mark.parametrize("venue", REGIMES)
def test_the_recordings_give_the_measured_regimes(recordings: Path, venue: str) -> None:
    events = whole_book_events(recordings, venue)
    rules, state, windows = rule_settings(RegimeSettings()), RegimeState(), []
    for record in factor_records(venue, events):
        windows += [closed.window for closed in close_windows(state, record, rules, lambda _: None)]
    for given in (windows, [_by_events(window, events) for window in windows]):
        memory = RuleState()
        labels = [judge(memory, window, rules).label for window in given]
        counts, flips, changes = REGIMES[venue]
        assert Counter(label.value for label in labels) == counts
        assert sum(before is not after for before, after in pairwise(labels)) == flips
        assert sum(label is Regime.REGIME_CHANGE for label in labels) == changes * rules.change_windows
    assert any(one != other for one, other in zip(windows, given, strict=True)), "the two averages do differ"


@pytest.mark.parametrize(("venue", "windows", "traded"), [(FUTURES, 64, 58), (SPOT, 69, 67)])
def test_the_trades_of_a_window_are_those_of_its_last_usable_event(
    recordings: Path, venue: str, windows: int, traded: int
) -> None:
    """By another way: their share is a factor of its own."""
    events, state = known_range_events(recordings, venue), RegimeState()
    rules, shares = rule_settings(RegimeSettings()), []
    for record in factor_records(venue, events):
        for window in (closed.window for closed in close_windows(state, record, rules, lambda _: None)):
            usable = [each for each in _inside(window, events) if each.status in (Status.OK, Status.THIN)]
            expected = usable[-1].values[FACTOR_INDEX["trade_flow_5s"]] if usable else None
            shares.append(window.trade_flow / window.trade_volume if window.trade_volume else None)
            assert shares[-1] == (None if expected is None else pytest.approx(expected, abs=1e-12))
    assert (len(shares), len(shares) - shares.count(None)) == (windows, traded)


def _inside(window: WindowSummary, events: tuple[FactorEvent, ...]) -> list[FactorEvent]:
    return [event for event in events if window.start_ns <= event.received_ns < window.end_ns]


def _by_events(window: WindowSummary, events: tuple[FactorEvent, ...]) -> WindowSummary:
    """The window with the imbalance of rule set r1: the mean over events, whatever time they held."""
    values = [
        value for each in _inside(window, events) if (value := each.values[FACTOR_INDEX["obi_10bps"]]) is not None
    ]
    return msgspec.structs.replace(window, imbalance=sum(values) / len(values))


def test_the_depth_of_the_spot_recording_shifts_twice_and_that_of_futures_never(recordings: Path) -> None:
    """Section 2, "liquidity_shift": each within a second after the mid jumped, around whose new place little rests."""
    assert run_stage("anomalies", factor_records(FUTURES, whole_book_events(recordings, FUTURES))).records == []
    events = whole_book_events(recordings, SPOT)
    steps = emitted(run_stage("anomalies", factor_records(SPOT, events)))
    assert [step.kind.value for step in steps if step.action == "open"] == ["liquidity_shift"] * 2
    opened = [step for step in steps if step.action == "open"]
    after_s = [(step.received_ns - events[0].received_ns) / 1e9 for step in opened]
    assert after_s == pytest.approx([279.2, 307.3], abs=0.05)
    for step in opened:
        span_ns = 1_600_000_000  # the second before the condition, which has to hold for half of one
        near = [event for event in events if step.received_ns - span_ns < event.received_ns <= step.received_ns]
        mids = [event.values[FACTOR_INDEX["mid"]] or 0.0 for event in near]
        assert 5.0 < 1e4 * (max(mids) - min(mids)) / min(mids) < 9.0
    assert [round(step.move_bps, 2) for step in opened] == [3.82, -2.77], "of the last second alone"
