"""The rules label windows by three scores, without a clock and without flicker."""

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


def test_the_first_windows_are_unknown_and_say_so_with_no_confidence() -> None:
    verdicts = run(quiet(RULES.warmup_windows))
    assert {verdict.label for verdict in verdicts} == {Regime.UNKNOWN}
    assert {verdict.confidence for verdict in verdicts} == {0.0}


def test_a_strong_bid_is_bullish_and_a_strong_ask_bearish() -> None:
    before = quiet()
    assert run([*before, window(60, 0.15)])[-1].label is Regime.BULLISH_PRESSURE
    assert run([*before, window(60, -0.15)])[-1].label is Regime.BEARISH_PRESSURE


def test_a_variance_above_all_others_is_volatile() -> None:
    assert run([*quiet(), window(60, 0.0, 1e-6)])[-1].label is Regime.VOLATILE


def test_a_sustained_shift_is_a_regime_change_of_fixed_length() -> None:
    shifted = [window(60 + index, 0.12, 1e-8) for index in range(8)]
    found = labels(run([*quiet(), *shifted]))[60:]
    pulse = [index for index, label in enumerate(found) if label is Regime.REGIME_CHANGE]
    assert pulse
    assert pulse == list(range(pulse[0], pulse[0] + RULES.change_windows))


def test_a_window_with_a_hole_is_unknown_at_once_and_known_again_at_once() -> None:
    found = labels(run([*quiet(), window(60, 0.1, whole=False), window(61, 0.0)]))
    assert found[60] is Regime.UNKNOWN
    assert found[61] is not Regime.UNKNOWN


def _transitions(found: list[Regime]) -> int:
    return sum(1 for before, after in itertools.pairwise(found) if before is not after)


def _at_score(state: RuleState, index: int, score: float) -> WindowSummary:
    """A window whose direction will have this score."""
    return window(index, state.mean + score * max(state.variance**0.5, RULES.sd_floor))


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(("bar", "first"), [("direction_enter", 0.0), ("direction_leave", 1.5)])
@pytest.mark.parametrize("swing", [1e-9, 0.02, 0.3])
def test_a_direction_swinging_about_a_bar_gives_one_transition(
    bar: str, first: float, swing: float, side: float
) -> None:
    """Just below, just above and so on: about the bar to enter from outside it, about that to leave from inside."""
    state = RuleState()
    for each in quiet():
        judge(state, each, RULES)
    scores = [first] * 2 + [getattr(RULES, bar) + swing * (1 if index % 2 else -1) for index in range(200)]
    found = []
    for index, score in enumerate(scores):
        verdict = judge(state, _at_score(state, 60 + index, side * score), RULES)
        assert verdict.scores.direction == pytest.approx(side * score, abs=1e-10)
        found.append(verdict.label)
    assert _transitions(found[1:]) == 1
    pressure = Regime.BULLISH_PRESSURE if side > 0 else Regime.BEARISH_PRESSURE
    assert {found[1], found[-1]} == {Regime.BALANCED, pressure}


@pytest.mark.parametrize(("bar", "first"), [("volatile_enter", 0.5), ("volatile_leave", 1.0)])
def test_a_volatility_swinging_about_a_bar_gives_one_transition(bar: str, first: float) -> None:
    """Steered by rank among the past variances, a hundredth above the bar, then a hundredth below it."""
    state = RuleState()
    for index in range(100):
        judge(state, window(index, 0.01 * (-1) ** index, 1e-8 * (1 + index / 100)), RULES)
    shares = [first] * 2 + [getattr(RULES, bar) + 0.01 * (1 if index % 2 else -1) for index in range(40)]
    found = []
    for index, share in enumerate(shares):
        ordered = sorted(state.variances)
        place = min(round(share * len(ordered)), len(ordered) - 1)
        variance = ordered[-1] * 1.01 if share == 1.0 else (ordered[place - 1] + ordered[place]) / 2
        verdict = judge(state, window(100 + index, 0.0, variance), RULES)
        assert verdict.scores.volatility == pytest.approx(share, abs=0.009)
        found.append(verdict.label)
    assert _transitions(found[1:]) == 1
    assert {found[1], found[-1]} == {Regime.BALANCED, Regime.VOLATILE}


def test_a_label_stays_for_the_dwell() -> None:
    settings = msgspec.structs.replace(RULES, dwell_seconds=30.0, change_bar=1e9)
    swings = [window(60 + index, 0.3 if index % 2 == 0 else -0.3) for index in range(24)]
    found = labels(run([*quiet(), *swings], settings))[60:]
    changes = [index for index in range(1, len(found)) if found[index] is not found[index - 1]]
    assert all(after - before >= 6 for before, after in itertools.pairwise(changes))
    assert len(changes) >= 2


def test_a_change_is_told_for_its_length_however_long_labels_dwell() -> None:
    shifted = [window(60 + index, 0.12, 1e-8) for index in range(12)]
    settings = [msgspec.structs.replace(RULES, dwell_seconds=dwell) for dwell in (5.0, 60.0)]
    brisk, slow = (labels(run([*quiet(), *shifted], each))[60:] for each in settings)
    pulse = [index for index, label in enumerate(brisk) if label is Regime.REGIME_CHANGE]
    assert len(pulse) == RULES.change_windows
    assert [index for index, label in enumerate(slow) if label is Regime.REGIME_CHANGE] == pulse


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
        assert other.confidence == one.confidence


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
def test_confidence_is_a_share(imbalances: list[float | None]) -> None:
    for verdict in run(window(index, value) for index, value in enumerate(imbalances)):
        assert 0.0 <= verdict.confidence <= 1.0


def test_every_threshold_is_a_setting_and_the_settings_alone_have_defaults() -> None:
    assert set(RuleSettings.__struct_fields__) <= set(RegimeSettings.model_fields)
    assert RuleSettings.__struct_defaults__ == ()
    assert rule_settings(RegimeSettings(direction_enter=2.5)) == msgspec.structs.replace(RULES, direction_enter=2.5)


@pytest.mark.parametrize("changed", [{"direction_leave": 1.1}, {"volatile_enter": 0.5}])
def test_a_label_left_above_where_it_is_entered_is_refused(changed: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="_leave"):
        rule_settings(RegimeSettings(**changed))  # type: ignore[arg-type] # one float
