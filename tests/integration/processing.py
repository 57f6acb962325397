"""Workers as child processes, records for them, and an independent reader of what they wrote.

The reader knows Kafka and Avro alone: it imports nothing of `processors`, so it can judge them.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import msgspec
from confluent_kafka import Consumer, TopicPartition

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from schemas.codec import encode
from schemas.digest import EventDigest
from schemas.factors import EVENT_HEAD, FACTOR_NAMES
from schemas.messages import FactorEvent, InstrumentKey, L2Record, Status
from schemas.topics import FACTORS, L2, Topic
from schemas.versions import SCHEMAS
from tests.support.patience import patient
from tests.support.waiting import eventually

PARTITIONS = 4
SESSION_SECONDS = 3.0
FRAME_BYTES = 5
OBFLOW = [sys.executable, "-c", "import sys; from obflow.cli import main; sys.exit(main())"]


def pipeline(broker: str, regimes: Mapping[str, object] | None = None, **processor: object) -> Settings:
    """Settings of a pipeline of its own on a shared broker, its topics created."""
    settings = Settings.load(
        {
            "kafka.bootstrap_servers": broker,
            "kafka.topic_prefix": f"t{uuid.uuid4().hex[:8]}.",
            "kafka.partitions": PARTITIONS,
            "processor.session_timeout_seconds": SESSION_SECONDS,
            "processor.heartbeat_seconds": 1.0,
            "processor.checkpoint_seconds": 1.0,
            **{f"processor.{name}": value for name, value in processor.items()},
            **{f"regimes.{name}": value for name, value in (regimes or {}).items()},
        }
    )
    topics.apply(settings)
    return settings


class Worker:
    """One `obflow process` or `obflow regimes`, given all that follows `obflow` but the settings."""

    def __init__(
        self,
        settings: Settings,
        log: Path,
        environment: Mapping[str, str],
        words: Sequence[str],
        command: Sequence[str],
    ) -> None:
        usual = Settings.load({}).shown()
        chosen = [
            f"{key}={value}"
            for key, value in settings.shown().items()
            if _is_ours(key) and value is not None and value != usual[key]
        ]
        line = [*command, *words, *itertools.chain.from_iterable(("--set", choice) for choice in chosen)]
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(line, stdout=stream, stderr=stream, env={**os.environ, **environment})

    def events(self) -> list[dict[str, Any]]:
        """What it logged, line by line."""
        return [json.loads(line) for line in self.log_lines() if line.startswith("{")]

    def log_lines(self) -> list[str]:
        """The same as text, with whatever else it printed."""
        return self.log.read_text("utf-8").splitlines()

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.events() if line.get("event") == event]

    def wait_ready(self, seconds: float = 30.0) -> dict[str, Any]:
        """Wait until it processes; returns the event."""
        until(lambda: bool(self.logged("worker_ready")) or self.process.poll() is not None, seconds, self.tail)
        assert self.process.poll() is None, self.tail()
        return self.logged("worker_ready")[0]

    def owned(self) -> int:
        """How many partitions it has."""
        return len(self.partitions())

    def partitions(self) -> set[int]:
        """The partitions of `l2.v1` it was given last."""
        assigned = self.logged("partitions_assigned")
        return set(assigned[-1]["partitions"]) if assigned else set()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(patient(10))

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patient(seconds))

    def tail(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-25:])


def _is_ours(key: str) -> bool:
    return key.startswith(("kafka.", "processor.", "regimes.")) and not key.endswith(("_key", "_password"))


@contextmanager
def workers(
    settings: Settings,
    folder: Path,
    role: str = "process",
    *,
    flags: Sequence[str] = (),
    command: Sequence[str] = OBFLOW,
) -> Iterator[Callable[..., Worker]]:
    """Starts workers; whatever still runs at the end is killed."""
    started: list[Worker] = []
    folder.mkdir(exist_ok=True)

    def start(**environment: str) -> Worker:
        log = folder / f"{role}-{len(started)}.log"
        started.append(Worker(settings, log, environment, (role, *flags), command))
        return started[-1]

    with ExitStack() as stack:
        stack.callback(lambda: [worker.kill() for worker in started if worker.process.poll() is None])
        yield start


def until(condition: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    """Wait until the condition holds."""
    assert eventually(condition, seconds), f"not within {seconds} s: {explain()}"


def renamed(records: Sequence[L2Record], symbol: str) -> list[L2Record]:
    return [msgspec.structs.replace(record, symbol=symbol) for record in records]


def interleaved(streams: Sequence[Sequence[L2Record]]) -> Iterator[L2Record]:
    """Record by record of each stream in turn, each stream in its own order."""
    for row in itertools.zip_longest(*streams):
        yield from (record for record in row if record is not None)


def publish(settings: Settings, records: Iterator[L2Record], rate: float | None = None) -> int:
    """Write records to `l2.v1`, at most `rate` a second."""
    producer = kafka.producer(settings)
    topic, started, count = topics.topic_name(settings, L2), time.monotonic(), 0
    for record in records:
        producer.produce(topic, key=str(record.instrument), value=encode(record))
        count += 1
        if count % 500 == 0:
            producer.poll(0)
        if rate is not None and count % 20 == 0:
            time.sleep(max(0.0, started + count / rate - time.monotonic()))
    assert producer.flush(patient(60)) == 0
    return count


class Message(NamedTuple):
    """One record as it lies in the log."""

    partition: int
    offset: int
    key: bytes
    value: bytes


def reader(settings: Settings, positions: Mapping[kafka.Partition, int]) -> Consumer:
    """A consumer of these partitions, from these offsets, of no group."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "reader"})
    consumer.assign([TopicPartition(name, partition, offset) for (name, partition), offset in positions.items()])
    return consumer


def catch_up(
    settings: Settings, consumer: Consumer, name: str, positions: dict[kafka.Partition, int]
) -> Iterator[Message]:
    """What a topic holds now from `positions` on, which move along."""
    ends = kafka_logs.end_offsets(settings, [name])
    deadline = time.monotonic() + patient(60)
    while any(positions[partition] < end for partition, end in ends.items()):
        assert time.monotonic() < deadline, f"{name} was not read within 60 s: {positions} of {ends}"
        for message in consumer.consume(10_000, 0.2):
            assert message.error() is None, message.error()
            positions[name, message.partition()] = message.offset() + 1
            yield Message(message.partition(), message.offset(), message.key(), message.value())


def read_all(settings: Settings, topic: Topic) -> list[Message]:
    """Everything a topic holds now, partition by partition in order."""
    name = topics.topic_name(settings, topic)
    positions = dict(kafka_logs.start_offsets(settings, [name]))
    consumer = reader(settings, positions)
    found = sorted(catch_up(settings, consumer, name, positions))
    consumer.close()
    return found


def end_of(settings: Settings, topic: Topic) -> int:
    """How many records a topic has ever held."""
    return sum(kafka_logs.end_offsets(settings, [topics.topic_name(settings, topic)]).values())


def decode(record: str, payload: bytes) -> dict[str, Any]:
    """A framed record as Avro's own reader sees it, by the schema it was written with."""
    schema_id = int.from_bytes(payload[1:FRAME_BYTES], "big")
    [version] = [each for each in SCHEMAS if (each.record, each.schema_id) == (record, schema_id)]
    schema = json.loads((resources.files("schemas") / "avro" / version.filename).read_text("utf-8"))
    fields: Any = fastavro.schemaless_reader(io.BytesIO(payload[FRAME_BYTES:]), fastavro.parse_schema(schema), None)
    return dict(fields)


class FactorLog:
    """A reader of `factors.v1`, from its start where nothing else is said, that keeps the first event of each identity.

    Args:
        settings: Where.
        names: Factors to be looked at; the others are left out.
        from_end: Read what is written from now on alone.

    Attributes:
        events: The first event of each identity, by instrument, in the order the log holds them.
        emitted: Events read, repetitions included.
        differing: Repetitions that differ from the first.
        disordered: First events that lie behind one of a higher offset of the same instrument.
        partitions: The partitions that hold an event.
    """

    def __init__(self, settings: Settings, names: Sequence[str] = FACTOR_NAMES, *, from_end: bool = False) -> None:
        self._settings, self._names = settings, names
        begin = kafka_logs.end_offsets if from_end else kafka_logs.start_offsets
        self._name = topics.topic_name(settings, FACTORS)
        self._positions = dict(begin(settings, [self._name]))
        self._consumer = reader(settings, self._positions)
        self._logs: set[str] = set()
        self.events: dict[InstrumentKey, dict[int, dict[str, Any]]] = defaultdict(dict)
        self.emitted = self.differing = self.disordered = 0
        self.partitions: set[int] = set()

    @property
    def distinct(self) -> int:
        """How many identities there are."""
        return sum(len(events) for events in self.events.values())

    def read(self) -> FactorLog:
        """Read what the log holds now and was not read yet."""
        for message in catch_up(self._settings, self._consumer, self._name, self._positions):
            self._take(decode("factors", message.value), message)
        return self

    def digests(self) -> dict[InstrumentKey, str]:
        return {
            key: digest(_as_event(event, self._names) for event in found.values()) for key, found in self.events.items()
        }

    def _take(self, record: dict[str, Any], message: Message) -> None:
        instrument = InstrumentKey(record["venue"], record["symbol"])
        assert message.key.decode() == str(instrument)
        assert record["source_partition"] == message.partition
        self.partitions.add(message.partition)
        self._logs.add(record["source_log"])
        assert len(self._logs) == 1
        known = self.events[instrument]
        for event in record["events"]:
            self.emitted += 1
            offset = event["source_offset"]
            event = {name: event[name] for name in (*EVENT_HEAD, *self._names)}
            if offset in known:
                self.differing += repr(known[offset]) != repr(event)
                continue
            self.disordered += bool(known) and offset < next(reversed(known))
            known[offset] = event


def _as_event(event: dict[str, Any], names: Sequence[str]) -> FactorEvent:
    return FactorEvent(
        source_offset=event["source_offset"],
        sequence=event["sequence"],
        received_ns=event["received_ns"],
        status=Status(event["status"]),
        values=tuple(event[name] for name in names),
        exchange_ns=event["exchange_ns"],
    )


def digest(events: Iterator[FactorEvent]) -> str:
    total = EventDigest()
    for event in events:
        total.update(event)
    return total.hexdigest()
