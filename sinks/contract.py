"""What a table is: a topic, columns, and a pure function from one record to rows.

A sink's rows carry three groups of columns: the record's own, its identity, and where the sink read it. The identity
(`source_log`, `source_partition`, `source_offset`) rises within an instrument and answers "is this row stored?"; the
resume columns (`k_log`, `k_part`, `k_off`, `k_batch`) answer "where was I?" and mean nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
import pyarrow as pa

from schemas.codec import decode_as
from schemas.logs import Position
from schemas.messages import InstrumentKey
from schemas.topics import Topic

R = TypeVar("R", bound=msgspec.Struct)

Row: TypeAlias = tuple[Any, ...]
"""One row: a value for each of a table's columns before the sink's own, in their order."""


class Column(NamedTuple):
    """One column.

    Attributes:
        name: The record's field, or what the record means for people (`price`, `side`).
        kind: ClickHouse's type, as DESCRIBE prints it.
        arrow: Type in which its values travel; times travel as ns since the epoch.
    """

    name: str
    kind: str
    arrow: pa.DataType


class Stream(NamedTuple):
    """Rows whose identities rise together: an instrument's, from one partition of one log, of one kind.

    Attributes:
        instrument, log, partition: Whose, and where from; of a table that is of no instrument, both names are empty.
        kind: Value of the table's `stream_column`; empty where it has none.
    """

    instrument: InstrumentKey
    log: str
    partition: int
    kind: str = ""


NOBODY: Final = InstrumentKey("", "")
"""Stands for the instrument where rows are of none."""


def text(name: str) -> Column:
    """Text with few distinct values."""
    return Column(name, "LowCardinality(String)", pa.string())


def long_text(name: str) -> Column:
    """Text with many distinct values."""
    return Column(name, "String", pa.string())


def time(name: str) -> Column:
    """A time to the nanosecond, UTC."""
    return Column(name, "DateTime64(9, 'UTC')", pa.timestamp("ns", tz="UTC"))


def integer(name: str) -> Column:
    """A signed integer."""
    return Column(name, "Int64", pa.int64())


def integers(name: str) -> Column:
    """Signed integers."""
    return Column(name, "Array(Int64)", pa.list_(pa.int64()))


def flag(name: str) -> Column:
    """True or false."""
    return Column(name, "Bool", pa.bool_())


def number(name: str) -> Column:
    """A float that always has a value."""
    return Column(name, "Float64", pa.float64())


def texts(name: str) -> Column:
    """Several texts, in an order."""
    return Column(name, "Array(String)", pa.list_(pa.string()))


def partition(name: str) -> Column:
    """A Kafka partition."""
    return Column(name, "UInt16", pa.uint16())


def offset(name: str) -> Column:
    """A Kafka offset, or another count from 0."""
    return Column(name, "UInt64", pa.uint64())


def nullable(column: Column) -> Column:
    """The same column where null means "no value"."""
    inner = column.kind.removeprefix("LowCardinality(").removesuffix(")") if _is_low(column) else column.kind
    kind = f"Nullable({inner})"
    return column._replace(kind=f"LowCardinality({kind})" if _is_low(column) else kind)


def _is_low(column: Column) -> bool:
    return column.kind.startswith("LowCardinality(")


INSTRUMENT_COLUMNS: Final = (text("venue"), text("symbol"), text("source"))
IDENTITY_COLUMNS: Final = (text("source_log"), partition("source_partition"), offset("source_offset"))
SINK_COLUMNS: Final = (time("stored_at"), text("k_log"), partition("k_part"), offset("k_off"), offset("k_batch"))


def selection(table: Table[Any]) -> str:
    """The expressions that, selected, give a table's rows back as `rows` made them: times as ns since the epoch."""
    return ", ".join(
        f"toUnixTimestamp64Nano({column.name}) AS {column.name}_ns" if "DateTime64" in column.kind else column.name
        for column in table.row_columns
    )


@dataclass(frozen=True)
class Table(Generic[R]):
    """One table, fed by one topic.

    Attributes:
        name: Name in the database.
        topic: Topic it is fed by.
        record: Type of the topic's records.
        own_columns: The record's columns, before identity and resume columns.
        rows: Pure function from a record and the position that identifies it to rows (own columns, then identity).
            Any record that decodes has rows, or none.
        identified: Whether rows carry the identity columns, by which the sink drops what it has stored. Without them
            the engine replaces rows of the same key, and the table is read with FINAL.
        stream_column: A column by whose values an instrument's rows form streams of their own; empty where all of
            them are one.
        owner_columns: Columns that name the instrument; none where rows are of no instrument.
    """

    name: str
    topic: Topic
    record: type[R]
    own_columns: tuple[Column, ...]
    rows: Callable[[R, Position], list[Row]]
    identified: bool = True
    stream_column: str = ""
    owner_columns: tuple[str, ...] = ("venue", "symbol")
    _key: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [column.name for column in self.row_columns]
        key = (*self.stream_columns, "source_offset")
        object.__setattr__(self, "_key", tuple(names.index(name) for name in key) if self.identified else ())

    @property
    def stream_columns(self) -> tuple[str, ...]:
        """Columns that say which stream a row is of."""
        kind = (self.stream_column,) if self.stream_column else ()
        return (*self.owner_columns, "source_log", "source_partition", *kind)

    @property
    def row_columns(self) -> tuple[Column, ...]:
        """Columns of a row as `rows` returns it."""
        return (*self.own_columns, *IDENTITY_COLUMNS) if self.identified else self.own_columns

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column of the table."""
        return (*self.row_columns, *SINK_COLUMNS)

    def read(self, payload: bytes, position: Position) -> list[Row]:
        """Decode one record and turn it into rows.

        Args:
            payload: The record's bytes.
            position: The position that identifies the record, where its rows take their identity from it.

        Raises:
            MessageError: The bytes are no such record.
        """
        return self.rows(self.decode(payload), position)

    def decode(self, payload: bytes) -> R:
        """Decode one record.

        Raises:
            MessageError: The bytes are no such record.
        """
        return decode_as(self.record, payload)

    def stream(self, row: Row) -> Stream:
        """The stream in which the row's identity rises. For identified tables alone."""
        return self.stream_of([row[index] for index in self._key[:-1]])

    def stream_of(self, values: Sequence[Any]) -> Stream:
        """The stream with these values of `stream_columns`."""
        owner, rest = values[: len(self.owner_columns)], values[len(self.owner_columns) :]
        return Stream(InstrumentKey(*owner) if owner else NOBODY, *rest)

    def source_offset(self, row: Row) -> int:
        """The rising part of the row's identity. For identified tables alone."""
        return int(row[self._key[-1]])
