"""Local files as tables of the embedded engine, for `obflow query --file`: Parquet, CSV, recordings.

The engine runs as a child, on a folder of its own that goes with it, and gets the rows over its ordinary interface. The
statement is then asked as the reader, so that all that keeps a reader from files, addresses and the machine holds here.
"""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import msgspec
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from embedded.clickhouse import EmbeddedClickHouse
from obflow import clickhouse, inserts
from obflow.settings import ClickHouseSettings
from schemas.bounds import INT64_MAX
from schemas.errors import FatalError, UsageError

DATABASE: Final = "files"
BATCH_ROWS: Final = 50_000
TYPES: Final = {
    pa.string(): "String",
    pa.large_string(): "String",
    pa.bool_(): "Bool",
    pa.int8(): "Int8",
    pa.int16(): "Int16",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.float32(): "Float32",
    pa.float64(): "Float64",
}
FRAMES: Final = pa.schema(
    [
        ("received_at", pa.timestamp("ns", tz="UTC")),
        ("via", pa.string()),
        ("connection", pa.string()),
        ("request", pa.string()),
        ("raw", pa.string()),
    ]
)


class _FrameLine(msgspec.Struct):
    """A line of a recording; see `producers/recordings/reader.py`."""

    received_ns: Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
    via: str
    raw: str = ""
    connection: str = ""
    request: str = ""


@contextmanager
def local_tables(files: Sequence[Path]) -> Iterator[tuple[ClickHouseSettings, list[str]]]:
    """Hold files as tables: the settings of the engine that has them, and each table's name, in order.

    Args:
        files: One is the table `file`; several are `file1`, `file2` and so on.

    Raises:
        UsageError: A file is not there, is of no known kind, or has a column of a type that no table has.
        FatalError: A file is damaged.
        StoreUnreachable: The engine did not come up.
    """
    names = ["file"] if len(files) == 1 else [f"file{number}" for number in range(1, len(files) + 1)]
    opened = [_opened(path) for path in files]
    with EmbeddedClickHouse() as engine:
        settings = ClickHouseSettings(host=engine.host, port=engine.port, database=DATABASE)
        with closing(clickhouse.connect(settings, database="default")) as client:
            client.command(f"CREATE DATABASE {DATABASE}")
        with closing(clickhouse.connect(settings)) as client:
            for name, path, (schema, batches) in zip(names, files, opened, strict=True):
                _fill(client, name, path, schema, batches)
        yield settings, names


def _opened(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """A file's columns, and its rows in batches."""
    name = path.name
    if not path.is_file():
        cause = f"{path} is a folder, and files are asked" if path.is_dir() else f"there is no file {path}"
        raise UsageError(cause, next_step="check the path")
    try:
        if name.endswith(".parquet"):
            file = pq.ParquetFile(path)
            return file.schema_arrow, file.iter_batches(BATCH_ROWS)
        if name.endswith((".csv", ".csv.gz")):
            reader = pc.open_csv(path)
            _ = reader.schema.names  # decoded here, where one that is no text is the file's fault
            return reader.schema, iter(reader)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error
    if ".frames.jsonl" in name:
        return FRAMES, _frames(path)
    raise UsageError(
        f"{path} is no file that can be queried", next_step="name a .parquet, .csv, .csv.gz or .frames.jsonl.gz"
    )


def _frames(path: Path) -> Iterator[pa.RecordBatch]:
    every = _lines(path)
    while lines := list(islice(every, BATCH_ROWS)):
        columns = zip(*((one.received_ns, one.via, one.connection, one.request, one.raw) for one in lines), strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, FRAMES, strict=True)]
        yield pa.record_batch(arrays, schema=FRAMES)


def _lines(path: Path) -> Iterator[_FrameLine]:
    decoder = msgspec.json.Decoder(_FrameLine)
    number = 1
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for text in file:
                yield decoder.decode(text.removeprefix(BOM_UTF8) if number == 1 else text)
                number += 1
    except (msgspec.DecodeError, UnicodeDecodeError, EOFError, zlib.error, OSError) as error:
        raise _damaged(path, ValueError(f"line {number}: {error}")) from error


def _fill(
    client: clickhouse.Client, name: str, path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> None:
    columns = ", ".join(f"`{_column(field.name, path)}` {_type(field, path)}{_comment(field)}" for field in schema)
    client.command(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY tuple()")
    try:
        for number, batch in enumerate(batches):
            inserts.insert_arrow(client, name, pa.Table.from_batches([batch]), token=f"{name}:{number}")
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error


def _column(name: str, path: Path) -> str:
    if "`" in name or "\\" in name or not name.isprintable():
        raise UsageError(f"{path} has a column {name!r}, which no table can have", next_step="rename the column")
    return name


def _comment(field: pa.Field) -> str:
    """The unit that the file gives, as the comment of a table's column would."""
    unit = (field.metadata or {}).get(b"unit", b"").decode("utf-8", "replace")
    return f" COMMENT '[{unit}]'" if unit.isprintable() and unit and not set(unit) & set("'\\") else ""


def _type(field: pa.Field, path: Path) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_timestamp(kind):
        digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
        found = f"DateTime64({digits}, 'UTC')"
    elif kind in TYPES:
        found = TYPES[kind]
    else:
        raise UsageError(
            f"{path} has a column {field.name} of type {kind}, which is not known here",
            next_step="leave the column out",
        )
    return f"Nullable({found})" if field.nullable else found


def _damaged(path: Path, error: Exception) -> FatalError:
    why = " ".join(str(error).split())
    return FatalError(f"{path} cannot be read ({why})", next_step="fetch or write it again")
