"""The rules label windows by three scores, without a clock and without flicker; intelligence page, section 4."""

import copy
import itertools
import random
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.regimes.rules import RuleSettings, RuleState, Verdict, judge, rule_settings
from processors.regimes.window import WINDOW_NS, WindowSummary
from processors.settings import RegimeSettings
from schemas.errors import UsageError
from schemas.messages import Regime
from tests.processors.regimes.generated import RULES

MIRROR = {Regime.BULLISH_PRESSURE: Regime.BEARISH_PRESSURE, Regime.BEARISH_PRESSURE: Regime.BULLISH_PRESSURE}


def window(index: int, imbalance: float | None, variance: float | None = 1e-8, *, whole: bool = True) -> WindowSummary:
    return WindowSummary(
        start_ns=index * WINDOW_NS,
        end_ns=(index + 1) * WINDOW_NS,
        events=10,
        usable_events=10,
        whole=whole,
        mid=100.0,
        return_bps=0.0,
        imbalance=imbalance,
        order_flow=0.0,
        depth=1e6,
        spread_bps=1.0,
        obi_l1_last=imbalance,
        obi_l5_last=imbalance,
        ofi_l1_1s_last=0.0,
        trade_flow=None,
        trade_volume=None,
        realised_variance=variance if whole else None,
    )


def run(windows: Iterable[WindowSummary], settings: RuleSettings = RULES) -> list[Verdict]:
    state = RuleState()
    return [judge(state, each, settings) for each in windows]


def quiet(count: int = 60, seed: int = 7) -> list[WindowSummary]:
    chance = random.Random(seed)
    return [window(index, chance.gauss(0.0, 0.05), chance.uniform(0.9e-8, 1.1e-8)) for index in range(count)]


def labels(verdicts: Iterable[Verdict]) -> list[Regime]:
    return [verdict.label for verdict in verdicts]


def test_labels_and_scores_do_not_depend_on_trades() -> None:
    chance = random.Random(3)
    windows = [window(index, chance.gauss(0.0, 0.3), 10 ** chance.uniform(-9, -7)) for index in range(300)]
    traded = [
        msgspec.structs.replace(each, trade_flow=chance.uniform(-50.0, 50.0), trade_volume=50.0) for each in windows
    ]
    assert run(traded) == run(windows)
    assert len(set(labels(run(windows)))) > 3


def test_the_first_twelve_windows_are_unknown_and_score_nothing() -> None:
    verdicts = run(quiet(13))
    assert labels(verdicts) == [Regime.UNKNOWN] * 12 + [Regime.BALANCED]
    assert {verdict.score for verdict in verdicts[:12]} == {0.0}


@pytest.mark.parametrize(("side", "label"), [(1, Regime.BULLISH_PRESSURE), (-1, Regime.BEARISH_PRESSURE)])
def test_a_lean_to_a_side_is_pressure_and_scores_its_size(side: int, label: Regime) -> None:
    *_, last = run([*quiet(), window(60, 0.3 * side), window(61, 0.3 * side)])
    lean = last.scores.lean or 0.0
    assert last.label is label
    assert last.scores.direction == 3.0 * side, "clipped"
    assert last.score == pytest.approx(abs(lean) / (abs(lean) + 1.0))


def test_a_balanced_window_scores_more_the_less_it_leans() -> None:
    *_, last = run(quiet())
    assert last.label is Regime.BALANCED
    assert last.score == pytest.approx(1.0 / (abs(last.scores.lean or 0.0) + 1.0))


def test_variance_above_its_past_is_volatile_until_it_is_near_it_again() -> None:
    wild, calm = (window(60, 0.0, 1e-7), [window(61 + index, 0.0, 1e-8) for index in range(20)])
    verdicts = run([*quiet(), wild, *calm])[60:]
    ratios = [verdict.scores.variance_ratio or 0.0 for verdict in verdicts]
    assert verdicts[0].score == pytest.approx(ratios[0] / (ratios[0] + 2.0))
    left = labels(verdicts).index(Regime.BALANCED)
    assert set(labels(verdicts)[:left]) == {Regime.VOLATILE}
    assert ratios[left] <= 1.3 < ratios[left - 1]


def test_a_ratio_between_the_bars_keeps_what_was() -> None:
    rising = [window(60 + index, 0.0, 1.8e-8) for index in range(4)]
    assert Regime.VOLATILE not in labels(run([*quiet(), *rising]))
    falling = [window(60, 0.0, 1e-7), *(window(61 + index, 0.0, 2e-8) for index in range(6))]
    verdicts = run([*quiet(), *falling])[60:]
    between = [verdict for verdict in verdicts if 1.3 < (verdict.scores.variance_ratio or 0.0) < 2.0]
    assert between
    assert {verdict.label for verdict in between} == {Regime.VOLATILE}


def test_a_still_book_is_not_volatile_at_its_first_tick() -> None:
    still = [window(index, 0.01 * (-1) ** index, 0.0) for index in range(30)]
    *_, last = run([*still, window(30, 0.0, 1e-12)])
    assert last.label is Regime.BALANCED
    assert last.scores.variance_ratio == pytest.approx(1.0 - 0.5 ** (1 / 3), rel=1e-6)


def test_a_lasting_shift_is_told_once_and_its_level_is_the_new_baseline() -> None:
    shifted = [window(60 + index, 0.3 + 0.01 * (-1) ** index) for index in range(40)]
    state = RuleState()
    found = [judge(state, each, RULES) for each in [*quiet(), *shifted]][60:]
    pulse = [index for index, verdict in enumerate(found) if verdict.label is Regime.REGIME_CHANGE]
    assert pulse == [pulse[0], pulse[0] + 1]
    assert {found[index].score for index in pulse} == {0.5}
    assert found[-1].label is Regime.BALANCED
    assert state.imbalance.mean == pytest.approx(0.3, abs=0.01)


def test_what_is_beyond_three_deviations_counts_as_three() -> None:
    """Three wild windows alone tell no change: each adds two to a sum that has to pass ten."""
    found = run([*quiet(), *(window(60 + index, 1.0) for index in range(3)), window(63, 0.0)])
    assert Regime.REGIME_CHANGE not in labels(found)
    assert found[62].scores.change == pytest.approx(6.0, abs=1.0)


def test_a_window_without_an_input_is_unknown_and_the_memory_goes_on() -> None:
    found = run([*quiet(), window(60, None), window(61, 0.0)])
    assert found[60].label is Regime.UNKNOWN
    assert found[61].label is Regime.BALANCED


def _transitions(found: list[Regime]) -> int:
    return sum(1 for before, after in itertools.pairwise(found) if before is not after)


def _at_lean(state: RuleState, index: int, lean: float) -> WindowSummary:
    """A window after which the lean will be this, where that takes no direction beyond the limit."""
    direction = state.lean + (lean - state.lean) / (1.0 - 0.5**0.5)
    past = state.imbalance
    return window(index, past.mean + direction * max(past.variance**0.5, RULES.sd_floor))


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(("bar", "first"), [("lean_enter", 0.0), ("lean_leave", 1.2)])
@pytest.mark.parametrize("swing", [1e-9, 0.02, 0.2])
def test_a_lean_swinging_about_a_bar_gives_one_transition(bar: str, first: float, swing: float, side: float) -> None:
    settings = msgspec.structs.replace(RULES, change_bar=1e9)
    state = RuleState()
    for each in quiet():
        judge(state, each, settings)
    height = getattr(RULES, bar)
    leans = [first / 2, first, first, first, (first + height) / 2]  # no window moves it farther
    leans += [height + swing * (1 if index % 2 else -1) for index in range(200)]
    found = []
    for index, lean in enumerate(leans):
        verdict = judge(state, _at_lean(state, 60 + index, side * lean), settings)
        assert verdict.scores.lean == pytest.approx(side * lean, abs=1e-9)
        found.append(verdict.label)
    assert _transitions(found[3:]) == 1
    pressure = Regime.BULLISH_PRESSURE if side > 0 else Regime.BEARISH_PRESSURE
    assert {found[3], found[-1]} == {Regime.BALANCED, pressure}


@pytest.mark.parametrize(("bar", "first"), [("variance_enter", 1.0), ("variance_leave", 2.5)])
def test_a_variance_swinging_about_a_bar_gives_one_transition(bar: str, first: float) -> None:
    state, weight = RuleState(), 1.0 - 0.5 ** (1 / 3)
    for index in range(100):
        judge(state, window(index, 0.01 * (-1) ** index), RULES)
    ratios = [first] * 4 + [getattr(RULES, bar) + 0.01 * (1 if index % 2 else -1) for index in range(40)]
    found = []
    for index, ratio in enumerate(ratios):
        fast, slow = state.fast.mean, state.slow.mean
        verdict = judge(state, window(100 + index, 0.0, fast + (ratio * slow - fast) / weight), RULES)
        assert verdict.scores.variance_ratio == pytest.approx(ratio, abs=1e-9)
        found.append(verdict.label)
    assert _transitions(found[3:]) == 1
    assert {found[3], found[-1]} == {Regime.BALANCED, Regime.VOLATILE}


@given(st.integers(0, 10**6))
def test_a_label_stays_three_windows_but_for_unknown_and_a_change(seed: int) -> None:
    chance = random.Random(seed)
    wild = [window(60 + i, chance.uniform(-0.5, 0.5), 10 ** chance.uniform(-9, -7)) for i in range(80)]
    verdicts = run([*quiet(), *wild])
    for before, after in itertools.pairwise(verdicts):
        if before.label is not after.label and {before.label, after.label}.isdisjoint(
            {Regime.UNKNOWN, Regime.REGIME_CHANGE}
        ):
            assert before.held >= 3
        assert after.held == (before.held + 1 if before.label is after.label else 1)


def test_a_label_is_new_in_the_window_after_its_first() -> None:
    verdicts = run([*quiet(), *(window(60 + index, 0.0, 1e-7) for index in range(4))])
    assert [index for index, verdict in enumerate(verdicts) if verdict.is_new and not 20 < index < 60] == [13, 61]


IMBALANCES = st.lists(st.floats(-1.0, 1.0) | st.none(), min_size=1, max_size=60)


@given(IMBALANCES, st.integers(0, 2**31))
def test_swapping_the_sides_swaps_bullish_and_bearish_and_nothing_else(
    imbalances: list[float | None], seed: int
) -> None:
    chance = random.Random(seed)
    straight = [window(i, value, chance.uniform(0.5e-8, 5e-8)) for i, value in enumerate(imbalances)]
    swapped = [_swapped(each) for each in straight]
    for one, other in zip(run(straight), run(swapped), strict=True):
        assert other.label is MIRROR.get(one.label, one.label)
        assert other.score == one.score


def _swapped(each: WindowSummary) -> WindowSummary:
    fields = {name: getattr(each, name) for name in each.__struct_fields__}
    return WindowSummary(**{**fields, "imbalance": None if each.imbalance is None else -each.imbalance})


@given(IMBALANCES, st.integers(0, 59))
def test_a_state_saved_and_restored_goes_on_bit_for_bit(imbalances: list[float | None], cut: int) -> None:
    windows = [window(index, value, 1e-8 * (1 + index % 7)) for index, value in enumerate(imbalances)]
    state = RuleState()
    resumed = []
    for index, each in enumerate(windows):
        if index == cut:
            state = copy.deepcopy(state)
        resumed.append(judge(state, each, RULES))
    assert resumed == run(windows)


@given(IMBALANCES)
def test_a_score_is_a_share(imbalances: list[float | None]) -> None:
    for verdict in run(window(index, value) for index, value in enumerate(imbalances)):
        assert 0.0 <= verdict.score <= 1.0


def test_every_threshold_is_a_setting_and_the_settings_alone_have_defaults() -> None:
    assert set(RuleSettings.__struct_fields__) <= set(RegimeSettings.model_fields)
    assert RuleSettings.__struct_defaults__ == ()
    assert rule_settings(RegimeSettings(lean_enter=2.5)) == msgspec.structs.replace(RULES, lean_enter=2.5)


@pytest.mark.parametrize("changed", [{"lean_leave": 1.1}, {"variance_enter": 0.5}])
def test_a_label_left_above_where_it_is_entered_is_refused(changed: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="_leave"):
        rule_settings(RegimeSettings(**changed))  # type: ignore[arg-type] # one float
