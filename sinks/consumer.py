"""One table's worker: poll, decode, drop what is stored, batch, write. Any failure ends it, and with it the process.

One insert is in flight at a time, in a thread of its own, while the next batch fills. What may be buffered is bounded:
beyond it reading pauses and polling goes on. Nothing here remembers anything across a restart; the table does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeAlias

from obflow.clock import Clock
from obflow.logs import get_logger
from schemas.errors import ImpossibleRecord, MessageError
from schemas.messages import DeadLetter
from sinks.batching import MAX_BATCH_BYTES, Batch, Entry, Limits
from sinks.contract import Row, Table
from sinks.counts import Counts
from sinks.dead_letters import letter_about
from sinks.identities import Identities, Sorted
from sinks.reader import Read
from sinks.recheck import Verdict
from sinks.tables import dead_letters
from sinks.writer import Stopped, Written

POLL_SECONDS: Final = 0.1
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

    def write(self, batch: Batch) -> Written:
        """Write one batch, all of it."""
        ...


Submit: TypeAlias = Callable[[Callable[[Batch], Written], Batch], Future[Written]]


def in_thread(write: Callable[[Batch], Written], batch: Batch) -> Future[Written]:
    """Write a batch in a thread that does not keep the process alive: what it leaves undone is read again."""
    future: Future[Written] = Future()

    def run() -> None:
        try:
            future.set_result(write(batch))
        except BaseException as error:  # the worker raises it again
            future.set_exception(error)

    threading.Thread(target=run, name=f"insert-{batch.table.name}", daemon=True).start()
    return future


class Worker:
    """Feeds one table from one topic.

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
        written: Told of every batch once it is stored.
        submit: Starts the writing of a batch.
    """

    def __init__(
        self,
        table: Table[Any],
        reader: Reader,
        writer: BatchWriter,
        identities: Identities,
        *,
        recheck: Callable[[list[Row], float], Verdict],
        find_stored: Callable[[list[Row]], set[int]],
        limits: Limits,
        max_buffered_rows: int,
        clock: Clock,
        written: Callable[[Batch, Written], None] = lambda batch, written: None,
        submit: Submit = in_thread,
    ) -> None:
        self.table = table
        self.counts = Counts()
        self._reader = reader
        self._writer = writer
        self._identities = identities
        self._recheck = recheck
        self._find_stored = find_stored
        self._limits = limits
        self._max_buffered_rows = max_buffered_rows
        self._clock = clock
        self._batch = Batch(table)
        self._in_flight: tuple[Batch, Future[Written]] | None = None
        self._written = written
        self._submit = submit
        self._lag_due_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop, then write what is buffered.

        Raises:
            PipelineError: Whatever ended it.
        """
        try:
            while not stop.is_set():
                self.step(POLL_SECONDS)
            self.drain(DRAIN_SECONDS)
        except Stopped:
            _log.warning("batch_left", table=self.table.name, rows=self.buffered_rows)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the topic. For a worker that never ran; one that did has done so."""
        self._reader.close()

    def step(self, timeout_seconds: float) -> None:
        """One round: take what there is, see what became of the last insert, begin the next one if it is due."""
        for read in self._reader.poll(timeout_seconds):
            self._take(read)
            if self._batch.is_full(self._limits):
                self._advance()
        self._advance()
        self._throttle()
        self.counts.buffered_rows = self.buffered_rows
        self._look_at_lag()

    def drain(self, timeout_seconds: float) -> None:
        """Write what is buffered. What cannot be written in time is read again after the next start."""
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

    def _take(self, read: Read) -> None:
        self.counts.records += 1
        try:
            rows = self.table.read(read.payload, read.origin.position)
        except MessageError as error:
            self._refuse(read, error)
        else:
            self._sort(read, rows)
        self._batch.passed(read.position, self._now_s())

    def _sort(self, read: Read, rows: list[Row]) -> None:
        again = read.sent_again and rows and self.table.identified
        new, repeated = self._sort_again(rows) if again else self._identities.sort(rows)
        if repeated:
            self._look_at(repeated)
        if new:
            self._batch.add(Entry(read.position, new, read.payload, read.appended_ns, read.origin))

    def _sort_again(self, rows: list[Row]) -> Sorted:
        """Sort rows of a record sent again by hand: later ones may be stored, so each is looked for by itself."""
        self._flush()
        stored = self._find_stored(rows)
        sorted_rows = Sorted(
            [row for row in rows if self.table.source_offset(row) not in stored],
            [row for row in rows if self.table.source_offset(row) in stored],
        )
        self._identities.note(rows)
        return sorted_rows

    def _look_at(self, repeated: list[Row]) -> None:
        self.counts.repeated += len(repeated)
        verdict = self._recheck(repeated, self._now_s())
        self.counts.equal += verdict.equal
        self.counts.unchecked += verdict.unchecked
        self.counts.different += len(verdict.different)
        if verdict.different:
            stream = self.table.stream(repeated[0])
            _log.error(
                "replay_differs",
                table=self.table.name,
                venue=stream.instrument.venue,
                symbol=stream.instrument.symbol,
                partition=stream.partition,
                offset=verdict.different[0],
                rows=len(verdict.different),
            )

    def _refuse(self, read: Read, error: MessageError) -> None:
        letter = letter_about(read.origin, read.payload, read.appended_ns, error)
        self._count_refused(error.reason, 1)
        where = {"topic": self.table.topic.name, "partition": read.position.partition, "offset": read.position.offset}
        _log.warning("record_refused", reason=error.reason, **where)
        if self.table is dead_letters.TABLE:  # a letter about a letter would come back here: it is stored as it is
            self._store_letter(read, letter)
        else:
            self._batch.refuse(letter)

    def _count_refused(self, reason: str, records: int) -> None:
        if records:
            self.counts.refused[reason] = self.counts.refused.get(reason, 0) + records
            self.counts.dead_lettered += records

    def _store_letter(self, read: Read, letter: DeadLetter) -> None:
        row = dead_letters.row_of(letter)
        self._batch.add(Entry(read.position, [row], read.payload, read.appended_ns, read.origin))

    def _advance(self) -> None:
        self._collect(0.0)
        if self._in_flight is None and self._batch.is_due(self._now_s(), self._limits):
            self._begin()

    def _flush(self) -> None:
        """Write everything buffered and wait for it."""
        self._collect(None)
        if self._batch:
            self._begin()
            self._collect(None)

    def _begin(self) -> None:
        batch, self._batch = self._batch, Batch(self.table)
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
        self._count_refused(_POISON, written.letters - len(batch.letters))
        self._written(batch, written)

    def _throttle(self) -> None:
        full = self.buffered_rows >= self._max_buffered_rows or self._batch.payload_bytes >= MAX_BATCH_BYTES
        if full:
            self._reader.pause()
        elif self.buffered_rows < self._max_buffered_rows // 2:
            self._reader.resume()

    def _look_at_lag(self) -> None:
        if self._now_s() >= self._lag_due_s:
            self._lag_due_s = self._now_s() + LAG_SECONDS
            self.counts.lags = self._reader.lags()

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9
