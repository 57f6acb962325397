"""The manifest says what each part holds, also of one that was cut off; what is not as it says is named."""

from __future__ import annotations

import errno
import gzip
import hashlib
from importlib.metadata import version
from pathlib import Path

import pytest

from producers.messages import Via
from producers.recordings.manifest import MANIFEST, Manifest, PartEnd, PartEntry, load_manifest, save_manifest
from producers.recordings.part_checks import open_in, problems_in
from producers.recordings.rotating import RotatingWriter
from producers.recordings.rotation import Rotation
from producers.recordings.writer import RecordingWriter
from schemas.errors import FatalError
from schemas.units import NS_PER_SECOND
from tests.producers.parted import LIST, VENUE, a_minute, alone, at, read, record


def entries(folder: Path) -> list[PartEntry]:
    found = load_manifest(folder)
    assert found is not None
    return found.parts


def cut_off(folder: Path, torn: bytes = b"") -> Path:
    """Leave a folder as a killed recorder does: a second part is open, with a flushed line and one that is not."""
    writer = RotatingWriter(folder, VENUE, ["BTCUSDT"], Rotation(10 * NS_PER_SECOND))
    for frame in (LIST, at(1, Via.CONNECT), at(9), at(11)):
        writer.write(frame)
    writer.flush()
    writer.write(at(12))
    path = writer.parts[-1]
    with path.open("ab") as file:
        file.write(torn)
    assert writer._writer is not None
    writer._writer._file.close()  # as the system does, and lets the folder go
    writer._let_go()
    return path


class TestWhole:
    def test_it_says_what_each_part_holds(self, tmp_path: Path) -> None:
        parts = record(tmp_path, a_minute()).parts
        first, second, *_, last = entries(tmp_path)

        assert [entry.name for entry in entries(tmp_path)] == [path.name for path in parts]
        assert (second.part, second.continues, second.venue, second.instruments) == (2, True, VENUE, ["BTCUSDT"])
        assert (second.first_received_ns, second.last_received_ns) == (10 * NS_PER_SECOND, 19 * NS_PER_SECOND)
        assert (first.ended, last.ended, first.continues) == (PartEnd.ROTATED, PartEnd.STOPPED, False)
        assert second.obflow == version("obflow")
        for path, entry in zip(parts, entries(tmp_path), strict=True):
            packed, text = path.read_bytes(), gzip.decompress(path.read_bytes())
            assert (entry.bytes, entry.lines) == (len(packed), text.count(b"\n"))
            assert entry.sha256 == hashlib.sha256(packed).hexdigest()
            assert entry.sha256_unpacked == hashlib.sha256(text).hexdigest()
        assert problems_in(tmp_path) == []

    def test_one_that_cannot_be_written_leaves_the_one_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save_manifest(tmp_path, Manifest())
        before = (tmp_path / MANIFEST).read_bytes()

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(FatalError, match=r"cannot be written \(No space left on device\)"):
            save_manifest(tmp_path, Manifest([PartEntry(name="a", part=1, continues=False, venue="", instruments=[])]))
        assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]
        assert (tmp_path / MANIFEST).read_bytes() == before


class TestCutOff:
    @pytest.mark.parametrize("torn", [b"", gzip.compress(b'{"received_ns": 12}\n')[:-12]], ids=["whole", "torn"])
    def test_the_next_start_completes_it_and_goes_on(self, tmp_path: Path, torn: bytes) -> None:
        path = cut_off(tmp_path, torn)
        assert open_in(tmp_path) == [path.name]
        assert problems_in(tmp_path) == []
        before = read(tmp_path)
        assert before[-1] == at(11), "readable up to what was flushed, before anybody completes it"

        record(tmp_path, [at(30)])
        first, second, third = entries(tmp_path)
        assert [entry.ended for entry in (first, second, third)] == [PartEnd.ROTATED, PartEnd.CUT_OFF, PartEnd.STOPPED]
        assert (second.lines, second.bytes) == (3, path.stat().st_size)
        assert (second.first_received_ns, second.last_received_ns) == (11 * NS_PER_SECOND, 11 * NS_PER_SECOND)
        assert second.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (third.part, third.continues, open_in(tmp_path)) == (3, False, [])
        assert problems_in(tmp_path) == []
        assert read(tmp_path) == [*before, at(11, Via.DISCONNECT), at(30)]

    def test_one_that_was_killed_before_its_first_line_is_empty_and_keeps_its_number(self, tmp_path: Path) -> None:
        path = cut_off(tmp_path)
        path.write_bytes(b"")
        assert read(tmp_path) == [LIST, at(1, Via.CONNECT), at(9)]

        record(tmp_path, [at(30)])
        assert [(entry.part, entry.ended, entry.lines) for entry in entries(tmp_path)][1:] == [
            (2, PartEnd.CUT_OFF, 0),
            (3, PartEnd.STOPPED, 1),
        ]
        assert problems_in(tmp_path) == []
        assert read(tmp_path)[3:] == [at(9, Via.DISCONNECT), at(30)]

    def test_parts_without_a_manifest_are_listed_by_the_next_start(self, tmp_path: Path) -> None:
        record(tmp_path, a_minute())
        whole = entries(tmp_path)
        (tmp_path / MANIFEST).unlink()
        assert problems_in(tmp_path) == [f"{tmp_path} has no {MANIFEST}: nothing says whether its parts are whole"]

        record(tmp_path, [at(100)])
        assert [entry.sha256_unpacked for entry in entries(tmp_path)][:6] == [one.sha256_unpacked for one in whole]
        assert problems_in(tmp_path) == []


class TestProblems:
    def test_a_part_that_is_missing_changed_or_not_listed_is_named(self, tmp_path: Path) -> None:
        first, second, third, *_ = record(tmp_path, a_minute()).parts
        first.unlink()
        second.write_bytes(gzip.compress(gzip.decompress(second.read_bytes()).replace(b"12", b"13")))
        third.write_bytes(third.read_bytes()[:-20])
        other = tmp_path / "binance-000099-19700101T000010Z.frames.jsonl.gz"
        with RecordingWriter(other, VENUE, {"part": 99}) as writer:
            writer.write(at(1))

        assert problems_in(tmp_path) == [
            f"part {first.name} is missing: 11 lines are listed",
            f"part {second.name} is changed: its SHA-256 is not the one listed",
            f"part {third.name} is changed: its SHA-256 is not the one listed",
            f"part {other.name} is not listed in {MANIFEST}",
        ]

    def test_a_part_that_is_packed_otherwise_is_not_changed(self, tmp_path: Path) -> None:
        first = record(tmp_path, a_minute()).parts[0]
        first.write_bytes(gzip.compress(gzip.decompress(first.read_bytes()), 1))
        assert problems_in(tmp_path) == []

    def test_a_manifest_that_cannot_be_read_is_the_problem_and_parts_are_read(self, tmp_path: Path) -> None:
        record(tmp_path, [LIST, at(1)])
        (tmp_path / MANIFEST).write_text('{"parts": [')
        assert "is no manifest that can be read" in problems_in(tmp_path)[0]
        assert read(tmp_path) == [LIST, at(1)]


class FullDisk:
    """A file on a disk with room for so many bytes more."""

    def __init__(self, file: object, room: int) -> None:
        self._file, self._room = file, room

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, data: memoryview) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(self._room, len(data))
        self._room -= taken
        self._file.write(data[:taken])  # type: ignore[attr-defined]
        return taken


@pytest.mark.parametrize("room", [0, 1, 40])
@pytest.mark.parametrize("name", ["a.frames.jsonl.gz", "a.frames.jsonl"])
def test_on_a_full_disk_what_was_flushed_stays_whole(tmp_path: Path, name: str, room: int) -> None:
    path = tmp_path / name
    writer = RecordingWriter(path, VENUE)
    writer.write(at(1))
    writer.flush()
    writer._file = FullDisk(writer._file, room)  # type: ignore[assignment]
    writer.write(at(2))

    with pytest.raises(FatalError, match=r"cannot be written any further \(No space left on device\); what was"):
        writer.flush()
    writer.write(at(3))
    writer.close()
    assert writer.is_cut
    assert alone(path) == [at(1)]


def test_on_a_full_disk_the_part_stays_open_until_the_next_start(tmp_path: Path) -> None:
    with RotatingWriter(tmp_path, VENUE, [], Rotation(10 * NS_PER_SECOND)) as writer:
        writer.write(at(1))
        writer.flush()
        assert writer._writer is not None
        writer._writer._file = FullDisk(writer._writer._file, 5)  # type: ignore[assignment]
        writer.write(at(2))
        with pytest.raises(FatalError, match="cannot be written any further"):
            writer.flush()
        writer.write(at(11))  # whoever writes may not have heard of it yet
    assert [(entry.ended, entry.continues) for entry in entries(tmp_path)] == [
        (PartEnd.OPEN, False),
        (PartEnd.STOPPED, False),
    ]

    record(tmp_path, [at(30)])
    first, *others = entries(tmp_path)
    assert (first.ended, first.lines, [entry.ended for entry in others]) == (
        PartEnd.CUT_OFF,
        1,
        [PartEnd.STOPPED, PartEnd.STOPPED],
    )
    assert read(tmp_path) == [at(1), at(11), at(30)]
