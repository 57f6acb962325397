"""Who has stalled, and who only waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from processors.worker.watchdog import LogReplaced, StallDetector, Watchdog, lag
from schemas.errors import BrokerUnreachable, FatalError, TopicMismatch
from tests.support.patience import patient


def test_a_worker_without_lag_may_be_idle_for_ever() -> None:
    detector = StallDetector(10)

    assert [detector.stalled_s({0: 5}, {0: 5}, now) for now in range(0, 100, 5)] == [None] * 20


def test_records_that_wait_while_nothing_moves_are_a_stall_after_patience() -> None:
    detector = StallDetector(10)
    looks = {now: detector.stalled_s({0: 5, 1: 9}, {0: 5, 1: 10 + now}, now) for now in range(0, 16, 2)}

    assert [now for now, stalled in looks.items() if stalled is not None] == [10, 12, 14]


def test_any_progress_starts_the_count_anew() -> None:
    detector = StallDetector(10)
    detector.stalled_s({0: 5}, {0: 9}, 0)
    detector.stalled_s({0: 6}, {0: 9}, 8)

    assert detector.stalled_s({0: 6}, {0: 9}, 12) is None
    assert detector.stalled_s({0: 6}, {0: 9}, 18) == 10


def test_partitions_that_come_or_go_are_progress() -> None:
    detector = StallDetector(10)
    detector.stalled_s({0: 5}, {0: 9}, 0)
    detector.stalled_s({0: 5, 1: 0}, {0: 9, 1: 1}, 9)

    assert detector.stalled_s({0: 5, 1: 0}, {0: 9, 1: 1}, 12) is None


def test_a_recovery_that_goes_on_is_progress() -> None:
    detector = StallDetector(10)
    detector.stalled_s({0: 5}, {0: 9}, 0, recovered=100)

    assert detector.stalled_s({0: 5}, {0: 9}, 11, recovered=200) is None
    assert detector.stalled_s({0: 5}, {0: 9}, 21, recovered=200) == 10


def test_a_recovery_that_stands_still_is_a_stall_though_nothing_has_a_position() -> None:
    detector = StallDetector(10)
    looks = {now: detector.stalled_s({}, {}, now, recovered=100) for now in range(0, 14, 2)}

    assert [now for now, stalled in looks.items() if stalled is not None] == [10, 12]
    assert detector.stalled_s({}, {}, 14, recovered=None) is None


def test_a_time_without_sight_is_not_counted() -> None:
    detector = StallDetector(10)
    detector.stalled_s({0: 5}, {0: 9}, 0)
    detector.forget()

    assert detector.stalled_s({0: 5}, {0: 9}, 30) is None


def test_lag_counts_only_what_waits() -> None:
    assert lag({0: 5, 1: 7, 2: 1}, {0: 9, 1: 6}) == 4


def test_the_watchdog_ends_a_stalled_worker_with_one_sentence() -> None:
    ended = threading.Event()
    errors: list[FatalError] = []

    def stalled(error: FatalError) -> None:
        errors.append(error)
        ended.set()

    dog = Watchdog(lambda: ({0: 5}, None), lambda: {0: 9}, stalled, patience_s=0.02, look_s=0.005)
    dog.start()
    assert ended.wait(patient(5))
    dog.stop()

    assert len(errors) == 1
    assert "while 4 records wait" in str(errors[0])
    assert errors[0].exit_code == 1


def watch(
    state: tuple[dict[int, int], int | None], ends: Callable[[], dict[int, int]], gone_s: float = 10.0
) -> list[FatalError]:
    """What a watchdog without patience ends the process with, after three looks at most."""
    errors: list[FatalError] = []
    done = threading.Event()
    looks = iter((state, state, state))

    def next_look() -> tuple[dict[int, int], int | None]:
        try:
            return next(looks)
        except StopIteration:
            done.set()
            return {}, None

    def stalled(error: FatalError) -> None:
        errors.append(error)
        done.set()

    dog = Watchdog(next_look, ends, stalled, patience_s=0.0, look_s=0.001, gone_s=gone_s)
    dog.start()
    assert done.wait(patient(5))
    dog.stop()
    return errors


def test_the_watchdog_ends_a_worker_whose_recovery_stands_still() -> None:
    [error] = watch(({}, 7), lambda: {0: 9})

    assert "the recovery of the checkpoints has stood still" in str(error)


def test_a_log_made_anew_ends_the_worker_however_far_the_new_one_has_come() -> None:
    def replaced() -> dict[int, int]:
        raise LogReplaced("the topic l2.v1 was made anew")

    [error] = watch(({0: 5}, None), replaced)

    assert "made anew" in str(error)


def test_a_log_made_anew_ends_a_worker_that_holds_no_partition() -> None:
    def replaced() -> dict[int, int]:
        raise LogReplaced("the topic l2.v1 was made anew")

    [error] = watch(({}, None), replaced)

    assert "made anew" in str(error)


def test_a_topic_that_stays_away_ends_the_worker_and_one_that_comes_back_does_not() -> None:
    def gone() -> dict[int, int]:
        raise TopicMismatch("a topic is not on the broker")

    [error] = watch(({}, None), gone, gone_s=0.0)
    assert "not on the broker" in str(error)
    assert watch(({}, None), gone, gone_s=5.0) == []


def test_a_log_that_lost_records_ends_the_worker() -> None:
    [error] = watch(({0: 5}, None), lambda: {0: 3})

    assert "records were lost" in str(error)


def test_the_watchdog_outlives_a_look_that_fails_for_an_unknown_reason() -> None:
    fails = iter((True, False, False))

    def once_broken() -> dict[int, int]:
        if next(fails):
            raise KeyError("l2.v1")
        return {0: 9}

    [error] = watch(({0: 5}, None), once_broken)

    assert "while 4 records wait" in str(error)


def test_a_broker_that_does_not_answer_does_not_condemn_the_worker() -> None:
    answers = iter((True, False, True))

    def away_in_between() -> dict[int, int]:
        if next(answers):
            return {0: 9}
        raise BrokerUnreachable("no answer")

    assert watch(({0: 5}, None), away_in_between) == []
