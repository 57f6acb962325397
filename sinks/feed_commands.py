"""The command `obflow feeds`: how good each feed is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from obflow.cli import JsonFlag, emit_json, load_settings
from obflow.terminal import print_columns, say

if TYPE_CHECKING:
    from sinks.store import Store

EVERY_RUN: Final = "SELECT * FROM feeds ORDER BY venue, symbol, source, last_at DESC"
NEWEST_RUN: Final = f"{EVERY_RUN} LIMIT 1 BY venue, symbol, source"
COLUMNS: Final = ("feed", "live", "gaps", "whole after s", "p50 ms", "p99 ms", "source")


def feeds(
    everything: Annotated[bool, typer.Option("--all", help="Every run, not the newest of each feed alone.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show how good each feed is: time with a LIVE book, gaps, time to recover, latency from the exchange.

    The view `feeds` says what each figure means: `obflow describe feeds`.

    Example: obflow feeds
    """
    from sinks.store import Store

    found = stored_feeds(Store(load_settings().clickhouse, readonly=True), everything=everything)
    if json:
        moments = ("first_at", "last_at")
        emit_json({"feeds": [row | {name: row[name].isoformat() for name in moments} for row in found]})
    elif found:
        print_columns(COLUMNS, [_cells(row) for row in found])
    else:
        say("no feed has told its status yet")


def stored_feeds(store: Store, *, everything: bool) -> list[dict[str, Any]]:
    """Rows of the view `feeds`, by name of the column.

    Args:
        store: The database.
        everything: Whether every run is wanted, not the newest of each instrument and source alone.
    """
    names = [str(name) for name, *_ in store.query("DESCRIBE TABLE feeds")]
    return [dict(zip(names, row, strict=True)) for row in store.query(EVERY_RUN if everything else NEWEST_RUN)]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A feed in words; latencies are of its trades, from the exchange to the socket."""
    return (
        f"{row['venue']}:{row['symbol']}",
        "–" if row["live_ratio"] is None else f"{row['live_ratio']:.1%}",
        str(row["gaps"]),
        _number(row["recovery_p50_s"], 2),
        _number(row["latency_p50_ms"], 1),
        _number(row["latency_p99_ms"], 1),
        row["source"],
    )


def _number(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:.{places}f}"
