"""What a worker counts, in the words of `obflow.metrics`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from obflow.health import PARTITIONS
from obflow.lag_age import LagAges
from obflow.metrics import Metrics
from processors.contract import Count
from processors.worker.outbox import Send
from processors.worker.watchdog import Positions
from schemas.topics import Topic
from schemas.units import MS_PER_SECOND, NS_PER_SECOND

LONGEST_LATENCY_S = 3600.0
"""Beyond it, or below zero, a record's time is not of this run (an old recording, another clock): no latency."""


class WorkerMeters:
    """What every worker counts, of the topic it reads, and what its stage has it count besides.

    Args:
        metrics: Where it is kept.
        topic: The topic.
        stage: Label of its times.
        now_ns: Wall clock, ns UTC.
    """

    def __init__(self, metrics: Metrics, topic: Topic, stage: str, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._metrics = metrics
        self._topic = topic.name
        self._now_ns = now_ns
        self._received = metrics.counter("obflow_received_total", source=topic.name)
        self._latency = metrics.histogram("obflow_stage_latency_seconds", stage=stage)
        self._batch = metrics.histogram("obflow_batch_seconds", stage=stage)
        self._buffered = metrics.gauge("obflow_buffered_records", stage="outbox")
        self._lagging: set[int] = set()
        self._ages = LagAges()
        self._unsaved_s = metrics.gauge("obflow_checkpoint_age_seconds", topic=topic.name)
        self._rebalances = metrics.counter("obflow_rebalances_total", topic=topic.name)

    def partitions_withdrawn(self) -> None:
        """The group is sharing out its partitions anew."""
        self._metrics.health.note(PARTITIONS, "the group is sharing out its partitions")

    def partitions_granted(self, count: int) -> None:
        """The group has given this worker so many partitions; what was saved of them is read next."""
        self._rebalances.inc()
        self._metrics.health.note(PARTITIONS, f"the checkpoints of {count} partitions are being read" if count else "")

    def partitions_recovered(self) -> None:
        """Every partition of this worker is being processed."""
        self._metrics.health.note(PARTITIONS)

    def batch(self) -> AbstractContextManager[object]:
        """Measure the time one batch takes."""
        return self._batch.time()

    def received(self, records: int) -> None:
        """Records of the topic came in."""
        self._received.inc(records)

    def processed(self, partition: int, appended_ms: int) -> None:
        """Some records of a partition are processed, the last one of this Kafka time, ms UTC."""
        self._ages.processed(partition, appended_ms / MS_PER_SECOND)

    def unsaved(self, seconds: float) -> None:
        """For so long, what changed is in no checkpoint."""
        self._unsaved_s.set(seconds)

    def passed_over(self, reason: str, records: int) -> None:
        """Records that are in the state already, or that will be read again."""
        if records:
            self._metrics.counter("obflow_ignored_total", reason=reason).inc(records)

    def dead_lettered(self, reason: str) -> None:
        """A record was refused and put aside."""
        self.refused(reason, 1)
        self._metrics.counter("obflow_dead_lettered_total", reason=reason).inc()

    def refused(self, reason: str, count: int) -> None:
        """Something could not be used: a record, a checkpoint, records the log no longer has."""
        self._metrics.counter("obflow_rejected_total", reason=reason).inc(count)

    def count(self, count: Count) -> None:
        """Raise a counter of the stage's."""
        counter = self._metrics.counter(count.metric, **{count.label: count.value})  # type: ignore[arg-type] # as tested
        counter.inc(count.number)

    def publish_gauges(self, gauges: Iterable[Count]) -> None:
        """Set gauges of the stage's."""
        for gauge in gauges:
            self._metrics.gauge(gauge.metric, **{gauge.label: gauge.value}).set(gauge.number)  # type: ignore[arg-type] # as tested

    def acknowledged(self, send: Send, in_flight: int) -> None:
        """The broker has taken a record."""
        self._metrics.counter("obflow_emitted_total", topic=send.topic).inc()
        self._buffered.set(in_flight)
        latency_s = (self._now_ns() - send.received_ns) / NS_PER_SECOND
        if send.is_result and 0 <= latency_s <= LONGEST_LATENCY_S:
            self._latency.observe(latency_s)

    def lag(self, positions: Positions, ends: Positions) -> None:
        """Records that wait in each partition, and for how long; none in those another worker has now."""
        now_s, ages_s = self._now_ns() / NS_PER_SECOND, [0.0]
        self._ages.keep(positions)
        for partition in self._lagging - positions.keys():
            self._metrics.gauge("obflow_lag_records", topic=self._topic, partition=str(partition)).set(0)
        for partition, position in positions.items():
            end = ends.get(partition, position)
            waiting = max(0, end - position)
            ages_s.append(self._ages.age_s(partition, position, end, now_s))
            self._metrics.gauge("obflow_lag_records", topic=self._topic, partition=str(partition)).set(waiting)
        self._lagging = set(positions)
        self._metrics.gauge("obflow_lag_seconds", topic=self._topic).set(max(ages_s))
