"""What a recorder of parts advises is done, twice and three times, and works."""

from __future__ import annotations

import errno
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from producers.recordings.manifest import MANIFEST, Manifest, save_manifest
from producers.recordings.part_checks import problems_in
from producers.recordings.parts import parts_in
from producers.recordings.rotating import RotatingWriter
from producers.recordings.rotation import Rotation, rotation_of
from producers.recordings.writer import RecordingWriter
from schemas.errors import FatalError, UsageError
from tests.producers.parted import VENUE, alone, at, read, record

SECOND = Rotation(10**9)


def advised(what: Callable[[], object]) -> str:
    """What is advised where something fails."""
    with pytest.raises(FatalError) as raised:
        what()
    return raised.value.next_step


@pytest.mark.advice("make room on the disk, then start again")
def test_a_recorder_starts_again_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(3):
        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", full)
            assert advised(lambda: record(tmp_path, [at(1)])) == "make room on the disk, then start again"
            assert advised(lambda: save_manifest(tmp_path, Manifest())) == "make room on the disk, then start again"
        record(tmp_path, [at(1)])
        assert problems_in(tmp_path) == []


@pytest.mark.advice("move it away: the next start of obflow record into the folder makes one of the parts")
def test_a_manifest_that_was_moved_away_is_made_of_the_parts(tmp_path: Path) -> None:
    record(tmp_path, [at(1), at(11)])
    for number in range(2):
        (tmp_path / MANIFEST).write_text("{")
        step = advised(lambda: record(tmp_path, [at(20)]))
        assert step == "move it away: the next start of obflow record into the folder makes one of the parts"
        (tmp_path / MANIFEST).rename(tmp_path / f"away-{number}")
        record(tmp_path, [at(20)])
        assert problems_in(tmp_path) == []
    assert len(parts_in(tmp_path)) == 4


@pytest.mark.advice(
    "name a file, or fill it with parts: --rotate 1h", "name a folder with --out", "name the recording's file"
)
def test_files_and_folders_are_named_as_what_they_are(tmp_path: Path) -> None:
    for number in range(2):
        folder, file = tmp_path / f"{number}", tmp_path / f"{number}.frames.jsonl.gz"
        folder.mkdir()
        step = advised(lambda folder=folder: RecordingWriter(folder, VENUE))  # type: ignore[misc]
        assert step == "name a file, or fill it with parts: --rotate 1h"
        assert advised(lambda folder=folder: parts_in(folder)) == "name the recording's file"  # type: ignore[misc]
        with RecordingWriter(file, VENUE) as writer:
            writer.write(at(1))
        assert alone(file) == [at(1)]
        assert advised(lambda file=file: record(file, [])) == "name a folder with --out"  # type: ignore[misc]
        record(folder, [at(1)], rotation_of("1h", None))
        assert read(folder) == [at(1)]


@pytest.mark.advice("name another folder: history is fetched whole", "name the parts of one recording")
def test_history_has_a_folder_of_its_own_and_parts_are_read_by_recordings(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder, other in pairwise(folders):
        with RotatingWriter(folder, VENUE, [], SECOND, anew=not folder.exists()) as writer:
            writer.write(at(1))
        step = advised(lambda folder=folder: RotatingWriter(folder, VENUE, [], SECOND, anew=True))  # type: ignore[misc]
        assert step == "name another folder: history is fetched whole"
        with RotatingWriter(other, VENUE, [], SECOND, anew=True) as writer:
            writer.write(at(1))
        step = advised(lambda folder=folder, other=other: read(folder, other))  # type: ignore[misc]
        assert step == "name the parts of one recording"
        assert read(folder)[:1] == read(other) == [at(1)]


@pytest.mark.advice("write 500M or 2G")
@pytest.mark.parametrize("size", ["", "0", "5 M", "1T", "-1"])
def test_a_size_is_written_in_bytes_or_thousands_of_them(size: str) -> None:
    with pytest.raises(UsageError) as raised:
        rotation_of(None, size)
    assert raised.value.next_step == "write 500M or 2G"
    found = [rotation_of("15m", written) for written in ("500M", "2G", "7")]
    quarter = 15 * 60 * 10**9
    assert found == [Rotation(quarter, 500 << 20), Rotation(quarter, 2 << 30), Rotation(quarter, 7)]
