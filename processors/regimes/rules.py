"""The rules: one label a window, from three scores with hysteresis and dwell.

The usual label set mixes direction, level of volatility and a transition, so three separate scores are kept:

- direction: how unusual the window's imbalance is, an exponentially weighted z-score against the windows *before* it;
- volatility: percentile of the window's realised variance among the windows before it;
- change: a two-sided CUSUM of the direction score, which fires on a sustained shift.

Labels change by a Schmitt trigger (a higher bar to enter than to stay) and not before a minimum dwell. Nothing here
knows a clock: the same events give the same labels at any speed. Swapping the sides of the book swaps
BULLISH_PRESSURE and BEARISH_PRESSURE and nothing else.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import msgspec

from processors.regimes.window import WindowSummary
from schemas.errors import UsageError
from schemas.messages import Regime
from schemas.units import NS_PER_SECOND


class RuleSettings(msgspec.Struct, frozen=True):
    """Thresholds of the rules. Their defaults stand in the settings, section `regimes`, under the same names.

    Attributes:
        half_life_windows: Half-life of the direction score's mean and variance, in windows.
        warmup_windows: Windows before a score exists.
        history_windows: How many past variances the percentile is taken among.
        sd_floor: Least standard deviation of the imbalance; keeps a flat book from giving huge scores.
        direction_enter, direction_leave: Bars of BULLISH/BEARISH_PRESSURE, in standard deviations.
        volatile_enter, volatile_leave: Bars of VOLATILE, as percentiles in [0, 1].
        change_slack, change_bar: CUSUM's slack and alarm level, in standard deviations. A slack below
            `direction_enter` lets an imbalance that merely hovers there add up to an alarm.
        change_windows: How many windows a REGIME_CHANGE pulse lasts.
        dwell_seconds: Least time a label stays, UNKNOWN and REGIME_CHANGE apart. Windows are five seconds, so up to
            that it holds nothing back.
    """

    half_life_windows: float
    warmup_windows: int
    history_windows: int
    sd_floor: float
    direction_enter: float
    direction_leave: float
    volatile_enter: float
    volatile_leave: float
    change_slack: float
    change_bar: float
    change_windows: int
    dwell_seconds: float


def rule_settings(options: object) -> RuleSettings:
    """Take the thresholds from the settings' section.

    Raises:
        UsageError: A label would be left above where it is entered.
    """
    settings = msgspec.convert(options, RuleSettings, from_attributes=True)
    for name in ("direction", "volatile"):
        enter, leave = getattr(settings, f"{name}_enter"), getattr(settings, f"{name}_leave")
        if leave > enter:
            raise UsageError(
                f"regimes.{name}_leave ({leave:g}) is above regimes.{name}_enter ({enter:g})",
                next_step="a label is entered above the one and left below the other: lower the first",
            )
    return settings


class Scores(msgspec.Struct, frozen=True):
    """The three scores of a window; null while warming up or where the window lacks the input."""

    direction: float | None
    volatility: float | None
    change: float | None


class RuleState(msgspec.Struct):
    """Everything the rules remember of one instrument. Serialisable as it stands."""

    mean: float = 0.0
    variance: float = 0.0
    seen: int = 0
    variances: list[float] = []
    cusum_up: float = 0.0
    cusum_down: float = 0.0
    pulse_left: int = 0
    leaning: int = 0
    volatile: bool = False
    label: Regime = Regime.UNKNOWN
    since_ns: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """The rules' answer for one window.

    Attributes:
        label: The regime.
        confidence: In [0, 1]: how far the deciding score lies beyond its bar.
        scores: What it rests on.
    """

    label: Regime
    confidence: float
    scores: Scores


def judge(state: RuleState, window: WindowSummary, settings: RuleSettings) -> Verdict:
    """Judge one closed window and advance the state.

    Args:
        state: The instrument's memory; changed in place.
        window: The window, in order.
        settings: Thresholds.
    """
    direction = _direction(state, window, settings)
    scores = Scores(
        direction=direction,
        volatility=_volatility(state, window, settings),
        change=_change(state, direction, settings),
    )
    _update_direction(state, scores.direction, settings)
    _update_volatility(state, scores.volatility, settings)
    wanted = _wanted(state, scores)
    if wanted is not state.label and _may_change(state, wanted, window.end_ns, settings):
        state.label, state.since_ns = wanted, window.end_ns
    state.pulse_left = max(0, state.pulse_left - 1)
    return Verdict(state.label, _confidence(state.label, scores, settings), scores)


def _direction(state: RuleState, window: WindowSummary, settings: RuleSettings) -> float | None:
    """z-score of the imbalance against the past; the window itself enters the past afterwards."""
    value = window.imbalance
    if value is None or not window.whole:
        return None
    score = None
    if state.seen >= settings.warmup_windows:
        score = (value - state.mean) / max(math.sqrt(state.variance), settings.sd_floor)
    weight = 1.0 - 0.5 ** (1.0 / settings.half_life_windows)
    weight = max(weight, 1.0 / (state.seen + 1))  # a plain mean until the exponential one has enough behind it
    step = value - state.mean
    state.mean += weight * step
    state.variance = (1.0 - weight) * (state.variance + weight * step * step)
    state.seen += 1
    return score


def _volatility(state: RuleState, window: WindowSummary, settings: RuleSettings) -> float | None:
    """Mid-rank percentile of the window's variance among the past ones."""
    value = window.realised_variance
    if value is None:
        return None
    score = None
    if len(state.variances) >= settings.warmup_windows:
        ordered = sorted(state.variances)
        score = (bisect_left(ordered, value) + bisect_right(ordered, value)) / (2.0 * len(ordered))
    state.variances.append(value)
    del state.variances[: -settings.history_windows]
    return score


def _change(state: RuleState, direction: float | None, settings: RuleSettings) -> float | None:
    """Two-sided CUSUM of the direction score, clipped so that one wild window cannot fire it alone."""
    if direction is None:
        return None
    step = min(max(direction, -3.0), 3.0)
    state.cusum_up = max(0.0, state.cusum_up + step - settings.change_slack)
    state.cusum_down = max(0.0, state.cusum_down - step - settings.change_slack)
    score = max(state.cusum_up, state.cusum_down)
    if score > settings.change_bar:
        state.cusum_up = state.cusum_down = 0.0
        state.pulse_left = settings.change_windows
    return score


def _update_direction(state: RuleState, direction: float | None, settings: RuleSettings) -> None:
    if direction is None:
        state.leaning = 0
    elif abs(direction) > settings.direction_enter:
        state.leaning = 1 if direction > 0 else -1
    elif direction * state.leaning < settings.direction_leave:
        state.leaning = 0


def _update_volatility(state: RuleState, volatility: float | None, settings: RuleSettings) -> None:
    if volatility is None:
        state.volatile = False
    elif volatility > settings.volatile_enter:
        state.volatile = True
    elif volatility < settings.volatile_leave:
        state.volatile = False


def _wanted(state: RuleState, scores: Scores) -> Regime:
    """Priority: UNKNOWN, REGIME_CHANGE, VOLATILE, BULLISH or BEARISH, BALANCED."""
    if scores.direction is None or scores.volatility is None:
        return Regime.UNKNOWN
    if state.pulse_left:
        return Regime.REGIME_CHANGE
    if state.volatile:
        return Regime.VOLATILE
    if state.leaning:
        return Regime.BULLISH_PRESSURE if state.leaning > 0 else Regime.BEARISH_PRESSURE
    return Regime.BALANCED


def _may_change(state: RuleState, wanted: Regime, end_ns: int, settings: RuleSettings) -> bool:
    """A label stays for the dwell. Not knowing is said at once, and so is a change, whose pulse has its own length."""
    if {wanted, state.label} & {Regime.UNKNOWN, Regime.REGIME_CHANGE}:
        return True
    return end_ns - state.since_ns >= settings.dwell_seconds * NS_PER_SECOND


def _confidence(label: Regime, scores: Scores, settings: RuleSettings) -> float:
    if label is Regime.UNKNOWN or scores.direction is None or scores.volatility is None:
        return 0.0
    if label is Regime.VOLATILE:
        return scores.volatility
    if label is Regime.REGIME_CHANGE:
        return 0.5
    beyond = abs(scores.direction) / (abs(scores.direction) + settings.direction_enter)
    return beyond if label is not Regime.BALANCED else 1.0 - beyond
