"""One table's worker: poll, handle each record, batch, write. Any failure ends it, and it alone.

It ends, too, when other partitions are its process's than those it was opened for: what is buffered is dropped then.

One insert is in flight at a time, in a thread of its own, while the next batch fills: up to half of what may be
buffered, so that it is there when the insert ends, and reading goes on while it is stored. A full one waits for the
insert; where that takes long reading pauses and polling goes on. Nothing here remembers anything across a restart; the
table does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any, Final, Protocol, TypeAlias

from obflow.clock import Clock
from obflow.logs import get_logger
from schemas.errors import ImpossibleRecord
from schemas.units import NS_PER_SECOND
from sinks.batching import MAX_BATCH_BYTES, Entry, Limits, RowBatch
from sinks.blocks import BlockDecoder, Rows
from sinks.contract import Table
from sinks.counts import Counts
from sinks.handling import Checks, Dropped, RecordHandler
from sinks.identities import Identities
from sinks.reader import Read
from sinks.recheck import RecheckResult
from sinks.writer import Stopped, WrittenBatch

POLL_SECONDS: Final = 0.1
SHORT_POLL_SECONDS: Final = 0.02
"""While an insert is on its way, so that the next one begins soon after it."""
PAUSE_SECONDS: Final = 2.0
"""A wait for an insert after which reading pauses. Not sooner: a client that pauses forgets what it has fetched."""
LAG_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 3.0
_POISON: Final = ImpossibleRecord.__name__  # the reason of the letters that a writer adds
_log = get_logger(__name__)


class Reader(Protocol):
    """Where records come from."""

    def poll(self, timeout_seconds: float) -> list[Read]:
        """The next records; none where none came in time."""
        ...

    def pause(self) -> None:
        """Stop fetching."""
        ...

    def resume(self) -> None:
        """Fetch again."""
        ...

    def commit(self, ends: Mapping[tuple[str, int], int]) -> None:
        """Commit progress for those who watch it."""
        ...

    def lags(self) -> dict[int, int]:
        """Records not read yet, by partition."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class BatchWriter(Protocol):
    """Where batches go."""

    def write(self, batch: RowBatch) -> WrittenBatch:
        """Write one batch, all of it."""
        ...


Submit: TypeAlias = Callable[[Callable[[RowBatch], WrittenBatch], RowBatch], Future[WrittenBatch]]


def in_thread(write: Callable[[RowBatch], WrittenBatch], batch: RowBatch) -> Future[WrittenBatch]:
    """Write a batch in a thread that does not keep the process alive: what it leaves undone is read again."""
    future: Future[WrittenBatch] = Future()

    def run() -> None:
        try:
            future.set_result(write(batch))
        except BaseException as error:  # the worker raises it again
            future.set_exception(error)

    threading.Thread(target=run, name=f"insert-{batch.table.name}", daemon=True).start()
    return future


class ShareChanged(Exception):
    """Other partitions are to be fed from now on; nothing of what is buffered is inserted any more."""


class Worker:
    """Feeds one table from one topic, or from some of its partitions.

    Args:
        table: The table.
        reader: Its topic, already at the first record to read.
        writer: Where batches go.
        identities: What is stored already.
        recheck: Compares repeated rows of one record with the stored ones; given the time, monotonic seconds.
        find_stored: Source offsets, of these rows of one stream, that the table holds.
        limits: When a batch is due.
        max_buffered_rows: Beyond it, reading pauses.
        clock: Tells the time.
        judge: Holds records against the logs; None where nobody does.
        dropped: Knows the runs of which nothing is stored; None where nobody does.
        counts: What this table's workers have done before this one.
        written: Told of every batch once it is stored.
        look: Called now and then while no insert is on its way.
        submit: Starts the writing of a batch.
        holds: Whether the partitions that it was opened for are still the ones to feed.
        decoder: Decodes a poll at once; None where each record is decoded by itself.
    """

    def __init__(
        self,
        table: Table[Any],
        reader: Reader,
        writer: BatchWriter,
        identities: Identities,
        *,
        recheck: Callable[[Rows, float], RecheckResult],
        find_stored: Callable[[Rows], set[int]],
        limits: Limits,
        max_buffered_rows: int,
        clock: Clock,
        judge: Checks | None = None,
        dropped: Dropped | None = None,
        counts: Counts | None = None,
        written: Callable[[RowBatch, WrittenBatch], None] = lambda batch, written: None,
        look: Callable[[], None] = lambda: None,
        submit: Submit = in_thread,
        holds: Callable[[], bool] = lambda: True,
        decoder: BlockDecoder | None = None,
    ) -> None:
        self.table = table
        self.counts = counts or Counts()
        self._reader = reader
        self._writer = writer
        self._handler = RecordHandler(
            table,
            identities,
            judge=judge,
            recheck=lambda rows: recheck(rows, self._now_s()),
            find_stored=find_stored,
            flush=self._flush,
            counts=self.counts,
            dropped=dropped,
            decoder=decoder,
        )
        self._limits = limits
        self._max_buffered_rows = max_buffered_rows
        self._clock = clock
        self._batch = RowBatch(table)
        self._in_flight: tuple[RowBatch, Future[WrittenBatch]] | None = None
        self._written = written
        self._look = look
        self._submit = submit
        self._holds = holds
        self._lag_due_s = 0.0
        self._full_since_s: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop, then write what is buffered; or until other partitions are to be fed.

        Raises:
            PipelineError: Whatever ended it.
        """
        try:
            while not stop.is_set() and self._holds():
                self.step(POLL_SECONDS)
            self.drain(DRAIN_SECONDS)
        except ShareChanged:
            self._await_insert(stop)
        except Stopped:
            _log.warning("batch_left", table=self.table.name, rows=self.buffered_rows)
        except BaseException:
            self._await_insert(stop)
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the topic. For a worker that never ran; one that did has done so."""
        self._reader.close()

    def step(self, timeout_seconds: float) -> None:
        """One round: take what there is, see what became of the last insert, begin the next one if it is due."""
        reads = self._poll(timeout_seconds)
        if reads:
            self._handler.begin(reads)
        for read in reads:
            self._take(read)
            if self._batch.is_full(self._limits):
                self._advance()
        self._advance()
        self._throttle()
        self.counts.buffered_rows = self.buffered_rows
        self.counts.oldest_ns = self._in_flight[0].oldest_ns if self._in_flight else self._batch.oldest_ns
        self._look_at_lag()

    def drain(self, timeout_seconds: float) -> None:
        """Write what is buffered. What cannot be written in time is read again after the next start.

        Raises:
            ShareChanged: It is not this worker's to write any more.
        """
        deadline_s = self._now_s() + timeout_seconds
        try:
            self._collect(deadline_s - self._now_s())
            if self._batch:
                self._begin()
                self._collect(deadline_s - self._now_s())
        except TimeoutError:
            _log.warning("batch_left", table=self.table.name, rows=self.buffered_rows)

    @property
    def buffered_rows(self) -> int:
        """Rows read and not known to be stored, and letters not known to be published."""
        return self._batch.held + (self._in_flight[0].held if self._in_flight else 0)

    def _poll(self, timeout_seconds: float) -> list[Read]:
        """The next records. Where there is no room for more the insert is waited for, and then without them."""
        if self._full_since_s is not None:
            if self._in_flight is not None and self._now_s() - self._full_since_s < PAUSE_SECONDS:
                wait([self._in_flight[1]], timeout_seconds)
                return []
            self._reader.pause()
        return self._reader.poll(
            timeout_seconds if self._in_flight is None else min(timeout_seconds, SHORT_POLL_SECONDS)
        )

    def _take(self, read: Read) -> None:
        self.counts.records += 1
        handled = self._handler.handle(read)
        if isinstance(handled, Entry):
            self._batch.add(handled)
        elif handled is not None:
            self._batch.refuse(handled)
        self._batch.passed(read.position, self._now_s(), read.appended_ns)

    def _advance(self) -> None:
        self._collect(0.0)
        if self._in_flight is None:
            self._look()
        if self._in_flight is None and self._batch.is_due(self._now_s(), self._limits):
            self._begin()

    def _flush(self) -> None:
        """Write everything buffered and wait for it."""
        self._collect(None)
        if self._batch:
            self._begin()
            self._collect(None)

    def _begin(self) -> None:
        if not self._holds():
            raise ShareChanged
        batch, self._batch = self._batch, RowBatch(self.table)
        self._in_flight = (batch, self._submit(self._writer.write, batch))

    def _collect(self, timeout_seconds: float | None) -> None:
        """See what became of the insert in flight, if it has ended or ends in time (None waits for it)."""
        if self._in_flight is None:
            return
        batch, future = self._in_flight
        if timeout_seconds == 0.0 and not future.done():
            return
        written = future.result(timeout_seconds)
        self._in_flight = None
        self._reader.commit(batch.ends)
        self.counts.rows += written.rows
        self.counts.batches += 1 if batch.rows else 0
        self.counts.letters += written.letters
        self.counts.refuse(_POISON, written.letters - len(batch.letters))
        self._written(batch, written)

    def _await_insert(self, stop: threading.Event) -> None:
        """Wait for the insert in flight: stored after the table was asked where it ends, it would be doubled."""
        while self._in_flight is not None and not self._in_flight[1].done() and not stop.is_set():
            wait([self._in_flight[1]], POLL_SECONDS)

    def _throttle(self) -> None:
        if not self._is_full():
            self._full_since_s = None
            self._reader.resume()
        elif self._full_since_s is None:
            self._full_since_s = self._now_s()

    def _is_full(self) -> bool:
        """Whether as much is buffered as may be: in all, or for the next insert alone."""
        if self.buffered_rows >= self._max_buffered_rows or self._batch.payload_bytes >= MAX_BATCH_BYTES:
            return True
        return self._batch.held >= max(self._limits.rows, self._max_buffered_rows // 2)

    def _look_at_lag(self) -> None:
        if self._now_s() >= self._lag_due_s:
            self._lag_due_s = self._now_s() + LAG_SECONDS
            self.counts.lags = self._reader.lags()

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_SECOND
