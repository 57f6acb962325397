"""The numeric path does not notice the language model: factor latency with it hanging, against rules alone.

The processes are the same in both halves of a pair: broker, processor, one regime worker, one server that never
answers. In one half the regime worker is told of the server, in the other it is not. Records leave on a schedule that
does not wait for anybody, and a factor's latency counts from its record's place on it, so a stall is seen whole.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from obflow import kafka, topics
from obflow.settings import Settings
from schemas.codec import decode_as, encode
from schemas.messages import FactorRecord, L2Record
from schemas.topics import FACTORS, L2
from tests.integration.llm_server import LlmServer, llm_server
from tests.integration.processing import Worker, pipeline, until, workers
from tests.processors.generated import GRIDS, Producer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1200)]

INSTRUMENTS = 24
PAIRS = 5
BURST = 6_000
SHARE_OF_MAXIMUM = 0.25
HIGHEST_SHARE = 0.30
MEASURED_S = 18.0
SETTLING_S = 3.0
DEADLINE_S = 4.0
LARGEST_RATIO = 1.05
TICK_S = 0.005
BEGINS_AT_S = 42
"""Second of a minute at which a half with the model begins: its question falls well inside."""


class Feed:
    """Books of many instruments, each record made when it is due."""

    def __init__(self, settings: Settings) -> None:
        self._producer = kafka.producer(settings)
        self._topic = topics.topic_name(settings, L2)
        self._books = [
            Producer(Random(number), 60_000, 40, 500, GRIDS[number % len(GRIDS)], wild=0.0, step_ns=0)
            for number in range(INSTRUMENTS)
        ]
        self._turn = 0

    def send(self, due_ns: int) -> None:
        number = self._turn % INSTRUMENTS
        self._turn += 1
        made: L2Record = self._books[number].next()
        record = msgspec.structs.replace(made, symbol=f"SYM{number:02}", received_ns=due_ns)
        self._producer.produce(self._topic, key=str(record.instrument), value=encode(record))

    def burst(self, count: int) -> None:
        """As fast as it goes."""
        for _ in range(count):
            self.send(time.time_ns())
            self._producer.poll(0)
        assert self._producer.flush(60) == 0

    def pace(self, rate: float, seconds: float) -> None:
        """On a schedule: what is late is sent late, with the time it was due."""
        begun_s, begun_ns, sent = time.monotonic(), time.time_ns(), 0
        while sent < rate * seconds:
            while sent < rate * (time.monotonic() - begun_s):
                self.send(begun_ns + int(sent / rate * 1e9))
                sent += 1
            self._producer.poll(0)
            time.sleep(TICK_S)
        assert self._producer.flush(60) == 0


class FactorLog:
    """Reads factors from where the last reading ended."""

    def __init__(self, settings: Settings) -> None:
        name = topics.topic_name(settings, FACTORS)
        self._consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "bench"})
        self._consumer.assign([TopicPartition(name, part, 0) for part in range(settings.kafka.partitions)])

    def read(self, quiet_s: float = 1.5) -> Iterator[tuple[float, int]]:
        """Latency in ms and received time of each event, until none has come for a while."""
        last_s = time.monotonic()
        while time.monotonic() - last_s < quiet_s:
            for message in self._consumer.consume(500, 0.1):
                assert message.error() is None, message.error()
                _, appended_ms = message.timestamp()
                for event in decode_as(FactorRecord, message.value()).events:
                    yield appended_ms - event.received_ns / 1e6, event.received_ns
                last_s = time.monotonic()


class Half(NamedTuple):
    """Latency of the factors of one half, ms."""

    events: int
    p50: float
    p99: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms of {self.events}"


def capacity(feed: Feed, log: FactorLog) -> float:
    """Events a second when everything is there at once, of the second of two bursts."""
    found = 0.0
    for _ in range(2):
        begun_ms = time.time_ns() / 1e6
        feed.burst(BURST)
        ends_ms = [latency + received_ns / 1e6 for latency, received_ns in log.read()]
        found = len(ends_ms) / (max(ends_ms) - begun_ms) * 1e3
    return found


def measure(feed: Feed, log: FactorLog, rate: float) -> Half:
    feed.pace(rate, SETTLING_S)
    settled_ns = time.time_ns()
    feed.pace(rate, MEASURED_S)
    latencies = [latency for latency, received_ns in log.read() if received_ns >= settled_ns]
    assert len(latencies) > 0.9 * rate * MEASURED_S
    cuts = statistics.quantiles(latencies, n=100)
    return Half(len(latencies), cuts[49], cuts[98])


def regimes(settings: Settings, server: LlmServer | None) -> Settings:
    """The settings of the half: with the server, or without."""
    hanging = {"model": "hanging", "deadline_seconds": DEADLINE_S, "breaker_failures": 10_000}
    asked = {} if server is None else {"base_url": server.url, **hanging}
    return settings.model_copy(update={"regimes": settings.regimes.model_copy(update=asked)})


def test_factors_are_as_fast_with_the_model_hanging_as_with_rules_alone(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker, checkpoint_seconds=5.0)
    feed, log = Feed(settings), FactorLog(settings)
    ratios, lines, judged = [], [], 0
    with llm_server("hang") as server, workers(settings, tmp_path) as start:
        start().wait_ready()
        maximum = capacity(feed, log)
        rate = SHARE_OF_MAXIMUM * maximum
        for pair in range(PAIRS):
            halves: dict[bool, Half] = {}
            for hanging in (False, True) if pair % 2 == 0 else (True, False):
                asked_before = len(server.asked)
                chosen = regimes(settings, server if hanging else None)
                with workers(chosen, tmp_path / f"{pair}-{hanging}", "regimes") as start_regimes:
                    worker: Worker = start_regimes()
                    worker.wait_ready()
                    if hanging:  # asked about is the window that ends at second 50 of a minute
                        time.sleep((BEGINS_AT_S - time.time()) % 60)
                    halves[hanging] = measure(feed, log, rate)
                    judged += worker.stop() == 0
                assert (len(server.asked) > asked_before) == hanging
            ratios.append(halves[True].p99 / halves[False].p99)
            lines.append(f"pair {pair + 1}: rules {halves[False]}, hanging {halves[True]}, ratio {ratios[-1]:.3f}")
    median = statistics.median(ratios)
    print(f"\nmaximum {maximum:.0f} events/s, paced at {rate:.0f}/s ({rate / maximum:.0%}), {INSTRUMENTS} instruments")  # noqa: T201
    print(*lines, f"median ratio of p99 {median:.3f}, requests seen {len(server.asked)}", sep="\n")  # noqa: T201
    assert judged == 2 * PAIRS
    assert rate <= HIGHEST_SHARE * maximum
    assert len(server.asked) > 0
    assert median <= LARGEST_RATIO
    until(lambda: server.under_way == 0, 10)
