"""A dead endpoint sees five requests and then one a probe; what says nothing of it changes nothing."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.llm.breaker import LONGEST_WAIT_S, Breaker, BreakerState

IN_A_ROW, LAST, FIRST_WAIT_S = 5, 20, 30.0


def end(breaker: Breaker, outcomes: Sequence[bool | None], now_s: float = 0.0) -> None:
    """One request after the other, each with its outcome."""
    for is_failure in outcomes:
        breaker.ended(breaker.leaves(), is_failure, now_s)


def opened(now_s: float = 0.0) -> Breaker:
    breaker = Breaker(IN_A_ROW, FIRST_WAIT_S)
    end(breaker, [True] * IN_A_ROW, now_s)
    assert breaker.state(now_s) is BreakerState.OPEN
    return breaker


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    breaker = Breaker(IN_A_ROW, FIRST_WAIT_S)
    end(breaker, [True] * 4 + [False] + [True] * 4)
    assert breaker.state(0.0) is BreakerState.CLOSED
    end(breaker, [True])
    assert breaker.state(0.0) is BreakerState.OPEN


@pytest.mark.parametrize(("failures", "state"), [(9, BreakerState.CLOSED), (10, BreakerState.OPEN)])
def test_half_of_the_last_twenty_opens_it_whatever_their_order(failures: int, state: BreakerState) -> None:
    breaker = Breaker(IN_A_ROW, FIRST_WAIT_S)
    end(breaker, [False, True] * failures + [False] * (LAST - 2 * failures))
    assert breaker.state(0.0) is state


def test_probes_come_after_30_s_doubled_to_10_min_and_one_success_closes_it() -> None:
    breaker, now_s, waits_s = opened(), 0.0, []
    for _ in range(7):
        begun_s = now_s
        while breaker.refuses(now_s):
            now_s += 1.0
        waits_s.append(now_s - begun_s)
        end(breaker, [True], now_s)
    assert waits_s == [FIRST_WAIT_S, 60.0, 120.0, 240.0, 480.0, LONGEST_WAIT_S, LONGEST_WAIT_S]
    now_s += LONGEST_WAIT_S
    end(breaker, [False], now_s)
    assert breaker.state(now_s) is BreakerState.CLOSED
    end(breaker, [True] * IN_A_ROW, now_s)
    assert breaker.refuses(now_s + FIRST_WAIT_S - 1.0)
    assert not breaker.refuses(now_s + FIRST_WAIT_S)


def test_a_second_request_is_refused_while_the_probe_is_under_way() -> None:
    breaker = opened()
    probe = breaker.leaves()
    assert breaker.refuses(FIRST_WAIT_S)
    breaker.ended(probe, None, FIRST_WAIT_S)  # the key was refused: that was no probe
    assert breaker.state(FIRST_WAIT_S) is BreakerState.HALF_OPEN
    assert not breaker.refuses(FIRST_WAIT_S)


def test_what_ends_late_is_no_probe_and_what_says_nothing_opens_nothing() -> None:
    breaker = Breaker(IN_A_ROW, FIRST_WAIT_S)
    late = breaker.leaves()
    end(breaker, [True] * IN_A_ROW)
    breaker.ended(late, False, FIRST_WAIT_S)
    assert breaker.state(FIRST_WAIT_S) is BreakerState.HALF_OPEN
    unknown = Breaker(IN_A_ROW, FIRST_WAIT_S)
    end(unknown, [None] * 50)
    assert unknown.state(0.0) is BreakerState.CLOSED


@given(st.lists(st.tuples(st.sampled_from(["leave", "end"]), st.sampled_from([0, 0, 1, 40, 200])), min_size=30))
def test_a_dead_endpoint_sees_five_requests_and_one_a_probe(doings: list[tuple[str, int]]) -> None:
    """However many would like to leave at once, and in whatever order they fail."""
    breaker, under_way, seen, now_s, probes, permits = Breaker(IN_A_ROW, FIRST_WAIT_S), list[int](), 0, 0.0, 0, 0
    for doing, step_s in doings:
        now_s += step_s
        if doing == "end" and under_way:
            breaker.ended(under_way.pop(0), True, now_s)
        elif not breaker.refuses(now_s) and not breaker.holds():
            is_probe = breaker.state(now_s) is BreakerState.HALF_OPEN
            probes, permits = probes + is_probe, permits + (not is_probe)
            under_way.append(breaker.leaves())
            seen += 1
    assert permits <= IN_A_ROW
    assert probes <= 1 + now_s / FIRST_WAIT_S
    assert seen == permits + probes


def test_an_endpoint_that_answers_is_asked_by_as_many_as_like_to() -> None:
    breaker = Breaker(IN_A_ROW, FIRST_WAIT_S)
    end(breaker, [False])
    for _ in range(50):
        assert not breaker.holds()
        breaker.leaves()
