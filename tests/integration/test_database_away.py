"""The database goes away under load: the sink waits in few lines and little memory, and is exact once it is back."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from embedded.clickhouse import EmbeddedClickHouse
from obflow.settings import ClickHouseSettings
from schemas.digest import digest
from tests.integration.backends import free_port
from tests.integration.sinking import Sink, opened, pipeline, run_until, wait_for
from tests.integration.test_sink import KILLED, Resender, nothing_left, rows_of, stored_events, wait_for_progress
from tests.sinks.records import event
from tests.support.patience import patient
from tests.support.servers import started

pytestmark = [pytest.mark.integration, pytest.mark.slow]

AWAY_S = 180.0 if os.environ.get("TEST_SCALE") == "full" else 15.0
LINES_A_SECOND = 2.0
GROWTH_MIB = 150.0
"""What is buffered: `sink.max_buffered_rows` of two tables, and what the broker's client fetches ahead."""


@pytest.mark.usefixtures("own_servers")
def test_a_database_that_is_away_under_load_costs_no_row_no_person_and_few_lines(broker: str, tmp_path: Path) -> None:
    with started(EmbeddedClickHouse(tmp_path / "engine", port=free_port())) as engine:
        where = ClickHouseSettings(host=engine.host, port=engine.port, database="away")
        settings = pipeline(broker, where)
        sender, enough = Resender(settings, instruments=24, seed=7), threading.Event()
        sending = threading.Thread(target=sender.run, args=(enough,), daemon=True)
        sending.start()
        try:
            with Sink(settings, tmp_path / "sink.log", *KILLED) as sink:
                wait_for_progress(settings, sink)
                wait_for(lambda: sink.log.count("table_opened") == 2, 30, "the sink's last lines of its start")
                own = psutil.Process(sink.process.pid)
                lines, memory = len(sink.log.splitlines()), own.memory_info().rss
                engine.kill()
                time.sleep(AWAY_S)
                assert sink.process.poll() is None, sink.log
                told, grown_mib = sink.log.splitlines()[lines:], (own.memory_info().rss - memory) / 1024**2
                engine.start(patient(60.0))
                wait_for_progress(settings, sink)
                enough.set()
                sending.join(patient(20))
                with opened(where) as store:
                    total = sum(sender.events.values())
                    wait_for(lambda: rows_of(store, "factors") == total, 60, "every event")
                assert sink.stop()[0] == 0, sink.log
        finally:
            enough.set()
        run_until(settings, nothing_left, "factors", "dead_letters", seconds=40)
        with opened(where) as store:
            events, letters = stored_events(store), rows_of(store, "dead_letters")
    of_records = '"event":"record_refused"'  # the source sends some that nobody can read, all the while
    own_lines = [line for line in told if '"logger":"sinks.' in line and of_records not in line]
    print(  # noqa: T201
        f"away {AWAY_S:.0f} s: {total} events, {len(told)} lines, {len(own_lines)} of them our own, "
        f"at most {most_a_second(told)} in one second, {grown_mib:.1f} MiB more"
    )

    assert len(told) <= LINES_A_SECOND * AWAY_S
    assert 1 <= len(own_lines) <= 2 + AWAY_S / 10
    assert grown_mib < GROWTH_MIB
    assert letters == sender.poison
    want = {symbol: digest(map(event, range(count))) for symbol, count in sender.events.items()}
    assert {symbol: digest(found) for symbol, found in events.items()} == want


def most_a_second(lines: list[str]) -> int:
    """The most lines with one second's time."""
    seconds = Counter(
        line[place : place + len("2026-01-01T00:00:00")] for line in lines if (place := line.find("202")) >= 0
    )
    return max(seconds.values(), default=0)
