"""The chDB engine on one data folder: statements in, answers out, from any thread.

Each statement runs in a session of its own (`clickhouse_sessions.py`), under settings that leak into no other. What
runs is never the text that came, but what `clickhouse_prepared.py` made of it.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from embedded.clickhouse_allowed import REFUSED_SETTINGS
from embedded.clickhouse_prepared import Context, StatementPreparer
from embedded.clickhouse_rules import check_format
from embedded.clickhouse_sessions import EngineSessions
from embedded.clickhouse_sql import DEFAULT_DATABASE, READONLY, UNKNOWN_SETTING, QueryRefused, Statement, quote

MAX_ANSWER_BYTES: Final = 1 << 30
# In force where a request does not say otherwise.
DEFAULT_SETTINGS: Final[Mapping[str, str]] = {
    "async_insert": "0",  # an insert that was acknowledged is stored, and is one part
    "implicit_select": "0",  # as a server: `1 + 1` is no statement
    "max_execution_time": "300",
    "max_result_bytes": str(MAX_ANSWER_BYTES),  # an answer is held in memory until it is sent
}
_SETTING_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave.

    Attributes:
        body: The result in `format`; empty where there is none.
        format: The result's format; empty for a statement without a result.
        counts: Rows and bytes read and written, by the names of `X-ClickHouse-Summary`.
    """

    body: bytes
    format: str
    counts: Mapping[str, int]


class ChdbEngine:
    """The engine, opened on a prepared folder that no other process has open and in whose `NOTHING` this one stands.

    Args:
        folder: Its data.

    Attributes:
        sessions: The connections that statements run in.
        statements: Prepares them.
        version: ClickHouse's.

    Raises:
        DependencyError: chDB is not installed, or the folder cannot be opened.
        FatalError: The engine does not follow its configuration, and would let statements reach files.
    """

    def __init__(self, folder: Path) -> None:
        self.sessions = EngineSessions(folder)
        self.statements = StatementPreparer(self.sessions.ask, self.sessions.classify)
        self.version = self.sessions.version

    def run(self, statement: Statement, context: Context, *, default_format: str) -> Answer:
        """Run one statement.

        Args:
            statement: The statement and its data.
            context: What it runs under.
            default_format: Format of the answer where the text names none.

        Raises:
            QueryRefused: The rules' refusal or the engine's error, with its code.
        """
        ready = self.statements.prepare(statement, context)
        output = ready.output_format or default_format
        check_format(output)
        with self._session(context, ready.settings) as session:
            if ready.makes_table and statement.data is not None:
                session.query(ready.makes_table, "TabSeparated")
                self._insert(session, self.statements.filling(statement.input_format), statement.data)
            elif statement.data is not None:
                return self._insert(session, ready.text, statement.data)
            result = session.query(ready.text, output)
            return Answer(result.bytes() or b"", output if ready.answers else "", _counts(result))

    def reads(self, statement: Statement) -> bool:
        """Say whether a statement has an answer and changes nothing but, at most, running queries.

        Raises:
            QueryRefused: It is no statement.
        """
        return self.statements.reads(statement)

    def cancel(self, query_id: str | None = None) -> None:
        """End a running query, or all of them; one that has ended is left alone.

        Args:
            query_id: The client's name for it; None for every query.
        """
        which = "1" if query_id is None else f"Settings['log_comment'] = {quote(query_id)}"
        with suppress(QueryRefused):
            self.sessions.ask(f"KILL QUERY WHERE {which} AND query NOT LIKE 'KILL%' ASYNC")

    def close(self) -> None:
        """Let go of the folder. Call it when no statement runs."""
        self.sessions.close()

    def _insert(self, session: Any, text: str, data: memoryview) -> Answer:  # noqa: ANN401 - chdb publishes no types
        # chDB takes text only, so binary rows go through a file. (Its `send_insert` takes bytes, but reports success
        # where the table refused the rows: a violated constraint, too many partitions.)
        with _file_of(data) as path:
            result = session.query(self.statements.with_rows(text, path), "TabSeparated")
        return Answer(b"", "", {"written_rows": result.rows_written(), "written_bytes": result.bytes_written()})

    @contextmanager
    def _session(self, context: Context, settings: Mapping[str, str]) -> Iterator[Any]:
        """A connection under these settings, and in the engine's own read-only mode where the context only reads."""
        with self.sessions.opened() as session:
            if context.database != DEFAULT_DATABASE:
                session.query(f"USE {quote(context.database, '`')}", "TabSeparated")
            session.query(_set_statement(settings, context), "TabSeparated")
            if context.readonly:  # after the settings: read-only mode would refuse them
                session.query("SET readonly = 1", "TabSeparated")
            yield session


def _counts(result: Any) -> dict[str, int]:  # noqa: ANN401 - chdb publishes no types
    return {
        "read_rows": result.storage_rows_read(),
        "read_bytes": result.storage_bytes_read(),
        "written_rows": result.rows_written(),
        "written_bytes": result.bytes_written(),
        "result_rows": result.rows_read(),
        "result_bytes": result.bytes_read(),
    }


def _set_statement(settings: Mapping[str, str], context: Context) -> str:
    values = {**DEFAULT_SETTINGS, **settings, "log_comment": context.query_id}
    values |= {f"param_{name}": value for name, value in context.parameters.items()}
    for name in values:
        if not _SETTING_NAME.fullmatch(name):
            raise QueryRefused(
                UNKNOWN_SETTING, f"Setting {name!r} is neither a builtin setting nor a name (UNKNOWN_SETTING)"
            )
        if name in REFUSED_SETTINGS:
            raise QueryRefused(READONLY, f"Nobody may change {name!r} in the embedded engine (READONLY)")
    return "SET " + ", ".join(f"{name} = {quote(value)}" for name, value in values.items())


@contextmanager
def _file_of(data: memoryview) -> Iterator[str]:
    """The path of a file that holds these bytes; in memory on Linux, where nothing is left of it after a crash."""
    if sys.platform == "linux":
        with open(os.memfd_create("insert"), "wb", buffering=0) as file:  # noqa: PTH123 - there is no path to open
            _write_all(file, data)
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile(buffering=0) as named:
            _write_all(named, data)
            yield named.name


def _write_all(file: IO[bytes], data: memoryview) -> None:
    while data:  # one call writes at most 2 GiB, and may write less
        data = data[file.write(data) :]
