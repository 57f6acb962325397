"""Sinks for tests: in this process or as a child to be killed, and records to feed them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from confluent_kafka import Producer

from obflow import kafka, topics
from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import ClickHouseSettings, KafkaSettings, Settings
from schemas.codec import encode
from schemas.messages import Record
from schemas.rollouts import STATE_KEY, RolloutRecord
from schemas.topics import Topic
from sinks.counts import Counts
from sinks.service import serve
from sinks.settings import SinkSettings
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.made_tables import make_tables
from tests.support.patience import patient
from tests.support.waiting import eventually

PARTITIONS = 4
TESTED = ("kafka.bootstrap_servers", "kafka.topic_prefix", "kafka.partitions")


def pipeline(broker: str, clickhouse: ClickHouseSettings, **sink: Any) -> Settings:
    """Settings of a pipeline of its own on shared servers, its topics and tables made."""
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=broker, topic_prefix=f"s{uuid.uuid4().hex[:8]}.", partitions=PARTITIONS),
        clickhouse=clickhouse,
        sink=SinkSettings(**{"flush_rows": 1500, "flush_seconds": 0.05, **sink}),
    )
    topics.apply(settings)
    make_tables(clickhouse)
    return settings


@contextmanager
def opened(clickhouse: ClickHouseSettings) -> Iterator[Store]:
    """A store, closed afterwards."""
    store = Store(clickhouse)
    try:
        yield store
    finally:
        store.close()


class Feed:
    """Writes records to a topic, each instrument to its own partition as every producer does.

    Args:
        settings: Where.
        topic: The topic.
    """

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._name = topics.topic_name(settings, topic)
        self._producer: Producer = kafka.producer(settings)
        self.sent = 0

    def send(self, record: Record) -> None:
        key = getattr(record, "canonical", "") or getattr(record, "instrument", "")
        key = STATE_KEY if isinstance(record, RolloutRecord) else key
        self.send_bytes(encode(record), key=str(key))

    def send_bytes(self, payload: bytes, key: str = "") -> None:
        self._producer.produce(self._name, payload, key=key.encode() or None)
        self._producer.poll(0)
        self.sent += 1

    def flush(self) -> None:
        assert self._producer.flush(patient(30)) == 0


def run_until(
    settings: Settings,
    done: Callable[[Mapping[str, Counts]], bool],
    *tables: str,
    seconds: float = 30.0,
    metrics: Metrics | None = None,
) -> dict[str, Counts]:
    """Run a sink in this process until the condition holds."""
    stop = threading.Event()
    deadline = time.monotonic() + patient(seconds)
    late = []

    def watch(counts: Mapping[str, Counts]) -> None:
        if not stop.is_set() and time.monotonic() > deadline:
            late.append(dict(counts))
            stop.set()
        if done(counts):
            stop.set()

    chosen = [TABLES[name] for name in tables or TABLES]
    counts = serve(settings, chosen, clock=SystemClock(), stop=stop, metrics=metrics, watch=watch)
    assert not late, f"not done within {seconds} s: {late}"
    return counts


def read_all(records: int, *, table: str = "factors") -> Callable[[Mapping[str, Counts]], bool]:
    """Whether a table's worker has read this many records and stored what was new in them, twice in a row."""
    seen = 0

    def done(counts: Mapping[str, Counts]) -> bool:
        nonlocal seen
        now = counts[table]
        came = now.rows + now.repeated + now.dead_lettered + now.dropped  # read, and on a busy machine not yet decoded
        settled = now.records >= records and not now.buffered_rows and (came or not records)
        seen = seen + 1 if settled else 0
        return seen > 1

    return done


class Sink:
    """One `obflow sink` as a child process.

    Args:
        settings: What it is started with.
        log: Where its output goes, appended.
        words: More of its command line.
    """

    def __init__(self, settings: Settings, log: Path, *words: str) -> None:
        shown = {
            "kafka.bootstrap_servers": settings.kafka.bootstrap_servers,
            "kafka.topic_prefix": settings.kafka.topic_prefix,
            "kafka.partitions": settings.kafka.partitions,
            "clickhouse.host": settings.clickhouse.host,
            "clickhouse.port": settings.clickhouse.port,
            "clickhouse.database": settings.clickhouse.database,
            "clickhouse.password": settings.clickhouse.password.get_secret_value(),
            "sink.flush_rows": settings.sink.flush_rows,
            "sink.flush_seconds": settings.sink.flush_seconds,
        }
        flags = [f"--set={key}={value}" for key, value in shown.items()]
        self._log = log
        self._begins = log.stat().st_size if log.exists() else 0
        self.out = log.with_suffix(".out")
        with log.open("ab") as errors, self.out.open("wb") as out:
            command = [sys.executable, "-m", "obflow", "sink", *flags, *words]
            self.process = subprocess.Popen(command, stdout=out, stderr=errors, env=dict(os.environ))

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(patient(10))

    def stop(self) -> tuple[int, float]:
        """Ask it to stop; returns its exit code and how long that took, seconds."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patient(20)), time.monotonic() - begun

    def result(self) -> dict[str, Any]:
        """What it printed with `--json`."""
        return dict(msgspec.json.decode(self.out.read_bytes().splitlines()[-1]))

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    @property
    def own_log(self) -> str:
        """What it wrote itself, where others wrote into the same file before it."""
        return self._log.read_bytes()[self._begins :].decode("utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Block until the condition holds."""
    assert eventually(condition, seconds), f"not within {seconds} s: {what}"
