"""Factor records decoded many at a time, between a real broker and a real engine: the rows of the way one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from obflow.metrics import Metrics
from obflow.settings import ClickHouseSettings, Settings
from schemas.codec import encode
from schemas.topics import FACTORS
from sinks import service
from sinks.contract import selection
from sinks.counts import Counts
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.sinking import Feed, opened, pipeline, read_all, run_until
from tests.sinks.records import factors

pytestmark = pytest.mark.integration

ORDER = "ORDER BY symbol, source_offset"
ROWS = f"SELECT {selection(TABLES['factors'])}, k_log, k_part, k_off FROM factors {ORDER}"  # noqa: S608 (our own names)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "币安人生", "É€")


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    """A pipeline of the test's own."""
    return pipeline(broker, clickhouse, flush_rows=40)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with opened(settings.clickhouse) as found:
        yield found


def send(settings: Settings, first: int, last: int, *damaged: int) -> int:
    """Write records of three events of each instrument; those at the named offsets are cut. How many were written."""
    feed = Feed(settings, FACTORS)
    for offset in range(first, last, 3):
        for symbol in SYMBOLS:
            payload = encode(factors(symbol, [offset, offset + 1, offset + 2], source_log="another1"))
            is_damaged = offset in damaged and symbol == SYMBOLS[0]
            feed.send_bytes(payload[:-7] if is_damaged else payload, f"binance-futures:{symbol}")
    feed.flush()
    return feed.sent


def emptied(store: Store, *tables: str) -> None:
    for table in tables:
        store.command(f"TRUNCATE TABLE {table} SYNC")


def run(settings: Settings, records: int, metrics: Metrics | None = None) -> Mapping[str, Counts]:
    return run_until(settings, read_all(records), "factors", seconds=60, metrics=metrics)


def test_both_ways_store_the_same_rows_and_put_the_same_record_aside(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, page = send(settings, 0, 60, 30), Metrics("sink")
    at_once = run(settings, sent, page)["factors"]
    found = store.query(ROWS)
    emptied(store, "factors", "sink_claims")
    monkeypatch.setattr(service, "decoder_of", lambda tables, cache: None)
    one_by_one = run(settings, sent)["factors"]

    assert (at_once.compiled, at_once.referred) == (sent - 1, 1)
    assert page.value("obflow_compiled_total", by="compiled") == sent - 1
    assert (one_by_one.compiled, one_by_one.referred) == (0, 0)
    assert found == store.query(ROWS)
    assert len(found) == 3 * (sent - 1)
    assert at_once.refused == one_by_one.refused == {"DecodeError": 1}


@pytest.mark.exhaustive
def test_a_sink_goes_on_where_one_of_the_other_way_has_stopped(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send(settings, 0, 30)
    assert run(settings, sent)["factors"].compiled == sent
    more = send(settings, 30, 60)
    with monkeypatch.context() as patch:
        patch.setattr(service, "decoder_of", lambda tables, cache: None)
        assert run(settings, more)["factors"].rows == 3 * more
    again = send(settings, 57, 63)
    counts = run(settings, again)["factors"]

    assert (counts.records, counts.rows, counts.repeated, counts.different) == (again, 12, 12, 0)
    assert counts.compiled == again
    [(stored, distinct)] = store.query("SELECT count(), uniqExact(symbol, source_offset) FROM factors")
    assert stored == distinct == 63 * len(SYMBOLS)
