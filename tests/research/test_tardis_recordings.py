"""Samples of Tardis's own files and messages, through the commands' code."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from producers.messages import (
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    DerivativeTick,
    Frame,
    Ignored,
    Interrupted,
    TradeTick,
    VenueMessage,
    Via,
)
from producers.recordings.opened import open_recording, require_venue
from producers.tardis.machine import MachineReader
from producers.tardis.venues import VENUES
from research.replay import open_replay
from research.verify import RecordingReport, verify
from tests.research.test_venue_recordings import comparable, ours

pytestmark = pytest.mark.recorded


def verified(path: Path) -> RecordingReport:
    return verify(open_replay(path, EXCHANGES[require_venue(path, None)], Settings()))


def test_a_dataset_with_two_whole_books_has_no_gap(recordings: Path) -> None:
    report = verified(recordings / "tardis" / "csv" / "adapter_deltas_with_snapshot.csv")
    book = report["instruments"]["BTCUSDT"]
    assert (report["venue"], report["messages"], report["rejected"], report["problems"]) == (
        "binance-futures",
        7,
        {},
        [],
    )
    assert (book["snapshots"], book["deltas_applied"], book["gaps"], book["last_sequence"]) == (2, 5, 0, 7)
    assert book["best_bids"] == [("50100", "3.0"), ("50099", "1.0")]
    assert book["best_asks"] == [("50101", "4.0"), ("50102", "2.0")]


def test_the_beginning_of_a_day_is_one_book(recordings: Path) -> None:
    path = recordings / "tardis" / "csv" / "deribit_incremental_book_L2_BTC-PERPETUAL.csv"
    report = verified(path)
    book = report["instruments"]["BTC-PERPETUAL"]
    assert (report["venue"], report["messages"], book["ask_levels"], book["bid_levels"]) == ("deribit", 1, 15, 0)
    assert book["best_asks"][:2] == [("6421.5", "18640"), ("6422.0", "1190")]


def test_books_of_five_and_of_25_levels_are_the_same_at_each_common_time(recordings: Path) -> None:
    books = {depth: best_five(recordings, depth) for depth in (5, 25)}
    common = books[5].keys() & books[25].keys()
    assert len(common) == 4
    assert {time: books[5][time] for time in common} == {time: books[25][time] for time in common}


def best_five(recordings: Path, depth: int) -> dict[int, object]:
    path = recordings / "tardis" / "csv" / f"binance-futures_book_snapshot_{depth}_BTCUSDT.csv"
    source, reader = open_recording(path, EXCHANGES["binance-futures"])
    found: dict[int, object] = {}
    for frame in source.frames():
        for book in reader.parse(frame):
            assert isinstance(book, DepthSnapshot)
            assert len(book.bids) == len(book.asks) == depth
            found[frame.received_ns] = (book.bids[:5], book.asks[:5])
    return found


TYPES = {
    "book_change": DepthDelta,
    "book_snapshot": Ignored,
    "derivative_ticker": DerivativeTick,
    "disconnect": Interrupted,
    "trade": TradeTick,
}


@pytest.mark.parametrize("name", TYPES)
def test_one_message_of_each_type_is_read(recordings: Path, name: str) -> None:
    raw = (recordings / "tardis" / "machine" / f"{name}.json").read_bytes()
    reader = MachineReader(EXCHANGES["deribit"], json.loads(raw)["exchange"])
    (found,) = reader.parse(Frame(1, Via.WS, raw=raw))
    assert type(found) is TYPES[name]


@pytest.mark.parametrize("name", ["binance-futures", "bybit", "okex-swap", "deribit"])
def test_a_message_says_what_the_frame_it_was_made_of_says(recordings: Path, name: str) -> None:
    reader = MachineReader(EXCHANGES[VENUES[name]], name)
    compared = 0
    for message in normalised(recordings, name):
        (found,) = reader.parse(Frame(1, Via.WS, raw=json.dumps(message).encode()))
        # Ours of one message; tests of the venues compare the same with ours of the frame.
        wanted = None if lacks_size(message) else comparable(message)
        assert said(found) == (wanted and wanted[: len(wanted) - (wanted[0] != "book_ticker")])
        compared += wanted is not None
    assert compared == {"binance-futures": 6, "bybit": 27, "okex-swap": 9, "deribit": 18}[name]


def normalised(recordings: Path, name: str) -> list[dict[str, Any]]:
    """Messages of the pairs; where a test did not care for the time, some time."""
    text = (recordings / "normalized-pairs" / f"{name}.json").read_text()
    text = text.replace('"timestamp": "now"', '"timestamp": "2020-01-01T00:00:00.000Z"')
    return [message for pair in json.loads(text) for message in pair["expected"]]


def lacks_size(message: dict[str, Any]) -> bool:
    """Whether a price is there and its size is not: it checks nothing, and is counted."""
    return any(message.get(f"{side}Price") and message.get(f"{side}Amount") is None for side in ("bid", "ask"))


def said(message: VenueMessage) -> tuple[object, ...] | None:
    """What ours says, without the time, of which the pairs have but milliseconds."""
    if isinstance(message, BestQuote):
        numbers = (message.bid, message.bid_size, message.ask, message.ask_size)
        return ("book_ticker", message.symbol, *map(Decimal, numbers))
    found = ours(message)
    return found and found[:-1]
