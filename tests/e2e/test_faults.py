"""Processes are killed under load, and what is stored is still exact: nothing lost, nothing doubled, the same digest.

What disturbs them runs in small with every test; `make faults` runs the whole recording under 24 symbols.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from embedded.supervisor import NEVER
from producers.recordings.multiply import copy_names
from research.audit import Audit, audit
from schemas.messages import InstrumentKey
from tests.conftest import RECORDINGS
from tests.e2e.pipeline import FactorLog, Pipeline, first_diffs, pipeline, run_json
from tests.integration.stored import stored_digests

FULL = os.environ.get("TEST_SCALE") == "full"
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3_600 if FULL else 900)]
VENUE = "binance-futures"
RECORDED = RECORDINGS / VENUE / "BTCUSDT-20240808.frames.jsonl.gz"
GENERATED = Path(__file__).parents[1] / "recordings" / "binance-futures.frames.jsonl.gz"
COPIES = 24 if FULL else 5
DIFFS = None if FULL else 504
DEADLINE_S = 900.0 if FULL else 120.0


class Replayed(NamedTuple):
    """What the replay in memory says of one instrument."""

    events: int
    digest: str


@dataclass
class Input:
    """The recording under test and what the replay in memory says of it: what every way through Kafka must equal."""

    path: Path
    instruments: dict[str, Replayed]

    @property
    def events(self) -> int:
        """Events of all copies."""
        return COPIES * sum(replayed.events for replayed in self.instruments.values())

    @property
    def copies(self) -> dict[InstrumentKey, Replayed]:
        """What each copy's is."""
        return {
            InstrumentKey(VENUE, name): replayed
            for symbol, replayed in self.instruments.items()
            for name in copy_names(symbol, COPIES)
        }


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = RECORDED if RECORDED.exists() else GENERATED
    if DIFFS is None:
        return source
    return first_diffs(source, DIFFS, tmp_path_factory.mktemp("recording") / "head.frames.jsonl.gz")


@pytest.fixture(scope="module")
def expected(recording: Path) -> Input:
    found = run_json("factors", str(recording), "--venue", VENUE, "--digest")["instruments"]
    return Input(recording, {symbol: Replayed(one["events"], one["digest"]) for symbol, one in found.items()})


def start_workers(running: Pipeline) -> None:
    """Two processors that share the partitions, and the sink."""
    running.start_role("processor-1", "process")
    running.start_role("processor-2", "process")
    running.start_role("sink", "sink")
    running.wait_until("two workers own partitions", lambda: running.share("processor-1", "processor-2"), 60.0)


def start_workers_beside(running: Pipeline, other: str) -> None:
    """One healthy processor beside another that is already started, and the sink."""
    running.start_role("processor-2", "process")
    running.start_role("sink", "sink")
    running.wait_until(f"{other} and a second worker own partitions", lambda: running.share(other, "processor-2"), 60.0)


def start_replay(running: Pipeline, path: Path) -> None:
    """The recording at full speed under every symbol."""
    running.start_role("replay", "replay", str(path), "--venue", VENUE, "--copies", str(COPIES), "--speed", "max")


def settled(running: Pipeline, log: FactorLog, expected: Input) -> Audit:
    """Wait until every event is on the log and stored, and audit what came of it."""
    wanted = expected.events
    running.wait_until(f"{wanted} events", lambda: len(log.emitted.identities) >= wanted, DEADLINE_S)
    running.wait_until(f"{wanted} rows", lambda: running.count("factors") >= wanted, DEADLINE_S)
    running.wait_until("the replay ends", lambda: not running.roles.child("replay").is_running(), DEADLINE_S)
    running.wait_until("every trade stored", lambda: running.is_read(running.settings.sink.group), DEADLINE_S)
    return audit(running.settings)


def assert_exact(running: Pipeline, found: Audit, expected: Input) -> None:
    """Nothing lost, nothing doubled, every instrument's digest that of the replay in memory."""
    assert found.lost == 0
    assert found.duplicates == 0
    assert {str(name): counted["expected"] for name, counted in found.instruments.items()} == {
        str(name): replayed.events for name, replayed in expected.copies.items()
    }
    with running.client() as client:
        assert stored_digests(client) == expected.copies


@pytest.mark.skipif(
    not FULL, reason="in `make faults`: the same holds below with a kill on top, and in tests/e2e/test_demo.py"
)
def test_at_full_speed_nothing_is_lost_or_doubled(tmp_path: Path, expected: Input) -> None:
    with pipeline(tmp_path) as running:
        log = FactorLog(running.settings)
        start_workers(running)
        start_replay(running, expected.path)
        found = settled(running, log, expected)
        log.close()
        assert_exact(running, found, expected)
        print_figures("undisturbed", expected, log, found)


def test_a_killed_worker_and_a_killed_sink_lose_and_double_nothing(tmp_path: Path, expected: Input) -> None:
    with pipeline(tmp_path) as running:
        wanted = expected.events
        log = FactorLog(running.settings)
        start_workers(running)
        doomed = running.partitions("processor-1")
        start_replay(running, expected.path)
        running.wait_until("30 % of the events", lambda: len(log.emitted.identities) >= 0.3 * wanted, DEADLINE_S)
        running.wait_until("its own events", lambda: bool(doomed & log.emitted.partitions), DEADLINE_S)
        running.kill("processor-1")
        at_kill = len(log.emitted.identities)
        assert at_kill <= 0.7 * wanted
        running.wait_until("events after the kill", lambda: len(log.emitted.identities) > at_kill, DEADLINE_S)
        running.kill("sink")
        found = settled(running, log, expected)
        log.close()
        assert_exact(running, found, expected)
        assert log.emitted.repeated > 0
        assert found.reemitted == log.emitted.repeated
        assert running.roles.restarts("processor-1") >= 1
        assert running.roles.restarts("sink") >= 1
        print_figures(f"worker killed at {at_kill / wanted:.0%}, then the sink", expected, log, found)


@pytest.mark.exhaustive
def test_a_failed_factor_send_ends_the_worker_and_loses_nothing(tmp_path: Path, expected: Input) -> None:
    with pipeline(tmp_path) as running:
        log = FactorLog(running.settings)
        running.start_role("failing", "process", environment={"OBFLOW_FAULT_FAIL_SEND": "3"}, restart=NEVER)
        start_workers_beside(running, "failing")
        start_replay(running, expected.path)
        failing = running.roles.child("failing")
        running.wait_until("the worker ends", lambda: not failing.is_running(), DEADLINE_S)
        assert failing.exit_code == 1
        found = settled(running, log, expected)
        log.close()
        assert_exact(running, found, expected)
        print_figures("one failed send", expected, log, found)


def print_figures(what: str, expected: Input, log: FactorLog, found: Audit) -> None:
    each = ", ".join(f"{symbol} {one.events} events {one.digest[:16]}" for symbol, one in expected.instruments.items())
    print(  # noqa: T201 - the figures of `make faults`
        f"\n{what}: lost {found.lost}, duplicates {found.duplicates}, re-emitted {log.emitted.repeated},"
        f" digest as in memory on each of {COPIES} copies of {each}"
    )
