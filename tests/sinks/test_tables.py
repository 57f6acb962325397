"""Each table's rows say what its record says."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from schemas.codec import encode
from schemas.errors import DecodeError, ImpossibleRecord
from schemas.factors import FACTOR_NAMES
from schemas.logs import Position
from schemas.messages import DeadLetter, FactorRecord, FeedStatus, InstrumentKey, TradeRecord
from sinks.contract import Row, Stream, Table
from sinks.tables import TABLES
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import event_of

POSITION = Position("aaaaaaaa", 3, 17)


def example(path: str) -> object:
    return load(EXAMPLES / path)


def named(table: Table[Any], row: Row) -> dict[str, object]:
    return dict(zip([column.name for column in table.row_columns], row, strict=True))


def test_a_row_has_a_value_for_every_column() -> None:
    for name, path in {
        "factors": "factors/v1/ok.json",
        "trades": "trades/v1/buy.json",
        "derivatives": "derivatives/v1/mark.json",
        "feed_status": "feed-status/v1/invalid.json",
        "feed_quality": "feed-quality/v1/healthy.json",
        "dead_letters": "dead-letters/v1/frame.json",
    }.items():
        table = TABLES[name]
        assert {len(row) for row in table.rows(example(path), POSITION)} == {len(table.row_columns)}


def test_a_factor_row_carries_the_identity_of_its_event_not_of_its_record() -> None:
    record = example("factors/v1/ok.json")
    assert isinstance(record, FactorRecord)
    table = TABLES["factors"]
    row, *_ = table.rows(record, POSITION)

    assert table.stream(row) == Stream(InstrumentKey("binance-futures", "BTCUSDT"), "kX3f9QaZ", 7)
    assert table.source_offset(row) == 4711


def test_a_factor_row_keeps_values_and_nulls() -> None:
    record = example("factors/v1/ok.json")
    assert isinstance(record, FactorRecord)
    row, *_ = TABLES["factors"].rows(record, POSITION)
    values = named(TABLES["factors"], row)

    assert tuple(values[name] for name in FACTOR_NAMES) == record.events[0].values
    assert values["best_bid_size"] is None
    assert values["status"] == "OK"


def test_a_factor_row_gives_its_event_back() -> None:
    record = example("factors/v1/ok.json")
    assert isinstance(record, FactorRecord)

    assert [event_of(row) for row in TABLES["factors"].rows(record, POSITION)] == record.events


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_factor_that_is_not_finite_makes_the_record_impossible(bad: float) -> None:
    record = example("factors/v1/ok.json")
    assert isinstance(record, FactorRecord)
    event = record.events[0]
    broken = msgspec.structs.replace(event, source_offset=event.source_offset + 1, values=(*event.values[:-1], bad))

    with pytest.raises(ImpossibleRecord, match=r"events.*values"):
        TABLES["factors"].read(encode(msgspec.structs.replace(record, events=[event, broken])), POSITION)


def test_factors_whose_sum_overflows_are_finite_all_the_same() -> None:
    record = example("factors/v1/ok.json")
    assert isinstance(record, FactorRecord)
    event = record.events[0]
    huge = msgspec.structs.replace(event, values=(1.7e308, 1.7e308, *event.values[2:]))

    [row] = TABLES["factors"].read(encode(msgspec.structs.replace(record, events=[huge])), POSITION)
    assert named(TABLES["factors"], row)["best_ask"] == 1.7e308


def test_a_trade_row_has_price_size_and_side_and_the_integers_they_come_from() -> None:
    [row] = TABLES["trades"].rows(example("trades/v1/buy.json"), POSITION)
    values = named(TABLES["trades"], row)

    assert (values["price"], values["size"], values["side"]) == (61800.3, 0.012, "buy")
    assert (values["price_ticks"], values["size_lots"]) == (618003, 12)
    assert (values["source_log"], values["source_partition"], values["source_offset"]) == POSITION


def test_a_sold_trade_has_a_positive_size_and_the_side_sell() -> None:
    record = example("trades/v1/buy.json")
    assert isinstance(record, TradeRecord)
    [row] = TABLES["trades"].rows(msgspec.structs.replace(record, size_lots=-12), POSITION)
    values = named(TABLES["trades"], row)

    assert (values["size"], values["side"], values["size_lots"]) == (0.012, "sell", -12)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"size_lots": 0}, "size 0"),
        ({"price_ticks": -1}, "price_ticks"),
        ({"tick_size": "1e-1"}, "tick_size"),
        ({"lot_size": "0.000"}, "lot_size"),
        ({"contract_value": "1\n"}, "contract_value"),
    ],
)
def test_a_trade_without_size_price_or_grid_is_refused(changes: dict[str, object], problem: str) -> None:
    record = msgspec.structs.replace(example("trades/v1/buy.json"), **changes)

    with pytest.raises(ImpossibleRecord, match=problem):
        TABLES["trades"].read(encode(record), POSITION)  # type: ignore[arg-type] # any record will do


def test_a_heartbeat_is_no_row() -> None:
    record = example("feed-status/v1/live.json")
    assert isinstance(record, FeedStatus)

    assert len(TABLES["feed_status"].rows(record, POSITION)) == 1
    assert TABLES["feed_status"].rows(msgspec.structs.replace(record, heartbeat=True), POSITION) == []


def test_a_letters_row_is_the_same_wherever_it_was_read() -> None:
    record = example("dead-letters/v1/frame.json")
    assert isinstance(record, DeadLetter)
    table = TABLES["dead_letters"]

    assert table.rows(record, POSITION) == table.rows(record, Position("bbbbbbbb", 0, 0))


def test_reading_bytes_of_another_record_is_a_message_error() -> None:
    trade = encode(load(EXAMPLES / "trades/v1/buy.json"))

    with pytest.raises(DecodeError, match="FactorRecord"):
        TABLES["factors"].read(trade, POSITION)
    with pytest.raises(DecodeError):
        TABLES["trades"].read(b"\x00\x00\x00\x00", POSITION)


def test_a_table_without_identity_has_no_identity_columns() -> None:
    table = replace(TABLES["factors"], identified=False)
    assert "source_log" not in [column.name for column in table.columns]
