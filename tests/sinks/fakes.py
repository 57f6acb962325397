"""A log, a database and a box for letters that live in memory and fail when told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future

import pyarrow as pa

from obflow.insert_errors import InsertBusy, InsertError, InsertFenced, InsertPoisoned, InsertRejected, InsertUnanswered
from obflow.inserts import InsertCondition
from schemas.logs import Origin, Position
from schemas.messages import DeadLetter
from sinks.batching import RowBatch
from sinks.reader import Read
from sinks.writer import WrittenBatch
from tests.sinks.records import origin_of

INSERT_ERRORS = {
    "busy": InsertBusy,
    "unanswered": InsertUnanswered,
    "rejected": InsertRejected,
    "poisoned": InsertPoisoned,
    "fenced": InsertFenced,
}


def insert_error(kind: str, code: int = 1) -> InsertError:
    return INSERT_ERRORS[kind](f"it is {kind}", table="factors", rows=1, code=code)


class FakeReader:
    """Hands out records in polls; remembers what it was told."""

    def __init__(self, reads: Iterable[Read] = (), poll_records: int = 1000) -> None:
        self.reads = deque(reads)
        self.poll_records = poll_records
        self.paused = False
        self.closed = False
        self.committed: dict[tuple[str, int], int] = {}
        self.waited_s: list[float] = []

    def poll(self, timeout_seconds: float) -> list[Read]:
        self.waited_s.append(timeout_seconds)
        if self.paused:
            return []
        return [self.reads.popleft() for _ in range(min(self.poll_records, len(self.reads)))]

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def commit(self, ends: Mapping[tuple[str, int], int]) -> None:
        self.committed.update(ends)

    def lags(self) -> dict[int, int]:
        return {0: len(self.reads)}

    def close(self) -> None:
        self.closed = True


class FakeWriter:
    """Keeps batches."""

    def __init__(self) -> None:
        self.batches: list[RowBatch] = []
        self.error: Exception | None = None

    def write(self, batch: RowBatch) -> WrittenBatch:
        if self.error:
            raise self.error
        self.batches.append(batch)
        return WrittenBatch(batch.rows, len(batch.letters), 0.0)

    @property
    def letters(self) -> list[DeadLetter]:
        return [letter for batch in self.batches for letter in batch.letters]


class Held:
    """A writer's thread that works when told to."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Callable[[RowBatch], WrittenBatch], RowBatch, Future[WrittenBatch]]] = deque()

    def submit(self, write: Callable[[RowBatch], WrittenBatch], batch: RowBatch) -> Future[WrittenBatch]:
        future: Future[WrittenBatch] = Future()
        self.waiting.append((write, batch, future))
        return future

    def work(self) -> None:
        while self.waiting:
            write, batch, future = self.waiting.popleft()
            future.set_result(write(batch))


def at_once(write: Callable[[RowBatch], WrittenBatch], batch: RowBatch) -> Future[WrittenBatch]:
    """A thread that has ended when it begins."""
    future: Future[WrittenBatch] = Future()
    try:
        future.set_result(write(batch))
    except Exception as error:
        future.set_exception(error)
    return future


class FakeLetters:
    """Keeps letters."""

    def __init__(self, events: list[str] | None = None) -> None:
        self.published: list[DeadLetter] = []
        self._events = events if events is not None else []

    def publish(self, letters: list[DeadLetter]) -> None:
        self.published += letters
        self._events += [f"letter {letter.letter_id}" for letter in letters]


class FakeStore:
    """A table in memory that refuses what it is told to refuse.

    Args:
        events: Receives what happens, in order.

    Attributes:
        poisoned: Offsets read whose rows it refuses.
        poisoned_rows: Source offsets of rows it refuses.
        unexplained: Offsets read whose rows it refuses for a reason nobody knows.
    """

    def __init__(self, events: list[str] | None = None) -> None:
        self.offsets: list[int] = []
        self.tokens: list[str] = []
        self.conditions: set[str] = set()
        self.failures: deque[InsertError] = deque()
        self.poisoned: set[int] = set()
        self.poisoned_rows: set[int] = set()
        self.source_offsets: list[int] = []
        self.unexplained: set[int] = set()
        self._events = events if events is not None else []

    def insert(self, table: str, rows: pa.Table, token: str, only_if: InsertCondition | None = None) -> None:
        self.tokens.append(token)
        self.conditions.add(only_if.sql if only_if else "")
        if self.failures:
            raise self.failures.popleft()
        offsets = rows["k_off"].to_pylist()
        sources = rows["source_offset"].to_pylist()
        if self.poisoned & set(offsets) or self.poisoned_rows & set(sources):
            raise insert_error("poisoned")
        if self.unexplained & set(offsets):
            raise insert_error("rejected", code=9999)
        self.offsets += offsets
        self.source_offsets += sources
        self._events.append(f"insert {sorted(set(offsets))}")


def read(
    offset: int, payload: bytes, *, partition: int = 0, log: str = "factlogf", origin: Origin | None = None
) -> Read:
    position = Position(log, partition, offset)
    return Read(position, payload, offset * 1_000_000, origin or origin_of(position), origin is not None)
