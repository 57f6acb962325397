"""One process, a worker thread per table. What ends one worker ends the process, which a supervisor starts again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from obflow.clock import Clock
from obflow.logs import get_logger
from obflow.metrics import Metrics
from obflow.settings import Settings
from schemas.errors import BrokerUnreachable, PipelineError, SchemaMismatch, StoreUnreachable
from sinks.batching import Limits
from sinks.consumer import Worker
from sinks.contract import Table
from sinks.counts import Counts
from sinks.dead_letters import LetterBox
from sinks.holes import TABLE as HOLES
from sinks.holes import Hole, HoleKind, expired_holes, note
from sinks.identities import Identities
from sinks.migrate import advice, lacking, missing
from sinks.reader import Log, TopicReader, look_up, look_up_after
from sinks.recheck import Recheck
from sinks.resume import settle, stored_identities, stored_positions, stored_rows
from sinks.store import Store
from sinks.telemetry import Telemetry
from sinks.writer import Writer, pause_seconds

PATIENCE_SECONDS: Final = 30.0
"""How long a start waits for a broker or a database that does not answer yet."""
LEAVE_SECONDS: Final = 3.5
WATCH_SECONDS: Final = 0.2
T = TypeVar("T")
_log = get_logger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What every worker of the process shares.

    Attributes:
        settings: All of them.
        store: The database.
        telemetry: Where it is counted.
        clock: Tells the time.
        stop: Set when the process is to end.
    """

    settings: Settings
    store: Store
    telemetry: Telemetry
    clock: Clock
    stop: threading.Event


class Ended(NamedTuple):
    """How a worker ended.

    Attributes:
        table: Its table's name.
        error: What ended it; None where it was told to.
    """

    table: str
    error: BaseException | None


def serve(
    settings: Settings,
    tables: Sequence[Table[Any]],
    *,
    clock: Clock,
    stop: threading.Event,
    metrics: Metrics | None = None,
    watch: Callable[[Mapping[str, Counts]], None] = lambda counts: None,
) -> dict[str, Counts]:
    """Feed tables from their topics until told to stop, or until a worker fails.

    Args:
        settings: `kafka`, `clickhouse`, `producer` and `sink` are used.
        tables: Which.
        clock: Tells the time.
        stop: Set to stop; what is buffered is written first. It is set here when a worker fails.
        metrics: Where it is counted.
        watch: Called a few times a second with what each worker has done so far.

    Returns:
        What each worker has done.

    Raises:
        PipelineError: What ended the first worker to fail.
    """
    telemetry = Telemetry(metrics or Metrics("sink"), clock)
    store = patiently(lambda: Store(settings.clickhouse), stop)
    logs = patiently(lambda: look_up(settings, [table.topic for table in tables]), stop)
    if store is None or logs is None:
        return {}
    workers = _open_all(Surroundings(settings, store, telemetry, clock, stop), tables)
    counts = {worker.table.name: worker.counts for worker in workers}

    def look() -> None:
        telemetry.show(workers)
        watch(counts)

    ended = _run(workers, stop, look)
    look()
    failures = [end.error for end in ended if end.error is not None]
    if failures:
        raise failures[0]
    return counts


def _open_all(around: Surroundings, tables: Sequence[Table[Any]]) -> list[Worker]:
    """A worker for each table, or none at all."""
    workers: list[Worker] = []
    try:
        workers.extend(open_worker(around, table) for table in tables)
    except BaseException:
        for worker in workers:
            worker.close()
        raise
    return workers


def open_worker(around: Surroundings, table: Table[Any]) -> Worker:
    """A worker that begins where its table ends.

    Raises:
        SchemaMismatch: The table is missing or has other columns.
        TopicMismatch: The log has lost records that the table holds.
        DependencyError: The broker or the database does not answer.
    """
    store, settings = around.store, around.settings
    _require_shape(store, table)
    settle(store, table)
    stored = stored_positions(store, table)
    log = look_up_after(settings, table.topic, stored)
    reader = TopicReader(settings, log, _noting_absent(store, table, log))
    spans = reader.assign(stored)
    expired = expired_holes(settings, log, stored)
    for hole in expired:
        note(store, table.name, log, hole)
    known = {(log.name, partition): -1 for partition in spans} | stored
    worker = Worker(
        table,
        reader,
        Writer(table, store, LetterBox(settings), known, clock=around.clock, stop=around.stop),
        Identities(table, stored_identities(store, table)),
        recheck=Recheck(store, table).look,
        find_stored=lambda rows: set(stored_rows(store, table, rows)),
        limits=Limits(settings.sink.flush_rows, settings.sink.flush_seconds),
        max_buffered_rows=settings.sink.max_buffered_rows,
        clock=around.clock,
        written=around.telemetry.written,
    )
    worker.counts.expired = sum(hole.end - hole.first for hole in expired)
    if worker.counts.expired:
        _log.error("records_expired", topic=log.topic, records=worker.counts.expired)
    _log.info("table_opened", table=table.name, log=log.name, partitions=len(spans), stored=len(stored))
    return worker


def _noting_absent(store: Store, table: Table[Any], log: Log) -> Callable[[int, int, int], None]:
    def skipped(partition: int, first: int, end: int) -> None:
        note(store, table.name, log, Hole(HoleKind.ABSENT, partition, first, end))
        _log.error("records_absent", topic=log.topic, partition=partition, first=first, records=end - first)

    return skipped


def _require_shape(store: Store, table: Table[Any]) -> None:
    differences = lacking(store, table) or missing(store, [HOLES])
    if differences:
        raise SchemaMismatch(differences[0], next_step=advice(differences))


def patiently(attempt: Callable[[], T], stop: threading.Event) -> T | None:
    """Try until the other side answers, with growing, jittered pauses; None where told to stop meanwhile.

    Raises:
        BrokerUnreachable, StoreUnreachable: Nothing answered for half a minute.
    """
    give_up_s = time.monotonic() + PATIENCE_SECONDS
    pauses = 0
    while not stop.is_set():
        try:
            return attempt()
        except (BrokerUnreachable, StoreUnreachable) as error:
            if time.monotonic() > give_up_s:
                raise
            _log.warning("waiting", reason=error.reason, cause=error.cause)
        stop.wait(pause_seconds(pauses))
        pauses += 1
    return None


def _run(workers: list[Worker], stop: threading.Event, watch: Callable[[], None]) -> list[Ended]:
    ended: list[Ended] = []

    def work(worker: Worker) -> None:
        error: BaseException | None = None
        try:
            worker.run(stop)
        except BaseException as failure:  # a thread's end must not go unseen, whatever it is
            error = failure
            _log.error("worker_failed", table=worker.table.name, error=str(failure), unexpected=not _is_ours(failure))
        ended.append(Ended(worker.table.name, error))
        if error is not None:
            stop.set()

    threads = [
        threading.Thread(target=work, args=(worker,), name=f"sink-{worker.table.name}", daemon=True)
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    while not stop.wait(WATCH_SECONDS):
        watch()
    deadline_s = time.monotonic() + LEAVE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    return ended


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, PipelineError)
