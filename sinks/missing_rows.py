"""Notices that somebody took rows out of a table while a sink feeds it: what it should hold against what it says.

What it should hold is what it held when it was opened and what was stored since, by run: whole runs are taken out on
purpose (`obflow runs drop`). Both counts are answered by projections and the parts' own numbers, not by the rows. Of a
table whose rows grow too old, those count that cannot be too old before the next baseline. Of a table whose rows are
replaced by the engine, it is only noticed that it is empty. Where several sinks share a table, each watches the rows of
its own partitions. No projection counts those, so that it looks less often where a look takes long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from obflow.clock import Clock
from obflow.logs import get_logger
from schemas.errors import StoreUnreachable
from schemas.units import NS_PER_SECOND
from sinks.batching import RowBatch
from sinks.contract import Table
from sinks.counts import Counts
from sinks.migrate import age_limit_of
from sinks.runs import BY_RUN, dropped_runs
from sinks.store import Store
from sinks.writer import WrittenBatch

LOOK_SECONDS: Final = 20.0
BASELINE_SECONDS: Final = 3600.0
MOST_OF_THE_TIME: Final = 0.05
"""The share of its time that a sink looks at most."""
_log = get_logger(__name__)


def next_step_of(table: str) -> str:
    """What to do about rows that are missing."""
    return f"stop the sink and run `obflow sink --restore {table}`: it puts back what the log still has"


class RowWatch:
    """Watches one table for rows that are taken out of it.

    Args:
        store: The database.
        table: The table.
        counts: Where it is counted.
        clock: Tells the time.
        partitions: Partitions of the log that nobody but this sink feeds the table from; None for all.

    Raises:
        StoreUnreachable, QueryFailed: The table cannot be counted.
    """

    def __init__(
        self, store: Store, table: Table[Any], counts: Counts, clock: Clock, partitions: Iterable[int] | None = None
    ) -> None:
        self._store = store
        self._table = table
        self._counts = counts
        self._clock = clock
        self._partitions = None if partitions is None else sorted(partitions)
        self._run_at = _run_index(table)
        self._counts.missing = 0
        self._expected: Counter[str] = Counter()
        self._since_ns = 0
        self._began_s = self._due_s = 0.0
        self._is_sure = True
        self._begin()

    def stored(self, batch: RowBatch, written: WrittenBatch) -> None:
        """Note a batch. After one that was not stored whole all is counted anew: its rows may be of any run."""
        if written.rows != batch.rows:
            self._is_sure = False
            return
        for entry in batch.entries:
            self._expected[self._run_of(entry.rows[0])] += len(entry.rows)  # a record is of one run

    def look(self) -> None:
        """Compare, where it is time to. For moments when no insert is on its way.

        Raises:
            QueryFailed: The table is not there any more.
        """
        if self._now_s() < self._due_s:
            return
        self._due_s = self._now_s() + LOOK_SECONDS
        began_s = self._now_s()
        try:
            self._compare()
        except StoreUnreachable:  # the next insert, or the next look, says more
            return
        self._due_s = max(self._due_s, self._now_s() + (self._now_s() - began_s) / MOST_OF_THE_TIME)

    def _compare(self) -> None:
        if not self._is_sure:
            self._begin()
            return
        found = self._count()
        lacking = self._lacking(found)
        missing = sum(lacking.values())
        if missing > self._counts.missing:
            step = next_step_of(self._table.name)
            _log.error("rows_missing", table=self._table.name, rows=missing, next_step=step)
        self._counts.missing = missing
        if not missing and self._now_s() - self._began_s > BASELINE_SECONDS:
            self._begin()

    def _lacking(self, found: Counter[str]) -> Counter[str]:
        """How many rows are missing, by run. Runs that were dropped are looked up afterwards: they are noted first."""
        self._expected |= found
        if not self._table.identified:
            return self._expected if not found else Counter()
        lacking = self._expected - found
        for run in dropped_runs(self._store) if lacking else ():
            lacking.pop(run, None)
        return lacking

    def _begin(self) -> None:
        limit_s = age_limit_of(self._store, self._table)
        self._since_ns = 0
        if limit_s:
            self._since_ns = self._clock.now_ns() - round((limit_s - 2 * BASELINE_SECONDS) * NS_PER_SECOND)
        self._began_s = self._now_s()
        self._due_s = self._began_s + LOOK_SECONDS
        self._expected = self._count()
        self._is_sure = True

    def _count(self) -> Counter[str]:
        run = "run" if self._run_at is not None else "''"
        conditions = ["stored_at >= fromUnixTimestamp64Nano({since:Int64})"] if self._since_ns else []
        conditions += ["k_part IN {parts:Array(UInt16)}"] if self._partitions is not None else []
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._store.query(
            f"SELECT {run}, count() AS held FROM {{table:Identifier}}{where} GROUP BY 1 HAVING held > 0",  # noqa: S608 (our own names)
            {"table": self._table.name, "since": self._since_ns, "parts": self._partitions or []},
        )
        return Counter({name: int(held) for name, held in rows})

    def _run_of(self, row: tuple[Any, ...]) -> str:
        return "" if self._run_at is None else str(row[self._run_at])

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_SECOND


def _run_index(table: Table[Any]) -> int | None:
    if table not in BY_RUN:
        return None
    return [column.name for column in table.row_columns].index("run")
