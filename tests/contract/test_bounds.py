"""A record that decodes fits its table: what a field may hold its column can hold, and the engine agrees."""

from __future__ import annotations

import re
import string
import uuid
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from schemas.codec import RECORD_TYPES, decode, decode_as, encode
from schemas.errors import ImpossibleRecord, MessageError
from schemas.factors import FACTORS
from schemas.logs import Position
from schemas.messages import Coverage, FactorEvent, FeedQuality, Kind, L2Record, QuoteRecord, Record
from schemas.rules import problem_of
from sinks.batching import Entry, RowBatch
from sinks.contract import Column, Row, Table
from sinks.store import Store
from sinks.tables import TABLES
from tests.contract.test_tables import bits, read_back
from tests.integration.backends import choose
from tests.integration.clickhouse_backend import clickhouse_of
from tests.integration.made_tables import make_tables
from tests.schemas.examples import example_files, load
from tests.schemas.nasty import raw_fields, spoiled, written
from tests.sinks.records import origin_of
from tests.support.tiers import fourth_of

STORED_NS = 1_763_700_000_000_000_000
INTEGERS = {
    "Int32": (-(2**31), 2**31 - 1),
    "Int64": (-(2**63), 2**63 - 1),
    "UInt16": (0, 2**16 - 1),
    "UInt64": (0, 2**64 - 1),
    # ClickHouse documents the years 1900 to 2299; nanoseconds in 64 bits end in 2262.
    "DateTime64(9, 'UTC')": (-2_208_988_800_000_000_000, 2**63 - 1),
}
tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
records = pytest.mark.parametrize("name", RECORD_TYPES)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
NAMES = st.text(string.ascii_letters + string.digits + "-_/. éж币", min_size=1, max_size=128)
LOG_NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=8, max_size=8)
DECIMALS = st.from_regex(re.compile(r"[0-9]{0,19}[1-9](\.[0-9]{1,20})?", re.ASCII), fullmatch=True)


def values_of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Values of a declared type, its limits among them."""
    if isinstance(kind, inspect.UnionType):
        return st.one_of([values_of(one) for one in kind.types])
    if isinstance(kind, inspect.NoneType):
        return st.none()
    if isinstance(kind, inspect.IntType):
        assert None not in (kind.ge, kind.le), "every integer has bounds"
        return st.sampled_from([kind.ge, kind.le]) | st.integers(kind.ge, kind.le)
    if isinstance(kind, inspect.FloatType):
        assert None not in (kind.ge, kind.le), "every float has bounds"
        return st.sampled_from([kind.ge, kind.le]) | st.floats(kind.ge, kind.le)
    if isinstance(kind, inspect.StrType):
        return _texts(kind)
    if isinstance(kind, inspect.BytesType):
        return st.binary(max_size=100) | st.just(b"\xff" * (kind.max_length or 0))
    if isinstance(kind, inspect.BoolType):
        return st.booleans()
    if isinstance(kind, inspect.EnumType):
        return st.sampled_from(list(kind.cls))
    if isinstance(kind, inspect.VarTupleType):
        return st.lists(values_of(kind.item_type), min_size=len(FACTORS), max_size=len(FACTORS)).map(tuple)
    if isinstance(kind, inspect.ListType):
        return st.lists(values_of(kind.item_type), max_size=3)
    assert isinstance(kind, inspect.StructType), kind
    return st.builds(kind.cls, **{field.name: values_of(field.type) for field in kind.fields})


def _texts(kind: inspect.StrType) -> st.SearchStrategy[str]:
    if kind.pattern is None:
        assert kind.max_length is not None, "every text has a length"
        return TEXTS | st.just("ж" * kind.max_length)
    known = {"BTC-USDT swap": NAMES, "0.001": DECIMALS, "kX3f9QaZ": LOG_NAMES}
    return next(texts for example, texts in known.items() if re.search(kind.pattern, example))


def possible(name: str) -> st.SearchStrategy[Record]:
    """Records at and within every declared bound that keep their own rules."""
    kind = inspect.type_info(RECORD_TYPES[name])
    return values_of(kind).map(_ruled).filter(lambda record: not problem_of(record))


def _known(record: L2Record, kind: Kind, count: int) -> dict[str, Any]:
    """How far a snapshot's book is known, and what flowed before a delta."""
    if kind is Kind.DELTA:
        return {"coverage": None, "bid_known_ticks": None, "ask_known_ticks": None}
    is_range = record.coverage is Coverage.RANGE and count
    lowest = min(record.bid_ticks[:count]) if is_range else None
    return {"bid_known_ticks": lowest, "ask_known_ticks": None, "quote_flow_lots": None, "quote_events": 0}


def _added_up(record: FeedQuality) -> FeedQuality:
    """A minute of a feed whose sketches have a count for each latency, and that tells both of two or neither."""
    sketches: dict[str, list[int]] = {}
    for what in ("depth", "trade"):
        latencies, counts = getattr(record, f"{what}_latency_us"), getattr(record, f"{what}_latency_counts")
        told = dict(zip(latencies, counts, strict=False))
        sketches |= {f"{what}_latency_us": list(told.keys()), f"{what}_latency_counts": list(told.values())}
    return msgspec.structs.replace(
        record,
        began_ns=min(record.began_ns, record.received_ns),
        ids_lost=None if record.ids_seen is None else record.ids_lost or 0,
        clock_high_ns=None if record.clock_low_ns is None else record.clock_high_ns or 0,
        **sketches,
    )


def _ruled(record: Any) -> Any:
    """The same record with what one field must be for another's sake."""
    if isinstance(record, L2Record):
        count = min(len(record.bid_ticks), len(record.bid_lots))
        both = {"bid_ticks": record.bid_ticks[:count], "bid_lots": record.bid_lots[:count]}
        none: dict[str, Any] = {"ask_ticks": [], "ask_lots": [], "trade_ticks": [], "trade_lots": []}
        kind = Kind.SNAPSHOT if record.kind is Kind.INVALID else record.kind
        return msgspec.structs.replace(
            record,
            kind=kind,
            previous_sequence=record.previous_sequence or 0,
            **both,
            **none,
            **_known(record, kind, count),
        )
    if isinstance(record, FeedQuality):
        return _added_up(record)
    if isinstance(record, QuoteRecord):
        bids, asks = (sorted({tick for tick in side if tick}) for side in (record.bid_ticks, record.ask_ticks))
        lots = {"bid_lots": [1] * len(bids), "ask_lots": [2**63 - 1] * len(asks)}
        return msgspec.structs.replace(record, bid_ticks=bids[::-1], ask_ticks=asks, **lots)
    if hasattr(record, "events") and isinstance(record.events, list):
        unique = {event.source_offset: event for event in record.events}
        return msgspec.structs.replace(record, events=[unique[offset] for offset in sorted(unique)])
    if hasattr(record, "window_start_ns") and record.window_start_ns > record.window_end_ns:
        start, end = record.window_end_ns, record.window_start_ns
        return msgspec.structs.replace(record, window_start_ns=start, window_end_ns=end)
    return record


@records
@settings(deadline=None, max_examples=fourth_of(40), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_record_within_its_bounds_survives_the_wire(name: str, data: st.DataObject) -> None:
    record = data.draw(possible(name))

    assert decode(encode(record)) == record


@records
@settings(deadline=None, max_examples=fourth_of(100))
@given(seed=st.integers(0, 2**32))
def test_whatever_a_schema_can_carry_decodes_or_is_refused_with_a_reason(name: str, seed: int) -> None:
    random = Random(seed)
    payload = written(name, spoiled(name, raw_fields(name, encode(random.choice(examples(name)))), random))
    found = decoded_or_refused(payload)

    if isinstance(found, MessageError):
        assert 0 < len(str(found)) < 1_000
    else:
        assert decode(encode(found)) == found


def decoded_or_refused(payload: bytes) -> Record | MessageError:
    try:
        return decode(payload)
    except MessageError as error:
        return error


def examples(name: str) -> list[Record]:
    return [load(path) for path in example_files() if path.parents[1].name == name]


@tables
@settings(deadline=None, max_examples=fourth_of(40), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_record_within_its_bounds_makes_rows_within_their_columns(table: Table[Any], data: st.DataObject) -> None:
    record = data.draw(possible(table.topic.record))
    for row in table.rows(decode_as(table.record, encode(record)), Position("readread", 3, 2**63 - 1)):
        for value, column in zip(row, table.row_columns, strict=True):
            assert fits(value, column), (column, value)


def fits(value: Any, column: Column) -> bool:
    """Whether a value is one of its column, by ClickHouse's documents alone."""
    if column.kind.startswith("Array("):
        of_one = column._replace(kind=column.kind.removeprefix("Array(").removesuffix(")"))
        return isinstance(value, list) and all(fits(one, of_one) for one in value)
    kind = (
        column.kind.removeprefix("LowCardinality(").removesuffix(")")
        if "LowCardinality" in column.kind
        else column.kind
    )
    if kind.startswith("Nullable("):
        kind = kind.removeprefix("Nullable(").removesuffix(")")
        if value is None:
            return True
    if kind in INTEGERS:
        return type(value) is int and INTEGERS[kind][0] <= value <= INTEGERS[kind][1]
    if kind == "Float64":
        return isinstance(value, float) and abs(value) < float("inf")
    return isinstance(value, bool) if kind == "Bool" else kind == "String" and isinstance(value, str | bytes)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A migrated database of this file's own."""
    with clickhouse_of(choose()) as server:
        where = server.model_copy(update={"database": f"bounds_{uuid.uuid4().hex[:12]}"})
        make_tables(where)
        opened = Store(where)
        yield opened
        opened.command("DROP DATABASE {name:Identifier} SYNC", {"name": where.database})
        opened.close()


@pytest.mark.integration
@tables
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_record_that_decodes_is_stored_to_the_bit(store: Store, table: Table[Any], data: st.DataObject) -> None:
    payloads = [encode(data.draw(possible(table.topic.record))) for _ in range(3)]
    check_stored(store, table, payloads)


@pytest.mark.integration
@tables
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_of_what_a_stranger_writes_all_that_decodes_is_stored(store: Store, table: Table[Any], seed: int) -> None:
    random, name = Random(seed), table.topic.record
    raws = [raw_fields(name, encode(one)) for one in examples(name)]
    check_stored(store, table, [written(name, spoiled(name, random.choice(raws), random)) for _ in range(40)])


def check_stored(store: Store, table: Table[Any], payloads: list[bytes]) -> None:
    """Insert the rows of every payload that decodes in one insert, and read them back."""
    batch = RowBatch(table)
    for offset, payload in enumerate(payloads):
        position = Position("readread", 3, offset)
        try:
            rows = table.read(payload, position)
        except MessageError:
            continue
        if rows:
            batch.add(Entry(position, rows, payload, 0, origin_of(position)))
    store.command("TRUNCATE TABLE {name:Identifier}", {"name": table.name})
    if batch.rows:
        store.insert(table.name, batch.arrow(STORED_NS), uuid.uuid4().hex)
    given_rows = {tuple(bits(row)) for entry in batch.entries for row in entry.rows}
    found = {tuple(bits(row)) for row in read_back(store, table)}
    assert found == (given_rows if table.identified else newest_letters(given_rows, found))


def newest_letters(given_rows: set[Row], found: set[Row]) -> set[Row]:
    """Letters of one identity replace each other: which of them stays does not matter here."""
    assert {row[:2] for row in found} == {row[:2] for row in given_rows}
    return given_rows & found


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_factor_that_is_no_number_does_not_decode(bad: float) -> None:
    record = examples("factors")[0]
    event = msgspec.structs.replace(record.events[0], values=(bad, *record.events[0].values[1:]))  # type: ignore[union-attr]
    assert isinstance(event, FactorEvent)

    with pytest.raises(ImpossibleRecord, match="values"):
        decode(encode(msgspec.structs.replace(record, events=[event])))  # type: ignore[arg-type]
