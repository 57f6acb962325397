"""Writes batches: letters first, then one atomic insert, and for every way it can fail the one right answer.

    it was refused for now           wait with growing, jittered pauses, and send it again
    no answer                        stop: only the table knows; the next start asks it
    the table does not fit           stop: a person must mend it
    a value does not fit its column  halve until the record is found, write its letter, store the rest

Before each insert the table must hold nothing of this log that this writer did not put there: a second sink, or an
insert of a dead one that arrived late, ends this one instead of doubling rows.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa

from obflow.clickhouse import InsertBusy, InsertPoisoned, InsertRejected, InsertUnanswered
from obflow.clock import Clock
from schemas.errors import FatalError, ImpossibleRecord, PipelineError, StoreUnreachable
from schemas.messages import DeadLetter
from sinks.batching import MAX_INSERT_ROWS, Batch, Entry
from sinks.contract import Table
from sinks.dead_letters import letter_about
from sinks.resume import stored_positions
from sinks.store import Store

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
GIVE_UP_SECONDS: Final = 60.0
MAX_POISON_RECORDS: Final = 16
"""More refused records than this in one batch are no poison: the table and the code disagree."""


class Letters(Protocol):
    """Where letters go."""

    def publish(self, letters: list[DeadLetter]) -> None:
        """Publish and wait for every acknowledgement."""
        ...


class Written(NamedTuple):
    """What became of a batch.

    Attributes:
        rows: Rows stored.
        letters: Letters published: of records that did not decode, and of those the database refused.
        seconds: How long it took.
    """

    rows: int
    letters: int
    seconds: float


class Stopped(Exception):
    """The process was told to stop while an insert was waiting for its next try; nothing of it is stored."""


class Poison(NamedTuple):
    """A record whose rows the database refuses, and why."""

    entry: Entry
    cause: str


class Writer:
    """Writes one table.

    Args:
        table: The table.
        store: The database.
        letters: Where letters go.
        stored: Highest offset stored, by (log, partition), as read from the table at the start.
        clock: Tells the time.
        stop: Set when the process is to end.
    """

    def __init__(
        self,
        table: Table[Any],
        store: Store,
        letters: Letters,
        stored: Mapping[tuple[str, int], int],
        *,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._table = table
        self._store = store
        self._letters = letters
        self._stored = dict(stored)
        self._clock = clock
        self._stop = stop
        self._last_ns = 0

    def write(self, batch: Batch) -> Written:
        """Write one batch: everything of it is stored or on the dead-letter log, or an error is raised.

        Raises:
            StoreUnreachable: The database did not answer, or was busy for too long.
            FatalError: The table does not fit the code, another sink writes it, or letters are not acknowledged.
            Stopped: The process is to end.
        """
        started_ns = self._clock.monotonic_ns()
        if batch.letters:
            self._letters.publish(batch.letters)
        poison = self._insert(batch) if batch.rows else []
        seconds = (self._clock.monotonic_ns() - started_ns) / 1e9
        refused = sum(len(found.entry.rows) for found in poison)
        return Written(batch.rows - refused, len(batch.letters) + len(poison), seconds)

    def _insert(self, batch: Batch) -> list[Poison]:
        self._fence()
        poison: list[Poison] = []
        self._store_or_halve(batch, poison)
        return poison

    def _store_or_halve(self, batch: Batch, poison: list[Poison]) -> None:
        """Store a batch; where a value does not fit, its halves, earlier first, so that offsets rise in the table."""
        try:
            self._send(batch)
        except (InsertPoisoned, pa.ArrowException, OverflowError) as error:
            if len(batch.entries) > 1:
                for half in batch.halves():
                    self._store_or_halve(half, poison)
            else:
                self._refuse(Poison(batch.entries[0], _sentence(error)), poison)
        else:
            self._stored.update(batch.positions())

    def _refuse(self, found: Poison, poison: list[Poison]) -> None:
        """Write a record's letter before anything after it is stored."""
        poison.append(found)
        if not self._table.identified or len(poison) > MAX_POISON_RECORDS:
            raise FatalError(
                f"the table {self._table.name} refuses rows: {found.cause}",
                next_step="`obflow tables check` compares the table with the code",
            )
        entry = found.entry
        instrument = self._table.stream(entry.rows[0]).instrument
        error = ImpossibleRecord(f"the table refuses its rows: {found.cause}", **instrument._asdict())
        self._letters.publish([letter_about(entry.origin, entry.payload, entry.appended_ns, error)])

    def _send(self, batch: Batch) -> None:
        if batch.rows > MAX_INSERT_ROWS:
            raise FatalError(f"an insert of {batch.rows} rows would not be atomic", next_step="lower sink.flush_rows")
        started_ns = self._clock.monotonic_ns()
        for attempt in range(10_000):
            try:
                return self._attempt(batch)
            except InsertBusy as busy:
                waited_s = (self._clock.monotonic_ns() - started_ns) / 1e9
                if waited_s > GIVE_UP_SECONDS:
                    raise StoreUnreachable(
                        f"ClickHouse has refused inserts for {waited_s:.0f} s ({busy.cause})", next_step="see its log"
                    ) from busy
                if self._stop.wait(pause_seconds(attempt)):
                    raise Stopped from busy
        raise AssertionError("the pauses add up to more than the time after which it gives up")

    def _attempt(self, batch: Batch) -> None:
        number = self._number()
        try:
            self._store.insert(self._table.name, batch.arrow(number), f"{self._table.name}:{number}:{os.getpid()}")
        except InsertUnanswered as error:
            raise StoreUnreachable(
                f"ClickHouse did not say whether it stored {batch.rows} rows of {self._table.name} ({error.cause})",
                next_step="restart the sink: it goes on from what the table holds",
            ) from error
        except InsertRejected as error:
            raise FatalError(
                f"ClickHouse refuses inserts into {self._table.name}: {error.cause}",
                next_step="`obflow tables check` compares the table with the code",
            ) from error

    def _number(self) -> int:
        """The insert's time and number, ns: rises even where the clock does not."""
        self._last_ns = max(self._clock.now_ns(), self._last_ns + 1)
        return self._last_ns

    def _fence(self) -> None:
        """Refuse to go on where the table holds more of a log than this writer has put there."""
        if not self._table.identified:  # doubled letters are replaced by the engine
            return
        for key, offset in stored_positions(self._store, self._table).items():
            if key in self._stored and offset > self._stored[key]:
                raise FatalError(
                    f"somebody else writes {self._table.name}: it holds partition {key[1]} of {key[0]} up to {offset}, "
                    f"this sink has stored it up to {self._stored[key]}",
                    next_step="run one `obflow sink` for a table",
                )


def pause_seconds(attempt: int) -> float:
    """How long to wait before the next try: growing, bounded, jittered.

    Args:
        attempt: 0 after the first failure.
    """
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, no secret)


def _sentence(error: Exception) -> str:
    return error.cause if isinstance(error, PipelineError) else " ".join(str(error).split())
