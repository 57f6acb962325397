"""The database as sinks see it: statements that fail with a sentence, and inserts that say how they failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from obflow import clickhouse, inserts
from obflow.clickhouse import ClickHouseError
from obflow.inserts import InsertCondition
from obflow.settings import ClickHouseSettings

SERVER_DATABASE: Final = "default"


class Store:
    """One database, shared by threads.

    Args:
        settings: Where it is, and as whom.
        database: Another current database than the one of the settings.
        readonly: Whether to do nothing but read.

    Raises:
        StoreUnreachable: No ClickHouse answers.
        DependencyError: It answers, but not to this user, or without this database.
    """

    def __init__(self, settings: ClickHouseSettings, *, database: str | None = None, readonly: bool = False) -> None:
        self._settings = settings
        self._client = clickhouse.connect(settings, database=database, readonly=readonly)
        self._beside = inserts.RowsBeside()

    def query(
        self,
        statement: str,
        parameters: Mapping[str, object] | None = None,
        *,
        formats: Mapping[str, str] | None = None,
    ) -> list[tuple[Any, ...]]:
        """The rows of a SELECT.

        Args:
            statement: The SQL, with `{name:Type}` for each parameter.
            parameters: Their values.
            formats: How the client is to hand over types, by type (`{"String": "bytes"}`).

        Raises:
            StoreUnreachable: No answer in time.
            QueryFailed: The database refuses the statement.
        """
        try:
            result = self._client.query(statement, parameters=dict(parameters or {}), query_formats=dict(formats or {}))
        except (ClickHouseError, OSError) as error:
            raise clickhouse.query_error(error, self._settings) from error
        return [tuple(row) for row in result.result_rows]

    def command(self, statement: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run a statement that returns nothing.

        Raises:
            StoreUnreachable: No answer in time.
            QueryFailed: The database refuses the statement.
        """
        try:
            self._client.command(statement, parameters=dict(parameters or {}))
        except (ClickHouseError, OSError) as error:
            raise clickhouse.query_error(error, self._settings) from error

    def insert(self, table: str, rows: pa.Table, token: str, only_if: InsertCondition | None = None) -> None:
        """Store rows, all or none.

        Args:
            table: Its name.
            rows: Columns by name.
            token: New for every attempt.
            only_if: InsertCondition without which nothing is stored.

        Raises:
            InsertError: One of its five subclasses.
        """
        inserts.insert_arrow(self._client, table, rows, token=token, only_if=only_if, beside=self._beside)

    def ping(self) -> None:
        """Make sure that the database answers.

        Raises:
            StoreUnreachable: No answer in time.
            QueryFailed: It answers, and refuses.
        """
        self.query("SELECT 1")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
