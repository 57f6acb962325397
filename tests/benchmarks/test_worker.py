"""A whole worker, Kafka to Kafka with commits and checkpoints: compiled, as before, and against a loop without Faust.

The loop is what a worker could be at most (`bare_loop.py`).
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from schemas.messages import L2Record
from schemas.topics import FACTORS, L2
from tests.benchmarks.bare_loop import BareLoop
from tests.integration.processing import interleaved, pipeline, publish, reader, renamed, workers
from tests.integration.test_processor import drained
from tests.processors.compare import VENUES
from tests.processors.recorded import path_of, read_records

pytestmark = [pytest.mark.integration, pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(1800)]

ROUNDS = 3
INSTRUMENTS = 16
INSTRUMENTS_OF_THE_REFERENCE = 2
LONG_SECONDS = 10.0
READY_SECONDS = 240.0
"""The first worker compiles the kernel where nobody has."""
BARS = {
    "times the worker as it was, by CPU": 15.0,
    "of the loop without Faust, by CPU": 0.6,
    "of the loop without Faust, by the clock": 0.6,
}


class Speed(NamedTuple):
    """Records a second: of CPU time of the process, and by the clock."""

    by_cpu: float
    by_clock: float


def of_a_worker(broker: str, folder: Path, engine: str, records: tuple[L2Record, ...], instruments: int) -> Speed:
    settings = pipeline(
        broker, engine=engine, session_timeout_seconds=LONG_SECONDS, heartbeat_seconds=2.0, checkpoint_seconds=5.0
    )
    count = publish(settings, interleaved([renamed(records, f"S{number:02}") for number in range(instruments)]))
    with workers(settings, folder) as start:
        worker = start()
        worker.wait_ready(READY_SECONDS)
        process = psutil.Process(worker.process.pid)
        spent = sum(process.cpu_times()[:2])
        drained(settings, 600)
        speed = Speed(count / (sum(process.cpu_times()[:2]) - spent), count / written_within_s(settings))
        assert worker.stop() == 0, worker.tail()
    return speed


def written_within_s(settings: Settings) -> float:
    """Seconds from the first to the last factor record, by the broker's clock."""
    name = topics.topic_name(settings, FACTORS)
    firsts, ends = kafka_logs.start_offsets(settings, [name]), kafka_logs.end_offsets(settings, [name])
    held = [place for place, end in ends.items() if end > firsts[place]]
    begun = min(appended_ms(settings, place, firsts[place]) for place in held)
    return (max(appended_ms(settings, place, ends[place] - 1) for place in held) - begun) / 1e3


def appended_ms(settings: Settings, place: kafka.Partition, offset: int) -> int:
    consumer = reader(settings, {place: offset})
    [message] = consumer.consume(1, 20.0)
    consumer.close()
    return int(message.timestamp()[1])


def of_a_bare_loop(broker: str, records: tuple[L2Record, ...]) -> Speed:
    settings = pipeline(broker)
    left = count = publish(settings, interleaved([renamed(records, f"S{number:02}") for number in range(INSTRUMENTS)]))
    out = topics.topic_name(settings, FACTORS)
    loop = BareLoop(broker, out, log_of(settings))
    loop.consumer.subscribe([topics.topic_name(settings, L2)])
    messages = loop.consumer.consume(1, 30.0)
    spent = time.process_time()
    while messages:
        loop.handle(messages)
        left -= len(messages)
        messages = loop.polled() if left else []
    assert loop.producer.flush(60) == 0
    speed = Speed(count / (time.process_time() - spent), count / written_within_s(settings))
    loop.consumer.close()
    return speed


def log_of(settings: Settings) -> str:
    """The log that the records of factors name."""
    return next(iter(kafka_logs.topic_ids(settings, [topics.topic_name(settings, FACTORS)]).values()))[:8]


def told(sentence: str) -> None:
    print(sentence)  # noqa: T201


def test_a_worker_with_the_compiled_engine(broker: str, recordings: Path, tmp_path: Path) -> None:
    records = read_records(path_of(recordings, VENUES[0]), VENUES[0])
    rounds = [
        (
            of_a_worker(broker, tmp_path / f"kernel{number}", "kernel", records, INSTRUMENTS),
            of_a_worker(broker, tmp_path / f"reference{number}", "reference", records, INSTRUMENTS_OF_THE_REFERENCE),
            of_a_bare_loop(broker, records),
        )
        for number in range(ROUNDS)
    ]
    for name, speeds in zip(("kernel", "reference", "bare loop"), zip(*rounds, strict=True), strict=True):
        by_cpu, by_clock = (statistics.median(values) for values in zip(*speeds, strict=True))
        told(f"{name}: {by_cpu:,.0f} records a CPU second, {by_clock:,.0f} a second by the clock")
    ratios = (
        statistics.median(kernel.by_cpu / reference.by_cpu for kernel, reference, _ in rounds),
        statistics.median(kernel.by_cpu / bare.by_cpu for kernel, _, bare in rounds),
        statistics.median(kernel.by_clock / bare.by_clock for kernel, _, bare in rounds),
    )
    for (what, bar), ratio in zip(BARS.items(), ratios, strict=True):
        told(f"{ratio:.2f} {what}; the bar of {bar:g} is {'met' if ratio >= bar else 'not met'}")
