"""The sessions of the chDB engine on one data folder: connections to it, from any thread.

A statement gets a fresh one (0.2 ms), so that settings, the current database and read-only mode never leak from one
request to the next. One more stays open and keeps the engine alive; a few more ask the parser what texts mean, under
settings that are ours alone.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from embedded.clickhouse_folder import ADDRESS
from embedded.clickhouse_sql import DEFAULT_DATABASE, QueryRefused
from schemas.errors import DependencyError, FatalError

UNKNOWN_EXCEPTION: Final = 1002
# What our own questions about a text run under.
_ASKING: Final = (
    "SET implicit_select = 0, max_query_size = 67108864, max_execution_time = 10, max_memory_usage = 1073741824"
)
_FAILURE = re.compile(r"Code:\s*(\d+)\.\s*(?:DB::Exception:\s*)?(.*)", re.S)


class EngineSessions:
    """The connections to one engine.

    Args:
        folder: Its data, prepared; this process stands in its `NOTHING`.

    Attributes:
        version: ClickHouse's.

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
        self._askers: SimpleQueue[Any] = SimpleQueue()
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

    def close(self) -> None:
        """Let go of the folder. Call it when no statement runs."""
        with suppress(Empty):
            while True:
                self._askers.get_nowait().close()
        self._keeper.close()

    def _connect(self) -> Any:  # noqa: ANN401 - chdb publishes no types
        with self._connecting:
            return self._chdb.connect(ADDRESS)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Give a session of its own, and say as a server would what is refused in it."""
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

    def ask(self, text: str) -> bytes:
        """The one row of a statement of ours, in a session that is kept for such statements."""
        with self._asking() as session:
            return bytes(session.query(text, "TabSeparatedRaw").bytes() or b"")

    def classify(self, text: str) -> tuple[int, bool]:
        """Say how many statements a text holds, and whether they only read."""
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
