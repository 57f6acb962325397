"""The rules, set r2: one label a window, from three scores with hysteresis and dwell.

The usual label set mixes direction, level of volatility and a transition, so three scores are kept apart:

- direction: how unusual the window's imbalance is against the windows *before* it, and its short mean, the lean;
- variance: the window's realised variance and the last few before it, over what it was for longer;
- change: a two-sided CUSUM of the direction, which fires on a lasting shift, once: the baseline moves with it.

Labels change by a Schmitt trigger (a higher bar to enter than to stay) and not before a minimum dwell. Nothing here
knows a clock: the same events give the same labels at any speed. Swapping the sides of the book swaps
BULLISH_PRESSURE and BEARISH_PRESSURE and nothing else.

The labels describe; they do not predict. What a score is worth as a forecast is not said here.
"""

from __future__ import annotations

import math

import msgspec

from processors.regimes.window import WindowSummary
from schemas.errors import UsageError
from schemas.messages import Regime

SCORE_LIMIT = 3.0
"""Directions beyond it count as it, so that one wild window moves nothing alone."""
ANCHOR_WINDOWS = 3
"""The baseline after a change is the mean of so many windows."""


class RuleSettings(msgspec.Struct, frozen=True):
    """Thresholds of the rules. Their defaults stand in the settings, section `regimes`, under the same names.

    Attributes:
        half_life_windows: Half-life of the imbalance's mean and variance, in windows.
        warmup_windows: Windows before a score exists; the weight that a baseline has after a change.
        sd_floor: Least standard deviation of the imbalance; keeps a flat book from giving huge scores.
        lean_half_life_windows: Half-life of the direction's short mean, the lean.
        lean_enter, lean_leave: Bars of BULLISH/BEARISH_PRESSURE, in standard deviations of the lean.
        fast_half_life_windows, slow_half_life_windows: Half-lives of the two means of the realised variance.
        variance_floor: Least slow mean: (0.01 bps)^2 keeps a still book from being volatile at its first tick.
        variance_enter, variance_leave: Bars of VOLATILE, fast mean over slow.
        change_slack, change_bar: CUSUM's slack and alarm level, in standard deviations.
        change_windows: How many windows a REGIME_CHANGE pulse lasts.
        dwell_windows: How many windows a label stays at least, UNKNOWN and REGIME_CHANGE apart.
    """

    half_life_windows: float
    warmup_windows: int
    sd_floor: float
    lean_half_life_windows: float
    lean_enter: float
    lean_leave: float
    fast_half_life_windows: float
    slow_half_life_windows: float
    variance_floor: float
    variance_enter: float
    variance_leave: float
    change_slack: float
    change_bar: float
    change_windows: int
    dwell_windows: int


def rule_settings(options: object) -> RuleSettings:
    """Take the thresholds from the settings' section.

    Raises:
        UsageError: A label would be left above where it is entered.
    """
    settings = msgspec.convert(options, RuleSettings, from_attributes=True)
    for name in ("lean", "variance"):
        enter, leave = getattr(settings, f"{name}_enter"), getattr(settings, f"{name}_leave")
        if leave > enter:
            raise UsageError(
                f"regimes.{name}_leave ({leave:g}) is above regimes.{name}_enter ({enter:g})",
                next_step="a label is entered above the one and left below the other: lower the first",
            )
    return settings


class Scores(msgspec.Struct, frozen=True):
    """What a window's label rests on; null while warming up or where the window lacks the input.

    Attributes:
        direction: Imbalance against earlier windows, standard deviations, within ± 3.
        lean: Its short mean.
        variance_ratio: Fast mean of the realised variance over the slow one.
        change: CUSUM of the direction, before an alarm sets it back.
    """

    direction: float | None
    lean: float | None
    variance_ratio: float | None
    change: float | None


class PastWindows(msgspec.Struct):
    """Mean and variance of past windows: plain at first, exponential once there are enough."""

    mean: float = 0.0
    variance: float = 0.0
    seen: int = 0

    def add(self, value: float, half_life: float) -> None:
        """Take a window in."""
        weight = max(1.0 - 0.5 ** (1.0 / half_life), 1.0 / (self.seen + 1))
        step = value - self.mean
        self.mean += weight * step
        self.variance = (1.0 - weight) * (self.variance + weight * step * step)
        self.seen += 1


class RuleState(msgspec.Struct):
    """Everything the rules remember of one instrument. Serialisable as it stands.

    Attributes:
        imbalance, fast, slow: Of earlier windows: of the imbalance, and twice of the realised variance.
        newest: The last imbalances, oldest first.
        lean, cusum_up, cusum_down: Running sums of the direction.
        pulse_left: Windows for which a change is still told.
        leaning: 1 bullish, -1 bearish, 0 neither.
        volatile: Whether the variance is above its bar.
        label, held: The label, and for how many windows it has stood.
        judged: How many windows were judged.
    """

    imbalance: PastWindows = msgspec.field(default_factory=PastWindows)
    fast: PastWindows = msgspec.field(default_factory=PastWindows)
    slow: PastWindows = msgspec.field(default_factory=PastWindows)
    newest: list[float] = []
    lean: float = 0.0
    cusum_up: float = 0.0
    cusum_down: float = 0.0
    pulse_left: int = 0
    leaning: int = 0
    volatile: bool = False
    label: Regime = Regime.UNKNOWN
    held: int = 0
    judged: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """The rules' answer for one window.

    Attributes:
        label: The regime.
        score: In [0, 1]: how far what decides lies beyond its bar. No probability.
        scores: What it rests on.
        held: For how many windows the label has stood, this one included.
        judged: How many windows were judged since the memory began, this one included.
    """

    label: Regime
    score: float
    scores: Scores
    held: int
    judged: int

    @property
    def is_new(self) -> bool:
        """Whether the label changed with the window before and held in this one."""
        return self.held == 2 < self.judged


def judge(state: RuleState, window: WindowSummary, settings: RuleSettings) -> Verdict:
    """Judge one closed window and advance the state.

    Args:
        state: The instrument's memory; changed in place.
        window: The window, in order.
        settings: Thresholds.
    """
    direction = _direction(state, window, settings)
    variance_ratio = _variance_ratio(state, window, settings)
    change = None if direction is None else _follow(state, direction, settings)
    scores = Scores(direction, None if direction is None else state.lean, variance_ratio, change)
    wanted = _wanted(state, scores)
    if wanted is not state.label and _may_change(state, wanted, settings):
        state.label, state.held = wanted, 0
    state.held += 1
    state.judged += 1
    state.pulse_left = max(0, state.pulse_left - 1)
    return Verdict(state.label, _score(state.label, scores, settings), scores, state.held, state.judged)


def _direction(state: RuleState, window: WindowSummary, settings: RuleSettings) -> float | None:
    """z-score of the imbalance against the past; the window itself enters the past afterwards."""
    value, past = window.imbalance, state.imbalance
    if value is None:
        return None
    score = None
    if past.seen >= settings.warmup_windows:
        score = (value - past.mean) / max(math.sqrt(past.variance), settings.sd_floor)
        score = min(max(score, -SCORE_LIMIT), SCORE_LIMIT)
    past.add(value, settings.half_life_windows)
    state.newest = [*state.newest, value][-ANCHOR_WINDOWS:]
    return score


def _variance_ratio(state: RuleState, window: WindowSummary, settings: RuleSettings) -> float | None:
    """Fast mean, this window included, over the slow one, this window not; sets or clears `volatile`."""
    value = window.realised_variance
    if value is None:
        return None
    state.fast.add(value, settings.fast_half_life_windows)
    ratio = None
    if state.slow.seen >= settings.warmup_windows:
        ratio = state.fast.mean / max(state.slow.mean, settings.variance_floor)
        if ratio > settings.variance_enter:
            state.volatile = True
        elif ratio <= settings.variance_leave:
            state.volatile = False
    state.slow.add(value, settings.slow_half_life_windows)
    return ratio


def _follow(state: RuleState, direction: float, settings: RuleSettings) -> float:
    """Advance lean and CUSUM by a direction; the larger sum, before an alarm sets it back."""
    state.lean += (1.0 - 0.5 ** (1.0 / settings.lean_half_life_windows)) * (direction - state.lean)
    state.cusum_up = max(0.0, state.cusum_up + direction - settings.change_slack)
    state.cusum_down = max(0.0, state.cusum_down - direction - settings.change_slack)
    change = max(state.cusum_up, state.cusum_down)
    if change > settings.change_bar:
        _anchor(state, settings)
    if abs(state.lean) > settings.lean_enter:
        state.leaning = 1 if state.lean > 0 else -1
    elif state.lean * state.leaning < settings.lean_leave:
        state.leaning = 0
    return change


def _anchor(state: RuleState, settings: RuleSettings) -> None:
    """A change: the baseline goes where the imbalance went, so that one shift is told once. Its spread stays."""
    state.cusum_up = state.cusum_down = state.lean = 0.0
    state.imbalance.mean = sum(state.newest) / len(state.newest)
    state.imbalance.seen = settings.warmup_windows
    state.pulse_left = settings.change_windows


def _wanted(state: RuleState, scores: Scores) -> Regime:
    """Priority: UNKNOWN, REGIME_CHANGE, VOLATILE, BULLISH or BEARISH, BALANCED."""
    if scores.direction is None or scores.variance_ratio is None:
        return Regime.UNKNOWN
    if state.pulse_left:
        return Regime.REGIME_CHANGE
    if state.volatile:
        return Regime.VOLATILE
    if state.leaning:
        return Regime.BULLISH_PRESSURE if state.leaning > 0 else Regime.BEARISH_PRESSURE
    return Regime.BALANCED


def _may_change(state: RuleState, wanted: Regime, settings: RuleSettings) -> bool:
    """A label stays for the dwell. Not knowing is said at once, and so is a change, whose pulse has its own length."""
    if {wanted, state.label} & {Regime.UNKNOWN, Regime.REGIME_CHANGE}:
        return True
    return state.held >= settings.dwell_windows


def _score(label: Regime, scores: Scores, settings: RuleSettings) -> float:
    if label is Regime.UNKNOWN or scores.lean is None or scores.variance_ratio is None:
        return 0.0
    if label is Regime.VOLATILE:
        return scores.variance_ratio / (scores.variance_ratio + settings.variance_enter)
    if label is Regime.REGIME_CHANGE:
        return 0.5
    beyond = abs(scores.lean) / (abs(scores.lean) + settings.lean_enter)
    return beyond if label is not Regime.BALANCED else 1.0 - beyond
