"""Stored runs: listed, and dropped for good.

A run that is dropped is written into `dropped_runs` first. Sinks read that table again every few seconds and store no
row of such a run, though its records are still on the log; the audit expects none. Its rows are deleted once no sink
can still be at work on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from schemas.errors import StoreUnreachable, UsageError
from sinks.resume import settle
from sinks.store import Store
from sinks.tables import TABLES

TABLE: Final = "dropped_runs"
LOOK_SECONDS: Final = 10.0
"""A sink looks for newly dropped runs this often."""
BY_RUN: Final = tuple(table for table in TABLES.values() if any(column.name == "run" for column in table.row_columns))
"""Tables whose rows say which run they are of."""
LIST: Final = (
    "SELECT run, source, venue, symbol, sumIf(stored_rows, stored_in = 'factors'), "
    "sumIf(stored_rows, stored_in = 'trades'), min(first_at), max(last_at), "
    "max(stored_in IN ('factors', 'trades') AND notEmpty(newer)), max(beside_live) "
    "FROM runs GROUP BY run, source, venue, symbol ORDER BY venue, symbol, source, run"
)


class StoredRun(NamedTuple):
    """What is stored of an instrument's run.

    Attributes:
        run: Its name; empty for rows from before there were names.
        source: live, replay or simulator.
        venue, symbol: The instrument.
        factors, trades: Rows of it.
        first_at, last_at: Received times of the first and the last of them, UTC.
        overlapped: Whether a newer run of the same source counts for some of that time.
        beside_live: Whether the instrument has a live source, which counts alone.
    """

    run: str
    source: str
    venue: str
    symbol: str
    factors: int
    trades: int
    first_at: datetime
    last_at: datetime
    overlapped: bool
    beside_live: bool


def stored_runs(store: Store) -> list[StoredRun]:
    """Every stored run, instrument by instrument.

    Raises:
        StoreUnreachable: No ClickHouse answers.
        QueryFailed: The tables are not there.
    """
    return [StoredRun(*row)._replace(overlapped=bool(row[8]), beside_live=bool(row[9])) for row in store.query(LIST)]


def dropped_runs(store: Store) -> frozenset[str]:
    """Names of the runs that were dropped."""
    return frozenset(run for (run,) in store.query(f"SELECT DISTINCT run FROM {TABLE}"))  # noqa: S608 (our own name)


def drop_run(
    store: Store, run: str, wait_seconds: float, sleep: Callable[[float], None] = time.sleep
) -> dict[str, int]:
    """Delete the rows of a run from every table, and keep sinks from storing it again.

    Args:
        store: The database.
        run: Name of the run.
        wait_seconds: For how long a sink may still store rows of it.
        sleep: Waits.

    Returns:
        How many rows were deleted, by table.

    Raises:
        UsageError: No table has such rows.
        StoreUnreachable, QueryFailed: The database does not answer, or refuses.
    """
    if not run or not any(_count(store, table.name, run) for table in BY_RUN):
        raise UsageError(f"there is no run {run or '(without a name)'}", next_step="`obflow runs list` lists them")
    store.command(f"INSERT INTO {TABLE} (run, dropped_at) SELECT {{run:String}}, now64(9, 'UTC')", {"run": run})
    sleep(wait_seconds)
    deleted = {}
    for table in BY_RUN:
        settle(store, table)
        deleted[table.name] = _count(store, table.name, run)
        if deleted[table.name]:
            store.command(
                f"ALTER TABLE {table.name} DELETE WHERE run = {{run:String}} SETTINGS mutations_sync = 2", {"run": run}
            )
    return deleted


def _count(store: Store, table: str, run: str) -> int:
    [(count,)] = store.query(
        "SELECT count() FROM {table:Identifier} WHERE run = {run:String}", {"table": table, "run": run}
    )
    return int(count)


class DroppedRuns:
    """The runs of which nothing is stored, read again every few seconds.

    Args:
        store: The database.
        now_s: Tells the time, monotonic seconds.
    """

    def __init__(self, store: Store, now_s: Callable[[], float]) -> None:
        self._store = store
        self._now_s = now_s
        self._names: frozenset[str] = dropped_runs(store)
        self._due_s = now_s() + LOOK_SECONDS

    def look(self) -> None:
        """Read them again where it is time to. While the database does not answer, the last ones stand."""
        if self._now_s() < self._due_s:
            return
        self._due_s = self._now_s() + LOOK_SECONDS
        try:
            self._names = dropped_runs(self._store)
        except StoreUnreachable:
            return

    def __contains__(self, run: object) -> bool:
        return run in self._names
