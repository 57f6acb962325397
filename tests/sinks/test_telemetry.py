"""The page shows what the workers have counted."""

from types import SimpleNamespace

import msgspec

from obflow.metrics import Metrics
from schemas.logs import Position
from schemas.messages import Source
from sinks.batching import RowBatch
from sinks.counts import Counts
from sinks.tables import TABLES
from sinks.telemetry import Telemetry
from sinks.writer import WrittenBatch
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import entry
from tests.support.manual_clock import ManualClock

NOW_NS = 1_700_000_000_000_000_000


def shown(*tables: tuple[str, Counts]) -> Metrics:
    metrics = Metrics("sink")
    workers = [SimpleNamespace(table=TABLES[name], counts=counts) for name, counts in tables]
    Telemetry(metrics, ManualClock()).show(workers)  # type: ignore[arg-type] # all that is looked at
    return metrics


def test_counts_of_all_tables_are_on_one_page() -> None:
    page = shown(
        ("factors", Counts(records=5, rows=9, repeated=4, equal=1, different=2, unchecked=1, letters=1)),
        ("trades", Counts(records=7, rows=7, letters=2, expired=3, refused={"DecodeError": 2}, lags={3: 11})),
    )

    assert page.value("obflow_received_total", source="trades.v1") == 7
    assert page.value("obflow_stored_total", table="factors") == 9
    assert page.value("obflow_repeated_total", state="different") == 2
    assert page.value("obflow_emitted_total", topic="dead-letters.v1") == 3
    assert page.value("obflow_rejected_total", reason="expired") == 3
    assert page.value("obflow_dead_lettered_total", reason="DecodeError") == 2
    assert page.value("obflow_dead_lettered_total", reason="expired") == 0
    assert page.value("obflow_lag_records", topic="trades.v1", partition="3") == 11


def test_the_age_of_what_is_not_stored_is_its_kafka_time() -> None:
    metrics, clock = Metrics("sink"), ManualClock(NOW_NS)
    feed = SimpleNamespace(table=TABLES["trades"], counts=Counts(oldest_ns=NOW_NS - 1_500_000_000))
    telemetry = Telemetry(metrics, clock)
    telemetry.show([feed])  # type: ignore[list-item] # all that is looked at
    assert metrics.value("obflow_lag_seconds", topic="trades.v1") == 1.5

    clock.advance(10)
    telemetry.show([feed])  # type: ignore[list-item] # a worker that failed counts no more, and its records grow old
    assert metrics.value("obflow_lag_seconds", topic="trades.v1") == 11.5

    feed.counts.oldest_ns = None
    telemetry.show([feed])  # type: ignore[list-item] # as above
    assert metrics.value("obflow_lag_seconds", topic="trades.v1") == 0


def test_inserts_that_failed_and_those_sent_again_are_counted_by_table() -> None:
    page = shown(("trades", Counts(failed_inserts=2, retried_inserts=5)), ("factors", Counts()))

    assert page.value("obflow_insert_failures_total", table="trades") == 2
    assert page.value("obflow_retries_total", stage="insert trades") == 5
    assert 'obflow_insert_failures_total{table="factors"} 0.0' in page.page()


def test_the_lag_of_a_partition_that_another_sink_has_now_is_on_this_page_no_more() -> None:
    metrics = Metrics("sink")
    feed = SimpleNamespace(table=TABLES["trades"], counts=Counts(lags={3: 11, 4: 2}, fenced=1))
    telemetry = Telemetry(metrics, ManualClock())
    telemetry.show([feed])  # type: ignore[list-item] # all that is looked at
    feed.counts.lags = {4: 5}
    telemetry.show([feed])  # type: ignore[list-item] # as above

    lags = [line for line in metrics.page().splitlines() if line.startswith("obflow_lag_records{")]
    assert lags == ['obflow_lag_records{partition="4",topic="trades.v1"} 5.0']
    assert metrics.value("obflow_fenced_inserts_total", table="trades") == 1


def test_the_age_of_stored_records_is_measured_for_sources_of_now_alone() -> None:
    metrics, clock = Metrics("sink"), ManualClock()
    trade = load(EXAMPLES / "trades/v1/buy.json")
    batch = RowBatch(TABLES["trades"])
    for offset, source in enumerate((Source.LIVE, Source.REPLAY)):
        batch.add(entry(Position("a", 0, offset), msgspec.structs.replace(trade, source=source), "trades"))
    clock.step_wall(batch.entries[0].rows[0][4] / 1e9 + 2)
    Telemetry(metrics, clock).written(batch, WrittenBatch(2, 0, 0.5))

    name, stage = "obflow_stage_latency_seconds", {"stage": "stored trades"}
    assert metrics.registry.get_sample_value(f"{name}_count", stage) == 1
    assert abs((metrics.registry.get_sample_value(f"{name}_sum", stage) or 0) - 2) < 0.01
