"""`obflow query`: one reading statement, its answer as a table, TSV, CSV or JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from obflow.cli import JsonFlag, emit_json, load_settings
from obflow.terminal import console, say, say_answer, tell
from schemas.errors import DependencyError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from obflow.settings import ClickHouseSettings

SHOWN_ROWS: Final = 1000
SHOWN_SQL: Final = 300
LOCAL_GROUP: Final = "obflow.local_engine"
DESCRIBES: Final = re.compile(r"\s*DESC(RIBE)?\b", re.IGNORECASE)
_FORMAT: Final = re.compile(r"\bFORMAT\s+\w+$", re.IGNORECASE)
_NUMERIC: Final = ("Int", "UInt", "Float", "Decimal", "BFloat")


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    TSV = "tsv"
    CSV = "csv"
    JSON = "json"


def query(
    sql: Annotated[
        str, typer.Argument(help="One statement that reads; - takes it from standard input.", metavar="SQL")
    ] = "-",
    format_: Annotated[
        Format | None, typer.Option("--format", help="How to print; a table on a terminal, TSV elsewhere.")
    ] = None,
    from_: Annotated[
        Path | None, typer.Option("--from", help="Take the statement from this file.", metavar="FILE.sql")
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            help="Ask local files instead: .parquet, .csv, .csv.gz, .frames.jsonl.gz; the table is called file.",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Ask ClickHouse, or local files, read-only, and print the answer.

    TSV and CSV leave ClickHouse's bytes as they are where the output is a file or a pipe; everything else is
    escaped, so that no value can control a terminal.

    Example: obflow query "SELECT symbol, count() FROM factors GROUP BY symbol"
    """
    chosen = Format.JSON if json else format_ or (Format.TABLE if sys.stdout.isatty() else Format.TSV)
    sql = _statement(_read(sql, from_))
    loaded = load_settings()  # a misspelt setting is told before any engine is started
    with _local(file) if file else nullcontext(loaded.clickhouse) as settings:
        _answer(settings, sql, chosen)


def _read(sql: str, path: Path | None) -> str:
    """The statement: as given, from a file, or from standard input."""
    if path is not None:
        try:
            return path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as text ({error})", next_step="check the path") from None
    if sql != "-":
        return sql
    if sys.stdin.isatty():
        raise UsageError("there is no statement", next_step='write one, such as "SHOW TABLES"')
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"standard input cannot be read as text ({error})", next_step="write the statement in UTF-8"
        ) from None


@contextmanager
def _local(files: list[Path]) -> Iterator[ClickHouseSettings]:
    """Where local files are tables: an engine of their own, if one is installed."""
    for entry in entry_points(group=LOCAL_GROUP):
        with entry.load()(files) as (settings, names):
            if len(names) > 1:
                tell(", ".join(f"{name} is {path}" for name, path in zip(names, files, strict=True)))
            yield settings
        return
    raise DependencyError("no engine is installed here", next_step="`make setup` installs the embedded one")


def _answer(settings: ClickHouseSettings, sql: str, chosen: Format) -> None:
    if chosen is Format.JSON:
        answer = _parsed(_ask(settings, sql, "JSONCompact"))
        emit_json({"columns": [column["name"] for column in answer["meta"]], "rows": answer["data"]})
    elif chosen is Format.TABLE:
        answer = _parsed(_ask(settings, sql, "JSONCompactStrings"))
        _print_table(_without_empty(answer) if DESCRIBES.match(sql) else answer)
    else:
        name = "CSVWithNames" if chosen is Format.CSV else "TabSeparatedWithNames"
        say_answer(_ask(settings, sql, name))


def _statement(sql: str) -> str:
    statement = sql.strip().rstrip("; \n")
    if not statement:
        raise UsageError("the statement is empty", next_step='write one, such as "SHOW TABLES"')
    if named := _FORMAT.search(statement):
        raise UsageError(
            f"the statement ends with {named[0]}, and this command names a format itself",
            next_step=f"leave that out and choose one with --format {'|'.join(Format)}",
        )
    return statement


def _ask(settings: ClickHouseSettings, sql: str, output: str) -> bytes:
    """The answer in one of ClickHouse's own formats, which keep what Python's types would lose (nanoseconds)."""
    from obflow.clickhouse import ClickHouseError, QueryFailed, connect, query_error

    client = connect(settings, readonly=True)
    try:
        answer: bytes = client.raw_query(sql, fmt=output)
    except (ClickHouseError, OSError) as error:
        told = query_error(error, settings)
        if isinstance(told, QueryFailed):
            raise QueryFailed(told.cause, next_step=f"the statement was: {_short(sql)}", code=told.code) from error
        raise told from error
    finally:
        client.close()
    return answer


def _short(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= SHOWN_SQL else text[:SHOWN_SQL] + " …"


def _without_empty(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without columns in which no row has anything: DESCRIBE has several, and comments beside them."""
    kept = [place for place, _ in enumerate(answer["meta"]) if any(row[place] for row in answer["data"])]
    rows = [[row[place] for place in kept] for row in answer["data"]]
    return {"meta": [answer["meta"][place] for place in kept], "data": rows}


def _parsed(answer: bytes) -> dict[str, Any]:
    """ClickHouse's JSON; its texts are any bytes, JSON's are not: what is no UTF-8 becomes U+FFFD."""
    found: dict[str, Any] = orjson.loads(answer.decode("utf-8", "replace"))
    return found


def _print_table(answer: dict[str, Any]) -> None:
    console().print(_table(answer))
    total, shown = len(answer["data"]), min(len(answer["data"]), SHOWN_ROWS)
    more = f", the first {shown} shown; --format csv prints all" if shown < total else ""
    say(f"{total} row{'' if total == 1 else 's'}{more}")


def _table(answer: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table()
    for column in answer["meta"]:
        table.add_column(column["name"], justify="right" if _is_numeric(column["type"]) else "left")
    for row in answer["data"][:SHOWN_ROWS]:
        table.add_row(*("" if value is None else value for value in row))
    return table


def _is_numeric(type_name: str) -> bool:
    bare = type_name.removeprefix("LowCardinality(").removeprefix("Nullable(")
    return bare.startswith(_NUMERIC)
