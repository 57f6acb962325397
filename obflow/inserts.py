"""Rows into tables of ClickHouse, all or none, also under a condition.

The client's own retry of inserts is a trap: `insert` and `insert_df` are sent again when the connection is lost, even
where the server had already stored the rows. `insert_arrow` is not, nor is a block that is sent as it is: rows go in
here in no other way.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final, NamedTuple

import pyarrow as pa

from obflow.clickhouse import ClickHouseError, Client, arrow_buffer
from obflow.insert_errors import classify_insert
from obflow.logs import get_logger

log = get_logger(__name__)

SYNTAX_ERROR: Final = 62
MORE_THAN_TEXT: Final = 1_000


class InsertCondition(NamedTuple):
    """What an insert is stored under.

    Attributes:
        kinds: ClickHouse's types of the columns, by name, in the rows' order.
        sql: True, or an error of `throwIf`. It is evaluated as the statement begins, before a row is read.
    """

    kinds: Mapping[str, str]
    sql: str


class RowsBeside:
    """What is known of an engine: whether it takes rows that come beside INSERT … SELECT.

    Servers do. What puts an engine behind HTTP by itself may not: rows then go into the statement's own text, as safely
    and more slowly.

    Attributes:
        are_taken: Whether it does, as far as was tried.
    """

    def __init__(self) -> None:
        self.are_taken = True


def insert_arrow(
    client: Client,
    table: str,
    rows: pa.Table,
    *,
    token: str,
    only_if: InsertCondition | None = None,
    beside: RowsBeside | None = None,
) -> None:
    """Store rows, all or none, as one part of the table.

    Args:
        client: From `connect`.
        table: Its name, in the client's database or with its own.
        rows: Of one table partition, at most 1,048,449 of them; columns by name.
        token: New for every attempt. It keeps the server from storing one attempt twice; reused for other rows, it
            would make the server drop them.
        only_if: InsertCondition without which nothing is stored.
        beside: What is known of the engine, and found out here.

    Raises:
        InsertError: One of its five subclasses.
    """
    settings: dict[str, str | int] = {"insert_deduplication_token": token, "max_partitions_per_insert_block": 1}
    try:
        if only_if is None:
            client.insert_arrow(table, rows, settings=settings)
        else:
            # More threads than one would write more than one part.
            selected = _Selected(client, table, rows, only_if, {**settings, "max_insert_threads": 1})
            selected.insert(beside or RowsBeside())
    except (ClickHouseError, OSError) as error:
        raise classify_insert(error, table=table, rows=rows.num_rows) from error


class _Selected(NamedTuple):
    """Rows that INSERT … SELECT stores where a condition holds."""

    client: Client
    table: str
    rows: pa.Table
    only_if: InsertCondition
    settings: dict[str, str | int]

    def insert(self, beside: RowsBeside) -> None:
        """Send them beside the statement; in it where the engine takes none. What does not parse stores nothing."""
        if beside.are_taken:
            try:
                self._beside()
            except ClickHouseError as error:
                if getattr(error, "code", None) != SYNTAX_ERROR:
                    raise
                self._within()
                beside.are_taken = False
                log.warning("rows_go_into_statements", why="the engine takes none beside INSERT … SELECT")
        else:
            self._within()

    def _beside(self) -> None:
        """The client writes FORMAT behind whatever it takes for the table's name."""
        compression = self.client.write_compression if self.client.write_compression in ("zstd", "lz4") else None
        _, block = arrow_buffer(self.rows, compression)
        self.client.raw_insert(self._statement(f"input('{self._kinds()}')"), None, block, self.settings, "Arrow")

    def _within(self) -> None:
        _, block = arrow_buffer(self.rows, None)
        text = b64encode(block).decode()
        statement = self._statement(f"format('Arrow', '{self._kinds()}', base64Decode('{text}'))")
        sized = {"max_query_size": len(statement) + MORE_THAN_TEXT, **self.settings}
        self.client.command(f"INSERT INTO {statement}", settings=sized)

    def _statement(self, source: str) -> str:
        return f"{self.table} ({', '.join(self.only_if.kinds)}) SELECT * FROM {source} WHERE {self.only_if.sql}"  # noqa: S608 (our own names)

    def _kinds(self) -> str:
        return ", ".join(f"{name} {kind}" for name, kind in self.only_if.kinds.items()).replace("'", "\\'")
