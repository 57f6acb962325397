"""The demo, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from pathlib import Path

import pytest

from embedded.demo.command import NOTHING_STORED, STOPPING, YOUR_MODEL
from embedded.demo.instruments import THREE_VENUES
from embedded.demo.plan import SHUTDOWN_S, free_port
from obflow.lifecycle import ECHO_SECONDS
from tests.integration.llm_server import llm_server
from tests.support.patience import patient
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SMALL = ("--venue", "binance-futures", "--symbol", "BTCUSDT", "--workers", "1")
MARK = "OBFLOW_RECORDINGS"  # any variable the children inherit and nobody here reads
START_S = 120.0


def start(mark: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "obflow", "demo", *words],
        env={**os.environ, MARK: mark, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(mark: str) -> list[str]:
    """Processes that still carry the demo's mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended while we looked
    return found


def test_a_short_demo_stores_what_it_received_and_leaves_no_process(tmp_path: Path) -> None:
    """Three venues, every stage, and calls of the language model: here one that hangs, so that some are given up.

    Its flags reach the roles: each book is thinner than they ask for, and the topics have a prefix.
    """
    mark = f"demo-{uuid.uuid4()}"
    with llm_server("hang") as server:
        asked = {"OBFLOW_REGIMES__BASE_URL": server.url, "OBFLOW_REGIMES__MODEL": "small-model"}
        flags = ("--set", "kafka.topic_prefix=apart.", "--set", "processor.thin_notional=1e15")
        soon = ("--set", "regimes.warmup_windows=1")  # a label that is new after 10 s is asked about, or its minute
        running = start(
            mark, "--for", f"{patient(60.0):.0f}s", "--json", "--data", str(tmp_path), *flags, *soon, **asked
        )
        assert eventually(lambda: bool(server.asked) or running.poll() is not None, START_S + 60.0)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=patient(START_S + 60.0))
    assert running.returncode == 0, err[-4000:]
    result = json.loads(out.splitlines()[-1])
    assert result["messages"] > 0
    assert result["factors"] > 0
    assert result["books_live"] > 0
    assert (result["lost"], result["duplicates"]) == (0, 0)
    assert result["rows"]["factors"] == result["factors"]
    assert result["rows"]["trades"] > 0
    assert " 0.0% OK" in err
    assert "not drained" not in err
    assert result["rows"]["regimes"] > 0
    assert result["rows"]["quotes"] > 0
    assert {line.partition(":")[0] for line in err.splitlines() if " events, " in line} == set(THREE_VENUES)
    assert result["rows"]["llm_calls"] == len(server.asked) > 0
    assert result["latency_ms"]["p50"] is not None
    assert left_behind(mark) == []
    assert read_again(err) == result["rows"]["factors"]


def read_again(told: str) -> int:
    """Count the factors with the words that a demo has told at its end."""
    [words] = [line for line in told.splitlines() if line.startswith("read the tables again: ")]
    command = shlex.split(words.partition(".venv/bin/obflow ")[2])
    place = {**os.environ, "OBFLOW_CLICKHOUSE__PORT": str(free_port())}
    obflow = [sys.executable, "-m", "obflow"]
    with subprocess.Popen([*obflow, *command], env=place, stderr=subprocess.PIPE, text=True) as engine:
        try:
            told_until(engine, "ClickHouse ")
            asked = [*obflow, "query", "SELECT count() FROM factors"]
            return int(
                subprocess.run(asked, env=place, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
            )
        finally:
            engine.terminate()


def told_until(running: subprocess.Popen[str], beginning: str) -> None:
    """Read what a demo tells up to the line that begins so."""
    assert running.stderr is not None
    told = deque[str](maxlen=30)
    for line in running.stderr:
        if line.startswith(beginning):
            return
        told.append(line)
    raise AssertionError(f"it ended before it told {beginning!r}:\n{''.join(told)}")


def summed_up(running: subprocess.Popen[str], number: signal.Signals) -> str:
    """Ask a demo to end, and give what it told from then on."""
    asked = time.monotonic()
    running.send_signal(number)
    _, err = running.communicate(timeout=patient(SHUTDOWN_S))
    assert running.returncode == 0, err
    assert time.monotonic() - asked < patient(SHUTDOWN_S)
    assert STOPPING.partition("{")[0] in err
    return err.rstrip()


@pytest.mark.exhaustive
def test_a_signal_while_the_demo_starts_sums_up_that_nothing_came() -> None:
    mark = f"demo-{uuid.uuid4()}"
    running = start(mark, *SMALL)
    told_until(running, "Kafka broker")
    assert summed_up(running, signal.SIGTERM).endswith(NOTHING_STORED)
    assert left_behind(mark) == []


def process_of(mark: str, *words: str) -> int:
    """The process of a demo that runs these words."""
    wanted = b"\0".join(word.encode() for word in words)
    (found,) = (
        process
        for process in Path("/proc").glob("[0-9]*")
        if wanted in read_or_nothing(process / "cmdline")
        and not read_or_nothing(process / "cmdline").startswith(b"/bin/sh")
        and f"{MARK}={mark}\0".encode() in read_or_nothing(process / "environ")
    )
    return int(found.name)


def read_or_nothing(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.exhaustive
def test_a_killed_broker_and_a_killed_engine_come_back_and_nothing_is_lost() -> None:
    mark = f"demo-{uuid.uuid4()}"
    running = start(mark, *SMALL)
    told_until(running, "first factor event")
    for name, words in {
        "the Kafka broker": ("kafka.Kafka",),
        "the ClickHouse engine": ("-m", "embedded.clickhouse_server"),
    }.items():
        killed = time.monotonic()
        os.kill(process_of(mark, *words), signal.SIGKILL)
        told_until(running, f"{name} ended")
        assert time.monotonic() - killed < patient(5.0)
        told_until(running, f"{name} serves again")
    told_until(running, "sink")  # a whole picture, drawn with both of them
    *_, whole, scripted = summed_up(running, signal.SIGINT).splitlines()
    assert whole.endswith("lost 0, duplicates 0")
    assert scripted == YOUR_MODEL
    assert left_behind(mark) == []


@pytest.mark.exhaustive
def test_a_second_ctrl_c_cuts_the_drain_off_and_leaves_no_process() -> None:
    mark = f"demo-{uuid.uuid4()}"
    running = start(mark, *SMALL)
    told_until(running, "topics and tables")
    running.send_signal(signal.SIGINT)
    told_until(running, STOPPING.partition("{")[0])
    time.sleep(ECHO_SECONDS)
    again = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=patient(30.0))
    took = time.monotonic() - again
    assert (running.returncode, "cut off" in err) == (1, True)
    assert took < patient(2.0)
    assert eventually_nothing(mark)


def eventually_nothing(mark: str) -> bool:
    """Whether the watchers have cleared what a process that ended at once had running."""
    until = time.monotonic() + patient(5.0)
    while left_behind(mark) and time.monotonic() < until:
        time.sleep(0.05)
    return left_behind(mark) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--source", "recording"), "name one with --recording FILE"),
        (("--source", "recording", "--recording", "/nowhere/x"), "there is no recording /nowhere/x"),
        (("--venue", "foo"), "the source simulator knows no venue foo"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_starts(words: tuple[str, ...], sentence: str) -> None:
    running = start("refused", *words)
    _, err = running.communicate(timeout=patient(30.0))
    assert running.returncode == 2
    assert sentence in err
    assert len(err.splitlines()) == 1
