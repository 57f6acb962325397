"""What a reader may say to the embedded engine, held against the engine's own parser.

The rules read the tree of `parseQueryToJSON`. The oracle here reads something else: the engine's classification of a
text and the outline that EXPLAIN AST draws of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import pytest

from embedded import clickhouse_allowed, clickhouse_folder
from embedded.clickhouse_engine import ChdbEngine
from embedded.clickhouse_prepared import Context
from embedded.clickhouse_sql import QueryRefused, split_statement
from tests.integration.statements import PARAMETERS, allowed, tables
from tests.integration.statements.generator import Generator

pytestmark = pytest.mark.integration

FUZZED = 10_000 if os.environ.get("OBFLOW_FUZZ") == "all" else 1_000
READING = Context(query_id="reader", parameters=PARAMETERS, readonly=True)
ROOTS = ("SelectWithUnionQuery", "Explain ", "DescribeQuery", "Exists", "ShowTables", "ShowColumns", "ShowIndexes")
ROOTS += ("ShowCreateTable", "ShowCreateView", "ShowCreateDatabase", "ShowFunctions", "ShowEngineQuery", "ShowSetting")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbEngine]:
    folder = tmp_path_factory.mktemp("engine")
    clickhouse_folder.prepare(folder)
    with chdir(folder / clickhouse_folder.NOTHING):
        yield from opened(folder)


def opened(folder: Path) -> Iterator[ChdbEngine]:
    engine = ChdbEngine(folder)
    for statement in tables():
        engine.run(split_statement("", statement.encode()), Context(query_id="made"), default_format="TabSeparated")
    yield engine
    engine.close()


def names(engine: ChdbEngine, column: str, table: str) -> set[str]:
    return set(engine.sessions.ask(f"SELECT {column} FROM system.{table}").decode().split("\n")) - {""}  # noqa: S608 - ours


def judged(engine: ChdbEngine, text: str) -> str:
    """The statement that would run for a reader; raises QueryRefused."""
    return engine.statements.prepare(split_statement("", text.encode()), READING).text


# --- the lists


def test_every_function_of_the_engine_was_reviewed(engine: ChdbEngine) -> None:
    """Fails with each newer engine that brings functions, until each stands in a list."""
    reviewed = clickhouse_allowed.SCALAR_FUNCTIONS | clickhouse_allowed.AGGREGATE_FUNCTIONS
    assert names(engine, "name", "functions") == reviewed | clickhouse_allowed.REFUSED_FUNCTIONS
    assert not {name for name in clickhouse_allowed.REFUSED_FUNCTIONS if clickhouse_allowed.is_callable(name)}


@pytest.mark.parametrize(
    ("listed", "table"),
    [
        (clickhouse_allowed.TABLE_FUNCTIONS, "table_functions"),
        (clickhouse_allowed.INPUT_FORMATS, "formats"),
        (clickhouse_allowed.COMBINATORS, "aggregate_function_combinators"),
        (clickhouse_allowed.READER_SETTINGS | clickhouse_allowed.IGNORED_SETTINGS, "settings"),
        (clickhouse_allowed.ENGINES - {"Atomic"}, "table_engines"),
        (clickhouse_allowed.SYSTEM_TABLES, "tables WHERE database = 'system'"),
    ],
)
def test_the_lists_name_what_the_engine_has(engine: ChdbEngine, listed: frozenset[str], table: str) -> None:
    assert listed <= names(engine, "name", table)


# --- what is allowed


def test_none_of_200_ordinary_statements_is_refused(engine: ChdbEngine) -> None:
    """And each gives what its own text gives, though what runs was written anew from its tree."""
    assert len(allowed()) >= 200
    for text in allowed():
        statement = split_statement("", text.encode())
        answer = engine.run(statement, READING, default_format="TabSeparatedWithNamesAndTypes")
        if not text.startswith("EXPLAIN") and "FORMAT JSON" not in text:  # those tell times and positions
            # Without an ORDER BY around it all, the engine gives the rows of a union in any order.
            given, wanted = answer.body.splitlines(), as_written(engine, text).splitlines()
            assert given[:2] == wanted[:2], text
            assert sorted(given) == sorted(wanted), text


def as_written(engine: ChdbEngine, text: str) -> bytes:
    """What the engine answers to the text itself."""
    settings = ", ".join(f"param_{name} = '{value}'" for name, value in PARAMETERS.items())
    with engine.sessions.opened() as session:
        session.query(f"SET implicit_select = 0, {settings}", "TabSeparated")
        return bytes(session.query(text, "TabSeparatedWithNamesAndTypes").bytes() or b"")


# --- what is not


class Outline(NamedTuple):
    """What EXPLAIN AST says of a statement."""

    root: str
    functions: set[str]
    table_functions: set[str]
    tables: set[str]


def outline(engine: ChdbEngine, text: str) -> Outline:
    lines = engine.sessions.ask(f"EXPLAIN AST {text}").decode(errors="replace").split("\n")
    found = Outline(lines[0], set(), set(), set())
    for above, line in zip(["", *lines], lines, strict=False):
        kind, _, rest = line.strip().partition(" ")
        name = rest.split(" (")[0]
        if kind == "Function":
            (found.table_functions if above.strip().startswith("TableExpression") else found.functions).add(name)
        elif kind in ("TableIdentifier", "Identifier"):
            found.tables.add(name)
    return found


class Oracle:
    """Says of a statement what a reader may not do in it, by the engine's own names."""

    def __init__(self, engine: ChdbEngine) -> None:
        self._engine = engine
        callable_ = clickhouse_allowed.SCALAR_FUNCTIONS | clickhouse_allowed.AGGREGATE_FUNCTIONS
        self._functions = {name.lower() for name in names(engine, "name", "functions") - callable_}
        table_functions = names(engine, "name", "table_functions") - clickhouse_allowed.TABLE_FUNCTIONS
        self._table_functions = {name.lower() for name in table_functions}
        hidden = names(engine, "name", "tables WHERE database = 'system'") - clickhouse_allowed.SYSTEM_TABLES
        self._tables = {f"system.{name}" for name in hidden}

    def faults(self, text: str) -> list[str]:
        if self._engine.sessions.classify(text) != (1, True):
            return ["several statements, or one that does more than read"]
        try:
            seen = outline(self._engine, text)
        except QueryRefused as refused:
            return [] if refused.code in (36, 62, 456, 457) else [f"no outline: {refused.text}"]
        return [
            *([] if seen.root.startswith(ROOTS) else [f"a {seen.root}"]),
            *sorted({name for name in seen.functions if name.lower() in self._functions}),
            *sorted({name for name in seen.table_functions if name.lower() in self._table_functions}),
            *sorted(seen.tables & self._tables),
        ]


@pytest.mark.timeout(1800)
def test_no_generated_statement_of_a_forbidden_kind_passes(engine: ChdbEngine) -> None:
    """10,000 with `make fuzz`. What runs is judged, and what was asked, too."""
    oracle, generator, counts = Oracle(engine), Generator(seed=7), Counter[str]()
    for _ in range(FUZZED):
        text = generator.statement()
        try:
            runs = judged(engine, text)
        except QueryRefused as refused:
            counts[f"refused {refused.code}"] += 1
            continue
        counts["passed"] += 1
        assert not oracle.faults(runs), (text, runs)
        assert not oracle.faults(text), (text, runs)
    assert counts["passed"] > FUZZED // 20
    assert counts.total() - counts["passed"] - counts["refused 62"] > FUZZED // 10
    print(f"{FUZZED} statements: {dict(counts.most_common())}")  # noqa: T201 - `make fuzz` shows it


# --- the configuration


OPENED = """
import os, sys
from pathlib import Path
from embedded import clickhouse_engine, clickhouse_folder, clickhouse_sessions
folder = Path(sys.argv[1])
clickhouse_folder.prepare(folder)
os.chdir(folder / clickhouse_folder.NOTHING)
clickhouse_sessions.ADDRESS = sys.argv[2] or clickhouse_sessions.ADDRESS
clickhouse_engine.ChdbEngine(folder).close()
"""


@pytest.mark.parametrize(("address", "opens"), [("", True), ("../..", False)])
def test_an_engine_without_its_configuration_is_not_opened(tmp_path: Path, address: str, opens: bool) -> None:
    done = subprocess.run([sys.executable, "-c", OPENED, str(tmp_path), address], capture_output=True, text=True)
    assert (done.returncode == 0) == opens, done.stderr
    assert ("does not follow its configuration" in done.stderr) != opens
