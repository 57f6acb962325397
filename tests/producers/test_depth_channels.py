"""Recordings with several channels of depth of one instrument: one of them is its book, and no other harms it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from producers.books.kernel.engine import CompiledDeltas
from producers.books.options import StreamOptions
from producers.books.records import payload_of
from producers.decoding import text_at
from producers.exchanges import EXCHANGES
from producers.recordings.reader import RecordingReplay
from tests.producers.messages import SECOND

START = 1_767_225_600 * SECOND
MS = START // 1_000_000
Said = tuple[str, dict[str, Any]]


def bybit(depth: int, number: int, bid: str, kind: str = "delta") -> Said:
    book = {"s": "BTCUSDT", "b": [["10.0", bid]], "a": [["10.1", "2"]] * (kind == "snapshot"), "u": number, "seq": 1}
    if kind == "snapshot":
        book["b"] = [["10.0", bid], *([f"{9 - level / 100:.2f}", "1"] for level in range(depth // 10))]
    return "", {"topic": f"orderbook.{depth}.BTCUSDT", "type": kind, "ts": MS, "cts": MS, "data": book}


def okx(channel: str, last: int, previous: int, bid: str) -> Said:
    kind = "snapshot" if previous < 0 else "update"
    book: dict[str, Any] = {"asks": [["10.1", "2", "0", "1"]] * (previous < 0), "bids": [["10.0", bid, "0", "1"]]}
    book |= {"ts": str(MS + last), "checksum": 0, "seqId": last, "prevSeqId": previous}
    return "", {"arg": {"channel": channel, "instId": "BTC-USDT"}, "action": kind, "data": [book]}


def deribit(speed: str, last: int, previous: int | None, bid: float) -> Said:
    data: dict[str, Any] = {"type": "change", "timestamp": MS + last, "instrument_name": "X", "change_id": last}
    data |= {"bids": [["change", 10.0, bid]], "asks": [] if previous else [["new", 10.1, 2.0]]}
    data |= {"prev_change_id": previous} if previous else {"type": "snapshot"}
    return "", {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": f"book.X.{speed}", "data": data}}


def binance(speed: str, first: int, last: int, bid: str, sent: int) -> Said:
    event = {"e": "depthUpdate", "E": MS + sent, "s": "BTCUSDT", "U": first, "u": last, "b": [["10.0", bid]], "a": []}
    return "", {"stream": f"btcusdt@{speed}", "data": event}


WHOLE: Said = ("/api/v3/depth?symbol=BTCUSDT&limit=1000", {"lastUpdateId": 100, "bids": [], "asks": [["10.1", "2"]]})

SEVERAL: dict[str, tuple[str, list[Said], int, int]] = {
    "bybit, of which the shorter counts from higher on": (
        "bybit",
        [
            bybit(200, 10, "1", "snapshot"),
            bybit(50, 700, "1", "snapshot"),
            bybit(50, 701, "2"),
            bybit(200, 11, "2"),
            bybit(50, 702, "3"),
            bybit(200, 12, "3"),
            bybit(50, 703, "3"),
        ],
        12,
        4,
    ),
    "bybit, of which the shorter counts from lower on": (
        "bybit",
        [
            bybit(50, 7, "1", "snapshot"),
            bybit(200, 90, "1", "snapshot"),
            bybit(50, 8, "2"),
            bybit(200, 91, "2"),
            bybit(50, 9, "3"),
            bybit(200, 92, "3"),
            bybit(50, 10, "3"),
        ],
        92,
        3,
    ),
    "okx, each change and sums of them": (
        "okx",
        [
            okx("books", 10, -1, "1"),
            okx("books-l2-tbt", 10, -1, "1"),
            okx("books-l2-tbt", 11, 10, "2"),
            okx("books", 12, 10, "3"),
            okx("books-l2-tbt", 12, 11, "3"),
            okx("books-l2-tbt", 13, 12, "3"),
        ],
        13,
        1,
    ),
    "deribit, each change and sums of them": (
        "deribit",
        [
            deribit("raw", 10, None, 1.0),
            deribit("100ms", 10, None, 1.0),
            deribit("raw", 11, 10, 2.0),
            deribit("100ms", 14, 10, 3.0),
            deribit("raw", 13, 11, 2.5),
            deribit("raw", 14, 13, 3.0),
        ],
        14,
        2,
    ),
    "binance, at two speeds": (
        "binance",
        [
            binance("depth@100ms", 99, 101, "1", 1),
            WHOLE,
            binance("depth@100ms", 102, 103, "2", 2),
            binance("depth", 99, 103, "2", 9),
            binance("depth@100ms", 104, 104, "3", 10),
        ],
        104,
        1,
    ),
}


def replayed(path: Path, venue: str, said: Sequence[Said], *, compiled: bool = False) -> RecordingReplay:
    """Write what was said, a tenth of a second apart, and read it."""
    lines = []
    for number, (request, message) in enumerate(said):
        line: dict[str, Any] = {"received_ns": START + number * SECOND // 10, "via": "rest" if request else "ws"}
        line |= {"raw": json.dumps(message), "connection": "1"} | ({"request": request} if request else {})
        lines.append(json.dumps(line))
    path.write_text("\n".join(lines) + "\n")
    engine = CompiledDeltas if compiled else None
    return RecordingReplay(path, EXCHANGES[venue], StreamOptions(epoch_floor=1), engine=engine)


@pytest.mark.parametrize(("venue", "said", "last", "passed_over"), SEVERAL.values(), ids=SEVERAL)
def test_of_several_channels_the_deepest_and_finest_is_the_book(
    tmp_path: Path, venue: str, said: list[Said], last: int, passed_over: int
) -> None:
    given = []
    for compiled in (False, True):
        replay = replayed(tmp_path / "a.frames.jsonl", venue, said, compiled=compiled)
        given.append([payload_of(record) for record in replay.records()])
        [stream] = replay.router.streams.values()
        assert (stream.is_live, stream.counters.gaps, stream.tracked.sequence) == (True, 0, last)
        assert replay.router.ignored["other_depth"] == passed_over
        assert not replay.router.rejected
        assert stream.tracked.grid is not None
        [(_, lots)] = stream.book.top_bids(1)
        assert float(stream.tracked.grid.size_text(lots)) == 3.0
    assert given[0] == given[1]


def test_where_a_channel_ends_another_goes_on_with_its_next_book(tmp_path: Path) -> None:
    said = [bybit(200, 10, "1", "snapshot"), bybit(50, 700, "1", "snapshot"), bybit(200, 11, "2"), bybit(50, 701, "2")]
    said += [bybit(50, 800, "4", "snapshot"), bybit(50, 801, "5")]
    replay = replayed(tmp_path / "a.frames.jsonl", "bybit", said)
    list(replay.records())
    [stream] = replay.router.streams.values()
    assert (stream.is_live, stream.tracked.sequence, stream.counters.gaps) == (True, 801, 0)
    assert (stream.counters.snapshots, replay.router.ignored["other_depth"]) == (2, 2)


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"arg":1}', b'{"arg":{"channel":5}}', b'{"arg":{}}', b"{}", b"\xff"])
def test_a_frame_that_names_no_channel_has_none(raw: bytes) -> None:
    assert text_at(raw, "arg.channel") == ""
