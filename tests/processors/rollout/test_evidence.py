"""The check values of intelligence §7, and what simulated arms come to."""

from __future__ import annotations

import os
from random import Random
from statistics import median

import pytest

from processors.rollout.endings import Ending
from processors.rollout.evidence import FIVE_PERCENT, TWO_PERCENT, evidence
from processors.rollout.guards import BURST_NS, Guards, RateGuard
from schemas.rollouts import RolloutGuard
from schemas.units import NS_PER_SECOND

WHOLE = os.environ.get("OBFLOW_FUZZ") == "all"
ARMS = 1_000 if WHOLE else 100
QUESTIONS = 5_000 if WHOLE else 1_500
APART_NS = BURST_NS + 1


@pytest.mark.parametrize(
    ("bad", "questions", "value"), [(0, 25, 0.116977), (1, 50, 0.124487), (3, 3, 24787.5), (5, 25, 472.484)]
)
def test_evidence_has_the_check_values(bad: int, questions: int, value: float) -> None:
    assert evidence(TWO_PERCENT, questions, bad) == pytest.approx(value, rel=1e-5)


def test_without_questions_there_is_no_evidence_either_way() -> None:
    assert evidence(TWO_PERCENT, 0, 0) == pytest.approx(1.0)
    assert evidence(FIVE_PERCENT, 0, 0) == pytest.approx(1.0)


def test_evidence_stays_a_number_however_many_questions() -> None:
    assert 0.0 <= evidence(TWO_PERCENT, 10_000_000, 0) < 1.0
    assert evidence(TWO_PERCENT, 100_000, 100_000) == pytest.approx(1e300)


def test_the_order_of_questions_changes_nothing() -> None:
    outcomes = [True] * 5 + [False] * 20
    found = set()
    for seed in range(20):
        Random(seed).shuffle(outcomes)
        guard = RateGuard(TWO_PERCENT)
        for number, is_bad in enumerate(outcomes):
            guard.take(is_bad, number * APART_NS)
        found.add(guard.reading.evidence)
    assert found == {evidence(TWO_PERCENT, 25, 5)}


def asked_until_crossed(rate: float, seed: int, questions: int = QUESTIONS) -> int | None:
    """Questions until the guard is crossed; none where it never is."""
    random, guard = Random(seed), RateGuard(TWO_PERCENT)
    for number in range(1, questions + 1):
        guard.take(random.random() < rate, number * APART_NS)
        if guard.reading.is_crossed:
            return number
    return None


def test_a_healthy_arm_is_rolled_back_in_one_percent_of_rollouts_at_most() -> None:
    crossed = sum(asked_until_crossed(0.02, seed) is not None for seed in range(ARMS))
    assert crossed <= ARMS / 100


@pytest.mark.parametrize(("rate", "most"), [(0.08, 120), (0.2, 25), (0.5, 8)])
def test_a_sick_arm_is_found_within_so_many_questions(rate: float, most: int) -> None:
    found = [asked_until_crossed(rate, seed) or QUESTIONS for seed in range(ARMS)]
    assert median(found) <= most


def test_fewer_than_five_questions_roll_nothing_back() -> None:
    guard = RateGuard(TWO_PERCENT)
    for number in range(4):
        guard.take(True, number * APART_NS)
    assert guard.reading.evidence > 1_000
    assert not guard.reading.is_crossed
    guard.take(True, 4 * APART_NS)
    assert guard.reading.is_crossed


def test_a_burst_of_failures_counts_once_and_is_no_success_either() -> None:
    guard = RateGuard(TWO_PERCENT)
    for number in range(10):
        guard.take(True, number * NS_PER_SECOND)
    assert (guard.reading.questions, guard.reading.bad) == (1, 1)
    guard.take(False, 5 * NS_PER_SECOND)
    guard.take(True, 11 * NS_PER_SECOND)
    assert (guard.reading.questions, guard.reading.bad) == (3, 2)


def test_bursts_of_ten_at_a_healthy_mean_are_no_reason_to_roll_back() -> None:
    """Uncollapsed, they roll back four of ten healthy arms."""
    crossed = 0
    for seed in range(ARMS):
        random, guard, left = Random(seed), RateGuard(TWO_PERCENT), 0
        for number in range(QUESTIONS):
            left = 10 if left == 0 and random.random() < 0.002 else max(0, left - 1)
            guard.take(left > 0, number * NS_PER_SECOND)
        crossed += guard.reading.is_crossed
    assert crossed <= ARMS / 100


def test_slow_and_unfaithful_are_asked_of_valid_answers_alone() -> None:
    guards = Guards(slo_ms=1_000.0)
    guards.take(Ending(0, False))
    guards.take(Ending(APART_NS, True, 2_000.0, False))
    guards.take(Ending(2 * APART_NS, True, 10.0, True))

    readings = guards.readings
    assert guards.questions == 3
    assert (readings[RolloutGuard.FAILURE].questions, readings[RolloutGuard.FAILURE].bad) == (3, 1)
    assert (readings[RolloutGuard.SLOW].questions, readings[RolloutGuard.SLOW].bad) == (2, 1)
    assert (readings[RolloutGuard.UNFAITHFUL].questions, readings[RolloutGuard.UNFAITHFUL].bad) == (2, 1)
