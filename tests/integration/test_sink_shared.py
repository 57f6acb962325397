"""Sinks share a topic's partitions: started together, added, taken away and suspended, every row is stored once.

`make test` runs a slice; `OBFLOW_FUZZ=all` starts 50 times and suspends 20 times. ADR 0030 has what was measured.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from obflow.settings import ClickHouseSettings, Settings
from schemas.topics import FACTORS
from sinks.store import Store
from tests.integration.sinking import Feed, Sink, opened, pipeline, wait_for
from tests.sinks.records import factors
from tests.support.tiers import tiered
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]

WHOLE = os.environ.get("OBFLOW_FUZZ") == "all"
STARTS = 50 if WHOLE else 2
STOPS = 20 if WHOLE else 1
SYMBOLS = [f"S{number:02d}" for number in range(12)]
FORGOTTEN_S = 7.0
"""Longer than the session of a member that is suspended."""


class Load:
    """A source that sends a few events of every instrument, many times a second, until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self.rows = 0
        self._feed = Feed(settings, FACTORS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def send(self) -> None:
        first = self.rows // len(SYMBOLS)
        for symbol in SYMBOLS:
            self._feed.send(factors(symbol, [first, first + 1]))
        self._feed.flush()
        self.rows += 2 * len(SYMBOLS)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            self.send()

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def counted(store: Store) -> tuple[int, int]:
    """Rows, and identities among them."""
    [(rows, identities)] = store.query(
        "SELECT count(), uniqExact(venue, symbol, source_log, source_partition, source_offset) FROM factors"
    )
    return rows, identities


@contextmanager
def shared(broker: str, clickhouse: ClickHouseSettings) -> Iterator[tuple[Settings, Store]]:
    settings = pipeline(broker, clickhouse, flush_rows=200)
    with opened(clickhouse) as store:
        store.command("TRUNCATE TABLE factors")
        yield settings, store


def all_stored(store: Store, rows: int) -> bool:
    return eventually(lambda: counted(store)[1] >= rows, 60)


@pytest.mark.parametrize("sinks", range(STARTS) if WHOLE else tiered(range(STARTS), 0))
def test_sinks_started_in_the_same_second_store_every_row_once(
    sinks: int, broker: str, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    with shared(broker, clickhouse) as (settings, store), ExitStack() as running:
        load = Load(settings)
        for _ in range(50):
            load.send()
        with load:
            many = [
                running.enter_context(Sink(settings, tmp_path / f"{number}.log", "--table=factors"))
                for number in range(2 + sinks % 2)
            ]
            wait_for(lambda: counted(store)[0] > 50 * 2 * len(SYMBOLS), 40, "what was there, and more")
        assert all_stored(store, load.rows), [sink.log for sink in many]
        assert counted(store) == (load.rows, load.rows)


@pytest.mark.exhaustive
@pytest.mark.parametrize("stop", range(STOPS))
def test_more_and_fewer_sinks_and_one_that_slept_store_every_row_once(
    stop: int, broker: str, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    def sink(number: int) -> Sink:
        return running.enter_context(Sink(settings, tmp_path / f"{number}.log", "--table=factors"))

    with shared(broker, clickhouse) as (settings, store), ExitStack() as running:
        with Load(settings) as load:
            first = sink(0)
            wait_for(lambda: counted(store)[0] > 0, 40, "rows of one sink")
            others = [sink(1), sink(2)]
            wait_for(lambda: all("table_opened" in other.log for other in others), 40, "three sinks")
            assert others[0].stop()[0] == 0, others[0].log
            first.process.send_signal(signal.SIGSTOP)
            time.sleep(FORGOTTEN_S + stop % 5)
            before = counted(store)[0]
            wait_for(lambda: counted(store)[0] > before, 40, "rows of the one that is left")
            opened_before = first.log.count("table_opened")
            first.process.send_signal(signal.SIGCONT)
            wait_for(lambda: first.log.count("table_opened") > opened_before, 40, "that it hears of its sleep")
        assert all_stored(store, load.rows), first.log + others[1].log
        assert counted(store) == (load.rows, load.rows)
        assert first.stop()[0] == 0, first.log
