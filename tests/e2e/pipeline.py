"""The pipeline as a test starts it: real broker, real engine, the roles as child processes that can be killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition

from embedded.clickhouse import EmbeddedClickHouse
from embedded.kafka import EmbeddedKafka
from embedded.supervisor import RestartPolicy, Supervisor, obflow_command
from obflow import clickhouse, kafka, kafka_logs, topics
from obflow.settings import Settings
from schemas.codec import decode_as
from schemas.messages import FactorRecord
from schemas.topics import FACTORS, TOPICS
from tests.integration.made_tables import make_tables
from tests.support.patience import patient
from tests.support.servers import START_S
from tests.support.waiting import pause_s

RESTART = RestartPolicy(limit=20, first_backoff_s=0.2, longest_backoff_s=1.0)


def run_json(*words: str, timeout_s: float = 120.0) -> dict[str, Any]:
    """Run one command to its end with --json; its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "obflow", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"obflow {' '.join(words)}: exit {done.returncode}\n{done.stderr[-4000:]}"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@dataclass
class Emitted:
    """What an independent reader found in the factor log so far."""

    events: int = 0
    identities: set[tuple[str, str, str, int, int]] = field(default_factory=set)
    partitions: set[int] = field(default_factory=set)

    @property
    def repeated(self) -> int:
        """Events that were sent more than once."""
        return self.events - len(self.identities)


class FactorLog:
    """Reads the factor log from its start on a thread, counting events and identities."""

    def __init__(self, settings: Settings) -> None:
        self.emitted = Emitted()
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        topic = self._settings.kafka.topic_prefix + FACTORS.name
        consumer = kafka.consumer(self._settings, "test-factor-log")
        consumer.assign([TopicPartition(topic, part, 0) for part in range(self._settings.kafka.partitions)])
        while not self._stop.is_set():
            for message in consumer.consume(1000, 0.05):
                assert message.error() is None, message.error()
                self._count(decode_as(FactorRecord, message.value()))
        consumer.close()

    def _count(self, record: FactorRecord) -> None:
        self.emitted.partitions.add(record.source_partition)
        for event in record.events:
            self.emitted.events += 1
            self.emitted.identities.add(
                (record.venue, record.symbol, record.source_log, record.source_partition, event.source_offset)
            )

    def close(self) -> None:
        self._stop.set()
        self._thread.join(patient(5.0))


class Pipeline:
    """Broker, engine, topics and tables; roles are started by name."""

    def __init__(self, data: Path, *, environment: dict[str, str] | None = None) -> None:
        self.broker = EmbeddedKafka(data / "kafka")
        self.engine = EmbeddedClickHouse(data / "clickhouse")
        self.roles = Supervisor(data / "logs")
        self.environment = dict(environment or {})
        self.settings = Settings()

    def start(self) -> None:
        bootstrap = self.broker.start(patient(START_S))
        host, port = self.engine.start(patient(START_S))
        self.environment |= {
            "OBFLOW_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "OBFLOW_CLICKHOUSE__HOST": host,
            "OBFLOW_CLICKHOUSE__PORT": str(port),
        }
        self.settings = Settings.load(
            {"kafka.bootstrap_servers": bootstrap, "clickhouse.host": host, "clickhouse.port": port}
        )
        topics.apply(self.settings)
        make_tables(self.settings.clickhouse)

    def start_role(
        self, name: str, *words: str, environment: dict[str, str] | None = None, restart: RestartPolicy = RESTART
    ) -> None:
        """Start a role; it is started again when it dies, unless told otherwise."""
        self.roles.add(name, obflow_command(*words), restart=restart, env=self._env() | (environment or {}))
        self.roles.start(name)

    def kill(self, name: str) -> None:
        """Kill -9, no warning."""
        os.kill(self.roles.child(name).pid, signal.SIGKILL)

    def wait_until(self, what: str, ready: Callable[[], bool], timeout_s: float) -> float:
        """Tick the roles until something holds; the seconds it took."""
        begun = asked = time.monotonic()
        while not ready():
            looked_s = time.monotonic() - asked
            self.roles.tick()
            if time.monotonic() - begun > timeout_s:
                logs = "\n".join(f"--- {n}\n{self.roles.child(n).log_tail(12)}" for n in self.roles.names())
                raise AssertionError(f"not within {timeout_s:g} s: {what}\n{logs}")
            time.sleep(pause_s(looked_s))
            asked = time.monotonic()
        return time.monotonic() - begun

    @contextmanager
    def client(self) -> Iterator[clickhouse.Client]:
        """A connection to the database."""
        with closing(clickhouse.connect(self.settings.clickhouse)) as client:
            yield client

    def count(self, table: str) -> int:
        """Rows of a table, by a plain SELECT."""
        with self.client() as client:
            return int(client.query("SELECT count() FROM {t:Identifier}", parameters={"t": table}).result_rows[0][0])

    def is_read(self, group: str) -> bool:
        """Whether the sinks have committed the end of every topic they read."""
        names = [topic.name for topic in TOPICS if "sinks" in topic.read_by]
        done = kafka_logs.committed_offsets(self.settings, group, names)
        return all(done.get(part, 0) >= end for part, end in kafka_logs.end_offsets(self.settings, names).items())

    def share(self, *names: str) -> bool:
        """Whether each of these workers owns partitions of the book log that no other does, and together all."""
        owned = [self.partitions(name) for name in names]
        return all(owned) and sum(map(len, owned)) == self.settings.kafka.partitions == len(set.union(*owned))

    def partitions(self, name: str) -> set[int]:
        """The partitions of the book log a worker was given last, by its own log."""
        lines = self.roles.child(name).log.read_text("utf-8").splitlines()
        assigned = [line for line in lines if '"partitions_assigned"' in line]
        return set(json.loads(assigned[-1])["partitions"]) if assigned else set()

    def close(self) -> None:
        self.roles.stop(grace_s=5.0)
        self.engine.stop()
        self.broker.stop()

    def _env(self) -> dict[str, str]:
        return {**os.environ, **self.environment}


@contextmanager
def pipeline(data: Path, **options: Any) -> Iterator[Pipeline]:
    """A started pipeline that leaves nothing behind."""
    running = Pipeline(data, **options)
    try:
        running.start()
        yield running
    finally:
        running.close()


def first_diffs(recording: Path, diffs: int, target: Path) -> Path:
    """The head of a recording: everything up to its `diffs`-th depth update."""
    seen = 0
    with gzip.open(recording, "rt") as frames, gzip.open(target, "wt") as head:
        for line in frames:
            head.write(line)
            seen += '\\"depthUpdate\\"' in line
            if seen == diffs:
                break
    return target
