"""The command `obflow feeds`: how good each feed is."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from obflow.cli import JsonFlag, emit_json, load_settings
from obflow.terminal import print_columns, say

if TYPE_CHECKING:
    from sinks.store import Store

EVERY_RUN: Final = "SELECT * FROM feeds ORDER BY venue, symbol, source, last_at DESC"
NEWEST_RUN: Final = f"{EVERY_RUN} LIMIT 1 BY venue, symbol, source"
HOURS: Final = "SELECT * FROM feed_hours ORDER BY hour, venue, symbol, source"
COLUMNS: Final = ("feed", "live", "lost", "gaps", "whole after s", "reopened", "p50 ms", "p99 ms", "source")
HOUR_COLUMNS: Final = (
    *("hour", "feed", "lost", "reopened", "clock ms", "depth ms", "p50", "p95", "p99"),
    *("trades ms", "p50", "p95", "p99", "source"),
)
HOUR_LATENCIES: Final = tuple(
    f"{what}_{which}_ms" for what in ("depth", "trade") for which in ("avg", "p50", "p95", "p99")
)


def feeds(
    everything: Annotated[bool, typer.Option("--all", help="Every run, not the newest of each feed alone.")] = False,
    hours: Annotated[bool, typer.Option("--hours", help="Hour by hour, all producers of a feed together.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show how good each feed is: time with a LIVE book, messages lost, reconnects, latency from the exchange.

    The views `feeds` and, with --hours, `feed_hours` say what each figure means: `obflow describe feeds`.

    Example: obflow feeds
    """
    from sinks.store import Store

    store = Store(load_settings().clickhouse, readonly=True)
    found = stored_hours(store) if hours else stored_feeds(store, everything=everything)
    if json:
        emit_json({"feeds": [{name: _plain(value) for name, value in row.items()} for row in found]})
    elif found and hours:
        print_columns(HOUR_COLUMNS, [_hour_cells(row) for row in found])
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
    return _rows(store, "feeds", EVERY_RUN if everything else NEWEST_RUN)


def stored_hours(store: Store) -> list[dict[str, Any]]:
    """Rows of the view `feed_hours`, by name of the column."""
    return _rows(store, "feed_hours", HOURS)


def _rows(store: Store, view: str, statement: str) -> list[dict[str, Any]]:
    names = [str(name) for name, *_ in store.query("DESCRIBE TABLE {view:Identifier}", {"view": view})]
    return [dict(zip(names, row, strict=True)) for row in store.query(statement)]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A feed in words; latencies are of its trades, from the exchange to the socket."""
    return (
        f"{row['venue']}:{row['symbol']}",
        _share(row["live_ratio"], 1),
        _share(row["loss_rate"], 4),
        str(row["gaps"]),
        _number(row["recovery_p50_s"], 2),
        _share(row["reopen_rate"], 0),
        _number(row["latency_p50_ms"], 1),
        _number(row["latency_p99_ms"], 1),
        row["source"],
    )


def _hour_cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["hour"].strftime("%Y-%m-%d %H:%M"),
        f"{row['venue']}:{row['symbol']}",
        _share(row["loss_rate"], 4),
        _share(row["reopen_rate"], 0),
        _number(row["clock_ahead_ms"], 0),
        *(_number(row[name], 1) for name in HOUR_LATENCIES),
        row["source"],
    )


def _share(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:.{places}%}"


def _number(value: float | None, places: int) -> str:
    """A figure; where it has three digits already, no more of them."""
    return "–" if value is None else f"{value:.{places if abs(value) < 100 else 0}f}"


def _plain(value: Any) -> Any:  # noqa: ANN401 (whatever a column holds)
    return value.isoformat() if isinstance(value, datetime) else value
