"""A worker of the version before runs beside one of this version: each goes on from the other's checkpoints."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import threading
import tomllib
from pathlib import Path
from random import Random

import pytest

from tests.integration.processing import FactorLog, Worker, interleaved, pipeline, publish, renamed, until, workers
from tests.integration.test_processor import Expected, assert_whole, drained
from tests.processors.generated import GRIDS, Producer

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
BEFORE = "c82043f"
"""The version that is upgraded from: raised with each release, to the one before."""
INSTRUMENTS = 8
RATE = 400


@pytest.fixture
def code_before(tmp_path: Path) -> Path:
    """The code of the version before, in a folder."""
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", BEFORE], capture_output=True, timeout=60)
    if packed.returncode:
        pytest.skip(f"needs the history: no commit {BEFORE} here ({packed.stderr.decode().strip()})")
    folder = tmp_path / "before"
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    register(folder)
    return folder


def register(folder: Path) -> None:
    """Write down, as an installer would, the names by which that version finds its own parts."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, places in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{part} = {place}" for part, place in places.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))


def saw_no_bad_checkpoint(worker: Worker) -> bool:
    return not any(worker.logged(event) for event in ("checkpoint_unreadable", "checkpoint_missing"))


def test_two_versions_share_a_group_and_go_on_from_each_others_checkpoints(
    broker: str, code_before: Path, tmp_path: Path
) -> None:
    settings = pipeline(broker)
    producers = [
        Producer(Random(number), 60_000, 40, 500, GRIDS[number % len(GRIDS)], 0.01, 60_000_000)
        for number in range(INSTRUMENTS)
    ]
    streams = [renamed(producer.records(350), f"SYM{number:02}") for number, producer in enumerate(producers)]
    run_before = f"import sys; sys.path.insert(0, {str(code_before)!r}); from obflow.cli import main; sys.exit(main())"
    publishing = threading.Thread(target=publish, args=(settings, interleaved(streams), RATE))
    with (
        workers(settings, tmp_path / "old", command=[sys.executable, "-c", run_before]) as start_old,
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
    stored = FactorLog(settings).read()

    assert_whole(stored, Expected(streams))
    assert all(map(saw_no_bad_checkpoint, (old, new, back)))
