"""Columns of an insert: of rows one by one, of spans of blocks, and of what is the same for all rows of a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.factors import FACTOR_NAMES
from schemas.kernel.factor_columns import (
    EXCHANGE_NS,
    RECEIVED_NS,
    SEQUENCE,
    SOURCE_OFFSET,
    STATUSES,
    FactorEvents,
    Flags,
)
from sinks.blocks import BlockRows, RecordHead, Rows
from sinks.contract import Table

N = TypeVar("N", bound=np.generic)


def columns_of_rows(table: Table[Any], rows: Sequence[Rows]) -> list[pa.Array]:
    """The columns of a table before the sink's own, from rows one by one.

    Raises:
        pyarrow.ArrowException, OverflowError: A value does not fit its column.
    """
    values = zip(*chain.from_iterable(rows), strict=True)
    return [pa.array(value, column.arrow) for value, column in zip(values, table.row_columns, strict=True)]


def columns_of_blocks(table: Table[Any], rows: Sequence[BlockRows]) -> list[pa.Array]:
    """The same columns from spans of blocks, without an object a value."""
    events, kinds = _gathered(rows), {column.name: column.arrow for column in table.row_columns}
    found = {
        **_of_heads([each.head for each in rows], [len(each) for each in rows], kinds),
        **_of_numbers(events, kinds),
        **{name: _floats(events, place) for place, name in enumerate(FACTOR_NAMES)},
    }
    return [found[column.name] for column in table.row_columns]


def repeated(values: Sequence[Any], counts: Sequence[int], kind: pa.DataType) -> pa.Array:
    """A column in which each value stands so many times.

    Raises:
        pyarrow.ArrowException, OverflowError: A value does not fit its column.
    """
    places = np.repeat(np.arange(len(values), dtype=np.int32), counts)
    return pa.array(values, kind).take(pa.array(places))


def _gathered(rows: Sequence[BlockRows]) -> FactorEvents:
    """The events of spans as one block of their own."""
    spans = list(_merged(rows))

    def joined(columns: Callable[[FactorEvents], NDArray[N]]) -> NDArray[N]:
        parts = [columns(events)[..., start:stop] for events, start, stop in spans]
        return np.concatenate(parts, axis=-1) if len(parts) > 1 else np.ascontiguousarray(parts[0])

    return spans[0][0]._replace(
        numbers=joined(lambda events: events.numbers),
        has_exchange=joined(lambda events: events.has_exchange),
        status=joined(lambda events: events.status),
        values=joined(lambda events: events.values),
        is_value=joined(lambda events: events.is_value),
    )


def _merged(rows: Sequence[BlockRows]) -> Iterator[tuple[FactorEvents, int, int]]:
    """The spans, those that follow each other in a block as one."""
    events, start, stop = rows[0].events, rows[0].start, rows[0].stop
    for each in rows[1:]:
        if each.events is not events or each.start != stop:
            yield events, start, stop
            events, start = each.events, each.start
        stop = each.stop
    yield events, start, stop


def _of_heads(
    heads: Sequence[RecordHead], counts: Sequence[int], kinds: Mapping[str, pa.DataType]
) -> dict[str, pa.Array]:
    columns = zip(RecordHead._fields, zip(*heads, strict=True), strict=True)
    return {name: repeated(values, counts, kinds[name]) for name, values in columns}


def _of_numbers(events: FactorEvents, kinds: Mapping[str, pa.DataType]) -> dict[str, pa.Array]:
    numbers, time = events.numbers, kinds["received_at"]
    received = _array(time, numbers[RECEIVED_NS])
    return {
        "sequence": _array(kinds["sequence"], numbers[SEQUENCE]),
        "received_at": received,
        "exchange_at": _array(time, numbers[EXCHANGE_NS], events.has_exchange),
        "decided_at": received,
        "status": pa.array([status.value for status in STATUSES], kinds["status"]).take(pa.array(events.status)),
        "source_offset": _array(kinds["source_offset"], numbers[SOURCE_OFFSET]),
    }


def _floats(events: FactorEvents, place: int) -> pa.Array:
    return _array(pa.float64(), events.values[place], events.is_value[place])


def _array(kind: pa.DataType, values: NDArray[Any], is_value: Flags | None = None) -> pa.Array:
    """An array over memory that is there: eight bytes a value, bits that say which are values."""
    bits = None if is_value is None else pa.py_buffer(np.packbits(is_value, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(values)])
