"""Factor events as a file: one row an event, Parquet or CSV by the file's ending.

The file appears under its name once it is whole; until then it is beside it, ending in `.part`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from research.replay import InstrumentEvent
from schemas.errors import FatalError, UsageError
from schemas.factors import FACTOR_NAMES

COLUMNS: tuple[str, ...] = ("venue", "symbol", "sequence", "exchange_ns", "received_ns", "status", *FACTOR_NAMES)
PART = ".part"
ROW_GROUP = 16_384
"""Rows of a Parquet file written at once."""

Row = tuple[str | int | float | None, ...]
WriteRow = Callable[[InstrumentEvent], None]


@contextmanager
def event_table(path: Path) -> Iterator[WriteRow]:
    """A function that adds an event to the table; the file is whole when the block ends without an error.

    Raises:
        UsageError: The ending is neither .csv nor .parquet.
        FatalError: The file cannot be written.
    """
    writer = {".csv": _csv_rows, ".parquet": _parquet_rows}.get(path.suffix)
    if writer is None:
        raise UsageError(f"{path} is neither .csv nor .parquet", next_step="end the file's name in one of them")
    part = path.with_name(path.name + PART)
    try:
        with writer(part) as write:
            yield write
        part.replace(path)
    except OSError as error:
        raise FatalError(
            f"{path} cannot be written ({error.strerror or error})", next_step="give --out another path"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def row(item: InstrumentEvent) -> Row:
    """The values of one event in the order of `COLUMNS`."""
    event = item.event
    head = (item.instrument.venue, item.instrument.symbol, event.sequence, event.exchange_ns, event.received_ns)
    return (*head, event.status.value, *event.values)


@contextmanager
def _csv_rows(path: Path) -> Iterator[WriteRow]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        yield lambda item: writer.writerow(row(item))  # None becomes an empty field, a float its shortest exact text


@contextmanager
def _parquet_rows(path: Path) -> Iterator[WriteRow]:
    rows: list[Row] = []
    schema = _schema()

    def write(item: InstrumentEvent) -> None:
        rows.append(row(item))
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


def _schema() -> pa.Schema:
    text, integer, number = pa.string(), pa.int64(), pa.float64()
    head = [text, text, integer, integer, integer, text]
    nullable = ("exchange_ns", *FACTOR_NAMES)
    kinds = [*head, *[number] * len(FACTOR_NAMES)]
    return pa.schema([pa.field(name, kind, name in nullable) for name, kind in zip(COLUMNS, kinds, strict=True)])
