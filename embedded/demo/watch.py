"""What the demo sees of the running pipeline: it reads the factor log like any other consumer and asks for offsets."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message, TopicPartition

from obflow import kafka, kafka_logs
from schemas.codec import decode_as
from schemas.errors import MessageError, PipelineError
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorEvent, FactorRecord, Status
from schemas.topics import ANOMALIES, ARBITRAGE, FACTORS, L2, QUOTES, REGIMES, SIGNALS, TRADES
from schemas.units import NS_PER_MS

if TYPE_CHECKING:
    from obflow.settings import Settings

POLL_S = 0.2
JOIN_S = 0.5
READ_AT_ONCE = 500
OFFSETS_EVERY_S = 1.0
LATENCY_CAP_MS = 60_000
DERIVED = {"regimes": REGIMES, "signals": SIGNALS, "anomalies": ANOMALIES, "quotes": QUOTES, "arbitrage": ARBITRAGE}
"""What is made of factors and books, by the line that shows it."""


@dataclass
class ShownBook:
    """The latest factor event of one instrument; `seen_s` is the monotonic clock as it was read."""

    status: Status
    mid: float | None
    obi_l5: float | None
    spread_bps: float | None
    received_ns: int
    seen_s: float


@dataclass
class SeenPipeline:
    """Everything seen so far. Replaced fields only: a reader on another thread sees each one whole."""

    books: dict[str, ShownBook] = field(default_factory=dict)
    events: int = 0
    unreadable: int = 0
    l2_end: int = 0
    trades_end: int = 0
    factors_end: int = 0
    derived: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(DERIVED, 0))
    lag: int = 0
    latency_ms: Counter[int] = field(default_factory=Counter)

    @property
    def books_live(self) -> int:
        """Instruments whose last event came from a LIVE book."""
        return sum(1 for book in self.books.values() if book.status is not Status.RESYNCING)

    def latency_quantile_ms(self, share: float) -> float | None:
        """Time from the socket to the factor on the log that `share` of the events stayed under."""
        counts = dict(self.latency_ms)
        wanted = share * sum(counts.values())
        running = 0
        for milliseconds in sorted(counts):
            running += counts[milliseconds]
            if running >= wanted:
                return float(milliseconds)
        return None


class PipelineWatch:
    """Reads the factor log on a thread of its own until it is stopped.

    Args:
        settings: Where the broker is.
        latency: Whether received times are this machine's now, so that the time to the log means something.
    """

    def __init__(self, settings: Settings, *, latency: bool) -> None:
        self._settings = settings
        self._latency = latency
        self._stop = threading.Event()
        self._next: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._up_since_ns = 0
        self.seen = SeenPipeline()

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        topic = self._settings.kafka.topic_prefix + FACTORS.name
        consumer = kafka.consumer(self._settings, "obflow-demo-watch")
        consumer.assign([TopicPartition(topic, part, 0) for part in range(self._settings.kafka.partitions)])
        elapsed = OFFSETS_EVERY_S
        try:
            while not self._stop.is_set():
                for message in consumer.consume(READ_AT_ONCE, POLL_S):
                    if message.error() is None:
                        self._take(message)
                elapsed += POLL_S
                if elapsed >= OFFSETS_EVERY_S:
                    elapsed = 0.0
                    self._take_offsets()
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        try:
            record = decode_as(FactorRecord, message.value() or b"")
        except MessageError:
            self.seen.unreadable += 1
            return
        kind, appended_ms = message.timestamp()
        self._up_since_ns = self._up_since_ns or appended_ms * NS_PER_MS
        for event in record.events:
            self.seen.events += 1
            # Frames received before anything processed them waited for the start, not for the pipeline.
            if self._latency and kind == TIMESTAMP_LOG_APPEND_TIME and event.received_ns > self._up_since_ns:
                self.seen.latency_ms[_capped(appended_ms - event.received_ns // NS_PER_MS)] += 1
        last = record.events[-1]
        self.seen.books[str(record.instrument)] = _view(last, time.monotonic())
        self._next[record.source_partition] = last.source_offset + 1

    def _take_offsets(self) -> None:
        prefix = self._settings.kafka.topic_prefix
        try:
            read = (L2, TRADES, FACTORS, *DERIVED.values())
            ends = kafka_logs.end_offsets(self._settings, [prefix + topic.name for topic in read])
        except PipelineError:
            return  # the broker is busy or going down; the figures on the screen stay as they are
        by_topic: Counter[str] = Counter()
        for (name, _), end in ends.items():
            by_topic[name.removeprefix(prefix)] += end
        self.seen.l2_end = by_topic[L2.name]
        self.seen.trades_end = by_topic[TRADES.name]
        self.seen.factors_end = by_topic[FACTORS.name]
        self.seen.derived = {line: by_topic[topic.name] for line, topic in DERIVED.items()}
        l2 = prefix + L2.name
        self.seen.lag = sum(max(0, end - self._next.get(part, 0)) for (name, part), end in ends.items() if name == l2)


def _capped(milliseconds: int) -> int:
    return min(max(milliseconds, -LATENCY_CAP_MS), LATENCY_CAP_MS)


def _view(event: FactorEvent, seen_s: float) -> ShownBook:
    value = event.values
    return ShownBook(
        status=event.status,
        mid=value[FACTOR_INDEX["mid"]],
        obi_l5=value[FACTOR_INDEX["obi_l5"]],
        spread_bps=value[FACTOR_INDEX["spread_bps"]],
        received_ns=event.received_ns,
        seen_s=seen_s,
    )
