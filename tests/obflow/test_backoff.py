"""Waits grow, are bounded, and are drawn from what they are given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obflow.backoff import LONGEST_S, Backoff, growing_wait_s

SHARES = st.floats(0.0, 1.0)
SECONDS = st.floats(0.01, 100.0)


@given(tries=st.integers(0, 10_000), first_s=SECONDS, most_s=SECONDS, certain=SHARES, jitter=SHARES)
def test_a_wait_lies_between_its_certain_share_and_its_bound(
    tries: int, first_s: float, most_s: float, certain: float, jitter: float
) -> None:
    longest = growing_wait_s(tries, first_s, most_s)
    found = growing_wait_s(tries, first_s, most_s, certain=certain, jitter=jitter)

    assert longest <= most_s
    assert certain * longest * 0.999_999 <= found <= longest * 1.000_001
    assert growing_wait_s(tries + 1, first_s, most_s) >= longest


def test_waits_double_until_their_bound_and_begin_anew() -> None:
    backoff = Backoff(1.0, 5.0, draw=lambda: 1.0)
    assert [backoff.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_what_the_other_side_asks_for_comes_on_top_and_is_bounded_too() -> None:
    backoff = Backoff(1.0, 5.0, draw=lambda: 0.5)
    assert backoff.next_s(at_least_s=10.0) == 10.5
    assert backoff.next_s(at_least_s=10.0**9) == LONGEST_S


def test_a_share_that_is_certain_is_never_drawn() -> None:
    assert Backoff(1.0, 5.0, certain=0.5, draw=lambda: 0.0).next_s() == 0.5
