"""Factor events as a file: one row an event, Parquet or CSV by the file's ending.

Parquet has the columns of the table `factors`, with the unit of each factor in its field's metadata, so that a file and
a query are read by the same code. CSV has a head of its own, with times as numbers. The file appears under its name
once it is whole; until then it is beside it, ending in `.part`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from research.replay import InstrumentEvent
from schemas.errors import FatalError, UsageError
from schemas.factors import FACTOR_NAMES, FACTOR_SET, FACTORS
from schemas.logs import Position
from schemas.messages import FactorRecord, Source
from sinks.tables.factors import TABLE

COLUMNS: tuple[str, ...] = ("venue", "symbol", "sequence", "exchange_ns", "received_ns", "status", *FACTOR_NAMES)
PART = ".part"
ROW_GROUP = 16_384
"""Rows of a Parquet file written at once."""
NOWHERE: Final = Position("", 0, 0)
"""A replay in memory reads no log: `source_log` is empty, `source_offset` counts the recording's book records."""

Row = tuple[str | int | float | None, ...]
WriteRow = Callable[[InstrumentEvent], None]


@contextmanager
def event_table(path: Path, run: str = "") -> Iterator[WriteRow]:
    """A function that adds an event to the table; the file is whole when the block ends without an error.

    Args:
        path: The file, ending in .parquet or .csv.
        run: What Parquet says the events are of.

    Raises:
        UsageError: The ending is neither .csv nor .parquet.
        FatalError: The file cannot be written.
    """
    writer = {".csv": _csv_rows, ".parquet": _parquet_rows}.get(path.suffix)
    if writer is None:
        raise UsageError(f"{path} is neither .csv nor .parquet", next_step="end the file's name in one of them")
    part = path.with_name(path.name + PART)
    try:
        with writer(part, run) as write:
            yield write
        part.replace(path)
    except OSError as error:
        raise FatalError(
            f"{path} cannot be written ({error.strerror or error})", next_step="give --out another path"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def require_another_file(out: Path, read: Path) -> None:
    """Refuse to write a table over the file that it is made of.

    Raises:
        UsageError: They are the same file.
    """
    if out.exists() and out.samefile(read):
        raise UsageError(f"{out} is the recording itself", next_step="give --out another path")


def row(item: InstrumentEvent) -> Row:
    """The values of one event in the order of `COLUMNS`."""
    event = item.event
    head = (item.instrument.venue, item.instrument.symbol, event.sequence, event.exchange_ns, event.received_ns)
    return (*head, event.status.value, *event.values)


def table_row(item: InstrumentEvent, run: str) -> tuple[Any, ...]:
    """The same event as a row of the table `factors`."""
    record = FactorRecord(*item.instrument, Source.REPLAY, FACTOR_SET, "", 0, [item.event], run=run)
    [found] = TABLE.rows(record, NOWHERE)
    return found


def table_schema() -> pa.Schema:
    """Columns of the table `factors` before the sink's own, units of factors in the fields' metadata."""
    units = {factor.name: factor.unit for factor in FACTORS}
    return pa.schema(
        [
            pa.field(
                column.name,
                column.arrow,
                column.kind.startswith("Nullable("),
                {"unit": units[column.name]} if column.name in units else None,
            )
            for column in TABLE.row_columns
        ]
    )


@contextmanager
def _csv_rows(path: Path, run: str) -> Iterator[WriteRow]:
    del run  # the head of a CSV has no place for it
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        yield lambda item: writer.writerow(row(item))  # None becomes an empty field, a float its shortest exact text


@contextmanager
def _parquet_rows(path: Path, run: str) -> Iterator[WriteRow]:
    rows: list[tuple[Any, ...]] = []
    schema = table_schema()

    def write(item: InstrumentEvent) -> None:
        rows.append(table_row(item, run))
        if len(rows) >= ROW_GROUP:
            flush()

    def flush() -> None:
        arrays = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
        writer.write_batch(pa.record_batch(arrays, schema=schema))
        rows.clear()

    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield write
        if rows:
            flush()
