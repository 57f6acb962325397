"""The age of what waits in a log, from looks at its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obflow.lag_age import MAX_LOOKS, LagAges


@pytest.fixture
def ages() -> LagAges:
    return LagAges()


def test_nothing_that_waits_has_no_age(ages: LagAges) -> None:
    assert ages.age_s(0, 5, 5, 100.0) == 0
    assert ages.age_s(0, 9, 5, 101.0) == 0, "a look at the end may be older than the position"


def test_a_record_is_as_old_as_the_look_that_saw_it_first(ages: LagAges) -> None:
    ages.age_s(0, 5, 5, 100.0)
    assert ages.age_s(0, 5, 6, 102.0) == 0
    assert ages.age_s(0, 5, 9, 104.0) == 2
    assert ages.age_s(0, 6, 9, 105.0) == 1, "record 6 came between the looks at 102 and 104"
    assert ages.age_s(0, 9, 9, 106.0) == 0


def test_an_idle_log_gives_a_new_record_no_age_of_its_own(ages: LagAges) -> None:
    ages.age_s(0, 5, 5, 100.0)
    ages.processed(0, 90.0)
    assert ages.age_s(0, 5, 5, 5_000.0) == 0
    assert ages.age_s(0, 5, 6, 5_002.0) == 0
    assert ages.age_s(0, 5, 6, 5_004.0) == 2


def test_what_was_there_at_the_first_look_is_as_old_as_what_was_processed_last(ages: LagAges) -> None:
    assert ages.age_s(0, 5, 900, 1_000.0) == 0, "nothing is known yet"
    ages.processed(0, 400.0)
    assert ages.age_s(0, 300, 900, 1_002.0) == 602
    ages.processed(0, 950.0)
    assert ages.age_s(0, 900, 901, 1_004.0) == 0, "caught up: the next record was seen to come"


def test_a_partition_that_left_and_came_back_begins_anew(ages: LagAges) -> None:
    ages.age_s(0, 5, 9, 100.0)
    ages.keep({1})
    assert ages.age_s(0, 5, 9, 200.0) == 0
    assert ages.age_s(0, 5, 9, 203.0) == 3


def test_what_is_kept_is_bounded_and_the_oldest_age_is_not_lost(ages: LagAges) -> None:
    ages.age_s(0, 0, 0, 0.0)
    for look in range(1, 10 * MAX_LOOKS):
        assert ages.age_s(0, 0, look, float(look)) == look - 1
    assert len(ages._looks[0].ends) <= MAX_LOOKS


@given(appended=st.lists(st.floats(0.1, 5.0), min_size=2, max_size=60), slow=st.floats(1.0, 3.0))
def test_an_age_is_never_told_too_high_nor_low_by_more_than_a_look(appended: list[float], slow: float) -> None:
    """Against a log whose times are known: each record is processed `slow` times later than it came."""
    times = [sum(appended[: number + 1]) for number in range(len(appended))]
    done = [time * slow for time in times]
    ages, look_s = LagAges(), 2.0
    for look in range(int(done[-1] / look_s) + 2):
        now = look * look_s
        position, end = sum(time <= now for time in done), sum(time <= now for time in times)
        true = now - times[position] if position < end else 0.0
        assert true - look_s <= ages.age_s(0, position, end, now) <= true + 1e-9
