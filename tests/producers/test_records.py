"""Two cheap changes a replay makes to records."""

from __future__ import annotations

import pytest

from producers.books.records import ProducerRecord, renamed, shifted
from schemas.codec import decode, encode
from schemas.messages import DeadLetter, FeedState, FeedStatus, Kind, L2Record, Source, TradeRecord

L2 = L2Record(
    "binance", "A", Source.REPLAY, Kind.SNAPSHOT, 1, 2, 100, "1", "1", exchange_ns=90, bid_ticks=[1], bid_lots=[1]
)
TRADE = TradeRecord("binance", "A", Source.REPLAY, "1", 100, "1", "1", 5, -6, exchange_ns=90)
STATUS = FeedStatus("binance", "A", Source.REPLAY, FeedState.LIVE, 1, 100)
LETTER = DeadLetter("binance:1:7", "producer", "DecodeError", "why", 100, b"x", 1, "binance", "A")
ALL = pytest.mark.parametrize("record", [L2, TRADE, STATUS, LETTER], ids=lambda record: type(record).__name__)


@ALL
def test_a_shift_moves_both_times_and_nothing_else(record: ProducerRecord) -> None:
    moved = shifted(record, 1_000)

    assert moved.received_ns == 1_100
    assert getattr(moved, "exchange_ns", 1_090) == 1_090
    assert shifted(moved, -1_000) == record
    assert decode(encode(moved)) == moved


def test_a_time_the_venue_did_not_give_stays_unknown() -> None:
    unknown = TradeRecord("binance", "A", Source.REPLAY, "1", 100, "1", "1", 5, -6)
    moved = shifted(unknown, 1_000)
    assert isinstance(moved, TradeRecord)
    assert moved.exchange_ns is None


@ALL
def test_a_new_name_changes_the_symbol_alone(record: ProducerRecord) -> None:
    other = renamed(record, "A-01")

    assert other.symbol == "A-01"
    back = renamed(other, "A")
    if not isinstance(record, DeadLetter):
        assert back == record


def test_the_letters_of_two_copies_are_two_letters() -> None:
    ids = {renamed(LETTER, name).letter_id for name in ("A-01", "A-02")}  # type: ignore[union-attr]
    assert len(ids) == 2
