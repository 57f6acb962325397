"""What goes into one insert: whole records, in the order they were read, until there are enough of them.

A record's rows are never split over two inserts, so that "the highest offset in the table" means "everything up to
here". One insert is one part of one table partition, which the engine commits as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple

import pyarrow as pa

from schemas.logs import Origin, Position
from schemas.messages import DeadLetter
from sinks.arrays import columns_of_blocks, columns_of_rows, repeated
from sinks.blocks import BlockRows, Rows
from sinks.contract import SINK_COLUMNS, Table

MAX_INSERT_ROWS: Final = 1_000_000
"""The engine writes up to 1,048,449 rows as one block, and so as one part; more would not be atomic."""
MAX_BATCH_BYTES: Final = 32 * 1024 * 1024
"""Payload bytes after which a batch is cut, however few its rows: dead letters carry up to 64 KiB each."""


class Limits(NamedTuple):
    """When a batch is due.

    Attributes:
        rows: At this many rows.
        seconds: Or this long after its first record.
        payload_bytes: Or at this many bytes as read.
    """

    rows: int
    seconds: float
    payload_bytes: int = MAX_BATCH_BYTES


class Entry(NamedTuple):
    """One record and what it adds to the table.

    Attributes:
        position: Where it was read.
        rows: Its rows that are not stored yet.
        payload: Its bytes as read, for the dead letter should the engine refuse it.
        appended_ns: Kafka's own time of it, ns UTC.
        origin: What identifies it; lies elsewhere than `position` where it was sent again by hand.
    """

    position: Position
    rows: Rows
    payload: bytes
    appended_ns: int
    origin: Origin


class RowBatch:
    """The records of one insert, and the letters that must be on the log before it.

    Attributes:
        entries: Records with rows, in the order read.
        letters: Refused records among them; after the insert nobody would read them again.
        ends: Next offset by (log, partition), over every record read, with or without rows.
        rows: Number of rows.
        payload_bytes: Their records' size as read.
        oldest_ns: Kafka's time of the first record read, ns UTC; None before it.
    """

    __slots__ = ("_opened_s", "ends", "entries", "letters", "oldest_ns", "payload_bytes", "rows", "table")

    def __init__(self, table: Table[Any]) -> None:
        self.table = table
        self.entries: list[Entry] = []
        self.letters: list[DeadLetter] = []
        self.ends: dict[tuple[str, int], int] = {}
        self.rows = 0
        self.payload_bytes = 0
        self.oldest_ns: int | None = None
        self._opened_s: float | None = None

    def __bool__(self) -> bool:
        return bool(self.ends)

    def passed(self, position: Position, now_s: float, appended_ns: int | None = None) -> None:
        """Note that a record was read, whatever came of it.

        Args:
            position: Where it lies.
            now_s: Monotonic time, seconds.
            appended_ns: Kafka's time of it, ns UTC.
        """
        self.ends[position.log, position.partition] = position.offset + 1
        if self._opened_s is None:
            self._opened_s, self.oldest_ns = now_s, appended_ns

    def add(self, entry: Entry) -> None:
        """Take a record's rows."""
        self.entries.append(entry)
        self.rows += len(entry.rows)
        self.payload_bytes += len(entry.payload)

    def refuse(self, letter: DeadLetter) -> None:
        """Take the letter of a record that cannot be stored."""
        self.letters.append(letter)
        self.payload_bytes += len(letter.payload)

    def is_full(self, limits: Limits) -> bool:
        """Whether it is large enough to be written at once. A letter counts as a row: its payload may be empty."""
        return self.held >= limits.rows or self.payload_bytes >= limits.payload_bytes

    @property
    def held(self) -> int:
        """Rows and letters."""
        return self.rows + len(self.letters)

    def is_due(self, now_s: float, limits: Limits) -> bool:
        """Whether it is full, or its first record has waited long enough."""
        waited = self._opened_s is not None and now_s - self._opened_s >= limits.seconds
        return waited or self.is_full(limits)

    def halves(self) -> tuple[RowBatch, RowBatch]:
        """The same entries as two batches, earlier and later, to find the one the engine refuses."""
        middle = len(self.entries) // 2
        return self.of(self.table, self.entries[:middle]), self.of(self.table, self.entries[middle:])

    @classmethod
    def of(cls, table: Table[Any], entries: Iterable[Entry]) -> RowBatch:
        """A batch of these entries, without letters."""
        batch = cls(table)
        for entry in entries:
            batch.passed(entry.position, 0.0, entry.appended_ns)
            batch.add(entry)
        return batch

    def arrow(self, stored_ns: int) -> pa.Table:
        """The insert, column by column.

        Args:
            stored_ns: When it is built, ns UTC: its `stored_at`, and the number by which its rows are known.

        Raises:
            pyarrow.ArrowException, OverflowError: A value does not fit its column.
        """
        names = [column.name for column in self.table.row_columns]
        parts = [pa.table(columns, names=names) for columns in self._columns()]
        whole = parts[0] if len(parts) == 1 else pa.concat_tables(parts).combine_chunks()
        for name, array in self._sink_arrays(stored_ns).items():
            whole = whole.append_column(name, array)
        return whole

    def _columns(self) -> Iterator[list[pa.Array]]:
        """The columns before the sink's own, of entries in a row whose rows are of one kind."""
        for is_block, entries in groupby(self.entries, lambda entry: isinstance(entry.rows, BlockRows)):
            rows: list[Any] = [entry.rows for entry in entries]
            yield columns_of_blocks(self.table, rows) if is_block else columns_of_rows(self.table, rows)

    def _sink_arrays(self, stored_ns: int) -> dict[str, pa.Array]:
        places, counts = [entry.position for entry in self.entries], [len(entry.rows) for entry in self.entries]
        logs, partitions, offsets = zip(*places, strict=True)
        same = [stored_ns] * len(places)
        columns = zip(SINK_COLUMNS, (same, logs, partitions, offsets, same), strict=True)
        return {column.name: repeated(values, counts, column.arrow) for column, values in columns}
