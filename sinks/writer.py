"""Writes batches: letters first, then one atomic insert, and for every way it can fail the one right answer.

    it was refused for now           wait with growing, jittered pauses, and send it again
    no answer                        stop: only the table knows; whoever opens it next asks it
    the table does not fit           stop: a person must mend it
    a value does not fit its column  halve until the record is found, write its letter, store the rest
    somebody claimed higher          stop: the partitions are another sink's
    a reason nobody knows            send it again a few times, then as if a value did not fit

Every insert is stored under the claim of its writer (`sinks/claims.py`): where another sink has taken over, nothing of
it is stored, and the writer has to go.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa

from obflow.backoff import Backoff
from obflow.clock import Clock
from obflow.insert_errors import InsertBusy, InsertError, InsertFenced, InsertPoisoned, InsertRejected, InsertUnanswered
from obflow.inserts import InsertCondition
from schemas.dead_letters import letter_about_record
from schemas.errors import FatalError, ImpossibleRecord, PipelineError, StoreUnreachable
from schemas.messages import DeadLetter
from schemas.units import NS_PER_SECOND
from sinks.batching import MAX_INSERT_ROWS, Entry, RowBatch
from sinks.claims import Claim, ClaimLost
from sinks.contract import Table
from sinks.counts import Counts
from sinks.dead_letters import ROLE
from sinks.store import Store
from sinks.tables import dead_letters

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
GIVE_UP_SECONDS: Final = 60.0
MAX_POISON_RECORDS: Final = 16
"""More refused records than this in a row are no poison: the table and the code disagree."""
UNEXPLAINED_TRIES: Final = 3
"""How often an insert is sent that is refused for a reason this version does not know: it might be one that passes."""


class Letters(Protocol):
    """Where letters go."""

    def publish(self, letters: list[DeadLetter]) -> None:
        """Publish and wait for every acknowledgement."""
        ...


class WrittenBatch(NamedTuple):
    """What became of a batch.

    Attributes:
        rows: Rows stored.
        letters: Letters published: of records that did not decode, and of those the database refused.
        seconds: How long it took.
    """

    rows: int
    letters: int
    seconds: float


class Done(NamedTuple):
    """What became of a batch's rows: those stored, and the letters about records that the database refuses."""

    rows: int
    letters: int

    @staticmethod
    def sum(parts: Iterable[Done]) -> Done:
        """Several together."""
        rows, letters = zip(*parts, strict=True)
        return Done(sum(rows), sum(letters))


class Stopped(Exception):
    """The process was told to stop while an insert was waiting for its next try; nothing of it is stored."""


class Refused(Exception):
    """The database refuses the rows of an insert, and will again."""


class Writer:
    """Writes one table.

    Args:
        table: The table.
        store: The database.
        letters: Where letters go.
        claim: What its inserts are stored under.
        clock: Tells the time.
        stop: Set when the process is to end.
        counts: Where failed and repeated tries are counted.
        require_same: Raises where the table is not the one that was read at the start.
        require_same_log: Raises where the topic is not the log that the batch was read as.
    """

    def __init__(
        self,
        table: Table[Any],
        store: Store,
        letters: Letters,
        claim: Claim,
        *,
        clock: Clock,
        stop: threading.Event,
        counts: Counts | None = None,
        require_same: Callable[[], None] = lambda: None,
        require_same_log: Callable[[], None] = lambda: None,
    ) -> None:
        self._table = table
        self._require_same_log = require_same_log
        self._require_same = require_same
        self._store = store
        self._letters = letters
        self._only_if = InsertCondition({column.name: column.kind for column in table.columns}, claim.condition)
        self._clock = clock
        self._stop = stop
        self._counts = counts or Counts()
        self._last_ns = 0
        self._refused_in_a_row = 0
        self._lasting: set[int | None] = set()  # codes nobody knows that a second try did not make go away

    def write(self, batch: RowBatch) -> WrittenBatch:
        """Write one batch: everything of it is stored or on the dead-letter log, or an error is raised.

        Raises:
            StoreUnreachable: The database did not answer, or was busy for too long.
            ClaimLost: Another sink has claimed its partitions.
            LogAnew: The topic was made anew: nothing of the batch is published or stored.
            FatalError: The table does not fit the code, or letters are not acknowledged.
            Stopped: The process is to end.
        """
        started_ns = self._clock.monotonic_ns()
        self._lasting.clear()
        if batch.letters or batch.rows:
            self._require_same_log()  # behind the last poll of the batch: so all of it is of this log, letters too
        if batch.letters:
            self._letters.publish(batch.letters)
        if batch.rows:
            self._require_same()
        done = self._store_or_halve(batch) if batch.rows else Done(0, 0)
        seconds = (self._clock.monotonic_ns() - started_ns) / NS_PER_SECOND
        return WrittenBatch(done.rows, len(batch.letters) + done.letters, seconds)

    def _store_or_halve(self, batch: RowBatch) -> Done:
        """Store a batch; where a value does not fit, its halves, earlier first, so that offsets rise in the table."""
        try:
            return self._put(batch)
        except Refused as refused:
            if len(batch.entries) > 1:
                return Done.sum(self._store_or_halve(half) for half in batch.halves())
            return self._refuse(batch.entries[0], str(refused))

    def _put(self, batch: RowBatch) -> Done:
        """Store a batch whole.

        Raises:
            Refused: The database refuses it.
        """
        try:
            self._send(batch)
        except StoreUnreachable:
            self._counts.failed_inserts += 1
            raise
        except (InsertPoisoned, InsertRejected, pa.ArrowException, OverflowError) as error:
            self._counts.failed_inserts += 1
            raise Refused(_sentence(error)) from error
        self._refused_in_a_row = 0
        return Done(batch.rows, 0)

    def _refuse(self, entry: Entry, cause: str) -> Done:
        """Write a record's letter before anything after it is stored; then store those of its rows that fit."""
        self._refused_in_a_row += 1
        if self._refused_in_a_row > MAX_POISON_RECORDS:
            raise self._disagreement(cause)
        if not self._table.identified:
            return self._store_about(entry, cause)
        instrument = self._table.stream(entry.rows[0]).instrument
        error = ImpossibleRecord(f"the table refuses its rows: {cause}", **instrument._asdict())
        self._letters.publish([letter_about_record(entry.origin, entry.payload, entry.appended_ns, error, role=ROLE)])
        return Done(self._store_fitting(entry), 1)

    def _store_fitting(self, entry: Entry) -> int:
        """Store the rows of a refused record that the table takes, in their order; how many there are."""
        middle = len(entry.rows) // 2
        stored = 0
        for rows in (entry.rows[:middle], entry.rows[middle:]) if middle else ():
            part = entry._replace(rows=rows)
            try:
                stored += self._put(RowBatch.of(self._table, [part])).rows
            except Refused:
                stored += self._store_fitting(part)
        return stored

    def _store_about(self, entry: Entry, cause: str) -> Done:
        """Store, in the place of a letter that is refused, one about it: in its own name it would come back here."""
        error = ImpossibleRecord(f"the table refuses its row: {cause}")
        letter = letter_about_record(entry.origin, entry.payload, entry.appended_ns, error, role=ROLE)
        try:
            return self._put(RowBatch.of(self._table, [entry._replace(rows=[dead_letters.row_of(letter)])]))
        except Refused as refused:
            raise self._disagreement(str(refused)) from refused

    def _disagreement(self, cause: str) -> FatalError:
        step = "`obflow tables check` compares the table with the code"
        return FatalError(f"the table {self._table.name} refuses rows: {cause}", next_step=step)

    def _send(self, batch: RowBatch) -> None:
        if batch.rows > MAX_INSERT_ROWS:
            # While one insert is under way the next batch grows beyond flush_rows.
            raise FatalError(
                f"an insert of {batch.rows} rows would not be atomic",
                next_step="lower sink.flush_rows and sink.max_buffered_rows",
            )
        started_ns, pauses = self._clock.monotonic_ns(), waits()
        for attempt in range(10_000):
            try:
                return self._attempt(batch)
            except InsertRejected as rejected:
                if attempt + 1 >= UNEXPLAINED_TRIES or rejected.code in self._lasting:
                    self._lasting.add(rejected.code)
                    raise
                failure: InsertError = rejected
            except InsertBusy as busy:
                waited_s = (self._clock.monotonic_ns() - started_ns) / NS_PER_SECOND
                if waited_s > GIVE_UP_SECONDS:
                    raise StoreUnreachable(
                        f"ClickHouse has refused inserts for {waited_s:.0f} s ({busy.cause})", next_step="see its log"
                    ) from busy
                failure = busy
            if self._stop.wait(pauses.next_s()):
                raise Stopped from failure
            self._counts.retried_inserts += 1
        raise AssertionError("the pauses add up to more than the time after which it gives up")

    def _attempt(self, batch: RowBatch) -> None:
        number = self._number()
        token = f"{self._table.name}:{number}:{os.getpid()}"
        try:
            self._store.insert(self._table.name, batch.arrow(number), token, self._only_if)
        except InsertFenced as fenced:
            raise ClaimLost(
                f"another sink has claimed partitions of {self._table.name}: {batch.rows} rows are left to it",
            ) from fenced
        except InsertUnanswered as error:
            raise StoreUnreachable(
                f"ClickHouse did not say whether it stored {batch.rows} rows of {self._table.name} ({error.cause})",
                next_step="restart the sink: it goes on from what the table holds",
            ) from error
        except InsertRejected as error:
            if not error.is_misfit:
                raise
            raise FatalError(
                f"ClickHouse refuses inserts into {self._table.name}: {error.cause}",
                next_step="`obflow tables check` compares the table with the code",
            ) from error

    def _number(self) -> int:
        """The insert's time and number, ns: rises even where the clock does not."""
        self._last_ns = max(self._clock.now_ns(), self._last_ns + 1)
        return self._last_ns


def waits() -> Backoff:
    """Waits between tries of a sink: half of each is drawn, so that none is so short that it is no wait."""
    return Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, certain=0.5)


def _sentence(error: Exception) -> str:
    return error.cause if isinstance(error, PipelineError) else " ".join(str(error).split())
