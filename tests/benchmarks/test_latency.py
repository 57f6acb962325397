"""From sending an L2 record to holding its factors in an independent consumer: a worker beside a loop without Faust.

Both are processes of their own, on one broker, in turn: one pair after the other at each rate. The publisher and the
consumer are this process; what they need is in both figures.
"""

from __future__ import annotations

import gc
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from schemas.codec import decode_as, encode
from schemas.messages import FactorRecord, L2Record
from schemas.topics import FACTORS, L2
from tests.benchmarks.test_kernel import told, verdict
from tests.benchmarks.test_worker import INSTRUMENTS, READY_SECONDS, log_of
from tests.integration.processing import pipeline, renamed, workers
from tests.integration.roles import free_port
from tests.processors.compare import VENUES
from tests.processors.recorded import path_of, read_records
from tests.support.patience import patient

pytestmark = [pytest.mark.integration, pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(3600)]

PAIRS = 5
SECONDS = 12.0
UNCOUNTED = 2.0
"""Of these, the first: caches and connections are still cold."""
RATES = (1_000, 5_000)
QUIET_S = 2.0
MOST_P50, MOST_P99 = 2.0, 2.5
Key = tuple[str, int]
"""A symbol and the sequence of one of its records."""


class Latency(NamedTuple):
    """Milliseconds, but for the last.

    Attributes:
        p50, p99: From handing over a record to holding its factors.
        made_p50: Of it, to where the factor record got its time: its process handed it to its client.
        carried_p50: Of it, from there on.
        packed: Events of a factor record.
    """

    p50: float
    p99: float
    made_p50: float
    carried_p50: float
    packed: float


class Arrival(NamedTuple):
    """When a factor record was made, by its client's clock, and when it came, ns UTC."""

    made_ns: int
    came_ns: int


class Batches(NamedTuple):
    """What a worker counted: batches, and the seconds in them."""

    number: float
    seconds: float


class Stream:
    """Records as bytes, in the order in which they are sent: every instrument's snapshot first."""

    def __init__(self, records: Sequence[L2Record], count: int) -> None:
        streams = [renamed(records, f"S{number:02}") for number in range(INSTRUMENTS)]
        rows = (row for row in zip(*streams, strict=True))
        flat = [record for row in rows for record in row][:count]
        self.keys = [(record.symbol, record.sequence) for record in flat]
        self.sent = [(str(record.instrument), encode(record)) for record in flat]


class Arrivals:
    """Reads `factors.v1` and notes when each record came."""

    def __init__(self, settings: Settings) -> None:
        self.consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "arrivals"})
        name = topics.topic_name(settings, FACTORS)
        places = kafka_logs.end_offsets(settings, [name])
        self.consumer.assign([TopicPartition(name, partition, 0) for _, partition in places])
        self.came: list[tuple[Arrival, bytes]] = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        while not self.is_over.is_set():
            message = self.consumer.poll(0.2)
            if message is not None and message.error() is None:
                arrival = Arrival(message.timestamp()[1] * 1_000_000, time.time_ns())
                self.came.append((arrival, message.value()))
        self.consumer.close()

    def ended(self) -> dict[Key, Arrival]:
        """When the factors of each record were there: asked once nothing comes any more."""
        while time.time_ns() - self.came[-1][0].came_ns < QUIET_S * 1e9:
            time.sleep(0.1)
        self.is_over.set()
        self.thread.join()
        found = {}
        for arrival, payload in self.came:
            record = decode_as(FactorRecord, payload)
            found.update({(record.symbol, event.sequence): arrival for event in record.events})
        return found


def send(settings: Settings, records: Sequence[tuple[str, bytes]], rate: float) -> list[int]:
    """Send records, so many a second; returns when each was handed over, ns."""
    producer, name = kafka.producer(settings), topics.topic_name(settings, L2)
    begun, sent_ns = time.monotonic(), list[int]()
    for number, (key, payload) in enumerate(records):
        ahead = begun + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        sent_ns.append(time.time_ns())
        producer.produce(name, payload, key)
        producer.poll(0)
    assert producer.flush(30) == 0
    return sent_ns


def measured(settings: Settings, stream: Stream, rate: int, is_alive: Callable[[], bool]) -> Latency:
    arrivals = Arrivals(settings)
    send(settings, stream.sent[:INSTRUMENTS], 1_000)
    deadline = time.monotonic() + patient(READY_SECONDS)
    while len(arrivals.came) < 1 and time.monotonic() < deadline and is_alive():
        time.sleep(0.05)
    gc.disable()
    sent_ns = send(settings, stream.sent[INSTRUMENTS:], rate)
    gc.enable()
    came = arrivals.ended()
    counted = int(UNCOUNTED * rate)
    keys = stream.keys[INSTRUMENTS:]
    missing = sum(key not in came for key in keys)
    assert missing == 0, f"{missing} of {len(keys)} records have no factors"
    return latency_of(sent_ns[counted:], [came[key] for key in keys[counted:]])


def latency_of(sent_ns: Sequence[int], came: Sequence[Arrival]) -> Latency:
    sent, made, there = np.array(sent_ns), *np.array(came).T
    p50, p99 = np.percentile(there - sent, [50, 99]) / 1e6
    made_p50, carried_p50 = np.median(made - sent) / 1e6, np.median(there - made) / 1e6
    return Latency(p50, p99, made_p50, carried_p50, len(came) / len(set(came)))


def of_a_worker(broker: str, folder: Path, stream: Stream, rate: int) -> tuple[Latency, Batches]:
    settings, port = (
        pipeline(broker, engine="kernel", checkpoint_seconds=5.0, session_timeout_seconds=10.0),
        free_port(),
    )
    with workers(settings, folder, flags=("--metrics-port", str(port))) as start:
        worker = start()
        worker.wait_ready(READY_SECONDS)
        found = measured(settings, stream, rate, lambda: worker.process.poll() is None)
        batches = batches_of(port)
        assert worker.stop() == 0, worker.tail()
    return found, batches


def batches_of(port: int) -> Batches:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    values = {line.split("{")[0]: float(line.split()[-1]) for line in lines if line.startswith("obflow_batch_seconds_")}
    return Batches(values["obflow_batch_seconds_count"], values["obflow_batch_seconds_sum"])


@contextmanager
def bare_loop(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    names = (topics.topic_name(settings, L2), topics.topic_name(settings, FACTORS))
    line = (sys.executable, "-m", "tests.benchmarks.bare_loop", settings.kafka.bootstrap_servers, *names)
    with subprocess.Popen([*line, log_of(settings)]) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def of_the_loop(broker: str, stream: Stream, rate: int) -> Latency:
    settings = pipeline(broker)
    with bare_loop(settings) as process:
        return measured(settings, stream, rate, lambda: process.poll() is None)


@pytest.mark.parametrize("rate", RATES)
def test_from_record_to_factors_beside_a_loop_without_faust(
    rate: int, broker: str, recordings: Path, tmp_path: Path
) -> None:
    stream = Stream(read_records(path_of(recordings, VENUES[0]), VENUES[0]), INSTRUMENTS + int(SECONDS * rate))
    pairs, batches = [], list[Batches]()
    for number in range(PAIRS):
        latency, counted = of_a_worker(broker, tmp_path / str(number), stream, rate)
        pairs.append((latency, of_the_loop(broker, stream, rate)))
        batches.append(counted)
    for name, values in zip(("worker", "bare loop"), zip(*pairs, strict=True), strict=True):
        found = Latency(*(statistics.median(column) for column in zip(*values, strict=True)))
        told(f"{rate} records a second, {name}: p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms")
        told(
            f"{rate} records a second, {name}: {found.made_p50:.1f} ms until the factor record is made, then "
            f"{found.carried_p50:.1f} ms until it is there; {found.packed:.1f} events a factor record"
        )
    each_ms = statistics.median(one.seconds / one.number for one in batches) * 1e3
    records = statistics.median(len(stream.sent) / one.number for one in batches)
    told(f"{rate} records a second, worker: {records:.1f} records a batch, which takes {each_ms:.2f} ms")
    for name, index, bar in (("p50", 0, MOST_P50), ("p99", 1, MOST_P99)):
        ratio = statistics.median(worker[index] / loop[index] for worker, loop in pairs)
        is_met = verdict(is_met=ratio <= bar)
        told(f"{rate} records a second: {name} {ratio:.2f} times the loop's; the bar of {bar:g}: {is_met}")
