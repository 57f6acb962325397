"""The broker goes away under a sink that stores: it waits in few lines, nobody starts it again, and all is exact.

`make test` has its kind in tests/integration/test_processor_broker_away.py.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from embedded.kafka import EmbeddedKafka
from obflow.settings import ClickHouseSettings, Settings
from schemas.topics import FACTORS
from tests.integration.backends import free_port
from tests.integration.sinking import Feed, Sink, opened, pipeline, wait_for
from tests.integration.test_database_away import AWAY_S, LINES_A_SECOND, most_a_second
from tests.integration.test_sink import KILLED, rows_of, stored_events, wait_for_progress
from tests.sinks.records import event, factors
from tests.support.servers import started

pytestmark = [pytest.mark.exhaustive, pytest.mark.integration, pytest.mark.slow]

SYMBOLS = [f"S{number:02d}" for number in range(24)]


def send(settings: Settings, first: int, end: int) -> None:
    feed = Feed(settings, FACTORS)
    for offset in range(first, end, 4):
        for number, symbol in enumerate(SYMBOLS):
            feed.send(factors(symbol, list(range(offset, offset + 4)), partition=number % 8))
    feed.flush()


@pytest.mark.usefixtures("own_servers")
def test_a_broker_that_is_away_costs_a_sink_no_row_no_person_and_few_lines(
    clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    with started(EmbeddedKafka(tmp_path / "broker", port=free_port())) as broker:
        settings = pipeline(broker.bootstrap, clickhouse, flush_rows=100)
        send(settings, 0, 400)
        with Sink(settings, tmp_path / "sink.log", *KILLED) as sink, opened(clickhouse) as store:
            wait_for_progress(settings, sink)
            wait_for(lambda: sink.log.count("table_opened") == 2, 30, "the sink's last lines of its start")
            lines = len(sink.log.splitlines())
            broker.kill()
            time.sleep(AWAY_S)
            told = sink.log.splitlines()[lines:]
            broker.start()
            send(settings, 400, 440)
            total = 440 * len(SYMBOLS)
            wait_for(lambda: rows_of(store, "factors") == total or sink.process.poll() is not None, 60, "every event")
            events = stored_events(store)
            assert sink.stop()[0] == 0, sink.log
    own = [line for line in told if '"logger":"sinks.' in line]
    print(f"away {AWAY_S:.0f} s: {len(told)} lines, {len(own)} our own, at most {most_a_second(told)} in one second")  # noqa: T201

    assert len(own) <= LINES_A_SECOND * AWAY_S / 10
    assert events == {symbol: [event(offset) for offset in range(440)] for symbol in SYMBOLS}
