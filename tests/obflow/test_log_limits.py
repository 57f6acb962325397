"""A library that says the same again and again is heard after 1, 2, 4 … seconds, and counted."""

from __future__ import annotations

import io
import logging

import pytest
import structlog

from obflow.log_limits import LineLimit, cause_of
from obflow.logs import configure, get_logger
from obflow.settings import LogSettings

REFUSED = "[thrd:127.0.0.1:9092/bootstrap]: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after %sms)"


def passed(limit: LineLimit, seconds: range) -> dict[int, int]:
    """The lines that pass of one a second, with the count of those left out before each."""
    taken = {second: limit.take("a", float(second)) for second in seconds}
    return {second: left_out for second, left_out in taken.items() if left_out is not None}


def test_a_cause_that_goes_on_passes_after_growing_whiles_with_a_count() -> None:
    limit = LineLimit(every_s=1.0, longest_s=8.0)
    assert passed(limit, range(24)) == {0: 0, 1: 0, 3: 1, 7: 3, 15: 7, 23: 7}


def test_no_cause_passes_more_than_once_a_second() -> None:
    limit = LineLimit(every_s=1.0)
    taken = [limit.take("a", tenth / 10) for tenth in range(10)]
    assert taken == [0] + [None] * 9


def test_a_cause_that_was_silent_for_a_while_begins_anew() -> None:
    limit = LineLimit(every_s=1.0, quiet_s=10.0)
    passed(limit, range(20))
    assert list(passed(limit, range(30, 34))) == [30, 31, 33]


def test_180_seconds_of_one_cause_are_fewer_than_a_dozen_lines() -> None:
    limit = LineLimit()
    taken = [limit.take("a", tenth / 10) for tenth in range(1800)]
    assert sum(left_out is not None for left_out in taken) < 12


def test_one_cause_does_not_silence_another() -> None:
    limit = LineLimit()
    assert [limit.take(cause, 0.0) for cause in ("a", "b", "a", "c")] == [0, 0, None, 0]


def test_what_is_remembered_is_bounded() -> None:
    limit = LineLimit(most_causes=2)
    assert [limit.take(cause, 0.0) for cause in ("a", "b", "c", "b", "a")] == [0, 0, 0, None, 0]


def test_lines_that_differ_in_numbers_alone_have_one_cause() -> None:
    assert cause_of("librdkafka", REFUSED % 0) == cause_of("librdkafka", REFUSED % 17)
    assert cause_of("librdkafka", REFUSED % 0) != cause_of("aiokafka", REFUSED % 0)


def test_443_lines_of_a_library_are_one_and_events_of_ours_all_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    root, stream, clock = logging.getLogger(), io.StringIO(), [100.0]
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr("obflow.logs.time.monotonic", lambda: clock[0])
    try:
        configure(LogSettings(format="console"), stream)
        for number in range(443):
            logging.getLogger("aiokafka.conn").error("Unable connect to node with id %s", number)
        clock[0] += 1.0
        logging.getLogger("aiokafka.conn").error("Unable connect to node with id %s", 7)
        for _ in range(3):
            get_logger("obflow").info("feed_connected")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
        structlog.reset_defaults()
    first, second, *ours = stream.getvalue().splitlines()
    assert "left_out" not in first
    assert "left_out=442" in second
    assert len(ours) == 3
    assert all(line[:4].isdigit() for line in (first, second, *ours))  # the time stands first
