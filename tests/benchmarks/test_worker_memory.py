"""What a worker holds while an hour of sixteen deep books passes through it, from Kafka to Kafka with checkpoints.

The futures recording holds some 5,000 levels a side; an hour is that recording time after time, each later than the one
before it and of a higher epoch. Memory is that of the process, looked at each second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from obflow.settings import Settings
from schemas.messages import L2Record
from schemas.units import NS_PER_SECOND
from tests.benchmarks.test_kernel import told
from tests.integration.processing import interleaved, pipeline, publish, renamed, workers
from tests.integration.test_processor import drained
from tests.processors.compare import VENUES
from tests.processors.recorded import path_of, read_records

pytestmark = [pytest.mark.integration, pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(1800)]

FEW, INSTRUMENTS = 4, 16
"""Beside few of them, so that what a worker holds of records that wait is the same, and books are the difference."""
HOUR_NS = 3600 * NS_PER_SECOND
LOOK_S = 1.0
MOST_GROWTH = 0.05
"""From a quarter of the hour on, when each book has been checkpointed a few times."""
MIB = 2**20


def of_an_hour(records: Sequence[L2Record]) -> Iterator[L2Record]:
    """Give the records again and again, each time later, until an hour has passed."""
    took_ns = records[-1].received_ns - records[0].received_ns + NS_PER_SECOND
    for turn in range(-(-HOUR_NS // took_ns)):
        later_ns = turn * took_ns
        for record in records:
            exchange_ns = None if record.exchange_ns is None else record.exchange_ns + later_ns
            yield replace(
                record,
                epoch=record.epoch + turn,
                received_ns=record.received_ns + later_ns,
                exchange_ns=exchange_ns,
            )


@contextmanager
def watched(look: Callable[[], float]) -> Iterator[list[float]]:
    """Look each second, until the end."""
    seen, ended = list[float](), threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_S):
            seen.append(look())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def memory_while_working(settings: Settings, folder: Path, count: int) -> list[float]:
    """MiB of a worker at each second, from before its first record to its last."""
    with workers(settings, folder) as start:
        worker = start()
        process = psutil.Process(worker.process.pid)
        worker.wait_ready(240.0)
        with watched(lambda: process.memory_info().rss / MIB) as seen:
            drained(settings, count / 500)
        assert worker.stop() == 0, worker.tail()
    return seen


def test_a_worker_holds_no_more_after_an_hour(broker: str, recordings: Path, tmp_path: Path) -> None:
    records = read_records(path_of(recordings, VENUES[0]), VENUES[0])
    settings = {
        count: pipeline(broker, engine="kernel", session_timeout_seconds=10.0, heartbeat_seconds=2.0)
        for count in (FEW, INSTRUMENTS)
    }
    seen = {}
    for instruments, of_them in settings.items():
        streams = [list(of_an_hour(renamed(records, f"S{number:02}"))) for number in range(instruments)]
        count = publish(of_them, interleaved(streams))
        del streams
        seen[instruments] = found = memory_while_working(of_them, tmp_path / str(instruments), count)
        tenths = [found[len(found) * tenth // 10] for tenth in range(10)] + found[-1:]
        told(f"{instruments} instruments, {count:,} records: " + " ".join(f"{mib:.0f}" for mib in tenths) + " MiB")
    whole, few = seen[INSTRUMENTS], seen[FEW]
    each = (whole[-1] - few[-1]) / (INSTRUMENTS - FEW)
    told(f"an instrument more: {each:.2f} MiB of the process, with checkpoints; test_kernel.py has its arrays")
    growth = whole[-1] / whole[len(whole) // 4] - 1
    told(f"growth from a quarter of the hour on: {growth:.1%}: {'flat' if growth <= MOST_GROWTH else 'not flat'}")
