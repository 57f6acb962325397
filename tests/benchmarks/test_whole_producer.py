"""A whole producer: from a socket, from memory and from a file to records that the broker acknowledged, by the frame.

The yardstick of the same run is a loop of `orjson.loads` over the same frames and of confluent-kafka, which hands over
the bytes of the same records, made beforehand. CPU time of the process counts, which is that of every thread: the
machine does other work, too, so that the clock says little. A bar that is not met is told, and fails nothing.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson
import psutil
import pytest

from obflow import kafka, kafka_logs, topics
from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.books.records import payload_of
from producers.broker.publisher import TOPIC_OF, Publisher, key_of
from producers.compilation import MakeEngine, find_engine
from producers.exchanges import EXCHANGES
from producers.live.feed import LiveFeed
from producers.messages import Frame
from producers.recordings.opened import open_recording
from producers.recordings.reader import Scan, scan
from producers.recordings.replay import Replay, ReplayPlan
from producers.settings import ProducerSettings
from schemas.topics import TRADES
from tests.benchmarks.flood import VENUE, symbol_of
from tests.benchmarks.test_kernel import told, verdict
from tests.benchmarks.test_producer import RECORDED
from tests.integration.processing import OBFLOW
from tests.integration.producing import fresh_topics
from tests.support.patience import patient

pytestmark = [pytest.mark.integration, pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(1800)]

BAR_US = 50.0
"""CPU of a frame, all threads: 20,000 frames a second of one core."""
ROUNDS = 3
COPIES = 4
TICK_FRAMES = 500
"""Frames between two looks of a feed at what the broker says; in a producer 20 ms lie between them."""


class Spent(NamedTuple):
    """What a frame took: of CPU and of the clock, us."""

    cpu: float
    clock: float


class Stopwatch:
    """Measures a stretch of this process."""

    def __init__(self) -> None:
        gc.collect()
        self._cpu, self._clock = time.process_time(), time.perf_counter()

    def of(self, frames: int) -> Spent:
        """Give what each of so many frames took."""
        cpu, clock = time.process_time() - self._cpu, time.perf_counter() - self._clock
        return Spent(cpu / frames * 1e6, clock / frames * 1e6)


class Recorded(NamedTuple):
    """A recording in memory."""

    path: Path
    frames: Sequence[Frame]
    found: Scan


def recorded(recordings: Path) -> Recorded:
    path = recordings / f"{RECORDED[VENUE]}.frames.jsonl.gz"
    source, _ = open_recording(path, EXCHANGES[VENUE])
    return Recorded(path, list(source.frames()), scan(source, EXCHANGES[VENUE]))


def kernel(settings: Settings) -> MakeEngine | None:
    return find_engine("kernel", settings.cache)


def from_memory(settings: Settings, one: Recorded) -> Spent:
    """The work of a live producer behind its sockets."""
    metrics, clock = Metrics("producer"), SystemClock()
    publisher = Publisher(settings, metrics, clock.now_ns)
    feed = LiveFeed(
        EXCHANGES[VENUE],
        one.found.instruments,
        settings.of(ProducerSettings),
        clock=clock,
        metrics=metrics,
        sink=publisher,
        is_outdated=publisher.has_answered,
        engine=kernel(settings),
    )
    watch = Stopwatch()
    for number, frame in enumerate(one.frames):
        feed.handle(frame)
        if number % TICK_FRAMES == 0:
            publisher.poll()
            feed.request_snapshots()
    publisher.flush(patient(60.0))
    spent = watch.of(len(one.frames))
    assert not feed.outlet.shed
    publisher.close()
    return spent


def from_file(settings: Settings, one: Recorded) -> Spent:
    """A replay, from where it has looked through the file."""
    clock = SystemClock()
    replay = Replay([one.path], EXCHANGES[VENUE], ReplayPlan(), clock, kernel(settings))
    publisher = Publisher(settings, Metrics("replay"), clock.now_ns, each_report=False)
    watch = Stopwatch()
    replay.run(publisher, threading.Event(), flush_seconds=patient(60.0))
    spent = watch.of(len(one.frames))
    publisher.close()
    return spent


def made_ready(settings: Settings, one: Recorded) -> list[list[tuple[str, bytes, bytes]]]:
    """What each frame gives to publish: topic, key and bytes."""
    names = {kind: topics.topic_name(settings, topic) for kind, topic in TOPIC_OF.items()}
    feed = LiveFeed(
        EXCHANGES[VENUE],
        one.found.instruments,
        settings.of(ProducerSettings),
        clock=SystemClock(),
        metrics=Metrics("producer"),
        sink=_Nowhere(),
        is_outdated=lambda _: False,
    )
    handle = feed.router.handle
    return [
        [(names[type(record)], key_of(record), payload_of(record)) for record in handle(frame).records]
        for frame in one.frames
    ]


class _Nowhere:
    waiting = 0

    def offer(self, record: object) -> bool:
        del record
        return True


def bare_loop(settings: Settings, one: Recorded, ready: Sequence[Sequence[tuple[str, bytes, bytes]]]) -> Spent:
    """What any producer that reads JSON with this library and sends with that client takes."""
    client = kafka.producer(settings)
    watch = Stopwatch()
    for number, (frame, records) in enumerate(zip(one.frames, ready, strict=True)):
        orjson.loads(frame.raw)
        for topic, key, payload in records:
            client.produce(topic, payload, key)
        if number % TICK_FRAMES == 0:
            client.poll(0)
    assert client.flush(patient(60.0)) == 0
    return watch.of(len(one.frames))


@contextmanager
def flooding(path: Path, copies: int) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A venue in a process of its own that sends as fast as is read, once it is told to."""
    command = [sys.executable, "-m", "tests.benchmarks.flood", str(path), str(copies)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()


def producing(settings: Settings, addresses: dict[str, Any], log: Path) -> subprocess.Popen[bytes]:
    """Start `obflow produce` of all copies."""
    symbols = [word for copy in range(COPIES) for word in ("--symbol", symbol_of(copy))]
    chosen = {
        "kafka.bootstrap_servers": settings.kafka.bootstrap_servers,
        "kafka.topic_prefix": settings.kafka.topic_prefix,
        "producer.engine": "kernel",
        "producer.source": "simulator",
        "producer.derivatives": "false",
        "producer.rest_url": addresses["rest"],
        "producer.websocket_url": addresses["sockets"],
        "metrics.port": "0",
    }
    sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    with log.open("wb") as stream:
        command = [*OBFLOW, "produce", VENUE, *symbols, "--json", *sets]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream)


def held(settings: Settings, topic: str) -> int:
    return sum(kafka_logs.end_offsets(settings, [topic]).values())


class Flooded(NamedTuple):
    """What a whole producer did; its memory after a quarter of the time, and at most."""

    spent: Spent
    memory_mib: tuple[float, float]
    summary: dict[str, Any]


def from_socket(settings: Settings, one: Recorded, log: Path) -> Flooded:
    """A whole producer, its process measured from outside."""
    trades = topics.topic_name(settings, TRADES)
    with flooding(one.path, COPIES) as (venue, addresses):
        producer = producing(settings, addresses, log)
        try:
            deadline = time.monotonic() + patient(120.0)
            process = psutil.Process(producer.pid)
            while not any(each.raddr and each.raddr.port == port_of(addresses) for each in process.net_connections()):
                assert producer.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline, log.read_text("utf-8")
                time.sleep(0.05)
            time.sleep(1.0)  # it subscribes
            cpu, clock, memory = sum(process.cpu_times()[:2]), time.perf_counter(), [process.memory_info().rss / 2**20]
            assert venue.stdin is not None
            venue.stdin.write(b"\n")
            venue.stdin.flush()
            deadline = time.monotonic() + patient(300.0)
            while held(settings, trades) < addresses["trades"]:
                assert time.monotonic() < deadline, log.read_text("utf-8")
                memory.append(process.memory_info().rss / 2**20)
                time.sleep(0.2)
            took = time.perf_counter() - clock
            cpu = sum(process.cpu_times()[:2]) - cpu
            frames = addresses["frames"]
            producer.terminate()
            out, _ = producer.communicate(timeout=patient(60.0))
        finally:
            if producer.poll() is None:
                producer.kill()
    summary = json.loads(out)
    spent = Spent(cpu / frames * 1e6, took / frames * 1e6)
    return Flooded(spent, (memory[len(memory) // 4], max(memory)), summary)


def port_of(addresses: dict[str, Any]) -> int:
    return int(addresses["sockets"].rpartition(":")[2])


def test_a_whole_producer_beside_a_bare_loop(broker: str, recordings: Path, tmp_path: Path) -> None:
    one = recorded(recordings)
    rounds = []
    for number in range(ROUNDS):
        settings = [fresh_topics(broker) for _ in range(4)]
        ready = made_ready(settings[0], one)
        flooded = from_socket(settings[3], one, tmp_path / f"{number}.log")
        rounds.append(
            (
                bare_loop(settings[0], one, ready),
                from_memory(settings[1], one),
                from_file(settings[2], one),
                flooded.spent,
            )
        )
        books = flooded.summary["instruments"].values()
        told(
            f"from a socket: gaps {sum(book['gaps'] for book in books)}, updates"
            f" {sum(book['deltas_applied'] for book in books)}, live {sum(book['live'] for book in books)} of {COPIES},"
            f" shed {flooded.summary['shed']}, MiB after a quarter and at most"
            f" {flooded.memory_mib[0]:.0f}, {flooded.memory_mib[1]:.0f}"
        )
    names = ("bare loop", "from memory", "from a file", "from a socket")
    spent = [Spent(*map(median, zip(*each, strict=True))) for each in zip(*rounds, strict=True)]
    for name, each in zip(names, spent, strict=True):
        told(
            f"{name}: {each.cpu:.1f} us of CPU a frame, {each.clock:.1f} by the clock,"
            f" {each.cpu / spent[0].cpu:.2f} times the bare loop"
        )
    for name, each in zip(names[1:], spent[1:], strict=True):
        told(f"{name}: bar {BAR_US:g} us of CPU: {verdict(is_met=each.cpu <= BAR_US)}")
