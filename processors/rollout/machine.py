"""What follows from a state, an event and a time: the next state, which is also the row that tells of the change.

Nothing else changes a rollout. A state is decided by whoever controls it and obeyed by all who read it.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from processors.rollout.schedule import Schedule, StageRule
from processors.rollout.split import canary_of
from processors.rollout.watch import Facts
from processors.rollout.worth import WorthVerdict, is_not_worse, is_worse
from schemas.evaluations import RegimeWorth
from schemas.rollouts import RolloutAction, RolloutGuard, RolloutRecord, RolloutStage
from schemas.units import NS_PER_HOUR

CONTROLLER: Final = "controller"
BLUE: Final = "blue"
GREEN: Final = "green"
GUARDED: Final = frozenset({RolloutStage.SHADOW, RolloutStage.CANARY, RolloutStage.PROMOTED})
UNDER_WAY: Final = frozenset({RolloutStage.SHADOW, RolloutStage.CANARY})
TOLD: Final = {
    RolloutGuard.FAILURE: "too many questions without a valid answer",
    RolloutGuard.SLOW: "too many slow answers",
    RolloutGuard.UNFAITHFUL: "too many answers with numbers that were not shown",
    RolloutGuard.COST: "the day's budget is spent",
}

TOLD_WORTH: Final = {
    RegimeWorth.BETTER: "better than the rules",
    RegimeWorth.WORSE: "worse than the rules",
    RegimeWorth.NOT_SHOWN: "not shown to be better or worse than the rules",
}


def first_state(arms: tuple[str, ...]) -> RolloutRecord:
    """The state before anything was decided: the first arm is asked, nothing is in force."""
    return RolloutRecord(
        step=0,
        enabled=True,
        live=arms[0],
        candidate=arms[-1],
        stage=RolloutStage.OFF,
        percent=0,
        instruments=[],
        is_held=False,
        since_ns=0,
        decided_ns=0,
        reason="nothing was decided yet",
        by=CONTROLLER,
    )


def asked_arms(state: RolloutRecord, instrument: str) -> frozenset[str]:
    """The arms that are asked about an instrument."""
    if not state.enabled:
        return frozenset()
    is_candidates = state.stage is RolloutStage.SHADOW or is_in_force(state, instrument)
    return frozenset({state.live, state.candidate} if is_candidates else {state.live})


def is_in_force(state: RolloutRecord, instrument: str) -> bool:
    """Whether a model's valid answer comes before the rules: the candidate's, else the live arm's."""
    if state.stage is RolloutStage.PROMOTED:
        return state.enabled
    return state.enabled and state.stage is RolloutStage.CANARY and instrument in state.instruments


def advance(state: RolloutRecord, facts: Facts, schedule: Schedule, now_ns: int) -> RolloutRecord | None:
    """What time and the log bring: a rollback, the next stage, or instruments that joined; none where nothing changes.

    Args:
        state: Now.
        facts: Of its stage.
        schedule: How a rollout goes.
        now_ns: UTC, by the controller's clock.
    """
    now_ns = max(now_ns, state.decided_ns)
    guard = _crossed(state, facts)
    if guard is not None:
        return _rolled_back(_told(state, facts), f"rolled back: {TOLD[guard]}", now_ns, guard=guard)
    if not state.enabled:
        return None
    if _may_leave(state, facts, schedule, now_ns):
        return _entered(_told(state, facts), facts, schedule, now_ns, _why(state, facts, now_ns))
    if state.stage is RolloutStage.CANARY:
        listed = canary_of(facts.instruments, state.percent, schedule.salt, state.instruments)
        if listed != list(state.instruments):
            return _changed(_told(state, facts), now_ns, "more instruments are active", instruments=listed)
    return None


def answer(
    state: RolloutRecord, request: RolloutRecord, facts: Facts, schedule: Schedule, arms: tuple[str, ...], now_ns: int
) -> RolloutRecord:
    """What a request by hand brings: always a row, with the reason where it changes nothing.

    Args:
        state: Now.
        request: What is asked for.
        facts: Of the stage.
        schedule: How a rollout goes.
        arms: Those that are configured, the first of them the older.
        now_ns: UTC.
    """
    now_ns = max(now_ns, state.decided_ns)
    state = replace(_told(state, facts), by=request.by, request_id=request.request_id)
    what = f"{request.action} by hand"
    match request.action:
        case RolloutAction.ENABLE | RolloutAction.DISABLE:
            return _changed(state, now_ns, what, enabled=request.action is RolloutAction.ENABLE)
        case RolloutAction.ROLLBACK if state.stage is not RolloutStage.ROLLED_BACK:
            return _rolled_back(state, what, now_ns)
        case RolloutAction.HOLD if state.stage in UNDER_WAY:
            return _changed(state, now_ns, what, is_held=True)
        case RolloutAction.REARM if state.stage is RolloutStage.ROLLED_BACK:
            return _begun(state, arms, now_ns, what)
        case RolloutAction.PROMOTE if state.stage in (RolloutStage.OFF, RolloutStage.PROMOTED):
            return _begun(state, arms, now_ns, what)
        case RolloutAction.PROMOTE if state.stage in UNDER_WAY:
            return _entered(state, facts, schedule, now_ns, what)
    return _changed(state, now_ns, f"{what} changes nothing: the stage is {state.stage}")


def _crossed(state: RolloutRecord, facts: Facts) -> RolloutGuard | None:
    if state.stage not in GUARDED:
        return None
    crossed = (name for name, reading in facts.readings.items() if reading.is_crossed)
    return next(crossed, RolloutGuard.COST if facts.is_spent else None)


def _may_leave(state: RolloutRecord, facts: Facts, schedule: Schedule, now_ns: int) -> bool:
    rule = schedule.rule_of(state)
    if rule is None or state.is_held or facts.questions < schedule.least_questions:
        return False
    return _is_worth_it(state, facts, schedule) and now_ns - state.since_ns >= rule.least_ns


def _is_worth_it(state: RolloutRecord, facts: Facts, schedule: Schedule) -> bool:
    """Whether nothing that is known of the candidate's worth forbids the next stage.

    Up to a share nobody need judge. Beyond it somebody must have, and not found it worse; a promotion is the last step.
    """
    after = schedule.after(state)
    if after is not None:
        return after.percent <= schedule.by_hand_above or is_not_worse(facts.verdict)
    return state.percent <= schedule.by_hand_above or not is_worse(facts.verdict)


def _why(state: RolloutRecord, facts: Facts, now_ns: int) -> str:
    hours = (now_ns - state.since_ns) / NS_PER_HOUR
    judged = f", {TOLD_WORTH[facts.verdict.worth]}" if facts.verdict is not None else ""
    return f"{hours:.3g} h and {facts.questions} questions without a guard crossed{judged}"


def _begun(state: RolloutRecord, arms: tuple[str, ...], now_ns: int, why: str) -> RolloutRecord:
    """Shadow: the arm that is not live is the candidate, where there are two."""
    live = state.live if state.live in arms else arms[0]
    candidate = next((arm for arm in arms if arm != live), live)
    return _stage(state, StageRule(0, 0), [], now_ns, why, live=live, candidate=candidate)


def _entered(state: RolloutRecord, facts: Facts, schedule: Schedule, now_ns: int, why: str) -> RolloutRecord:
    """The stage after this one; after the last the candidate is the live arm."""
    after = schedule.after(state)
    if after is None:
        promoted = {"stage": RolloutStage.PROMOTED, "percent": 100, "live": state.candidate, "since_ns": now_ns}
        return _changed(state, now_ns, why, is_held=False, instruments=[], **promoted)
    listed = canary_of(facts.instruments, after.percent, schedule.salt, state.instruments)
    return _stage(state, after, listed, now_ns, why)


def _stage(
    state: RolloutRecord, rule: StageRule, instruments: list[str], now_ns: int, why: str, **arms: str
) -> RolloutRecord:
    begins = {"stage": rule.stage, "percent": rule.percent, "instruments": instruments, "since_ns": now_ns}
    return _changed(state, now_ns, why, is_held=False, **begins, **arms)


def _rolled_back(state: RolloutRecord, why: str, now_ns: int, guard: RolloutGuard | None = None) -> RolloutRecord:
    ended = {"stage": RolloutStage.ROLLED_BACK, "percent": 0, "instruments": [], "since_ns": now_ns}
    return _changed(state, now_ns, why, is_held=False, guard=guard, **ended)


def _told(state: RolloutRecord, facts: Facts) -> RolloutRecord:
    """The state with what was seen of its stage, decided by the controller unless somebody asked."""
    seen = {
        name.value: reading.evidence
        for name, reading in facts.readings.items()
        if name is not RolloutGuard.COST and state.stage in GUARDED
    }
    return replace(
        state,
        **{"failure": None, "slow": None, "unfaithful": None} | seen,
        questions=facts.questions if state.stage in GUARDED else 0,
        **_worth(facts.verdict if state.stage in GUARDED else None),
        guard=None,
        by=CONTROLLER,
    )


def _worth(verdict: WorthVerdict | None) -> dict[str, object]:
    if verdict is None:
        return dict.fromkeys(("worth", "e_better", "e_worse", "marks"))
    return verdict._asdict()


def _changed(state: RolloutRecord, now_ns: int, why: str, **changes: object) -> RolloutRecord:
    return replace(state, step=state.step + 1, decided_ns=now_ns, reason=why, **changes)
