"""Sinks killed one after another, and suspended in the middle of an insert, under load: every row is stored once.

With `TEST_SCALE=full`: 20 kills, 50 suspensions of 5 to 60 s. `TEST_KILLS`, `TEST_STOPS` and `TEST_SLEPT_S` set other
sizes. What happens to a few of them is in test_sink_shared.py with every test.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from obflow.settings import ClickHouseSettings
from sinks.store import Store
from tests.integration.sinking import Sink, wait_for
from tests.integration.test_sink_shared import Load, all_stored, counted, shared
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(7_200),
    pytest.mark.skipif(os.environ.get("TEST_SCALE") != "full", reason="takes minutes: TEST_SCALE=full"),
]

KILLS = int(os.environ.get("TEST_KILLS", "20"))
STOPS = int(os.environ.get("TEST_STOPS", "50"))
LONGEST_S = float(os.environ.get("TEST_SLEPT_S", "60"))
SHORTEST_S = 5.0
WAIT_S = 60.0
RUNNING = "SELECT query_id, query FROM system.processes WHERE query LIKE 'INSERT INTO factors%'"


def partitions(sink: Sink) -> list[int]:
    """The partitions of its table that a sink opened last."""
    opened = [line for line in sink.log.splitlines() if '"table_opened"' in line]
    return list(json.loads(opened[-1])["partitions"]) if opened else []


def inserts_of(store: Store, sink: Sink) -> set[str]:
    """Names of its inserts that run: those under a claim of its partitions."""
    own = f"k_part IN ({', '.join(map(str, partitions(sink)))})"
    return {query_id for query_id, query in store.query(RUNNING) if own in query}


def suspended_in_an_insert(store: Store, sink: Sink) -> bool:
    """Suspend a sink while an insert of its own runs, which is known to run still when it stands."""
    running = inserts_of(store, sink)
    if not running:
        return False
    sink.process.send_signal(signal.SIGSTOP)
    if running & inserts_of(store, sink):
        return True
    sink.process.send_signal(signal.SIGCONT)
    return False


def more_stored(store: Store) -> None:
    before = counted(store)[1]
    wait_for(lambda: counted(store)[1] > before, WAIT_S, "more rows")


def figures(sentence: str) -> None:
    print(f"\n{sentence}")  # noqa: T201 - the figures of a series


def test_one_of_three_killed_again_and_again_stores_every_row_once(
    broker: str, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    random = Random(30)
    with shared(broker, clickhouse) as (settings, store), ExitStack() as running:

        def started(number: int) -> Sink:
            sink = running.enter_context(Sink(settings, tmp_path / f"{number}.log", "--table=factors"))
            wait_for(lambda: bool(partitions(sink)), WAIT_S, "that it has partitions")
            return sink

        with Load(settings) as load:
            sinks = [started(number) for number in range(3)]
            for kill in range(KILLS):
                more_stored(store)
                doomed = random.randrange(3)
                sinks[doomed].kill()
                sinks[doomed] = started(3 + kill)
        assert all_stored(store, load.rows), [sink.log for sink in sinks]
        found = counted(store)
        figures(f"{KILLS} kills of one of three sinks: {load.rows:,} rows, {found[0] - found[1]} doubled, 0 lost")
        assert found == (load.rows, load.rows)


def test_a_sink_suspended_in_the_middle_of_an_insert_stores_every_row_once(
    broker: str, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    random, slept = Random(50), list[float]()
    with shared(broker, clickhouse) as (settings, store), ExitStack() as running:
        with Load(settings) as load:
            sinks = [
                running.enter_context(Sink(settings, tmp_path / f"{number}.log", "--table=factors"))
                for number in range(2)
            ]
            wait_for(lambda: all(map(partitions, sinks)), WAIT_S, "that both have partitions")
            for stop in range(STOPS):
                sink, other = sinks[stop % 2], sinks[1 - stop % 2]
                wait_for(lambda sink=sink: bool(partitions(sink)), WAIT_S, "that it has partitions")
                wait_for(lambda sink=sink: suspended_in_an_insert(store, sink), WAIT_S, "an insert of its own")
                slept.append(random.uniform(SHORTEST_S, LONGEST_S))
                time.sleep(slept[-1])
                assert other.process.poll() is None, other.log
                sink.process.send_signal(signal.SIGCONT)
                more_stored(store)
        assert all_stored(store, load.rows), [sink.log for sink in sinks]
        found, fenced = counted(store), sum(sink.log.count("fenced") for sink in sinks)
        figures(
            f"{len(slept)} suspensions in an insert, {min(slept):.0f} to {max(slept):.0f} s: {load.rows:,} rows, "
            f"{found[0] - found[1]} doubled, 0 lost, the log says fenced {fenced} times"
        )
        assert found == (load.rows, load.rows)
        assert eventually(lambda: all(sink.process.poll() is None for sink in sinks), 1)
