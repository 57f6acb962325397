"""The stages of a rollout and what it takes to leave each."""

from __future__ import annotations

from typing import NamedTuple

from schemas.errors import UsageError
from schemas.rollouts import RolloutRecord, RolloutStage
from schemas.units import NS_PER_HOUR


class StageRule(NamedTuple):
    """One stage.

    Attributes:
        percent: Share of the instruments for which the candidate is in force; 0 is shadow.
        least_ns: Time that it takes at least.
    """

    percent: int
    least_ns: int

    @property
    def stage(self) -> RolloutStage:
        """What it is called."""
        return RolloutStage.CANARY if self.percent else RolloutStage.SHADOW


class Schedule(NamedTuple):
    """How a rollout goes.

    Attributes:
        stages: In their order, shadow first, each with a greater share than the one before.
        least_questions: Of the candidate, that a stage takes at least.
        by_hand_above: Share beyond which a stage is entered by hand, or where the candidate was judged not to be worse
            than the rules.
        salt: Of the split.
    """

    stages: tuple[StageRule, ...]
    least_questions: int = 200
    by_hand_above: int = 10
    salt: str = ""

    def rule_of(self, state: RolloutRecord) -> StageRule | None:
        """The stage a state is in; none where nothing is being rolled out."""
        is_under_way = state.stage in (RolloutStage.SHADOW, RolloutStage.CANARY)
        at_or_below = [rule for rule in self.stages if rule.percent <= state.percent]
        return at_or_below[-1] if is_under_way and at_or_below else None

    def after(self, state: RolloutRecord) -> StageRule | None:
        """The stage that follows; none after the last."""
        return next((rule for rule in self.stages if rule.percent > state.percent), None)


def read_schedule(text: str) -> tuple[StageRule, ...]:
    """Read the stages from a setting: `percent hours`, separated by commas, as `0 24, 5 24, 10 24, 50 96, 100 0`.

    Raises:
        UsageError: It is none.
    """
    try:
        pairs = [(int(percent), float(hours)) for percent, hours in (one.split() for one in text.split(","))]
    except ValueError:
        pairs = []
    shares = [percent for percent, _ in pairs]
    rises = shares == sorted(set(shares)) and shares[:1] == [0] and shares[-1] <= 100
    if not rises or not all(0 <= hours < 10_000 for _, hours in pairs):
        raise UsageError(
            f"regimes.rollout_stages is no list of stages: {text}",
            next_step="write it as `0 24, 5 24, 100 0`: percent and hours, from 0 on, rising",
        )
    return tuple(StageRule(percent, round(hours * NS_PER_HOUR)) for percent, hours in pairs)
