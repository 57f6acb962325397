"""What a table says of itself: how far its log was read, and the highest identity of every stream.

Both are answered by aggregate projections, which live in the parts they sum up and are as exact as the rows.
"""

from __future__ import annotations

import time
from typing import Any, Final

from schemas.errors import FatalError
from sinks.blocks import Rows
from sinks.contract import Row, Stream, Table, selection
from sinks.store import Store

SETTLE_SECONDS: Final = 30.0
SETTLE_POLL_SECONDS: Final = 0.02


def stored_positions(store: Store, table: Table[Any]) -> dict[tuple[str, int], int]:
    """Highest offset stored, by (log, partition) read."""
    rows = store.query(
        "SELECT k_log, k_part, max(k_off) FROM {table:Identifier} GROUP BY k_log, k_part", {"table": table.name}
    )
    return {(log, partition): offset for log, partition, offset in rows}


def stored_identities(store: Store, table: Table[Any]) -> dict[Stream, int]:
    """Highest source offset stored, by stream; nothing for a table without identities."""
    if not table.identified:
        return {}
    keys = ", ".join(table.stream_columns)
    rows = store.query(
        f"SELECT max(source_offset), {keys} FROM {{table:Identifier}} GROUP BY {keys}",  # noqa: S608 (our own names)
        {"table": table.name},
    )
    return {table.stream_of(stream): offset for offset, *stream in rows}


def stored_rows(store: Store, table: Table[Any], rows: Rows) -> dict[int, Row]:
    """The stored rows of these identities, all of one stream, by source offset."""
    where, parameters = _of_stream(table, table.stream(rows[0]))
    found = store.query(
        f"SELECT {selection(table)} FROM {{table:Identifier}} "  # noqa: S608 (our own column names)
        f"WHERE {where} AND source_offset IN {{offsets:Array(UInt64)}}",
        {**parameters, "offsets": [table.source_offset(row) for row in rows]},
    )
    return {table.source_offset(row): row for row in map(tuple, found)}


def stored_offsets(store: Store, table: Table[Any], stream: Stream, first: int, last: int) -> set[int]:
    """The source offsets, from `first` to `last`, that the table holds of a stream."""
    where, parameters = _of_stream(table, stream)
    rows = store.query(
        "SELECT source_offset FROM {table:Identifier} "  # noqa: S608 (our own column names)
        f"WHERE {where} AND source_offset BETWEEN {{first:UInt64}} AND {{last:UInt64}}",
        {**parameters, "first": first, "last": last},
    )
    return {int(offset) for (offset,) in rows}


def _of_stream(table: Table[Any], stream: Stream) -> tuple[str, dict[str, object]]:
    """The condition that rows of a stream meet, and its parameters."""
    conditions = [f"{column} = {{{column}:String}}" for column in table.owner_columns]
    conditions += ["source_log = {log:String}", "source_partition = {part:UInt16}"]
    conditions += [f"{table.stream_column} = {{kind:String}}"] if table.stream_column else []
    of = {"table": table.name, **stream.instrument._asdict(), "log": stream.log, "part": stream.partition}
    return " AND ".join(conditions), {**of, "kind": stream.kind}


def settle(store: Store, table: Table[Any], timeout_seconds: float = SETTLE_SECONDS) -> None:
    """Wait until the inserts into the table that run now have ended; those that begin meanwhile are not waited for.

    Raises:
        FatalError: One runs on.
    """
    deadline = time.monotonic() + timeout_seconds
    running = _inserting(store, table)
    while running:
        if time.monotonic() > deadline:
            raise FatalError(
                f"an insert into {table.name} has been running for {timeout_seconds:g} s",
                next_step="stop the other `obflow sink`, or look at system.processes",
            )
        time.sleep(SETTLE_POLL_SECONDS)
        running &= _inserting(store, table)


def _inserting(store: Store, table: Table[Any]) -> set[str]:
    """Names of the inserts into the table that run."""
    rows = store.query(
        "SELECT query_id FROM system.processes WHERE query_kind = 'Insert' AND current_database = currentDatabase() "
        "AND match(query, {pattern:String})",
        {"pattern": rf"(?i)^\s*INSERT\s+INTO\s+(\S+\.)?`?{table.name}`?\W"},
    )
    return {str(query_id) for (query_id,) in rows}
