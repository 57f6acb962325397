"""The books agent: batches of L2 records in, factor events, dead letters and requests for snapshots out."""

from __future__ import annotations

import asyncio
import time
from itertools import chain

from obflow.logs import get_logger
from obflow.settings import Settings
from obflow.topics import topic_name
from processors.partition import PartitionBooks
from processors.worker.admission import ReadAgain
from processors.worker.agent import PartitionsAgent, Ties, give_way
from processors.worker.cut import SourceBatch
from processors.worker.meters import Meters
from processors.worker.outbox import Send
from schemas.codec import encode
from schemas.messages import FactorRecord, ResyncRequest
from schemas.topics import FACTORS, RESYNC

log = get_logger(__name__)

ASK_SECONDS = 0.25
GIVE_WAY_RECORDS = 64
"""Records processed without letting anybody else have a turn: some 15 ms of work in plain Python."""


class BooksAgent(PartitionsAgent[PartitionBooks]):
    """Holds the books of the partitions this worker has.

    Args:
        settings: `kafka` and `processor` are used.
        ties: What binds it to its application.
        meters: What is counted.
    """

    def __init__(self, settings: Settings, ties: Ties, meters: Meters) -> None:
        super().__init__(ties, settings.processor.max_batch_records, meters)
        self._meters: Meters = meters
        self._settings = settings.processor
        self._factors = topic_name(settings, FACTORS)
        self._resync = topic_name(settings, RESYNC)

    async def ask(self) -> None:
        """Send the requests for snapshots that are due, and count the books by state, for ever."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            for books in self.owned():
                for request in books.requests(time.monotonic()):
                    self._send_request(request)
            self._meters.books(chain.from_iterable(books.validities() for books in self.owned()))

    def _new(self, partition: int, position: int) -> PartitionBooks:
        return PartitionBooks(
            partition,
            position,
            log=self._ties.source,
            load=self._ties.load,
            unreadable=self._on_unreadable,
            thin_notional=self._settings.thin_notional,
            checkpoint_s=self._settings.checkpoint_seconds,
        )

    async def _process(self, books: PartitionBooks, batch: SourceBatch) -> None:
        decoded = books.decode(batch)
        without_a_turn = 0
        for run in decoded.runs:
            await self._ties.outbox.room()
            if not self._may_process(batch):
                return
            # From here to the last put nothing awaits: what changed a book is on its way out before anything else
            # can happen, a rebalance included.
            try:
                processed = books.process(run, time.monotonic())
            except ReadAgain as again:
                self._read_again(batch, again.offset, again.__cause__)
                return
            if processed.record is not None:
                self._send_factors(batch.partition, processed.record)
            self._meters.passed_over("already_processed", len(run.records) - processed.taken)
            self._meters.processed(run.instrument, processed.columns)
            without_a_turn += processed.taken
            if without_a_turn >= GIVE_WAY_RECORDS:
                await give_way()
                without_a_turn = 0
        for letter in decoded.letters:
            await self._ties.outbox.room()
            if not self._may_process(batch):
                return
            self._send_letter(letter)
        books.progress.advance(batch.end)

    def _send_factors(self, partition: int, record: FactorRecord) -> None:
        self._ties.outbox.put(
            Send(
                self._factors,
                key=str(record.instrument).encode(),
                value=encode(record),
                partition=partition,
                source_partition=partition,
                source_offset=record.events[0].source_offset,
                received_ns=record.events[-1].received_ns,
                is_result=True,
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
        self._ties.outbox.put(
            Send(
                self._resync,
                key=str(request.instrument).encode(),
                value=encode(request),
                partition=request.source_partition,
                source_partition=request.source_partition,
                source_offset=None,
            )
        )
