"""Puts rows back that were taken out of a table: reads its log again and stores what the table does not hold.

Up to where the table was read: what lies behind is the sink's own. Each row is asked for by its identity before it goes
in, so that it may be broken off and begun again. It goes the way of every record: the same checks, letters and runs
that were dropped.
"""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from obflow import kafka_logs
from obflow.clock import Clock
from obflow.log_ends import LogEnds
from obflow.settings import Settings
from schemas.topics import L2
from schemas.units import NS_PER_SECOND
from sinks.batching import Entry, Limits, RowBatch
from sinks.claims import claim
from sinks.consumer import POLL_SECONDS, BatchWriter, Worker
from sinks.contract import Row, Stream, Table
from sinks.counts import Counts
from sinks.dead_letters import LetterBox
from sinks.flow import positions_of
from sinks.identities import Identities
from sinks.judge import Judge, names_places
from sinks.preflight import require_shape
from sinks.presence import Presence
from sinks.reader import Log, Read, TopicReader, look_up, look_up_after
from sinks.recheck import RecheckResult
from sinks.resume import stored_offsets, stored_positions, stored_rows
from sinks.runs import DroppedRuns
from sinks.settings import SinkSettings
from sinks.store import Store
from sinks.writer import Writer, WrittenBatch

DRAIN_SECONDS: Final = 600.0
Holds: TypeAlias = Callable[[Row], bool]
"""Whether the table holds a row."""


class Restored(NamedTuple):
    """What became of a table.

    Attributes:
        table: Its name.
        rows: Rows put back.
        records: Records read again.
        dropped: Records of runs that were dropped, of which nothing is stored.
        gone: Which part of the log is there no more, a sentence a partition.
        whole: Whether it was not stopped before its end.
    """

    table: str
    rows: int
    records: int
    dropped: int
    gone: tuple[str, ...]
    whole: bool


def restore(settings: Settings, table: Table[Any], *, clock: Clock, stop: threading.Event) -> Restored:
    """Put back what a table lacks and its log still has.

    Args:
        settings: `kafka`, `clickhouse`, `producer` and `sink` are used.
        table: Which.
        clock: Tells the time.
        stop: Set to stop; begun again, it goes on with what is missing then.

    Raises:
        UsageError: A sink feeds the table now.
        SchemaMismatch: The table is missing or has other columns.
        DependencyError: The broker or the database does not answer.
        ClaimLost: A sink has claimed partitions of the table meanwhile: it goes on from here, and nothing is doubled.
    """
    store = Store(settings.clickhouse)
    try:
        with Presence(settings, [table], restores=True) as presence:
            presence.stand_alone()
            require_shape(store, table)
            return _restore(settings, store, table, clock=clock, stop=stop, presence=presence)
    finally:
        store.close()


def _restore(
    settings: Settings, store: Store, table: Table[Any], *, clock: Clock, stop: threading.Event, presence: Presence
) -> Restored:
    found = look_up(settings, [table.topic])[table.topic]
    claimed = claim(store, table, found.name, found.ends, who=secrets.token_hex(8), now_ns=clock.now_ns())
    stored = stored_positions(store, table)
    log = look_up_after(settings, table.topic, stored)
    reader = EarlierRecords(settings, log, _read_so_far(settings, log, stored))
    writer = Writer(table, store, LetterBox(settings), claimed, clock=clock, stop=stop)
    worker = _worker(settings, store, table, reader, AbsentRows(store, table, writer), clock)
    try:
        while not reader.is_done and not stop.is_set():
            worker.step(POLL_SECONDS)
            presence.beat()
        whole = reader.is_done
        worker.drain(DRAIN_SECONDS)
    finally:
        worker.close()
    counts = worker.counts
    return Restored(table.name, counts.rows, counts.records, counts.dropped, gone(log), whole)


def _worker(
    settings: Settings, store: Store, table: Table[Any], reader: EarlierRecords, writer: BatchWriter, clock: Clock
) -> Worker:
    chosen = settings.of(SinkSettings)
    return Worker(
        table,
        reader,
        writer,
        Identities(table, {}),
        recheck=lambda rows, _now_s: RecheckResult(0, [], len(rows)),
        find_stored=lambda rows: set(stored_rows(store, table, rows)),
        limits=Limits(chosen.flush_rows, chosen.flush_seconds),
        max_buffered_rows=chosen.max_buffered_rows,
        clock=clock,
        judge=Judge(len(reader.log.ends), LogEnds(settings, L2) if names_places(table.topic) else None),
        dropped=DroppedRuns(store, lambda: clock.monotonic_ns() / NS_PER_SECOND),
        counts=Counts(),
    )


def _read_so_far(settings: Settings, log: Log, stored: Mapping[tuple[str, int], int]) -> dict[int, int]:
    read = kafka_logs.committed_offsets(settings, settings.of(SinkSettings).group, [log.topic])
    return {part: min(end, log.ends[part]) for part, end in positions_of(log, stored, read).items()}


def gone(log: Log) -> tuple[str, ...]:
    """What a log had once and has no more, a sentence a partition."""
    return tuple(
        f"partition {part} of {log.topic} begins at {start}: what was before it is on the log no more"
        for part, start in sorted(log.starts.items())
        if start
    )


class EarlierRecords:
    """A topic's log from its start up to given offsets. Nothing is committed: how far the sink is stays as it is.

    Args:
        settings: `kafka` and `sink` are used.
        log: The log.
        ends: First offset of each partition that is not read again.
    """

    def __init__(self, settings: Settings, log: Log, ends: Mapping[int, int]) -> None:
        self.log = log
        self._ends = {part: end for part, end in ends.items() if end > log.starts[part]}
        self._reader = TopicReader(settings, log, options={"enable.partition.eof": True})
        self._reader.assign({})

    @property
    def is_done(self) -> bool:
        """Whether everything before the ends was read."""
        return self._reader.has_passed(self._ends)

    def poll(self, timeout_seconds: float) -> list[Read]:
        """The next records before the ends; none where none came in time."""
        reads = self._reader.poll(timeout_seconds)
        return [read for read in reads if read.position.offset < self._ends.get(read.position.partition, 0)]

    def pause(self) -> None:
        """Stop fetching."""
        self._reader.pause()

    def resume(self) -> None:
        """Fetch again."""
        self._reader.resume()

    def commit(self, ends: Mapping[tuple[str, int], int]) -> None:
        """Commit nothing."""

    def lags(self) -> dict[int, int]:
        """Records of the log not read yet, by partition."""
        return self._reader.lags()

    def close(self) -> None:
        """Let go."""
        self._reader.close()


class AbsentRows:
    """Writes of each batch the rows that the table does not hold.

    Args:
        store: The database.
        table: The table.
        writer: Writes them.
    """

    def __init__(self, store: Store, table: Table[Any], writer: BatchWriter) -> None:
        self._store = store
        self._table = table
        self._writer = writer

    def write(self, batch: RowBatch) -> WrittenBatch:
        """Write what is absent, and the letters."""
        is_held = self._held_events(batch) if self._table.identified else self._held_letters(batch)
        left = [entry._replace(rows=[row for row in entry.rows if not is_held(row)]) for entry in batch.entries]
        absent = RowBatch.of(self._table, [entry for entry in left if entry.rows])
        for letter in batch.letters:
            absent.refuse(letter)
        return self._writer.write(absent)

    def _held_events(self, batch: RowBatch) -> Holds:
        offsets: dict[Stream, list[int]] = defaultdict(list)
        for row in _rows(batch.entries):
            offsets[self._table.stream(row)].append(self._table.source_offset(row))
        held = {
            stream: stored_offsets(self._store, self._table, stream, min(those), max(those))
            for stream, those in offsets.items()
        }
        return lambda row: self._table.source_offset(row) in held[self._table.stream(row)]

    def _held_letters(self, batch: RowBatch) -> Holds:
        wanted = sorted({row[0] for row in _rows(batch.entries)})
        rows = self._store.query(
            "SELECT letter_id, role FROM {table:Identifier} WHERE letter_id IN {ids:Array(String)}",
            {"table": self._table.name, "ids": wanted},
        )
        held = set(rows)
        return lambda row: row[:2] in held


def _rows(entries: Iterable[Entry]) -> Iterator[Row]:
    return (row for entry in entries for row in entry.rows)
