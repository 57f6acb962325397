"""How a rollout goes: stage by stage, back at once where a guard is crossed, and by hand."""

from __future__ import annotations

import os
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from msgspec.structs import replace

from processors.rollout.log import RolloutLog
from processors.rollout.machine import asked_arms, first_state, is_in_force
from processors.rollout.schedule import read_schedule
from processors.rollout.watch import DayBudget
from processors.rollout.worth import LEAST_MARKS, WorthVerdict
from schemas.errors import UsageError
from schemas.evaluations import RegimeWorth
from schemas.rollouts import RolloutAction, RolloutGuard, RolloutRecord, RolloutStage
from tests.processors.rollout.simulated import ARMS, SCHEDULE, Health, Rollout

SEEDS = 1_000 if os.environ.get("OBFLOW_FUZZ") == "all" else 60
STAGES = [("shadow", 0), ("canary", 5), ("canary", 10), ("canary", 50), ("canary", 100), ("promoted", 100)]
SYM = "binance-futures:SYM0"


def begun(**changes: object) -> Rollout:
    rollout = Rollout(**changes)  # type: ignore[arg-type] # changes of a test
    rollout.ask_by_hand(RolloutAction.PROMOTE)
    return rollout


def test_a_healthy_candidate_goes_through_every_stage_and_becomes_the_live_arm() -> None:
    rollout = begun()
    rollout.until(RolloutStage.PROMOTED)

    told = [
        (state.stage.value, state.percent) for state in rollout.log if state.reason != "more instruments are active"
    ]
    assert told == [("off", 0), *STAGES]
    assert (rollout.state.live, rollout.state.candidate) == ("green", "green")
    assert asked_arms(rollout.state, SYM) == {"green"}, "the other arm is idle"


def test_a_stage_takes_its_time_and_its_questions_however_healthy_the_arm() -> None:
    rollout = begun()
    rollout.until(RolloutStage.PROMOTED)
    entered = [state for state in rollout.log[1:] if state.reason != "more instruments are active"]
    for before, after in pairwise(entered):
        rule = SCHEDULE.rule_of(before)
        assert rule is not None
        assert after.since_ns - before.since_ns >= rule.least_ns
        assert after.questions >= SCHEDULE.least_questions


def test_beyond_ten_percent_a_stage_is_entered_by_hand_alone() -> None:
    rollout = begun(schedule=SCHEDULE._replace(by_hand_above=10))
    rollout.until(RolloutStage.CANARY, 10)
    assert [made.percent for made in rollout.go_on(3_000)] == []
    assert rollout.ask_by_hand(RolloutAction.PROMOTE).percent == 50


def verdict(worth: RegimeWorth, marks: int = LEAST_MARKS) -> WorthVerdict:
    return WorthVerdict(
        worth, 25.0 if worth is RegimeWorth.BETTER else 0.5, 25.0 if worth is RegimeWorth.WORSE else 0.5, marks
    )


@pytest.mark.parametrize("worth", [RegimeWorth.BETTER, RegimeWorth.NOT_SHOWN])
def test_beyond_ten_percent_a_candidate_goes_on_that_was_judged_not_to_be_worse(worth: RegimeWorth) -> None:
    rollout = begun(schedule=SCHEDULE._replace(by_hand_above=10))
    at_ten = rollout.until(RolloutStage.CANARY, 10)
    rollout.verdict = verdict(worth)
    at_fifty = rollout.until(RolloutStage.CANARY, 50)

    assert (at_ten.worth, at_ten.marks) == (None, None), "nobody had judged it"
    assert (at_fifty.worth, at_fifty.e_better, at_fifty.e_worse, at_fifty.marks) == rollout.verdict
    assert "than the rules" in at_fifty.reason
    assert rollout.until(RolloutStage.PROMOTED).live == "green"


@pytest.mark.parametrize("judged", [verdict(RegimeWorth.WORSE, 400), verdict(RegimeWorth.NOT_SHOWN, LEAST_MARKS - 1)])
def test_beyond_ten_percent_nobody_goes_who_is_worse_or_hardly_judged(judged: WorthVerdict) -> None:
    rollout = begun(schedule=SCHEDULE._replace(by_hand_above=10), verdict=judged)
    rollout.until(RolloutStage.CANARY, 10)
    assert [made.percent for made in rollout.go_on(3_000)] == []
    by_hand = rollout.ask_by_hand(RolloutAction.PROMOTE)
    assert (by_hand.percent, by_hand.worth) == (50, judged.worth), "and the row says what was known"


def test_a_candidate_that_shows_itself_worse_at_full_share_is_not_promoted() -> None:
    rollout = begun(schedule=SCHEDULE._replace(by_hand_above=10), verdict=verdict(RegimeWorth.NOT_SHOWN))
    rollout.until(RolloutStage.CANARY, 100)
    rollout.verdict = verdict(RegimeWorth.WORSE)
    assert [made.stage for made in rollout.go_on(3_000)] == []
    rollout.verdict = verdict(RegimeWorth.NOT_SHOWN)
    assert rollout.until(RolloutStage.PROMOTED).worth is RegimeWorth.NOT_SHOWN


def test_a_verdict_holds_no_stage_up_below_the_share_that_needs_one() -> None:
    rollout = begun(verdict=verdict(RegimeWorth.WORSE))

    assert rollout.until(RolloutStage.PROMOTED).worth is RegimeWorth.WORSE


@pytest.mark.parametrize(
    ("health", "guard"),
    [
        (Health(fails=0.5), RolloutGuard.FAILURE),
        (Health(slow=0.7), RolloutGuard.SLOW),
        (Health(unfaithful=0.7), RolloutGuard.UNFAITHFUL),
    ],
)
def test_a_sick_candidate_is_rolled_back_with_its_evidence_in_the_row(health: Health, guard: RolloutGuard) -> None:
    rollout = begun()
    rollout.until(RolloutStage.CANARY, 10)
    rollout.health["green"] = health
    row = rollout.until(RolloutStage.ROLLED_BACK)

    assert (row.percent, row.instruments, row.guard, row.by) == (0, [], guard, "controller")
    assert (getattr(row, guard.value) or 0.0) >= 100
    assert row.questions >= 5
    assert not any(is_in_force(row, f"binance-futures:SYM{number}") for number in range(20))
    assert list(rollout.go_on(500)) == [], "it stays so, until it is armed again by hand"
    assert rollout.ask_by_hand(RolloutAction.PROMOTE).stage is RolloutStage.ROLLED_BACK
    assert rollout.ask_by_hand(RolloutAction.REARM).stage is RolloutStage.SHADOW


def test_a_live_arm_that_turns_sick_after_its_promotion_is_rolled_back_too() -> None:
    rollout = begun()
    rollout.until(RolloutStage.PROMOTED)
    rollout.health["green"] = Health(fails=0.9)

    assert rollout.until(RolloutStage.ROLLED_BACK).guard is RolloutGuard.FAILURE


def test_a_sick_live_arm_beside_a_healthy_candidate_rolls_nothing_back() -> None:
    rollout = begun(health={"blue": Health(fails=0.9, slow=0.9, unfaithful=0.9), "green": Health()})

    assert rollout.until(RolloutStage.PROMOTED).live == "green"


def test_a_day_that_is_spent_rolls_back_and_leaves_the_flag_as_it_is() -> None:
    rollout = begun(budget=DayBudget(usd=Decimal("0.02")))
    row = rollout.until(RolloutStage.ROLLED_BACK)

    assert (row.guard, row.percent, row.enabled) == (RolloutGuard.COST, 0, True)


def test_a_held_stage_stays_until_somebody_promotes_it() -> None:
    rollout = begun()
    rollout.ask_by_hand(RolloutAction.HOLD)
    assert list(rollout.go_on(1_000)) == []
    made = rollout.ask_by_hand(RolloutAction.PROMOTE)
    assert (made.percent, made.is_held) == (5, False)


def test_a_held_stage_is_rolled_back_all_the_same() -> None:
    rollout = begun(health={"blue": Health(), "green": Health(fails=0.9)})
    rollout.ask_by_hand(RolloutAction.HOLD)

    assert rollout.until(RolloutStage.ROLLED_BACK).guard is RolloutGuard.FAILURE


def test_a_flag_that_is_off_has_nobody_asked_and_nothing_in_force() -> None:
    rollout = begun()
    rollout.until(RolloutStage.CANARY, 10)
    made = rollout.ask_by_hand(RolloutAction.DISABLE)

    assert (made.enabled, made.stage, made.percent) == (False, RolloutStage.CANARY, 10)
    for name in made.instruments:
        assert asked_arms(made, name) == frozenset()
        assert not is_in_force(made, name)
    assert list(rollout.go_on(1_000)) == []
    assert rollout.ask_by_hand(RolloutAction.ENABLE).enabled


def test_who_is_asked_and_what_is_in_force_follows_from_the_stage() -> None:
    off = first_state(ARMS)
    shadow = replace(off, stage=RolloutStage.SHADOW)
    canary = replace(off, stage=RolloutStage.CANARY, percent=5, instruments=[SYM])
    other = "binance-futures:OTHER"

    assert asked_arms(off, SYM) == {"blue"}
    assert asked_arms(shadow, SYM) == {"blue", "green"}
    assert (asked_arms(canary, SYM), asked_arms(canary, other)) == ({"blue", "green"}, {"blue"})
    assert not any(is_in_force(state, SYM) for state in (off, shadow))
    assert (is_in_force(canary, SYM), is_in_force(canary, other)) == (True, False)


def test_one_arm_alone_is_asked_in_every_stage_as_if_there_were_no_rollout() -> None:
    for stage in RolloutStage:
        state = replace(first_state(("blue",)), stage=stage, percent=5, instruments=[SYM])
        assert asked_arms(state, SYM) == {"blue"}


def test_of_a_step_that_is_told_twice_the_first_record_counts() -> None:
    """Whoever was the controller and does not know yet that another one is."""
    state = first_state(ARMS)
    ours = replace(state, step=1, stage=RolloutStage.SHADOW)
    theirs = replace(state, step=1, stage=RolloutStage.ROLLED_BACK)

    assert RolloutLog([state, ours, theirs]).state == ours


def test_a_request_waits_until_a_state_names_it_and_no_longer() -> None:
    state = first_state(ARMS)
    request = replace(state, action=RolloutAction.PROMOTE, request_id="r1")
    log = RolloutLog([state, request])
    assert log.request == request
    log.take(replace(state, step=1, request_id="r1"))
    log.take(request)  # as it lies in a log that was compacted
    assert log.request is None


@pytest.mark.parametrize("text", ["", "5 24", "0 24, 5", "0 24, 10 1, 5 1", "0 24, 101 1", "0 -1", "0 nan", "a b"])
def test_a_list_of_stages_that_is_none_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="no list of stages"):
        read_schedule(text)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens_states_follow_one_another_and_a_new_controller_knows_them(seed: int) -> None:
    """Calls of arms of any health, requests by hand at any time, and a controller that is killed at any time."""
    random = Random(seed)
    health = {arm: Health(*(random.choice((0.0, 0.01, 0.3)) for _ in range(3))) for arm in ARMS}
    rollout = begun(seed=seed, health=health, instruments=random.choice((1, 2, 40)))
    for _ in range(12):
        for made in rollout.go_on(random.randrange(1, 80)):
            check_change(rollout, made)
        if random.random() < 0.5:
            rollout.ask_by_hand(random.choice(list(RolloutAction)))
        # Killed: what its heir makes of the two logs is what it had itself, and nothing is decided twice.
        heir = rollout.rebuilt()
        assert heir.facts(rollout.now_ns) == rollout.watch.facts(rollout.now_ns)
        rollout.watch = heir
    assert [state.step for state in rollout.log] == list(range(len(rollout.log)))
    assert all(one.decided_ns <= other.decided_ns for one, other in pairwise(rollout.log))
    for one, other in pairwise(rollout.log):
        if other.stage is RolloutStage.CANARY and one.stage is RolloutStage.CANARY:
            assert set(one.instruments) <= set(other.instruments)


def check_change(rollout: Rollout, made: RolloutRecord) -> None:
    before = RolloutLog(rollout.log[:-1]).state
    assert before is not None
    if made.stage is RolloutStage.ROLLED_BACK:
        assert before.stage is not RolloutStage.ROLLED_BACK
        assert made.guard is not None
    elif (made.stage, made.percent) != (before.stage, before.percent):
        assert made.percent > before.percent or made.stage is RolloutStage.PROMOTED
        assert made.questions >= SCHEDULE.least_questions
        assert made.guard is None
        assert not before.is_held
