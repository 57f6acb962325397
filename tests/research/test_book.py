"""The book at a moment, against a reader made of dicts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.recordings.reader import Scan
from research.book import book_at, moment_ns
from schemas.errors import UsageError
from schemas.messages import L2Record
from tests.producers.reader import DictReader
from tests.research.fixtures import SYMBOL, VENUES, replay, symbol_of


def span(found: Scan) -> st.SearchStrategy[int]:
    return st.integers(found.first_ns - 10**7, found.last_ns + 10**7)


@pytest.mark.parametrize("venue", VENUES)
@settings(max_examples=25)
@given(data=st.data())
def test_the_book_holds_every_record_received_by_then_and_none_after(venue: str, data: st.DataObject) -> None:
    source = replay(venue)
    at_ns = data.draw(span(source.found))
    reader, last = DictReader(), None
    for record in replay(venue).records():
        is_its = isinstance(record, L2Record) and record.symbol == symbol_of(venue)
        if is_its and record.received_ns <= at_ns:
            reader.take(record)
            last = record

    found = book_at(source, symbol_of(venue), at_ns, levels=1_000)

    assert (found["state"] == "LIVE") is reader.live
    assert found["sequence"] == (last.sequence if last else None)
    assert found["received_ns"] == (last.received_ns if last else None)
    for levels, side in ((found["bids"], reader.bids), (found["asks"], reader.asks)):
        assert {Decimal(price): Decimal(size) for price, size in levels} == side


def test_levels_come_best_first_and_as_many_as_asked_for() -> None:
    source = replay("binance")
    found = book_at(source, SYMBOL, source.found.last_ns, levels=3)
    prices = [[Decimal(price) for price, _ in side] for side in (found["bids"], found["asks"])]
    assert prices[0] == sorted(prices[0], reverse=True)
    assert prices[1] == sorted(prices[1])
    assert [len(side) for side in prices] == [3, 3]
    assert found["bid_levels"] > 3


def test_without_a_snapshot_there_is_no_book_and_after_a_disconnect_it_says_why() -> None:
    source = replay("binance")
    early = book_at(source, SYMBOL, source.found.first_ns, levels=5)
    assert (early["state"], early["sequence"], early["bids"]) == ("AWAITING_SNAPSHOT", None, [])

    broken_ns = next(
        record.received_ns
        for record in replay("binance").records()
        if isinstance(record, L2Record) and record.reason is not None
    )
    broken = book_at(replay("binance"), SYMBOL, broken_ns, levels=5)
    assert (broken["state"], broken["reason"]) == ("INVALID", "gap")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1723161260500000001", 1723161260500000001),
        ("2024-08-08T23:54:20Z", 1723161260 * 10**9),
        ("2024-08-08T23:54:20", 1723161260 * 10**9),
        ("2024-08-08 23:54:20.5", 1723161260500000000),
        ("2024-08-08T23:54:20.123456789Z", 1723161260123456789),
        ("2024-08-09T01:54:20.5+02:00", 1723161260500000000),
        ("2024-08-08", 1723075200 * 10**9),
    ],
)
def test_a_moment_is_nanoseconds_or_iso(text: str, expected: int) -> None:
    assert moment_ns(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "-5",
        "1.5",
        "2024-13-01",
        "2024-08-08T23:54:20.1234567890Z",
        "20240808T235420.5Z",
        "9223372036854775808",
        "9" * 5_000,
    ],
)
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(UsageError, match="is no moment"):
        moment_ns(text)
