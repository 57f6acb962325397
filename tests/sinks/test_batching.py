"""Batches hold whole records, in order, and know when they are due."""

import struct

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.factors import FACTOR_NAMES
from schemas.logs import Position
from schemas.messages import DeadLetter
from sinks.batching import Entry, Limits, RowBatch
from sinks.tables import TABLES
from tests.sinks.records import entry, event, factors

LIMITS = Limits(rows=4, seconds=1.0, payload_bytes=10_000)


def batch_of(*entries: Entry, now_s: float = 0.0) -> RowBatch:
    batch = RowBatch(TABLES["factors"])
    for each in entries:
        batch.passed(each.position, now_s)
        batch.add(each)
    return batch


def test_a_batch_is_due_a_second_after_its_first_record() -> None:
    batch = batch_of(entry(Position("a", 0, 0), factors("X", [0])), now_s=10.0)

    assert not batch.is_due(10.9, LIMITS)
    assert batch.is_due(11.0, LIMITS)


def test_a_batch_is_due_at_once_when_full_and_keeps_the_last_record_whole() -> None:
    batch = batch_of(
        entry(Position("a", 0, 0), factors("X", [0, 1, 2])), entry(Position("a", 0, 1), factors("X", [3, 4, 5]))
    )

    assert batch.is_due(0.0, LIMITS)
    assert batch.rows == 6


def test_a_batch_is_cut_by_bytes_too() -> None:
    batch = batch_of()
    batch.passed(Position("a", 0, 0), 0.0)
    batch.refuse(DeadLetter("a:0:0", "sink", "DecodeError", "no", 0, b"x" * 10_000, 10_000))

    assert batch.is_full(LIMITS)


def test_an_empty_batch_is_never_due() -> None:
    assert not batch_of().is_due(1e9, LIMITS)
    assert not batch_of()


def test_records_without_rows_count_as_read_but_not_as_stored() -> None:
    batch = batch_of(entry(Position("a", 0, 4), factors("X", [0])))
    batch.passed(Position("a", 0, 5), 0.0)
    batch.passed(Position("a", 1, 9), 0.0)

    assert batch.ends == {("a", 0): 6, ("a", 1): 10}
    assert [one.position.offset for one in batch.entries] == [4]


def test_an_insert_has_the_tables_columns_and_one_stored_at() -> None:
    batch = batch_of(entry(Position("a", 0, 4), factors("X", [0, 1])), entry(Position("b", 1, 0), factors("Y", [2])))
    arrow = batch.arrow(stored_ns=99)

    assert arrow.column_names == [column.name for column in TABLES["factors"].columns]
    assert arrow["stored_at"].cast(pa.int64()).to_pylist() == [99, 99, 99]
    assert arrow["k_batch"].to_pylist() == [99, 99, 99]
    assert arrow["k_log"].to_pylist() == ["a", "a", "b"]
    assert arrow["k_off"].to_pylist() == [4, 4, 0]
    assert arrow["symbol"].to_pylist() == ["X", "X", "Y"]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40, unique=True))
def test_values_reach_the_insert_bit_for_bit(offsets: list[int]) -> None:
    arrow = batch_of(entry(Position("a", 0, 0), factors("X", offsets))).arrow(1)

    for index, name in enumerate(FACTOR_NAMES):
        want = [event(offset).values[index] for offset in offsets]
        assert list(map(_bits, arrow[name].to_pylist())) == list(map(_bits, want))


def test_a_value_that_does_not_fit_its_column_is_an_error_of_the_whole_insert() -> None:
    batch = batch_of(entry(Position("a", 0, 0), factors("X", [1], partition=70_000)))

    with pytest.raises((pa.ArrowException, OverflowError)):
        batch.arrow(1)


@given(st.integers(2, 30))
def test_halves_are_the_whole_in_order(count: int) -> None:
    batch = batch_of(*(entry(Position("a", 0, n), factors("X", [n])) for n in range(count)))
    earlier, later = batch.halves()

    assert [*earlier.entries, *later.entries] == batch.entries
    assert earlier.rows + later.rows == batch.rows
    assert earlier.rows
    assert later.rows


def _bits(value: float | None) -> bytes | None:
    return None if value is None else struct.pack(">d", value)


def test_the_age_of_a_batch_is_that_of_its_first_record() -> None:
    batch = RowBatch(TABLES["factors"])
    assert batch.oldest_ns is None
    for offset, appended_ns in enumerate((70, 60, 80)):
        batch.passed(Position("a", 0, offset), 0.0, appended_ns)
    assert batch.oldest_ns == 70
