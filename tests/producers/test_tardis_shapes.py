"""The four shapes of tutorials: each is read, what is not there is not guessed, and a file of them is a recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from producers.exchanges import EXCHANGES
from producers.messages import UNNUMBERED, DepthDelta, DepthSnapshot, Frame, Ignored, TradeTick, VenueMessage, Via
from producers.recordings.reader import RecordingReplay
from producers.tardis.shapes import ShapesReader
from research.verify import top_levels
from schemas.errors import DecodeError, FatalError, UnknownMessage

BYBIT = EXCHANGES["bybit"]
OBJECTS = {"bids": [{"price": 100.5, "quantity": "1.50"}], "asks": [{"price": "101", "amount": 2}]}
PAIRS = {"bids": [["100.5", "1.50"]], "asks": [["101", 2, 7]]}
LETTERS = {"b": PAIRS["bids"], "a": PAIRS["asks"]}
NS = 1_700_000_000_000_000_000


def parse(*, is_chain: bool = False, **said: Any) -> VenueMessage:
    frame = Frame(1, Via.WS, raw=json.dumps({"symbol": "BTCUSDT", **said}).encode())
    (found,) = ShapesReader(BYBIT, is_chain=is_chain).parse(frame)
    return found


@pytest.mark.parametrize(
    ("whole", "change", "sides"),
    [
        ("l2snapshot", "l2update", {"data": OBJECTS}),
        ("orderbook_snapshot", "orderbook_update", {"data": PAIRS}),
        ("book", None, PAIRS),
        ("snapshot", "delta", OBJECTS),
        ("snapshot", "delta", LETTERS),
    ],
)
def test_each_shape_is_a_book_and_its_changes(whole: str, change: str | None, sides: dict[str, Any]) -> None:
    book = parse(type=whole, timestamp=1_700_000_000_000, **sides)
    assert isinstance(book, DepthSnapshot)
    assert (book.bids, book.asks, book.exchange_ns) == ([("100.5", "1.50")], [("101", "2")], NS)
    if change is not None:
        delta = parse(type=change, **sides)
        assert isinstance(delta, DepthDelta)
        assert (delta.bids, delta.last_sequence, delta.exchange_ns) == (book.bids, UNNUMBERED, None)


def test_numbers_are_believed_where_they_are_said_to_be_a_chain() -> None:
    for said in (
        {"type": "delta", "update_id": 7, **LETTERS},
        {"type": "orderbook_update", "data": {**PAIRS, "seq": 7}},
    ):
        delta = parse(is_chain=True, **said)
        assert isinstance(delta, DepthDelta)
        assert (delta.previous_sequence, delta.last_sequence) == (6, 7)


@pytest.mark.parametrize("time", [1_700_000_000, NS // 1000, NS, "2023-11-14T22:13:20.000Z", str(NS)])
def test_a_time_is_told_by_its_digits(time: object) -> None:
    book = parse(type="book", timestamp=time, **PAIRS)
    assert isinstance(book, DepthSnapshot)
    assert book.exchange_ns == NS


@pytest.mark.parametrize("time", [9_300_000_000_000_000_000, 9_300_000_000_000_000, "9999-12-31T00:00:00Z"])
def test_a_time_beyond_int64_is_refused(time: object) -> None:
    with pytest.raises(DecodeError):
        parse(type="book", timestamp=time, **PAIRS)


def test_trades_and_fundings() -> None:
    said = {"type": "trade", "trade_id": 5, "side": "BUY", "price": "1.10", "quantity": 2}
    assert parse(**said) == TradeTick("BTCUSDT", "5", "1.10", "2", True)
    assert parse(**{**said, "side": ""}) == Ignored("trade_without_side")
    assert parse(type="funding", rate=1) == Ignored("funding")


@pytest.mark.parametrize(
    "said",
    [
        {"type": "delta", "b": [["1"]]},
        {"type": "delta", "bids": [{"price": 1}]},
        {"type": "delta", "bids": 1},
        {"type": "delta", "symbol": "", **PAIRS},
        {"type": "book", "timestamp": 12, **PAIRS},
        {"type": "trade", "side": "buy", "quantity": 1},
    ],
)
def test_what_is_not_there_is_not_guessed(said: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        parse(**said)
    with pytest.raises(UnknownMessage):
        parse(type="news")


def test_a_file_of_them_is_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    head = {"symbol": "BTCUSDT", "timestamp": 1_700_000_000_000}
    far = {"bids": [[100.5, 1], [90, 1]], "asks": [[101, 2], [110, 1]]}
    lines = [{"type": "snapshot", **head, **far}, {"type": "delta", **head, "b": [["100.5", "0"], ["100", "3"]]}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    replay = RecordingReplay(path, BYBIT)
    list(replay)
    (stream,) = replay.router.streams.values()
    assert stream.is_live
    assert top_levels(stream.tracked, 1) == ([("100.0", "3")], [("101.0", "2")])

    path.write_text(path.read_text() + '{"type":"delta","symbol":"BTCUSDT"}\n')
    with pytest.raises(FatalError, match=r"line 3 .*says no time"):
        RecordingReplay(path, BYBIT)
