"""Recording files: what is flushed survives, what is there is not overwritten, the same lines are the same file."""

from __future__ import annotations

import gzip
import hashlib
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producers.books.router import FrameRouter
from producers.exchanges.binance.spot import BINANCE
from producers.messages import Frame, Via
from producers.recordings.recording import Recording
from producers.recordings.writer import RecordingWriter
from schemas.errors import FatalError, UsageError
from schemas.messages import DeadLetter

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


@given(raws=st.lists(st.one_of(st.binary(), st.text().map(str.encode)), min_size=1))
@example(raws=[b"\xff", b"", b'{"raw":"\xc3"}', b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00\n"])
def test_any_bytes_come_back_and_text_stays_text(tmp_path_factory: pytest.TempPathFactory, raws: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("any") / "a.frames.jsonl"
    frames = [Frame(number, Via.WS, "1", "", raw) for number, raw in enumerate(raws)]
    with RecordingWriter(path, "binance") as writer:
        write(writer, frames)

    assert read(path) == frames
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for line, raw in zip(lines, raws, strict=True):
        assert line.get("raw") == (raw.decode() if is_text(raw) else None)
        assert ("raw_base64" in line) == (not is_text(raw))


def is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_frame_that_is_no_text_is_the_same_letter_live_and_on_replay(tmp_path: Path) -> None:
    frame = Frame(5, Via.WS, "1", "", b'{"e":"depthUpdate","s":"\xff"}')
    with RecordingWriter(tmp_path / "a.frames.jsonl", BINANCE.venue) as writer:
        writer.write(frame)
    [again] = read(tmp_path / "a.frames.jsonl")

    def letters(of: Frame) -> list[DeadLetter]:
        handled = FrameRouter(BINANCE, {}).handle(of)
        return [record for record in handled.records if isinstance(record, DeadLetter)]

    assert letters(again) == letters(frame)
    assert [letter.payload for letter in letters(again)] == [frame.raw]


def test_a_line_whose_base64_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.jsonl"
    path.write_text('{"received_ns":1,"via":"ws","raw_base64":"?"}\n')
    with pytest.raises(FatalError, match="line 1 of the recording"):
        read(path)


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
