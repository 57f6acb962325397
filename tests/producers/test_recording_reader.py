"""Reading recordings, finding what they hold, replaying them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from producers.books.options import StreamOptions
from producers.exchanges import EXCHANGES
from producers.messages import Frame, Via
from producers.recordings.reader import RecordingReplay, scan
from producers.recordings.recording import Recording
from schemas.errors import FatalError, UsageError
from schemas.messages import DeadLetter, Kind, L2Record, Reason
from tests.producers.messages import kinds
from tests.producers.test_binance_frames import entry
from tests.producers.test_router import depth, request, rest, trade

FUTURES = EXCHANGES["binance-futures"]


def line(received_ns: int, frame: bytes = b"", via: str = "ws", **more: str) -> dict[str, object]:
    return {"received_ns": received_ns, "via": via, "raw": frame.decode(), **more}


def write(path: Path, lines: Sequence[dict[str, object]]) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps(item) + "\n" for item in lines).encode()))
    return path


def fine_lines() -> list[dict[str, object]]:
    return [
        line(1, depth("AUSDT", 95, 110, 94, b=[["99.95000", "0.10"]])),
        line(2, rest(100), via="rest"),
        line(3, trade("AUSDT", q="0.00100")),
        line(4, depth("AUSDT", 111, 120, 110)),
    ]


def read(path: Path) -> list[Frame]:
    return list(Recording(path).frames())


class TestReading:
    def test_lines_come_in_order_packed_or_not(self, tmp_path: Path) -> None:
        packed = write(tmp_path / "a.frames.jsonl.gz", fine_lines())
        unpacked = tmp_path / "a.frames.jsonl"
        unpacked.write_bytes(gzip.decompress(packed.read_bytes()))

        assert read(packed) == read(unpacked)
        assert read(packed)[0] == Frame(1, Via.WS, raw=str(fine_lines()[0]["raw"]).encode())

    def test_an_empty_recording_holds_nothing(self, tmp_path: Path) -> None:
        empty = write(tmp_path / "a.gz", [])
        assert read(empty) == []
        assert scan(Recording(empty), FUTURES).instruments == {}
        assert list(RecordingReplay(empty, FUTURES)) == []

    @pytest.mark.parametrize(
        "bad",
        [
            "hello",
            "{}",
            '{"received_ns":1}',
            '{"received_ns":"1","via":"ws"}',
            '{"received_ns":1,"via":"pigeon"}',
            '{"received_ns":9223372036854775808,"via":"ws"}',  # beyond int64
            '{"received_ns":-1,"via":"ws"}',
            "",
            "[1]",
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path: Path, bad: str) -> None:
        path = tmp_path / "a.frames.jsonl"
        path.write_text(json.dumps(line(1)) + "\n" + bad + "\n" + json.dumps(line(2)) + "\n")
        with pytest.raises(FatalError, match=r"line 2 of the recording .*a\.frames\.jsonl"):
            read(path)

    @pytest.mark.parametrize("kept", [15, 60, -12, -1])
    def test_a_recording_cut_short_is_an_error_that_says_where(self, tmp_path: Path, kept: int) -> None:
        path = write(tmp_path / "a.gz", [line(number, depth("AUSDT", 1, 2, 0)) for number in range(100)])
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(FatalError, match=r"cut short or damaged after line \d+"):
            read(path)

    def test_a_flipped_bit_is_an_error(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.gz", fine_lines())
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        path.write_bytes(bytes(data))
        with pytest.raises(FatalError):
            read(path)

    def test_a_missing_file_is_the_callers_mistake(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is no recording"):
            read(tmp_path / "none")

    @pytest.mark.parametrize("empty", ["\n", "\r\n\r\n", " "])
    def test_empty_lines_at_the_end_say_nothing(self, tmp_path: Path, empty: str) -> None:
        path = tmp_path / "a.frames.jsonl"
        path.write_text(json.dumps(line(1)) + "\n" + empty)
        assert len(read(path)) == 1

    def test_a_mark_of_utf8_before_the_first_line_is_no_part_of_it(self, tmp_path: Path) -> None:
        plain, marked = write(tmp_path / "a.gz", fine_lines()), tmp_path / "b.gz"
        marked.write_bytes(gzip.compress(b"\xef\xbb\xbf" + gzip.decompress(plain.read_bytes())))
        assert read(marked) == read(plain)

    @pytest.mark.parametrize(
        ("magic", "packing"), [("28b52ffd", "zstd"), ("fd377a585a00", "xz"), ("425a6839", "bzip2"), ("504b0304", "zip")]
    )
    def test_a_file_packed_in_another_way_is_called_so(self, tmp_path: Path, magic: str, packing: str) -> None:
        path = tmp_path / "a.frames.jsonl"
        path.write_bytes(bytes.fromhex(magic) + b"rest")
        with pytest.raises(UsageError, match=f"is packed with {packing}"):
            read(path)

    def test_a_folder_is_no_recording(self, tmp_path: Path) -> None:
        with pytest.raises(FatalError, match="cannot be read"):
            read(tmp_path)


class TestScan:
    def test_the_grid_is_the_finest_of_levels_and_trades_without_trailing_zeros(self, tmp_path: Path) -> None:
        found = scan(Recording(write(tmp_path / "a.gz", fine_lines())), FUTURES)

        assert [(i.symbol, i.tick_size, i.lot_size) for i in found.instruments.values()] == [("AUSDT", "0.01", "0.001")]
        assert (found.lines, found.first_ns, found.last_ns) == (4, 1, 4)

    def test_bad_frames_do_not_spoil_the_scan(self, tmp_path: Path) -> None:
        lines = [line(1, b"hello"), *fine_lines(), line(5, depth("AUSDT", 1, 2, 0, b=[["1e-12", "NaN"]]))]
        found = scan(Recording(write(tmp_path / "a.gz", lines)), FUTURES)
        assert found.instruments["AUSDT"].tick_size == "0.01"

    def test_a_file_without_requests_holds_one_instrument_and_others_are_strays(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.gz", [line(1, depth("ZUSDT", 1, 2, 0)), *fine_lines()])
        replay = RecordingReplay(path, FUTURES)
        records = list(replay.records())

        assert list(replay.found.instruments) == ["AUSDT"]
        assert replay.router.rejected == {"UnknownSymbol": 1}
        assert [record.reason for record in records if isinstance(record, DeadLetter)] == ["UnknownSymbol"]

    def test_a_recording_of_our_own_names_its_requests_and_its_grids(self, tmp_path: Path) -> None:
        listed = json.dumps({"symbols": [entry("AUSDT", "0.10", "0.001"), entry("BUSDT", "0.5", "1")]}).encode()
        lines = [
            line(1, listed, "rest", request=FUTURES.listings()[0].path),
            line(1, via="connect", connection="1"),
            line(2, depth("AUSDT", 95, 110, 94), connection="1"),
            line(2, depth("BUSDT", 95, 110, 94, b=[["99.5", "3"]], a=[["100", "3"]]), connection="1"),
            line(2, depth("CUSDT", 95, 110, 94), connection="1"),
            line(3, rest(100), "rest", request=request("AUSDT")),
            line(3, rest(100, bids=[["99.5", "1"]], asks=[["100", "1"]]), "rest", request=request("BUSDT")),
            line(4, via="disconnect", connection="1"),
        ]
        replay = RecordingReplay(write(tmp_path / "a.gz", lines), FUTURES)
        records = list(replay.records())

        assert {i.symbol: (i.tick_size, i.canonical) for i in replay.found.instruments.values()} == {
            "AUSDT": ("0.1", "BTC-USDT-PERP"),
            "BUSDT": ("0.5", "BTC-USDT-PERP"),
        }
        for symbol in ("AUSDT", "BUSDT"):
            own = [record for record in records if isinstance(record, L2Record) and record.symbol == symbol]
            assert kinds(own) == [
                (Kind.SNAPSHOT, 100, None),
                (Kind.DELTA, 110, None),
                (Kind.INVALID, 110, Reason.DISCONNECT),
            ]
        assert replay.router.rejected == {"UnknownSymbol": 1}


class TestReplay:
    def test_the_same_file_gives_the_same_records(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.gz", [*fine_lines(), line(5, b"hello")])
        assert list(RecordingReplay(path, FUTURES).records()) == list(RecordingReplay(path, FUTURES).records())

    def test_a_second_replay_fences_the_first_and_differs_in_nothing_else(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.gz", fine_lines())

        def run(epoch_floor: int) -> list[L2Record]:
            replay = RecordingReplay(path, FUTURES, StreamOptions(epoch_floor=epoch_floor))
            return [record for record in replay.records() if isinstance(record, L2Record)]

        first, second = run(1_000), run(2_000)

        assert {record.epoch for record in first} == {1_000}
        assert {record.epoch for record in second} == {2_000}
        assert kinds(first) == kinds(second)

    def test_each_step_tells_when_its_line_was_received(self, tmp_path: Path) -> None:
        steps = list(RecordingReplay(write(tmp_path / "a.gz", fine_lines()), FUTURES))
        assert [step.received_ns for step in steps] == [1, 2, 3, 4]

    def test_dead_letters_of_two_recordings_differ_in_their_ids(self, tmp_path: Path) -> None:
        ids = set()
        for name in ("a.frames.jsonl.gz", "b.frames.jsonl.gz"):
            replay = RecordingReplay(write(tmp_path / name, [*fine_lines(), line(5, b"hello")]), FUTURES)
            ids |= {record.letter_id for record in replay.records() if isinstance(record, DeadLetter)}
        assert ids == {"binance-futures:a:5:5", "binance-futures:b:5:5"}

    def test_a_larger_frame_than_allowed_is_refused_unread(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.gz", [*fine_lines(), line(5, b"[" * 2_000)])
        replay = RecordingReplay(path, FUTURES, max_frame_bytes=1_000)
        list(replay)
        assert replay.router.rejected == {"FrameTooLarge": 1}
