"""Workers under load that are killed one after another, and others that come and go: every event is there, to the bit.

With `TEST_SCALE=full`: 20 kills at 5,000 records a second of 40 instruments. `TEST_KILLS` and `TEST_RATE` set other
sizes. What happens to a few workers is in test_processor_chaos.py with every test.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from obflow.settings import Settings
from schemas.topics import FACTORS
from tests.integration.kill_load import KillLoad, checked
from tests.integration.processing import Worker, end_of, pipeline, until, workers
from tests.integration.test_processor import drained
from tests.processors.feed import THIN_NOTIONAL

pytestmark = [
    pytest.mark.integration,
    pytest.mark.recorded,
    pytest.mark.slow,
    pytest.mark.timeout(7_200),
    pytest.mark.skipif(os.environ.get("TEST_SCALE") != "full", reason="takes minutes: TEST_SCALE=full"),
]

KILLS = int(os.environ.get("TEST_KILLS", "20"))
RATE = float(os.environ.get("TEST_RATE", "5000"))
INSTRUMENTS = 40
WORKERS = 3
READY_S = 90.0
MORE = 50
"""Factor records after which a worker is at work again."""


def settings_of(broker: str) -> Settings:
    return pipeline(broker, engine="kernel", thin_notional=THIN_NOTIONAL, checkpoint_seconds=5.0)


def wait_for_more(settings: Settings, explain: Callable[[], str]) -> None:
    end = end_of(settings, FACTORS)
    until(lambda: end_of(settings, FACTORS) >= end + MORE, READY_S, explain)


def owners(many: list[Worker]) -> list[int]:
    """Places of those that have a partition."""
    return [number for number, worker in enumerate(many) if worker.owned()]


def started(start: Callable[..., Worker], number: int) -> list[Worker]:
    many = [start() for _ in range(number)]
    for worker in many:
        worker.wait_ready(READY_S)
    return many


def assert_exact(settings: Settings, load: KillLoad, recordings: Path, what: str) -> None:
    found = checked(settings, load, recordings)
    print(  # noqa: T201 - the figures of a series
        f"\n{what}: {load.sent:,} records of {len(load.symbols)} instruments, {load.reached:,.0f} a second "
        f"of {RATE:,.0f}; lost {found.lost}, wrong {found.wrong}, sent again {found.repeated:,}"
    )
    assert (found.lost, found.wrong) == (0, 0)


def test_owners_killed_in_turn_lose_nothing_and_change_no_bit(broker: str, tmp_path: Path, recordings: Path) -> None:
    settings, random = settings_of(broker), Random(20)
    with workers(settings, tmp_path) as start:
        many = started(start, WORKERS)
        with KillLoad(settings, recordings, INSTRUMENTS, RATE) as load:
            for _ in range(KILLS):
                until(lambda: bool(owners(many)), READY_S)
                doomed = random.choice(owners(many))
                wait_for_more(settings, many[doomed].tail)
                many[doomed].kill()
                many[doomed] = start()
                many[doomed].wait_ready(READY_S)
        drained(settings, 300.0)
    assert_exact(settings, load, recordings, f"{KILLS} owners killed of {WORKERS} workers")


def test_workers_that_come_and_go_under_load_lose_nothing(broker: str, tmp_path: Path, recordings: Path) -> None:
    settings = settings_of(broker)
    with workers(settings, tmp_path) as start:
        many = started(start, 1)
        with KillLoad(settings, recordings, INSTRUMENTS, RATE) as load:
            wait_for_more(settings, many[0].tail)
            many += started(start, 2)
            until(lambda: len(owners(many)) == 3, READY_S)
            wait_for_more(settings, many[0].tail)
            assert many[0].stop(60.0) == 0, many[0].tail()
            until(lambda: sum(worker.owned() for worker in many[1:]) == settings.kafka.partitions, READY_S)
            wait_for_more(settings, many[1].tail)
        drained(settings, 300.0)
    assert_exact(settings, load, recordings, "1, 3, 2 workers")
