"""Workers killed, frozen and stopped at random under load: the log holds every event, in order, and repeats agree.

`make test` has its kind in tests/e2e/test_faults.py.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from obflow.settings import Settings
from tests.integration.processing import FactorLog, Worker, interleaved, pipeline, publish, renamed, workers
from tests.integration.test_processor import Expected, assert_whole, drained
from tests.processors.generated import GRIDS, Producer
from tests.support.patience import patient

pytestmark = [pytest.mark.exhaustive, pytest.mark.integration, pytest.mark.slow]

WORKERS = 3
INSTRUMENTS = 16
RATE = 900


class Chaos:
    """Some workers, and what befalls them."""

    def __init__(self, start: Callable[..., Worker], random: Random) -> None:
        self._start = start
        self._random = random
        self.workers = [start() for _ in range(WORKERS)]
        for worker in self.workers:
            worker.wait_ready()

    def kill(self) -> None:
        self._replace(Worker.kill)

    def stop(self) -> None:
        self._replace(Worker.stop)

    def freeze(self) -> None:
        """Away for longer than its session: others take its partitions, and it does not know when it wakes."""
        worker = self._random.choice(self.workers)
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(4.5)
        worker.process.send_signal(signal.SIGCONT)

    def kill_all(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.workers = [self._start() for _ in self.workers]

    def _replace(self, end: Callable[[Worker], object]) -> None:
        number = self._random.randrange(len(self.workers))
        end(self.workers[number])
        self.workers[number] = self._start()


def wait_for_more(log: FactorLog, more: int = 100, seconds: float = 15.0) -> None:
    """Return once so many more events were emitted, or after a while: the last records may have theirs."""
    seen, deadline = log.read().emitted, time.monotonic() + patient(seconds)
    while log.read().emitted < seen + more and time.monotonic() < deadline:
        time.sleep(0.05)


def test_no_end_of_a_worker_loses_reorders_or_changes_an_event(broker: str, tmp_path: Path) -> None:
    random = Random(7)
    settings: Settings = pipeline(broker)
    producers = [
        Producer(Random(number), 60_000, 40, 500, GRIDS[number % len(GRIDS)], 0.01, 60_000_000)
        for number in range(INSTRUMENTS)
    ]
    streams = [renamed(producer.records(900), f"SYM{number:02}") for number, producer in enumerate(producers)]
    publishing = threading.Thread(target=publish, args=(settings, interleaved(streams), RATE))
    with workers(settings, tmp_path) as start:
        chaos = Chaos(start, random)
        publishing.start()
        log = FactorLog(settings)
        for blow in (chaos.kill, chaos.freeze, chaos.stop, chaos.kill_all, chaos.kill):
            time.sleep(random.uniform(0.5, 1.5))
            wait_for_more(log)  # a worker that does nothing has nothing to lose
            blow()
        publishing.join()
        drained(settings, 90)

    stored = FactorLog(settings).read()
    assert_whole(stored, Expected(streams))
    assert stored.emitted > stored.distinct, "nothing was repeated, so nothing was proved"


def test_a_worker_that_wakes_behind_its_successor_loses_and_changes_no_event(broker: str, tmp_path: Path) -> None:
    """What it held as it fell asleep it writes behind its successor's checkpoints; then it is given partitions back."""
    settings: Settings = pipeline(broker)
    producers = [Producer(Random(100 + number), 60_000, 40, 500, GRIDS[0], 0.01, 60_000_000) for number in range(8)]
    streams = [renamed(producer.records(3_000), f"SYM{number:02}") for number, producer in enumerate(producers)]
    publishing = threading.Thread(target=publish, args=(settings, interleaved(streams), RATE))
    with workers(settings, tmp_path) as start:
        sleeper, other = start(), start()
        for worker in (sleeper, other):
            worker.wait_ready()
        publishing.start()
        log = FactorLog(settings)
        for _ in range(3):
            wait_for_more(log, 500)
            sleeper.process.send_signal(signal.SIGSTOP)
            time.sleep(6.0)
            sleeper.process.send_signal(signal.SIGCONT)
        publishing.join()
        drained(settings, 90)

    stored = FactorLog(settings).read()
    assert_whole(stored, Expected(streams))
    assert stored.emitted > stored.distinct, "nothing was repeated, so nothing was proved"
    assert sleeper.logged("partition_read_again") == [], "it goes on from its successor's checkpoints, not from its own"
