"""A library that says the same again and again is heard once a second, and counted."""

from __future__ import annotations

import io
import logging

import pytest
import structlog

from obflow.log_limits import LineLimit, cause_of
from obflow.logs import configure, get_logger
from obflow.settings import LogSettings

REFUSED = "[thrd:127.0.0.1:9092/bootstrap]: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after %sms)"


def test_one_line_a_second_and_cause_passes_with_the_count_of_the_others() -> None:
    limit = LineLimit(every_s=1.0)
    passed = [limit.take("a", tenth / 10) for tenth in range(21)]
    assert [at for at, left_out in enumerate(passed) if left_out is not None] == [0, 10, 20]
    assert (passed[0], passed[10], passed[20]) == (0, 9, 9)


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
