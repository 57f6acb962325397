"""Records to the broker: in order per instrument, idempotent, acknowledged by all replicas, through a bounded queue.

A record the broker did not take in time is never passed over: the publisher then raises `DeliveryFailed`, purges what
still waits, and the process ends. Its next start raises the epochs, so that readers know where the stream broke.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from obflow import kafka
from obflow.kafka_statistics import ClientStatistics
from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.topics import NEW_LOGS, topic_name
from producers.books.records import EncodedDelta, ProducerRecord, payload_of
from producers.broker.statuses import RUN_HEADER, SHARE_HEADER
from schemas.errors import DeliveryFailed
from schemas.messages import (
    DeadLetter,
    DerivativeRecord,
    FeedQuality,
    FeedStatus,
    Kind,
    L2Record,
    ResyncRequest,
    TradeRecord,
)
from schemas.topics import DEAD_LETTERS, DERIVATIVES, FEED_QUALITY, FEED_STATUS, L2, TRADES, Topic
from schemas.units import NS_PER_SECOND

TOPIC_OF: dict[type, Topic] = {
    L2Record: L2,
    EncodedDelta: L2,
    TradeRecord: TRADES,
    DerivativeRecord: DERIVATIVES,
    FeedStatus: FEED_STATUS,
    FeedQuality: FEED_QUALITY,
    DeadLetter: DEAD_LETTERS,
}
WAIT_SECONDS = 0.05
"""How long one wait for room in the queue takes at most."""
KNOWN_KEYS = 16_384
"""Keys that are remembered, rather than written anew for each record."""
AGAIN = "start again once the broker is well: the next epoch begins with snapshots"

Report = Callable[[KafkaError | None, Message], None]


class LogPosition(NamedTuple):
    """Where a record lies in `l2.v1`."""

    partition: int
    offset: int


class Publisher:
    """The way to the broker.

    Args:
        settings: `kafka` and `producer` are used.
        metrics: Where acknowledged records and their latency are shown.
        now_ns: The wall clock.
        each_report: Whether the broker's answer to each record is looked at. A replay does without: it counts what it
            handed over once everything is acknowledged, at half the cost a record; and it does not wait for a broker
            for as long.
        share: Among which producers its instruments are shared by a lease, as its statuses say.

    Attributes:
        acknowledged: Records the broker has, by declared topic name; up to date after `poll`, without `each_report`
            after `flush`.
        run: Of this publisher alone; its statuses carry it, so that another producer's are told from them. It begins
            with the time of its start, so that runs sort by age.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        now_ns: Callable[[], int],
        *,
        each_report: bool = True,
        share: str = "",
    ) -> None:
        self.acknowledged: Counter[str] = Counter()
        self.run = f"{now_ns():016x}{uuid.uuid4().hex[:16]}"
        self._run_header = [(RUN_HEADER, self.run.encode())]
        if share:
            self._run_header.append((SHARE_HEADER, share.encode()))
        self._producer = kafka.producer(
            settings,
            {
                **ClientStatistics(metrics, "publisher").options,
                **(_kept(settings) if each_report else _ERRORS_ONLY),
                "on_delivery": self._on_report,
            },
        )
        self._settings = settings
        self._metrics = metrics
        self._now_ns = now_ns
        self._each_report = each_report
        self._topics = {kind: topic_name(settings, topic) for kind, topic in TOPIC_OF.items()}
        self._declared = {topic_name(settings, topic): topic.name for topic in TOPIC_OF.values()}
        self._unacknowledged: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()  # acknowledged since the last poll
        self._is_sampling = True  # the way of one record of a book between two polls is measured
        self._failure: DeliveryFailed | None = None
        self._homes: dict[bytes, int] = {}
        self._marks: dict[str, LogPosition] = {}
        self._marks_on_the_way: Counter[str] = Counter()
        self._reached: dict[int, int] = {}  # the newest known offset of `l2.v1`, by partition
        self._latency = metrics.histogram("obflow_stage_latency_seconds", stage="publish")

    @property
    def waiting(self) -> int:
        """Records not yet acknowledged."""
        return len(self._producer)

    def offer(self, record: ProducerRecord) -> bool:
        """Hand over one record; False where the queue is full, and then nothing happened.

        Raises:
            DeliveryFailed: An earlier record was not acknowledged.
            ImpossibleRecord: The record does not fit its schema.
        """
        report: Report | None = None
        is_mark = self._each_report and _is_mark(record)
        if is_mark:
            report = partial(self._on_mark, record)
        elif self._each_report and self._is_sampling and isinstance(record, L2Record | EncodedDelta):
            report, self._is_sampling = partial(self._on_sample, record), False
        taken = self.offer_bytes(type(record), key_of(record), payload_of(record), report)
        if taken and is_mark:
            self._marks_on_the_way[record.symbol] += 1
        return taken

    def offer_bytes(self, kind: type, key: bytes, payload: bytes, report: Report | None = None) -> bool:
        """Hand over an encoded record of a kind; as `offer`."""
        if self._failure is not None:
            raise self._failure
        topic = self._topics[kind]
        try:
            if report is None and kind is not FeedStatus:
                self._producer.produce(topic, payload, key)
            else:
                self._producer.produce(topic, payload, key, **self._options(kind, report))
        except BufferError:
            return False
        except KafkaException as error:
            raise kafka.readable(error, self._settings) from None
        self._unacknowledged[topic] += 1
        return True

    def _options(self, kind: type, report: Report | None) -> dict[str, Any]:
        options: dict[str, Any] = {} if report is None else {"on_delivery": report}
        return {**options, "headers": self._run_header} if kind is FeedStatus else options

    def wait(self, kind: type, key: bytes, payload: bytes) -> None:
        """Hand over an encoded record, waiting for room as long as it takes; the delivery deadline bounds that.

        Raises:
            DeliveryFailed: A record was not acknowledged in time.
        """
        while not self.offer_bytes(kind, key, payload):
            self.poll(WAIT_SECONDS)

    def poll(self, seconds: float = 0.0) -> None:
        """Take in the broker's answers.

        Raises:
            DeliveryFailed: A record was not acknowledged.
        """
        self._producer.poll(seconds)
        self._is_sampling = True
        self._note_reported()
        if self._failure is not None:
            raise self._failure

    def flush(self, seconds: float) -> None:
        """Wait until everything handed over is acknowledged.

        Raises:
            DeliveryFailed: Something was not, within the time.
        """
        deadline = time.monotonic() + seconds
        while self._producer.flush(max(0.0, min(1.0, deadline - time.monotonic()))) and self._failure is None:
            if time.monotonic() >= deadline:
                self._fail(f"{len(self._producer)} records were not acknowledged within {seconds:g} s")
        self._note_reported()
        if self._failure is not None:
            raise self._failure
        if not self._each_report:
            for topic, count in self._unacknowledged.items():
                self._acknowledge(topic, count)
            self._unacknowledged.clear()

    def close(self) -> None:
        """Let go of the broker; what was not flushed is given up."""
        self._producer.purge()
        self._producer.close(5.0)

    def has_answered(self, request: ResyncRequest) -> bool:
        """Tell whether a reader who asks for a snapshot has yet to read the one that answers it."""
        return self.is_before_mark(request.symbol, request.source_partition, request.source_offset)

    def is_before_mark(self, symbol: str, partition: int, offset: int) -> bool:
        """Tell whether a place in `l2.v1` lies before an instrument's last snapshot or `invalid`, or one is on its way.

        Who broke there will find, or has found, what it needs further on.
        """
        if self._marks_on_the_way[symbol]:
            return True
        mark = self._marks.get(symbol)
        return mark is not None and mark.partition == partition and offset < mark.offset

    def _on_sample(self, record: ProducerRecord, error: KafkaError | None, message: Message) -> None:
        self._on_report(error, message)
        if error is None and isinstance(record, L2Record | EncodedDelta):
            self._latency.observe(max(0, self._now_ns() - record.received_ns) / NS_PER_SECOND)
            self._note_reached(message.partition(), message.offset())

    def _note_reached(self, partition: int, offset: int) -> None:
        """Forget the marks of a partition whose offsets have fallen: `l2.v1` was made anew, and they lie nowhere."""
        if offset < self._reached.get(partition, 0):
            self._marks = {symbol: mark for symbol, mark in self._marks.items() if mark.partition != partition}
        self._reached[partition] = offset

    def _on_mark(self, record: ProducerRecord, error: KafkaError | None, message: Message) -> None:
        self._on_sample(record, error, message)
        self._marks_on_the_way[record.symbol] -= 1
        if error is None:
            self._marks[record.symbol] = LogPosition(message.partition(), message.offset())

    def _on_report(self, error: KafkaError | None, message: Message) -> None:
        topic = message.topic()
        if error is None:
            self._reported[topic] += 1
            key, partition = message.key(), message.partition()
            if self._homes.get(key) != partition:
                self._check_home(topic, key, partition)
        elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            # What a stream gives is never larger than declared (`schemas.bounds.MAX_LEVELS`): the topic differs.
            self._fail(f"{topic} takes smaller records than declared", "`obflow topics check` names the difference")
        else:
            self._fail(f"the broker did not take a record of {topic} ({error.str()})")

    def _note_reported(self) -> None:
        """Count what reports have told since the last time."""
        for topic, count in self._reported.items():
            self._unacknowledged[topic] -= count
            self._acknowledge(topic, count)
        self._reported.clear()

    def _check_home(self, topic: str, key: bytes, partition: int) -> None:
        """End where an instrument has moved to another partition: its readers would take it for a broken book."""
        if self._declared[topic] == DEAD_LETTERS.name:
            return  # each has a key of its own
        if self._homes.setdefault(key, partition) != partition:
            self._fail(f"{topic} has another number of partitions than at the start: its keys have moved", NEW_LOGS)

    def _acknowledge(self, topic: str, count: int) -> None:
        self.acknowledged[self._declared[topic]] += count
        self._metrics.counter("obflow_emitted_total", topic=self._declared[topic]).inc(count)

    def _fail(self, cause: str, next_step: str = AGAIN) -> None:
        if self._failure is None:
            self._failure = DeliveryFailed(
                cause,
                next_step=next_step,
                broker=self._settings.kafka.bootstrap_servers,
            )
            self._producer.purge()  # nothing later may leave before it


_ERRORS_ONLY: dict[str, object] = {"delivery.report.only.error": True}


def _kept(settings: Settings) -> dict[str, object]:
    """Have a live feed's records kept for as long as a broker may be away; a replay fails, and is started again."""
    return {"delivery.timeout.ms": round(settings.kafka.outage_seconds * 1000)}


def key_of(record: ProducerRecord) -> bytes:
    """Give the Kafka key of a record: its instrument, or a dead letter's id."""
    if isinstance(record, DeadLetter):
        return record.letter_id.encode()
    return _key_of(record.venue, record.symbol)


@lru_cache(KNOWN_KEYS)
def _key_of(venue: str, symbol: str) -> bytes:
    return f"{venue}:{symbol}".encode()


def _is_mark(record: ProducerRecord) -> bool:
    return isinstance(record, L2Record) and record.kind is not Kind.DELTA
