"""Logs: one handler, one shape, no secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from obflow.logs import ECHOES, configure, get_logger
from obflow.settings import LogSettings
from tests.obflow.hostile import HOSTILE, obeyed, obeyed_on_a_terminal
from tests.obflow.terminal import on_terminal


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the lines go; the root logger is put back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in ECHOES:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_where_nobody_watches(stream: io.StringIO) -> None:
    configure(LogSettings(), stream)
    get_logger("obflow.feed").info("feed_connected", attempts=3)
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"event": "feed_connected", "attempts": 3, "level": "info", "logger": "obflow.feed"}


def test_lines_of_libraries_take_the_same_way(stream: io.StringIO) -> None:
    configure(LogSettings(), stream)
    logging.getLogger("aiokafka").warning("lost %s", "node 1", extra={"node": 1})
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["level"], line["node"]) == ("lost node 1", "aiokafka", "warning", 1)


def test_events_below_the_level_are_not_written(stream: io.StringIO) -> None:
    configure(LogSettings(level="warning"), stream)
    get_logger("x").info("quiet")
    logging.getLogger("y").info("quiet")
    assert stream.getvalue() == ""


def test_what_an_error_says_anyway_is_logged_in_debugging_only(stream: io.StringIO) -> None:
    configure(LogSettings(), stream)
    logging.getLogger("urllib3.connectionpool").warning("retrying")
    assert stream.getvalue() == ""
    configure(LogSettings(level="debug"), stream)
    logging.getLogger("urllib3.connectionpool").warning("retrying")
    assert len(lines(stream)) == 1


def test_configuring_twice_does_not_write_twice(stream: io.StringIO) -> None:
    configure(LogSettings(), io.StringIO())
    configure(LogSettings(), stream)
    get_logger("x").info("once")
    assert len(lines(stream)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "hunter2"},
        {"api_key": b"hunter2"},
        {"value": SecretStr("hunter2")},
        {"headers": {"Authorization": "Bearer hunter2"}},
        {"tokens": ["hunter2", "hunter2"]},
        {"url": "wss://me:hunter2@host/path"},
        {"requests": [{"url": "http://me:hunter2@host"}]},
        {"url": "https://hunter2@host/path"},
        {"url": "https://host/path?access_token=hunter2&limit=5"},
        {"broker": "a:9092,me:hunter2@b:9092"},
        {"error": "no answer at http://me:p@ss/hunter2@host (refused)"},
    ],
)
@pytest.mark.parametrize("style", ["json", "console"])
def test_a_secret_is_never_written(stream: io.StringIO, fields: dict[str, Any], style: str) -> None:
    configure(LogSettings.model_validate({"format": style}), stream)
    get_logger("x").info("connected", **fields)
    assert "hunter2" not in stream.getvalue()
    assert "*****" in stream.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_names_the_error_but_shows_no_variables(stream: io.StringIO, style: str) -> None:
    configure(LogSettings.model_validate({"format": style}), stream)
    hidden = "hunter" + str(1 + 1)
    try:
        raise LookupError(f"not this {len(hidden)}")
    except LookupError:
        get_logger("x").exception("failed")
    assert "LookupError: not this 7" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_value_json_does_not_know_is_written_as_text(stream: io.StringIO) -> None:
    configure(LogSettings(), stream)
    get_logger("x").info("odd", error=ValueError("why"), ids={1: "one"})
    (line,) = lines(stream)
    assert (line["error"], line["ids"]) == ("why", {"1": "one"})


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_event_controls_a_terminal_or_takes_more_than_its_line(stream: io.StringIO, style: str) -> None:
    configure(LogSettings.model_validate({"format": style}), stream)
    log = get_logger("x")
    log.info(HOSTILE, error=HOSTILE, cause=ValueError(HOSTILE), payload=HOSTILE.encode(), **{HOSTILE: 1})
    log.info("nested", found={HOSTILE: [HOSTILE, (HOSTILE, 1)]}, half="\ud800", path=Path("\udcff"))
    logging.getLogger("y").warning("lost %s", HOSTILE)
    assert obeyed(stream.getvalue()) == ""
    assert stream.getvalue().count("\n") == 3


def test_a_json_line_holds_the_very_text(stream: io.StringIO) -> None:
    configure(LogSettings(), stream)
    get_logger("x").info("odd", error=HOSTILE, half="\ud800")
    (line,) = lines(stream)
    assert (line["error"], line["half"]) == (HOSTILE, "\ud800")


def test_a_line_for_people_shows_what_was_escaped_once(stream: io.StringIO) -> None:
    configure(LogSettings(format="console"), stream)
    get_logger("x").info("odd", plain="BTC", spaced="a b", count=3, symbol="a\x1b[2J", back="a\\b")
    _, _, shown = stream.getvalue().partition("odd ")
    assert sorted(shown.split(maxsplit=1)[1].rstrip("\n").split(" ")) == sorted(
        [r"back='a\\b'", r"count=3", r"plain=BTC", r"spaced='a", r"b'", r"symbol='a\x1b[2J'"]
    )


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_controls_no_terminal_and_poses_as_no_event(stream: io.StringIO, style: str) -> None:
    configure(LogSettings.model_validate({"format": style}), stream)
    try:
        raise LookupError(f"{HOSTILE}\n2024-01-01T00:00:00Z [info] all is well")
    except LookupError:
        get_logger("x").exception("failed")
    assert obeyed(stream.getvalue()) == ""
    assert "\n2024" not in stream.getvalue()


def test_on_a_terminal_the_colours_are_the_only_thing_it_obeys(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    with on_terminal(monkeypatch) as terminal:
        configure(LogSettings())
        get_logger("x").info(HOSTILE, symbol=HOSTILE, spaced=f"a {HOSTILE}")
        drawn = terminal.drawn()
    assert "\x1b[" in drawn
    assert obeyed_on_a_terminal(drawn.encode()) == ""
