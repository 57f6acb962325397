"""No minute, whenever it begins, sees more requests than it may."""

from hypothesis import given
from hypothesis import strategies as st

from processors.llm.pace import MINUTE_S, Pace


def test_a_minutes_worth_leaves_at_once_and_the_next_when_the_first_is_a_minute_old() -> None:
    pace = Pace(3)
    for now_s in (0.0, 1.0, 2.0):
        assert pace.wait_s(now_s) == 0.0
        pace.leaves(now_s)
    assert pace.wait_s(2.0) == 58.0
    assert pace.wait_s(60.0) == 0.0
    pace.leaves(60.0)
    assert pace.wait_s(60.0) == 1.0


@given(st.integers(1, 7), st.lists(st.integers(0, 40), max_size=60))
def test_whoever_waits_as_told_never_exceeds_it(most: int, pauses_s: list[int]) -> None:
    pace, now_s, left_s = Pace(most), 0.0, list[float]()
    for pause_s in pauses_s:
        now_s += pause_s
        now_s += pace.wait_s(now_s)
        assert pace.wait_s(now_s) == 0.0
        pace.leaves(now_s)
        left_s.append(now_s)
    assert all(sum(1 for other_s in left_s if 0.0 <= other_s - at_s < MINUTE_S) <= most for at_s in left_s)
