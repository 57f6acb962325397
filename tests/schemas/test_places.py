"""Where a record lies, and what it says of other records, is held against the log before anybody believes it."""

from __future__ import annotations

import msgspec
import pytest
from aiokafka.partitioner import murmur2 as clients_own
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ForeignRecord, ImpossibleRecord
from schemas.messages import FactorRecord, InstrumentKey, Record
from schemas.partitions import murmur2, partition_of
from schemas.places import Extent, NamedPlace, Place, check_named, check_place, named_place
from schemas.units import MS_PER_DAY
from tests.schemas.examples import EXAMPLES, load

NOW_MS = 1_764_000_000_000
KEYED = (
    "l2/v1/delta",
    "trades/v1/buy",
    "derivatives/v1/mark",
    "feed-status/v1/live",
    "feed-quality/v1/healthy",
    "factors/v1/ok",
    "regimes/v1/rule",
    "resync/v1/gap",
)
WITH_EPOCH = ("l2/v1/delta", "feed-status/v1/live", "resync/v1/gap")
NAMING = ("factors/v1/ok", "regimes/v1/llm", "resync/v1/gap")


def example(name: str) -> Record:
    return load(EXAMPLES / f"{name}.json")


def home(record: Record, partitions: int = 24) -> int:
    return partition_of(str(record.instrument), partitions)  # type: ignore[union-attr] # not of a letter


@given(st.binary(max_size=40))
def test_keys_are_hashed_as_the_clients_hash_them(data: bytes) -> None:
    assert murmur2(data) == clients_own(data) & 0xFFFFFFFF


@pytest.mark.parametrize(("key", "partition"), [("binance-futures:BTCUSDT", 14), ("binance:ETHUSDT", 19)])
def test_an_instrument_belongs_in_one_of_24_partitions(key: str, partition: int) -> None:
    assert partition_of(key, 24) == partition


@pytest.mark.parametrize("name", KEYED)
def test_a_record_in_its_own_partition_is_from_here(name: str) -> None:
    record = example(name)

    check_place(record, Place(home(record), 24, NOW_MS))


@pytest.mark.parametrize("name", KEYED)
def test_a_record_in_any_other_partition_is_foreign(name: str) -> None:
    record = example(name)
    for partition in set(range(24)) - {home(record)}:
        with pytest.raises(ForeignRecord, match=f"its key belongs in {home(record)}"):
            check_place(record, Place(partition, 24, NOW_MS))


@pytest.mark.parametrize("name", WITH_EPOCH)
def test_an_epoch_may_lie_a_day_ahead_of_its_record_and_no_more(name: str) -> None:
    record = example(name)
    place = Place(home(record), 24, NOW_MS)

    check_place(msgspec.structs.replace(record, epoch=NOW_MS + MS_PER_DAY), place)
    with pytest.raises(ImpossibleRecord, match="a day ahead"):
        check_place(msgspec.structs.replace(record, epoch=NOW_MS + MS_PER_DAY + 1), place)


def test_a_letter_lies_where_its_own_key_puts_it() -> None:
    check_place(example("dead-letters/v1/frame"), Place(5, 24, NOW_MS))


def extent_of(record: Record, end: int) -> Extent:
    named = named_place(record)
    assert named is not None
    return Extent(named.log or "anylogAA", dict.fromkeys(range(24), 0) | {home(record): end})


def at_home(record: Record) -> Record:
    return msgspec.structs.replace(record, source_partition=home(record))


@pytest.mark.parametrize("name", NAMING)
def test_a_record_names_the_highest_place_it_knows_of(name: str) -> None:
    record = example(name)
    last = record.events[-1] if isinstance(record, FactorRecord) else record

    assert named_place(record) == NamedPlace(
        getattr(record, "source_log", ""),
        record.source_partition,
        last.source_offset,  # type: ignore[union-attr]
    )


@pytest.mark.parametrize("name", NAMING)
def test_a_place_inside_the_log_may_be_named_and_the_next_one_not(name: str) -> None:
    record = at_home(example(name))
    named = named_place(record)
    assert named is not None

    check_named(record, named, extent_of(record, named.offset + 1))
    with pytest.raises(ForeignRecord, match=f"ends at {named.offset}"):
        check_named(record, named, extent_of(record, named.offset))


@pytest.mark.parametrize("name", NAMING)
def test_a_place_in_another_instruments_partition_may_not_be_named(name: str) -> None:
    record = example(name)
    record = msgspec.structs.replace(record, source_partition=(home(record) + 1) % 24)
    named = named_place(record)
    assert named is not None

    with pytest.raises(ForeignRecord, match="its key belongs in"):
        check_named(record, named, Extent(named.log, dict.fromkeys(range(24), 2**40)))


def test_records_of_trades_books_feeds_and_calls_name_no_place() -> None:
    names = ("l2/v1/delta", "trades/v1/buy", "feed-status/v1/live", "llm-calls/v1/ok", "dead-letters/v1/frame")

    assert [named_place(example(name)) for name in names] == [None] * 5


def test_a_key_may_hold_any_text() -> None:
    assert 0 <= partition_of(str(InstrumentKey("binance", "币安人生USDT")), 24) < 24
