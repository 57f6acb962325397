"""Puts what the workers count on the metrics page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from obflow.clock import Clock
from obflow.kafka_statistics import ClientStatistics
from obflow.metrics import Metrics
from schemas.messages import Source
from schemas.topics import DEAD_LETTERS
from schemas.units import NS_PER_SECOND
from sinks.batching import RowBatch
from sinks.contract import Table
from sinks.feeds import TableFeed
from sinks.writer import WrittenBatch

NOW: Final = frozenset({Source.LIVE.value, Source.SIMULATOR.value})
"""Sources whose received times are of this moment, so that the time until a row is stored means something."""
EXPIRED: Final = "expired"
DROPPED: Final = "run_dropped"


class Telemetry:
    """The metrics of a sink.

    Args:
        metrics: The page.
        clock: Tells when rows were stored.
    """

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._lagging: dict[str, set[int]] = {}

    def client_options(self, table: Table[Any]) -> Mapping[str, object]:
        """Options of the client that reads a table's topic, so that its statistics are shown."""
        return ClientStatistics(self._metrics, f"table {table.name}").options

    def written(self, batch: RowBatch, written: WrittenBatch) -> None:
        """Note a stored batch: how long it took, and how old its records were when they could be queried."""
        if not batch.rows:
            return
        self._metrics.histogram("obflow_batch_seconds", stage=batch.table.name).observe(written.seconds)
        names = [column.name for column in batch.table.row_columns]
        if not {"source", "received_at"} <= set(names):
            return
        source, received = names.index("source"), names.index("received_at")
        latency = self._metrics.histogram("obflow_stage_latency_seconds", stage=f"stored {batch.table.name}")
        now_ns = self._clock.now_ns()
        for entry in batch.entries:
            row = entry.rows[-1]
            if row[source] in NOW:
                latency.observe((now_ns - row[received]) / NS_PER_SECOND)

    def show(self, feeds: Iterable[TableFeed]) -> None:
        """Bring the page up to what was counted, by table."""
        refused: Counter[str] = Counter()
        repeated: Counter[str] = Counter()
        letters = dropped = compiled = referred = 0
        for feed in feeds:
            self._show(feed)
            counts = feed.counts
            letters += counts.letters
            dropped += counts.dropped
            compiled += counts.compiled
            referred += counts.referred
            refused.update(dict(counts.refused))
            refused[EXPIRED] += counts.expired
            repeated["different"] += counts.different
            repeated["unchecked"] += counts.unchecked
            repeated["equal"] += counts.equal
        self._metrics.raise_to("obflow_emitted_total", letters, topic=DEAD_LETTERS.name)
        self._metrics.raise_to("obflow_ignored_total", dropped, reason=DROPPED)
        for by, records in (("compiled", compiled), ("referred", referred)) if compiled + referred else ():
            self._metrics.raise_to("obflow_compiled_total", records, by=by)
        for reason, records in refused.items():
            self._metrics.raise_to("obflow_rejected_total", records, reason=reason)
            if reason != EXPIRED:
                self._metrics.raise_to("obflow_dead_lettered_total", records, reason=reason)
        for state, rows in repeated.items():
            self._metrics.raise_to("obflow_repeated_total", rows, state=state)

    def _show(self, feed: TableFeed) -> None:
        table, counts = feed.table, feed.counts
        self._metrics.gauge("obflow_table_failing", table=table.name).set(counts.failing)
        self._metrics.gauge("obflow_missing_rows", table=table.name).set(counts.missing)
        self._metrics.raise_to("obflow_received_total", counts.records, source=table.topic.name)
        self._metrics.raise_to("obflow_stored_total", counts.rows, table=table.name)
        self._metrics.gauge("obflow_buffered_records", stage=table.name).set(counts.buffered_rows)
        self._metrics.raise_to("obflow_insert_failures_total", counts.failed_inserts, table=table.name)
        self._metrics.raise_to("obflow_fenced_inserts_total", counts.fenced, table=table.name)
        if counts.retried_inserts:
            self._metrics.raise_to("obflow_retries_total", counts.retried_inserts, stage=f"insert {table.name}")
        oldest_ns, now_ns = counts.oldest_ns, self._clock.now_ns()
        lag_s = 0.0 if oldest_ns is None else max(0.0, (now_ns - oldest_ns) / NS_PER_SECOND)
        self._metrics.gauge("obflow_lag_seconds", topic=table.topic.name).set(lag_s)
        lags = dict(counts.lags)
        for partition in self._lagging.get(table.name, set()) - lags.keys():  # another sink shows it now
            self._metrics.forget_gauge("obflow_lag_records", topic=table.topic.name, partition=str(partition))
        self._lagging[table.name] = set(lags)
        for partition, lag in lags.items():
            self._metrics.gauge("obflow_lag_records", topic=table.topic.name, partition=str(partition)).set(lag)
