"""Samples of Tardis's own files and messages, through the commands' code."""

from __future__ import annotations

from pathlib import Path

import pytest

from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from producers.messages import DepthSnapshot
from producers.recordings.opened import open_recording, require_venue
from research.replay import open_replay
from research.verify import RecordingReport, verify

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
