"""What a server says in its headers is bounded, and junk is no answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from obflow.response_headers import LONGEST_BAN_S, LONGEST_WAIT_S, read_count, read_date, read_retry_after, read_wait

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NOW_S = NOW.timestamp()


def http_date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0),
        (" 2 ", 2.0),
        ("0", 0.0),
        ("0.5", 0.5),
        (http_date(90), 90.0),
        (http_date(-90), 0.0),
        ("Sat, 21 Nov 2026 00:01:30 -0000", 90.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    assert read_retry_after(header, NOW_S) == seconds


@pytest.mark.parametrize("header", ["901", "10000000000", "9" * 18, http_date(901), http_date(86_400 * 365 * 100)])
def test_no_server_is_left_alone_for_longer_than_a_quarter_of_an_hour(header: str) -> None:
    assert read_retry_after(header, NOW_S) == LONGEST_WAIT_S == 900.0


@pytest.mark.parametrize(
    "header",
    [
        "", " ", "soon", "-3", "+3", "nan", "inf", "-inf", "Infinity", "1e10", "1e400", "0x10", "1_000", "1,5", "٣",
        "3 s",
        "9" * 5_000, "1" * 19, "Sat, 21 Nov 10000 00:01:30 GMT", "Sat, 99 Nov 2026 00:01:30 GMT", "A" * 100_000,
    ],
)  # fmt: skip
def test_what_is_neither_seconds_nor_a_date_is_no_answer(header: str) -> None:
    assert read_retry_after(header, NOW_S) is None


@given(st.text(max_size=200), st.floats(0, 4e9))
@example("Fri, 31 Dec 9999 23:59:59 -2300", 0.0)
@example("Mon, 01 Jan 1 00:00:00 +2300", 4e9)
@example("Mon, 01 Jan 0000 00:00:00 +9999", 0.0)
@example(", ,", 0.0)
def test_whatever_a_header_says_the_wait_is_none_or_within_bounds(header: str, now_s: float) -> None:
    wait_s = read_retry_after(header, now_s)
    assert wait_s is None or 0.0 <= wait_s <= LONGEST_WAIT_S


@pytest.mark.parametrize(("header", "count"), [("0", 0), ("2400", 2400), ("999999999", 999_999_999)])
def test_a_count_is_a_whole_number(header: str, count: int) -> None:
    assert read_count(header) == count


@pytest.mark.parametrize("header", ["", "9" * 5_000, "1234567890", "-1", "+1", "1.5", "1e3", "٣", "²", "many"])
def test_any_other_count_is_no_answer(header: str) -> None:
    assert read_count(header) is None


@pytest.mark.parametrize("text", ["", "yesterday", "Thu, 99 Foo 2024 00:00:00 GMT", "\x00", "9" * 400])
def test_a_date_that_is_none_tells_no_moment(text: str) -> None:
    assert read_date(text) is None


def test_a_date_is_read_to_the_second_with_and_without_a_zone() -> None:
    assert read_date("Mon, 01 Jan 2024 00:00:07 GMT") == 1_704_067_207
    assert read_date("Mon, 01 Jan 2024 00:00:07") == 1_704_067_207


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ("Please try again in 6m30.5s.", 390.5),
        ("try again in 1h2m", 3_720.0),
        ("please wait 2 hours and 5 minutes", 7_500.0),
        ("retry in 1 hour, 30 minutes", 5_400.0),
        ("wait 10 s, 5 requests are under way", 10.0),
        ("IP banned until 2001/09/09 01:47:40", 60.0),
        ("until 09/09/2001", None),
        ("unbanned at 1000000060000", 60.0),
        ("blocked for 10 minutes", 600.0),
    ],
)
def test_a_sentence_tells_a_wait_in_parts_and_in_other_words(said: str, wait_s: float | None) -> None:
    assert read_wait([], said, 1e9, LONGEST_BAN_S) == wait_s
