"""The books agent: batches of L2 records in, factor events, dead letters and requests for snapshots out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import chain

from obflow.logs import get_logger
from obflow.settings import Settings
from obflow.topics import topic_name
from processors.meters import Meters
from processors.outbox import Outbox, Send
from processors.partition import PartitionBooks, ReadAgain, SourceLog
from processors.reading import SourceBatch
from schemas.codec import encode
from schemas.errors import DecodeError, FatalError
from schemas.messages import DeadLetter, FactorRecord, InstrumentKey, ResyncRequest
from schemas.topics import DEAD_LETTERS, FACTORS, RESYNC

log = get_logger(__name__)

ASK_SECONDS = 0.25
TURNS = 10


class BooksAgent:
    """Holds the books of the partitions this worker has, and answers to the consumer for them.

    Args:
        settings: `kafka` and `processor` are used.
        source: The log that is read.
        outbox: Where everything leaves.
        load: Gives the newest checkpoint of an instrument, if there is one.
        seek_back: Has a partition read again from an offset.
        is_current: Whether a batch is neither stale nor of a partition that was given up.
        fail: Ends the process.
        meters: What is counted.
    """

    def __init__(
        self,
        settings: Settings,
        source: SourceLog,
        outbox: Outbox,
        *,
        load: Callable[[InstrumentKey], bytes | None],
        seek_back: Callable[[int, int], None],
        is_current: Callable[[SourceBatch], bool],
        fail: Callable[[FatalError], None],
        meters: Meters,
    ) -> None:
        self.source_topic = source.topic
        self.max_batch_records = settings.processor.max_batch_records
        self._settings = settings.processor
        self._source = source
        self._outbox = outbox
        self._load = load
        self._seek_back = seek_back
        self._is_current = is_current
        self._fail = fail
        self._meters = meters
        self._factors = topic_name(settings, FACTORS)
        self._letters = topic_name(settings, DEAD_LETTERS)
        self._resync = topic_name(settings, RESYNC)
        self._books: dict[int, PartitionBooks] = {}
        self._is_draining = False

    async def run(self, stream: AsyncIterator[SourceBatch]) -> None:
        """The agent: process batch after batch, for ever. A mistake in the code ends the worker, not the record."""
        async for batch in stream:
            try:
                await self._on_batch(batch)
            except FatalError as error:
                self._fail(error)
            except Exception as error:
                log.exception("batch_failed", partition=batch.partition, offset=batch.start)
                self._fail(_unexpected(batch, error))

    async def ask(self) -> None:
        """Send the requests for snapshots that are due, and count the books by state, for ever."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            for books in self.owned():
                for request in books.requests(time.monotonic()):
                    self._send_request(request)
            self._meters.books(chain.from_iterable(books.validities() for books in self.owned()))

    def drain(self) -> None:
        """Process nothing more: the worker is about to stop."""
        self._is_draining = True

    def owned(self) -> list[PartitionBooks]:
        """The books of the partitions this worker has at the moment."""
        return [books for books in list(self._books.values()) if books.owned]

    def positions(self) -> dict[int, int]:
        """Next offset to process of each partition this worker has. May be called from any thread."""
        return {books.partition: books.progress.position for books in self.owned()}

    def on_revoked(self) -> None:
        """The group is about to share out its partitions anew."""
        for books in self._books.values():
            books.owned = False

    def on_assigned(self, positions: Mapping[int, int]) -> None:
        """These partitions are this worker's, and are read from these offsets.

        Books of partitions it keeps stay, unless the group has committed beyond them: then another worker had the
        partition meanwhile (this one was away for longer than its session), and the books are too old.
        """
        self.on_revoked()
        kept = {
            partition: self._books[partition]
            for partition, position in positions.items()
            if partition in self._books and self._books[partition].progress.position >= position
        }
        self._books = {
            partition: kept.get(partition) or self._new_books(partition, position)
            for partition, position in positions.items()
        }
        for books in self._books.values():
            books.owned = True
        log.info("partitions_assigned", partitions=sorted(positions), kept=sorted(kept))

    def on_true_hole(self, partition: int, start: int, first: int) -> None:
        """The log lacks what lies between: counted and logged, and each book judges for itself what it missed."""
        self._meters.refused("source_hole", first - start)
        log.error("source_hole", partition=partition, offset=start, records=first - start)

    def committable(self, partition: int) -> int | None:
        """Offset of a partition below which everything is saved."""
        books = self._books.get(partition)
        if books is None or not books.owned:
            return None
        return books.progress.committable(self._outbox.oldest_offset(partition))

    def _new_books(self, partition: int, position: int) -> PartitionBooks:
        return PartitionBooks(
            partition,
            position,
            log=self._source,
            load=self._load,
            unreadable=self._on_unreadable,
            thin_notional=self._settings.thin_notional,
            checkpoint_s=self._settings.checkpoint_seconds,
        )

    async def _on_batch(self, batch: SourceBatch) -> None:
        books = self._books.get(batch.partition)
        if books is None or not self._may_process(batch):
            self._meters.passed_over("stale", len(batch.records))
            return
        if batch.start > books.progress.position:
            self._read_again(batch, books.progress.position)
            return
        with self._meters.batch():
            await self._process(books, batch)

    async def _process(self, books: PartitionBooks, batch: SourceBatch) -> None:
        self._meters.received(len(batch.records))
        decoded = books.decode(batch)
        for run in decoded.runs:
            await self._outbox.room()
            if not self._may_process(batch):
                return
            # From here to the last put nothing awaits: what changed a book is on its way out before anything else
            # can happen, a rebalance included.
            try:
                processed = books.process(run, time.monotonic())
            except ReadAgain as again:
                self._read_again(batch, again.offset)
                return
            if processed.record is not None:
                self._send_factors(batch.partition, processed.record)
            self._meters.passed_over("already_processed", len(run.records) - processed.taken)
            self._meters.processed(run.instrument, processed.columns)
            await _give_way()
        for letter in decoded.letters:
            self._send_letter(letter)
        books.progress.advance(batch.end)

    def _may_process(self, batch: SourceBatch) -> bool:
        return not self._is_draining and self._is_current(batch)

    def _read_again(self, batch: SourceBatch, offset: int) -> None:
        log.info("partition_read_again", partition=batch.partition, offset=offset)
        self._seek_back(batch.partition, offset)

    def _on_unreadable(self, instrument: InstrumentKey, error: DecodeError) -> None:
        self._meters.refused("checkpoint_unreadable", 1)
        log.error("checkpoint_unreadable", venue=instrument.venue, symbol=instrument.symbol, error=str(error))

    def _send_factors(self, partition: int, record: FactorRecord) -> None:
        self._outbox.put(
            Send(
                self._factors,
                key=str(record.instrument).encode(),
                value=encode(record),
                partition=partition,
                source_partition=partition,
                source_offset=record.events[0].source_offset,
                received_ns=record.events[-1].received_ns,
                is_factor=True,
            )
        )

    def _send_letter(self, letter: DeadLetter) -> None:
        log.warning(
            "record_dead_lettered",
            reason=letter.reason,
            error=letter.error,
            partition=letter.source_partition,
            offset=letter.source_offset,
        )
        self._meters.dead_lettered(letter.reason)
        self._outbox.put(
            Send(
                self._letters,
                key=letter.letter_id.encode(),
                value=encode(letter),
                partition=None,
                source_partition=letter.source_partition,
                source_offset=letter.source_offset,
            )
        )

    def _send_request(self, request: ResyncRequest) -> None:
        log.warning(
            "resync_requested",
            venue=request.venue,
            symbol=request.symbol,
            reason=request.reason,
            attempt=request.attempt,
            partition=request.source_partition,
            offset=request.source_offset,
        )
        self._meters.asked(request.venue)
        self._outbox.put(
            Send(
                self._resync,
                key=str(request.instrument).encode(),
                value=encode(request),
                partition=request.source_partition,
                source_partition=request.source_partition,
                source_offset=None,
            )
        )


async def _give_way() -> None:
    """Let everybody else have turns: a send passes through several tasks, each a turn of its own, before it leaves."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def _unexpected(batch: SourceBatch, error: Exception) -> FatalError:
    return FatalError(
        f"a batch could not be processed ({type(error).__name__}: {error})",
        next_step="the log has the traceback; the partition waits at this offset",
        partition=batch.partition,
        offset=batch.start,
    )
