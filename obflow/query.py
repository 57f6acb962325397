"""`obflow query`: one reading statement, its answer as a table, TSV, CSV or JSON."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from obflow.cli import JsonFlag, emit_json, load_settings
from obflow.terminal import console, say, say_answer
from schemas.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from obflow.settings import ClickHouseSettings

SHOWN_ROWS: Final = 1000
_FORMAT: Final = re.compile(r"\bFORMAT\s+\w+$", re.IGNORECASE)
_NUMERIC: Final = ("Int", "UInt", "Float", "Decimal", "BFloat")


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    TSV = "tsv"
    CSV = "csv"
    JSON = "json"


def query(
    sql: Annotated[str, typer.Argument(help="One statement that reads.", metavar="SQL", show_default=False)],
    format_: Annotated[
        Format | None, typer.Option("--format", help="How to print; a table on a terminal, TSV elsewhere.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Ask ClickHouse, read-only, and print the answer.

    TSV and CSV leave ClickHouse's bytes as they are where the output is a file or a pipe; everything else is
    escaped, so that no value can control a terminal.

    Example: obflow query "SELECT symbol, count() FROM factors GROUP BY symbol"
    """
    chosen = Format.JSON if json else format_ or (Format.TABLE if sys.stdout.isatty() else Format.TSV)
    sql = _statement(sql)
    settings = load_settings().clickhouse
    if chosen is Format.JSON:
        answer = _parsed(_ask(settings, sql, "JSONCompact"))
        emit_json({"columns": [column["name"] for column in answer["meta"]], "rows": answer["data"]})
    elif chosen is Format.TABLE:
        _print_table(_parsed(_ask(settings, sql, "JSONCompactStrings")))
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
    from obflow.clickhouse import ClickHouseError, connect, query_error

    client = connect(settings, readonly=True)
    try:
        answer: bytes = client.raw_query(sql, fmt=output)
    except (ClickHouseError, OSError) as error:
        raise query_error(error, settings) from error
    finally:
        client.close()
    return answer


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
