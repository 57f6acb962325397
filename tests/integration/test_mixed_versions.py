"""A worker of the version before runs beside one of this version, is replaced by it, and comes back: nothing is lost.

This version goes on from the checkpoints of the one before. That one refuses this version's where it comes to one, and
reads again: it finds the events that it knows as they were.

`make test` has its kind in tests/integration/test_processor.py.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from random import Random

import pytest

from schemas.factors import EVENT_HEAD
from tests.integration.older_code import older_code, run_of
from tests.integration.processing import FactorLog, Worker, interleaved, pipeline, publish, renamed, until, workers
from tests.integration.test_processor import Expected, assert_whole, drained
from tests.processors.generated import GRIDS, Producer

pytestmark = [pytest.mark.exhaustive, pytest.mark.integration, pytest.mark.slow]

BEFORE = "c82043f"
"""The version that is upgraded from: raised with each release, to the one before."""
INSTRUMENTS = 8
RATE = 400


@pytest.fixture
def code_before(tmp_path: Path) -> Path:
    """The code of the version before, in a folder."""
    return older_code(BEFORE, tmp_path / "before")


def factors_of(folder: Path) -> list[str]:
    """The factors that a version writes: those of its newest schema."""
    newest = max((folder / "schemas/avro").glob("factors.v*.avsc"), key=lambda path: int(path.stem.rpartition("v")[2]))
    [events] = [field for field in json.loads(newest.read_text("utf-8"))["fields"] if field["name"] == "events"]
    return [field["name"] for field in events["type"]["items"]["fields"] if field["name"] not in EVENT_HEAD]


def saw_no_bad_checkpoint(worker: Worker) -> bool:
    return not any(worker.logged(event) for event in ("checkpoint_unreadable", "checkpoint_missing"))


def test_an_old_worker_is_replaced_and_comes_back_and_no_event_is_lost(
    broker: str, code_before: Path, tmp_path: Path
) -> None:
    settings = pipeline(broker)
    producers = [
        Producer(Random(number), 60_000, 40, 500, GRIDS[number % len(GRIDS)], 0.01, 60_000_000)
        for number in range(INSTRUMENTS)
    ]
    streams = [renamed(producer.records(350), f"SYM{number:02}") for number, producer in enumerate(producers)]
    publishing = threading.Thread(target=publish, args=(settings, interleaved(streams), RATE))
    with (
        workers(settings, tmp_path / "old", command=run_of(code_before)) as start_old,
        workers(settings, tmp_path / "new") as start_new,
    ):
        old = start_old()
        old.wait_ready()
        publishing.start()
        new = start_new()
        until(lambda: 0 < new.owned() < settings.kafka.partitions, 40, new.tail)
        until(lambda: 0 < old.owned() < settings.kafka.partitions, 40, old.tail)
        old.kill()
        until(lambda: new.owned() == settings.kafka.partitions, 40, new.tail)
        back = start_old()  # an upgrade that is taken back
        until(lambda: back.owned() > 0, 40, back.tail)
        assert new.stop() == 0, new.tail()
        publishing.join()
        drained(settings, 60)
        assert back.stop() == 0, back.tail()
    both_know = factors_of(code_before)
    stored = FactorLog(settings, both_know).read()

    assert_whole(stored, Expected(streams, both_know))
    assert all(map(saw_no_bad_checkpoint, (old, new)))
