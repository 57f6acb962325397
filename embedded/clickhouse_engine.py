"""The chDB engine on one data folder: statements in, answers out, from any thread.

Each statement runs in a session of its own, a fresh connection to the engine (0.2 ms), so that settings, the current
database and read-only mode never leak from one request to the next. One more connection stays open and keeps the
engine alive; a few more ask the parser what texts mean, under settings that are ours alone.

What runs is never the text that came, but what the engine's parser made of it and the rules let pass.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, Final, TextIO

from embedded.clickhouse_allowed import REFUSED_SETTINGS
from embedded.clickhouse_folder import ADDRESS
from embedded.clickhouse_inputs import read_from
from embedded.clickhouse_limits import reader_settings
from embedded.clickhouse_parser import REMEMBERED, REMEMBERED_BYTES, Parser
from embedded.clickhouse_rules import ANSWERS, Asker, check_format, check_input_format, judge
from embedded.clickhouse_sql import READONLY, UNKNOWN_SETTING, QueryRefused, Statement
from schemas.errors import DependencyError, FatalError

MAX_ANSWER_BYTES: Final = 1 << 30
DEFAULT_DATABASE: Final = "default"
UNKNOWN_EXCEPTION: Final = 1002
LOCK_FILE: Final = "obflow.lock"
# In force where a request does not say otherwise.
DEFAULT_SETTINGS: Final[Mapping[str, str]] = {
    "async_insert": "0",  # an insert that was acknowledged is stored, and is one part
    "implicit_select": "0",  # as a server: `1 + 1` is no statement
    "max_execution_time": "300",
    "max_result_bytes": str(MAX_ANSWER_BYTES),  # an answer is held in memory until it is sent
}
# What our own questions about a text run under.
_ASKING: Final = (
    "SET implicit_select = 0, max_query_size = 67108864, max_execution_time = 10, max_memory_usage = 1073741824"
)
_log = logging.getLogger(__name__)
_SETTING_NAME = re.compile(r"[A-Za-z_]\w*")
_FAILURE = re.compile(r"Code:\s*(\d+)\.\s*(?:DB::Exception:\s*)?(.*)", re.S)


@dataclass(frozen=True, slots=True)
class Context:
    """What a statement runs under.

    Attributes:
        database: The current database.
        settings: ChdbEngine settings by name.
        parameters: Values of `{name:Type}` in the text, as they stand in an address (escaped as in TSV).
        readonly: Whether the statement may only read.
        query_id: The client's name for it.
    """

    query_id: str
    database: str = DEFAULT_DATABASE
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    readonly: bool = False


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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement that may run.

    Attributes:
        text: What runs.
        settings: What it runs under.
        output_format: Format the statement names; empty where it names none.
        answers: Whether it has a result, be it empty.
        makes_table: What makes the temporary table of the rows that it reads from `input`; empty where it reads none.
    """

    text: str
    settings: Mapping[str, str]
    output_format: str
    answers: bool
    makes_table: str = ""


class ChdbEngine:
    """The engine, opened on a prepared folder that no other process has open and in whose `NOTHING` this one stands.

    Args:
        folder: Its data.

    Raises:
        DependencyError: chDB is not installed, or the folder cannot be opened.
        FatalError: The engine does not follow its configuration, and would let statements reach files.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import chdb
        except ImportError as error:
            raise DependencyError(
                "the package chdb, the embedded ClickHouse, is not installed",
                next_step="run `make setup`, or `pip install obflow[embedded]`",
            ) from error
        self._chdb = chdb
        self._connecting = threading.Lock()
        self._rows = f"/rows-{secrets.token_hex(8)}"  # stands for the path of an INSERT's rows until they are in a file
        self._input = f"input_{secrets.token_hex(8)}"  # the temporary table, in a session, of what `input` reads
        self._askers: SimpleQueue[Any] = SimpleQueue()
        self._parser = Parser(self._ask, self._classify)
        self._remembered_inputs = lru_cache(REMEMBERED)(self._judge_reading_input)
        try:
            self._keeper = self._connect()
            self.version = self._keeper.query("SELECT version()", "TabSeparated").bytes().decode().strip()
        except RuntimeError as error:
            raise DependencyError(
                f"the engine cannot open {folder} ({_sentence(error) or 'it gives no reason'})",
                next_step="another process may have it open, or choose another folder",
            ) from error
        if self._keeper.query("CHECK GRANT FILE ON *.*", "TabSeparated").bytes().strip() != b"0":
            raise FatalError(
                f"the engine on {folder} does not follow its configuration, and would open files",
                next_step="this is a mistake in the code: report it with the folder's name",
            )

    def run(self, statement: Statement, context: Context, *, default_format: str) -> Answer:
        """Run one statement.

        Args:
            statement: The statement and its data.
            context: What it runs under.
            default_format: Format of the answer where the text names none.

        Raises:
            QueryRefused: The rules' refusal or the engine's error, with its code.
        """
        ready = self.prepare(statement, context)
        output = ready.output_format or default_format
        check_format(output)
        with self._session(context, ready.settings) as session:
            if ready.makes_table and statement.data is not None:
                session.query(ready.makes_table, "TabSeparated")
                self._insert(session, self._filling(statement.input_format), statement.data)
            elif statement.data is not None:
                return self._insert(session, ready.text, statement.data)
            result = session.query(ready.text, output)
            return Answer(result.bytes() or b"", output if ready.answers else "", _counts(result))

    def prepare(self, statement: Statement, context: Context) -> Prepared:
        """Parse and judge a statement, without running it.

        Args:
            statement: The statement and its data.
            context: What it is to run under.

        Raises:
            QueryRefused: It is none, or not allowed.
        """
        if statement.selects:
            return self._prepare_reading_input(statement, context)
        sends_rows = statement.data is not None
        parsed = self._parser.parse(statement.reading_from(self._rows) if sends_rows else statement.text)
        try:
            asker = Asker(not context.readonly, context.database, context.parameters, sends_rows)
            verdict = judge(parsed.tree, asker)
        except QueryRefused:
            if parsed.tree["type"] == "SystemQuery":  # to stop merges or the engine itself is worth a line
                _log.warning(
                    "refused SYSTEM %s to a %s",
                    parsed.tree.get("query_type"),
                    "reader" if context.readonly else "writer",
                )
            raise
        settings = {**context.settings, **verdict.settings}
        return Prepared(
            text=parsed.text if verdict.tree is parsed.tree else self._parser.write(verdict.tree),
            settings=reader_settings(settings) if context.readonly else settings,
            output_format=verdict.output_format,
            answers=verdict.answers,
        )

    def _prepare_reading_input(self, statement: Statement, context: Context) -> Prepared:
        """Prepare an INSERT … SELECT … FROM input(…). Whoever sends rows sends the same text again and again."""
        check_input_format(statement.input_format)
        remembers = len(statement.text) <= REMEMBERED_BYTES
        prepare = self._remembered_inputs if remembers else self._judge_reading_input
        parameters = tuple(sorted(context.parameters.items()))
        text, makes_table = prepare(statement.text, context.readonly, context.database, parameters)
        return Prepared(text, context.settings, output_format="", answers=False, makes_table=makes_table)

    def _judge_reading_input(
        self, text: str, readonly: bool, database: str, parameters: tuple[tuple[str, str], ...]
    ) -> tuple[str, str]:
        """What runs, and what makes the table of its rows: each judged like any other statement of the asker."""
        asker = Asker(not readonly, database, dict(parameters))
        rows = read_from(self._parser.parse(text).tree, self._input)
        made = self._parser.parse(f"CREATE TABLE {self._input} ({rows.structure}) ENGINE = Memory")
        judge(made.tree, asker)
        runs = self._parser.write(judge(rows.tree, asker).tree)
        return runs, self._parser.write({**made.tree, "is_temporary": True})

    def _filling(self, input_format: str) -> str:
        return f"INSERT INTO {self._input} FROM INFILE {quote(self._rows)} FORMAT {input_format}"

    def reads(self, statement: Statement) -> bool:
        """Say whether a statement has an answer and changes nothing but, at most, running queries.

        Args:
            statement: As it came.

        Raises:
            QueryRefused: It is no statement.
        """
        return statement.data is None and self._parser.parse(statement.text).tree["type"] in ANSWERS

    def cancel(self, query_id: str | None = None) -> None:
        """End a running query, or all of them; one that has ended is left alone.

        Args:
            query_id: The client's name for it; None for every query.
        """
        which = "1" if query_id is None else f"Settings['log_comment'] = {quote(query_id)}"
        with suppress(QueryRefused):
            self._ask(f"KILL QUERY WHERE {which} AND query NOT LIKE 'KILL%' ASYNC")

    def close(self) -> None:
        """Let go of the folder. Call it when no statement runs."""
        with suppress(Empty):
            while True:
                self._askers.get_nowait().close()
        self._keeper.close()

    def _ask(self, text: str) -> bytes:
        """The one row of a statement of ours, in a session that is kept for such statements."""
        with self._asking() as session:
            return bytes(session.query(text, "TabSeparatedRaw").bytes() or b"")

    def _classify(self, text: str) -> tuple[int, bool]:
        with self._asking() as session:
            report = session._conn.classify_query(text, DEFAULT_DATABASE)
        return int(report["statement_count"]), report["query_class"].name == "READ_ONLY"

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        try:
            session = self._askers.get_nowait()
        except Empty:
            session = self._connect()
            session.query(_ASKING, "TabSeparated")
        try:
            yield session
        except RuntimeError as error:
            raise _refusal(error) from None
        finally:
            self._askers.put(session)

    def _insert(self, session: Any, text: str, data: memoryview) -> Answer:  # noqa: ANN401 - chdb publishes no types
        # chDB takes text only, so binary rows go through a file. (Its `send_insert` takes bytes, but reports success
        # where the table refused the rows: a violated constraint, too many partitions.)
        with _file_of(data) as path:
            result = session.query(text.replace(quote(self._rows), quote(path), 1), "TabSeparated")
        return Answer(b"", "", {"written_rows": result.rows_written(), "written_bytes": result.bytes_written()})

    def _connect(self) -> Any:  # noqa: ANN401 - chdb publishes no types
        with self._connecting:
            return self._chdb.connect(ADDRESS)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        session = None
        try:
            session = self._connect()
            yield session
        except RuntimeError as error:
            raise _refusal(error) from None
        finally:
            if session is not None:
                with self._connecting:
                    session.close()

    @contextmanager
    def _session(self, context: Context, settings: Mapping[str, str]) -> Iterator[Any]:
        """A connection under these settings, and in the engine's own read-only mode where the context only reads."""
        with self._opened() as session:
            if context.database != DEFAULT_DATABASE:
                session.query(f"USE {quote(context.database, '`')}", "TabSeparated")
            session.query(_set_statement(settings, context), "TabSeparated")
            if context.readonly:  # after the settings: read-only mode would refuse them
                session.query("SET readonly = 1", "TabSeparated")
            yield session


def quote(text: str, mark: str = "'") -> str:
    """A literal (or, with a backquote, a name) of ClickHouse's SQL."""
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


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


def lock_folder(folder: Path) -> TextIO:
    """Take the folder, by a lock that the system frees however this process ends.

    Args:
        folder: The data folder; created when missing.

    Returns:
        What holds the lock: keep it open.

    Raises:
        DependencyError: Another process has it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_FILE).open("w")
    except OSError as error:
        raise DependencyError(
            f"the data folder {folder} cannot be used ({error.strerror})", next_step="choose another folder"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise DependencyError(
            f"another embedded ClickHouse is using the data folder {folder}",
            next_step="connect to that one, stop it, or choose another folder",
        ) from None
    return lock


def _refusal(error: RuntimeError) -> QueryRefused:
    """The engine's error as the server would word it: the library prefixes and repeats the code."""
    text, code = _sentence(error), UNKNOWN_EXCEPTION
    while found := _FAILURE.search(text):
        code, text = int(found[1]), found[2]
        if not text.startswith("Code:"):
            break
    return QueryRefused(code, text)


def _sentence(error: RuntimeError) -> str:
    return str(error).strip()
