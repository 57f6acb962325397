"""Recording files: what is flushed survives, what is there is not overwritten, the same lines are the same file."""

from __future__ import annotations

import gzip
import hashlib
from contextlib import suppress
from pathlib import Path

import pytest

from producers.messages import Frame, Via
from producers.recordings.recording import Recording
from producers.recordings.writer import RecordingWriter
from schemas.errors import UsageError

LINES = [
    Frame(1, Via.REST, "", "/fapi/v1/exchangeInfo", b'{"symbols":[]}'),
    Frame(2, Via.CONNECT, "1"),
    Frame(3, Via.WS, "1", "", '{"text":"with \\"quotes\\" and ünïcode"}'.encode()),
    Frame(4, Via.DISCONNECT, "1"),
]


def write(writer: RecordingWriter, frames: list[Frame]) -> None:
    for frame in frames:
        writer.write(frame)


def read(path: Path) -> list[Frame]:
    return list(Recording(path).frames())


@pytest.mark.parametrize("name", ["a.frames.jsonl.gz", "a.frames.jsonl"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    with RecordingWriter(tmp_path / name, "binance") as writer:
        write(writer, LINES)

    assert read(tmp_path / name) == LINES
    assert writer.lines == 4


def test_every_flushed_line_is_readable_before_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.jsonl.gz"
    writer = RecordingWriter(path, "binance")
    write(writer, LINES[:2])
    writer.flush()
    write(writer, LINES[2:3])
    writer.flush()
    write(writer, LINES[3:])

    assert read(path) == LINES[:3]
    writer.close()
    assert read(path) == LINES


@pytest.mark.parametrize("name", ["a.frames.jsonl.gz", "a.frames.jsonl"])
def test_a_file_without_a_line_is_not_left_behind_and_one_line_is_enough(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with suppress(ValueError), RecordingWriter(path, "binance"):
        assert path.exists(), "the name is taken from the start"
        raise ValueError("before the first frame")
    assert not path.exists()

    with suppress(ValueError), RecordingWriter(path, "binance") as writer:
        write(writer, LINES[:1])
        raise ValueError("after it")
    assert read(path) == LINES[:1]


def test_lines_held_unpacked_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.recordings.writer.MEMBER_BYTES", 10)
    path = tmp_path / "a.frames.jsonl.gz"
    writer = RecordingWriter(path, "binance")
    write(writer, LINES[:1])

    assert read(path) == LINES[:1]
    writer.close()


def test_the_same_lines_are_the_same_file(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        with RecordingWriter(tmp_path / name, "binance") as writer:
            write(writer, LINES)

    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    unpacked = gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes())
    assert writer.digest.hexdigest() == hashlib.sha256(unpacked).hexdigest()


def test_a_file_that_is_there_and_a_folder_that_is_not_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("precious")
    with pytest.raises(UsageError, match="is there already"):
        RecordingWriter(tmp_path / "a.jsonl", "binance")
    with pytest.raises(UsageError, match="cannot be written"):
        RecordingWriter(tmp_path / "nowhere" / "a.jsonl", "binance")
    assert (tmp_path / "a.jsonl").read_text() == "precious"
