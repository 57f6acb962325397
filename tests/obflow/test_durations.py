"""Lengths of time as flags give them."""

from __future__ import annotations

import pytest

from obflow.durations import seconds_of
from schemas.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60.0), ("5m", 300.0), ("2h", 7200.0), ("1.5m", 90.0), ("7", 7.0), (None, None)]
)
def test_a_length_is_a_number_and_a_unit_and_seconds_without_one(text: str | None, seconds: float | None) -> None:
    assert seconds_of("--for", text, most_s=7200) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "0", "0s", "-1s", "+1s", "1d", "1e3", "1e3s", "nan", "inf", " 1s", "1 s", "1s2", "٣s", "9" * 400]
)
def test_anything_else_is_refused_by_the_flags_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"--loop-for .*is no length of time"):
        seconds_of("--loop-for", text)


def test_a_length_beyond_the_bound_is_refused_with_the_bound() -> None:
    with pytest.raises(UsageError, match="--for 3h is too long: at most 2h"):
        seconds_of("--for", "3h", most_s=7200)
