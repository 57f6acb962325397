"""What every agent of a batch application does: hold the partitions it was given, and process batch after batch.

What is done with a batch is the subclass's. It answers to the consumer for its partitions: which are its own, from
where they are read, and up to which offset everything is saved.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Set
from typing import Generic, NamedTuple, Protocol, TypeVar

from obflow.faults import FaultPoints
from obflow.logs import get_logger
from processors.worker.cut import SourceBatch, SourceLog
from processors.worker.meters import WorkerMeters
from processors.worker.offsets import PartitionProgress
from processors.worker.outbox import Outbox, Send
from schemas.codec import encode
from schemas.errors import DecodeError, FatalError
from schemas.messages import DeadLetter, InstrumentKey

log = get_logger(__name__)

TURNS = 10


class Holding(Protocol):
    """A partition as an agent holds it."""

    partition: int
    owned: bool
    progress: PartitionProgress


H = TypeVar("H", bound=Holding)


class Ties(NamedTuple):
    """What binds an agent to its application.

    Attributes:
        source: The log that is read.
        letters: Name of the topic for dead letters.
        outbox: Where everything leaves.
        load: Gives the newest checkpoint of an instrument, if there is one.
        seek_back: Has a partition read again from an offset.
        is_current: Whether a batch is neither stale nor of a partition that was given up.
        fail: Ends the process.
        faults: Armed fault points.
    """

    source: SourceLog
    letters: str
    outbox: Outbox
    load: Callable[[InstrumentKey], bytes | None]
    seek_back: Callable[[int, int], None]
    is_current: Callable[[SourceBatch], bool]
    fail: Callable[[FatalError], None]
    faults: FaultPoints


class PartitionsAgent(ABC, Generic[H]):
    """Holds the partitions this worker has.

    Args:
        ties: What binds it to its application.
        max_batch_records: Most records of a batch.
        meters: What is counted.

    Attributes:
        is_recovering: Whether partitions were given to this worker whose checkpoints are still being read.
    """

    def __init__(self, ties: Ties, max_batch_records: int, meters: WorkerMeters) -> None:
        self.source_topic = ties.source.topic
        self.max_batch_records = max_batch_records
        self._ties = ties
        self._meters = meters
        self._held: dict[int, H] = {}
        self._is_draining = False
        self.is_recovering = False

    @abstractmethod
    def _new(self, partition: int, position: int) -> H:
        """A partition given to this worker, to be read from this offset."""

    @abstractmethod
    async def _process(self, held: H, batch: SourceBatch) -> None:
        """Process a batch that continues where its partition is."""

    async def run(self, stream: AsyncIterator[SourceBatch]) -> None:
        """The agent: process batch after batch, for ever. A mistake in the code ends the worker, not the record."""
        async for batch in stream:
            try:
                await self._on_batch(batch)
            except FatalError as error:
                self._ties.fail(error)
            except Exception as error:
                log.exception("batch_failed", partition=batch.partition, offset=batch.start)
                self._ties.fail(_unexpected(batch, error))

    def drain(self) -> None:
        """Process nothing more: the worker is about to stop."""
        self._is_draining = True

    def owned(self) -> list[H]:
        """The partitions this worker has at the moment."""
        return [held for held in list(self._held.values()) if held.owned]

    def positions(self) -> dict[int, int]:
        """Next offset to process of each partition this worker has. May be called from any thread."""
        return {held.partition: held.progress.position for held in self.owned()}

    def on_revoked(self) -> None:
        """The group is about to share out its partitions anew."""
        self.is_recovering = False
        for held in self._held.values():
            held.owned = False

    def on_granted(self, partitions: Set[int]) -> None:
        """The group has given these partitions to this worker; their checkpoints are read first."""
        self.is_recovering = bool(partitions)

    def on_assigned(self, positions: Mapping[int, int]) -> None:
        """These partitions are this worker's, and are read from these offsets.

        Partitions it keeps stay as they are, unless the group has committed beyond them: then another worker had the
        partition meanwhile (this one was away for longer than its session), and what is held is too old.
        """
        self.on_revoked()
        kept = {
            partition: self._held[partition]
            for partition, position in positions.items()
            if partition in self._held and self._held[partition].progress.position >= position
        }
        self._held = {
            partition: kept.get(partition) or self._new(partition, position)
            for partition, position in positions.items()
        }
        for held in self._held.values():
            held.owned = True
        log.info("partitions_assigned", partitions=sorted(positions), kept=sorted(kept))

    def on_true_hole(self, partition: int, start: int, first: int) -> None:
        """The log lacks what lies between: counted and logged; each instrument judges for itself what it missed."""
        self._meters.refused("source_hole", first - start)
        log.error("source_hole", partition=partition, offset=start, records=first - start)

    def committable(self, partition: int) -> int | None:
        """Offset of a partition below which everything is saved."""
        held = self._held.get(partition)
        if held is None or not held.owned:
            return None
        return held.progress.committable(self._ties.outbox.oldest_offset(partition))

    async def _on_batch(self, batch: SourceBatch) -> None:
        held = self._held.get(batch.partition)
        if held is None or not self._may_process(batch):
            self._meters.passed_over("stale", len(batch.records))
            return
        if batch.start > held.progress.position:
            self._read_again(batch, held.progress.position)
            return
        if self._ties.faults.fires("stall"):
            await asyncio.Event().wait()
        with self._meters.batch():
            self._meters.received(len(batch.records))
            await self._process(held, batch)

    def _may_process(self, batch: SourceBatch) -> bool:
        return not self._is_draining and self._ties.is_current(batch)

    def _read_again(self, batch: SourceBatch, offset: int, failure: BaseException | None = None) -> None:
        if failure is not None:
            log.error("record_not_handled", partition=batch.partition, offset=batch.start, exc_info=failure)
        log.info("partition_read_again", partition=batch.partition, offset=offset)
        self._ties.seek_back(batch.partition, offset)

    def _on_unreadable(self, instrument: InstrumentKey, error: DecodeError) -> None:
        self._meters.refused("checkpoint_unreadable", 1)
        log.error("checkpoint_unreadable", venue=instrument.venue, symbol=instrument.symbol, error=str(error))

    def on_refused_checkpoint(self, letter: DeadLetter) -> None:
        """A checkpoint that recovery has read is not from here."""
        self._send_letter(letter, holds_back=False)

    def _send_letter(self, letter: DeadLetter, *, holds_back: bool = True) -> None:
        log.warning(
            "record_dead_lettered",
            reason=letter.reason,
            error=letter.error,
            partition=letter.source_partition,
            offset=letter.source_offset,
            topic=letter.source_topic,
        )
        self._meters.dead_lettered(letter.reason)
        self._ties.outbox.put(
            Send(
                self._ties.letters,
                key=letter.letter_id.encode(),
                value=encode(letter),
                partition=None,
                source_partition=letter.source_partition,
                source_offset=letter.source_offset if holds_back else None,
            )
        )


async def give_way() -> None:
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
