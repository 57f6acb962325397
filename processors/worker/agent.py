"""The agent: holds the partitions this worker has, and takes batch after batch through the stage.

It answers to the consumer for its partitions: which are its own, from where they are read, and up to which offset
everything is saved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence, Set
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from obflow.faults import FaultPoints
from obflow.logs import get_logger
from processors.contract import Companion, Emit, Emitted, Stage
from processors.worker.cut import SourceBatch, SourceRecord
from processors.worker.failures import ReadAgain
from processors.worker.meters import WorkerMeters
from processors.worker.outbox import Outbox, SendEmit
from processors.worker.partition import HeldPartition
from processors.worker.places import AskBroker, NamedLog
from processors.worker.promises import BrokenPromise, PromiseBroken
from processors.worker.runs import Run
from schemas.codec import encode
from schemas.errors import DecodeError, DependencyError, FatalError
from schemas.logs import LogId, OffsetStamp
from schemas.messages import DeadLetter
from schemas.topics import DEAD_LETTERS
from schemas.units import NS_PER_MS

log = get_logger(__name__)

TICK_S = 0.25
TURN_S = 0.015
"""Longest time of work without letting anybody else have a turn, a step apart."""
TURNS = 10
ASK_AGAIN_S = 1.0


class WorkerPorts(NamedTuple):
    """What binds an agent to its application.

    Attributes:
        source: The log that is read.
        outbox: Where everything leaves.
        send: Puts a record into it.
        load: Gives the newest checkpoint of a key, if there is one.
        seek_back: Has a partition read again from an offset.
        is_current: Whether a batch is neither stale nor of a partition that was given up.
        fail: Ends the process.
        faults: Armed fault points.
        named_log: The log in which records name places, if they are held against one.
        withdraw: Has a partition read again from an offset, and committed there before.
        is_whole: Whether the changelog of a partition still has all that it ever took.
        was_refused: Whether what the changelog holds of a key was refused.
        changelog_id: Which changelog it is, as far as that is known.
    """

    source: LogId
    outbox: Outbox
    send: SendEmit
    load: Callable[[str], bytes | None]
    seek_back: Callable[[int, int], None]
    is_current: Callable[[SourceBatch], bool]
    fail: Callable[[FatalError], None]
    faults: FaultPoints
    named_log: NamedLog | None = None
    withdraw: Callable[[int, int], None] = lambda _partition, _offset: None
    is_whole: Callable[[int], bool] = lambda _partition: True
    was_refused: Callable[[str], bool] = lambda _key: False
    changelog_id: Callable[[], str] = lambda: ""


class StageAgent:
    """Runs a stage on the partitions this worker has.

    Args:
        stage: What is done with records.
        ports: What binds it to its application.
        meters: What is counted.
        max_batch_records: Most records of a batch.
        checkpoint_s: Seconds between two checkpoints of a key that receives records.
        companion: Works beside the stage, if anybody does.

    Attributes:
        is_recovering: Whether partitions were given to this worker whose checkpoints are still being read.
    """

    def __init__(
        self,
        stage: Stage[Any, Any],
        ports: WorkerPorts,
        meters: WorkerMeters,
        *,
        max_batch_records: int,
        checkpoint_s: float,
        companion: Companion | None = None,
    ) -> None:
        self.source_topic = ports.source.topic
        self.max_batch_records = max_batch_records
        self.is_recovering = False
        self._stage = stage
        self._ports = ports
        self._meters = meters
        self._checkpoint_s = checkpoint_s
        self._companion = companion
        self._partitions: dict[int, HeldPartition[Any, Any]] = {}
        self._is_draining = False
        self._turn_s = 0.0

    async def run(self, stream: AsyncIterator[SourceBatch]) -> None:
        """Process batch after batch, for ever. A mistake in the code ends the worker, not the record."""
        async for batch in stream:
            try:
                await self._on_batch(batch)
            except FatalError as error:
                self._ports.fail(error)
            except Exception as error:
                log.exception("batch_failed", partition=batch.partition, offset=batch.start)
                self._ports.fail(_unexpected(batch, error))

    async def run_timers(self) -> None:
        """Send what time alone brings, and show what is held, for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            for held in self.owned():
                for emitted in held.timers(time.monotonic()):
                    self._send(held.partition, emitted)
            self._show(time.monotonic())

    def _show(self, now_s: float) -> None:
        """Show what is held."""
        states = chain.from_iterable(held.states() for held in self.owned())
        self._meters.publish_gauges(self._stage.gauges(states, now_s))
        self._meters.unsaved(max((held.unsaved_s(now_s) for held in self.owned()), default=0.0))

    def drain(self) -> None:
        """Process nothing more: the worker is about to stop."""
        self._is_draining = True

    def owned(self) -> list[HeldPartition[Any, Any]]:
        """The partitions this worker has at the moment."""
        return [held for held in list(self._partitions.values()) if held.owned]

    def positions(self) -> dict[int, int]:
        """Next offset to process of each partition this worker has. May be called from any thread."""
        return {held.partition: held.offsets.position for held in self.owned()}

    def on_revoked(self) -> None:
        """The group is about to share out its partitions anew."""
        self._give_up()
        self._meters.partitions_withdrawn()
        self._tell_companion(())

    def on_granted(self, partitions: Set[int]) -> None:
        """The group has given these partitions to this worker; their checkpoints are read first."""
        self.is_recovering = bool(partitions)
        self._meters.partitions_granted(len(partitions))

    def stamp(self) -> OffsetStamp:
        """What tells an offset of this log, kept by this changelog, from others."""
        return OffsetStamp(self._ports.changelog_id(), self._ports.source.short_id)

    def on_assigned(
        self, positions: Mapping[int, int], starts: Mapping[int, int] | None = None, foreign: Set[int] = frozenset()
    ) -> None:
        """These partitions are this worker's, and are read from these offsets.

        `starts` says where the log now starts, of partitions with a committed offset; that of the `foreign` ones was
        committed beside another changelog.
        Partitions it keeps stay as they are, unless the group has committed beyond them: then another worker had the
        partition meanwhile (this one was away for longer than its session), and what is held is too old.
        """
        self._give_up()
        kept = {
            partition: self._partitions[partition]
            for partition, position in positions.items()
            if partition in self._partitions and self._partitions[partition].offsets.position >= position
        }
        self._partitions = {
            partition: kept.get(partition)
            or self._new(partition, position, (starts or {}).get(partition), is_foreign=partition in foreign)
            for partition, position in positions.items()
        }
        for held in self._partitions.values():
            held.owned = True
        self._meters.partitions_recovered()
        self._tell_companion(frozenset(positions))
        log.info("partitions_assigned", partitions=sorted(positions), kept=sorted(kept))

    def on_true_hole(self, partition: int, start: int, first: int) -> None:
        """The log lacks what lies between: counted and logged; each key's state judges for itself what it missed."""
        self._meters.refused("source_hole", first - start)
        cause = f"the log has lost records {start} to {first - 1} of partition {partition} before they were read"
        log.error("source_hole", partition=partition, offset=start, records=first - start, cause=cause)

    def on_offset_of_another_log(self, partition: int, offset: int, source: str) -> None:
        """What the group has committed of a partition counts records of a log that is no more."""
        self._meters.refused("offset_of_another_log", 1)
        cause = (
            f"offset {offset} was committed of log {source}, and {self._ports.source.short_id} has its name now: the "
            "partition is read from the log's start"
        )
        log.warning("offset_taken_back", partition=partition, offset=offset, cause=cause)

    def on_refused_checkpoint(self, letter: DeadLetter) -> None:
        """A checkpoint that recovery has read is not from here."""
        self._send_dead_letter(letter, holds_back=False)

    def committable(self, partition: int) -> int | None:
        """Offset of a partition below which everything is saved."""
        held = self._partitions.get(partition)
        if held is None or not held.owned:
            return None
        return held.offsets.committable(self._ports.outbox.oldest_offset(partition))

    def _tell_companion(self, partitions: Collection[int]) -> None:
        if self._companion is not None:
            self._companion.assigned(partitions)

    def _give_up(self) -> None:
        """Own no partition from now on; what is held of them stays."""
        self.is_recovering = False
        for held in self._partitions.values():
            held.owned = False

    def _new(
        self, partition: int, position: int, log_start: int | None, *, is_foreign: bool
    ) -> HeldPartition[Any, Any]:
        return HeldPartition(
            self._stage,
            partition,
            position,
            log=self._ports.source,
            load=self._ports.load,
            unreadable=self._on_unreadable,
            checkpoint_s=self._checkpoint_s,
            companion=self._companion,
            named_log=self._ports.named_log,
            log_start=log_start,
            is_whole=not is_foreign and self._ports.is_whole(partition),
            is_foreign=is_foreign,
            was_refused=self._ports.was_refused,
            broken=partial(self._on_broken_promise, partition),
        )

    async def _on_batch(self, batch: SourceBatch) -> None:
        held = self._partitions.get(batch.partition)
        if held is None or not self._may_process(batch):
            self._meters.passed_over("stale", len(batch.records))
            return
        if batch.start > held.offsets.held:  # one is lost, or a rebalance came while it was read again
            self._read_again(held, batch, ReadAgain(held.offsets.held))
            return
        if self._ports.faults.fires("stall"):
            await asyncio.Event().wait()
        self._turn_s = time.monotonic()
        if self._ports.named_log is not None:
            self._ports.named_log.expire()
        with self._meters.batch():
            self._meters.received(len(batch.records))
            await self._process(held, batch)

    async def _process(self, held: HeldPartition[Any, Any], batch: SourceBatch) -> None:
        for first in range(0, len(batch.records), self._stage.decode_records):
            part = batch.records[first : first + self._stage.decode_records]
            if not await self._process_part(held, batch, part):
                return
            held.offsets.advance(part[-1].offset + 1)
            self._meters.processed(held.partition, part[-1].timestamp)

    async def _process_part(
        self, held: HeldPartition[Any, Any], batch: SourceBatch, part: Sequence[SourceRecord]
    ) -> bool:
        """Process some records of a batch; False where the batch is not to be gone on with."""
        decoded = held.decode(part)
        for run in decoded.runs:
            if not await self._process_run(held, batch, run, part):
                return False
        for letter in decoded.letters:
            if not await self._may_go_on(batch):
                return False
            self._send_dead_letter(letter)
        return True

    async def _process_run(
        self, held: HeldPartition[Any, Any], batch: SourceBatch, run: Run[Any], part: Sequence[SourceRecord]
    ) -> bool:
        while await self._may_go_on(batch):
            # From here to the last send nothing awaits: what changed a state is on its way out before anything else can
            # happen, a rebalance included.
            try:
                processed = held.process(run, time.monotonic(), _age_ms(part[-1]))
            except AskBroker as ask:
                await self._refresh(ask)
                continue
            except ReadAgain as again:
                self._read_again(held, batch, again)
                return False
            self._send(batch.partition, processed.emitted, is_result=True)
            self._meters.passed_over("already_processed", processed.skipped)
            if processed.refused is not None:
                source = next(source for source in part if source.offset == run.offsets[0])
                self._send_dead_letter(held.dead_letter(source, processed.refused))
            return True
        return False

    async def _refresh(self, ask: AskBroker) -> None:
        """Ask how far the named log goes; again where no broker answers, as long as the watchdog lets that go on."""
        try:
            await asyncio.to_thread(ask.log.refresh, ask.named)
        except DependencyError as error:
            log.warning("waiting", reason=error.reason, cause=error.cause)
            await asyncio.sleep(ASK_AGAIN_S)

    async def _may_go_on(self, batch: SourceBatch) -> bool:
        """Let others have their turn where it is time, wait for room, and see whether the batch still counts."""
        if time.monotonic() - self._turn_s >= TURN_S:
            await yield_to_loop()
            self._turn_s = time.monotonic()
        await self._ports.outbox.wait_for_room()
        return self._may_process(batch)

    def _may_process(self, batch: SourceBatch) -> bool:
        return not self._is_draining and self._ports.is_current(batch)

    def _read_again(self, held: HeldPartition[Any, Any], batch: SourceBatch, again: ReadAgain) -> None:
        held.offsets.read_again(again.offset)
        if again.__cause__ is not None:
            log.error("record_not_handled", partition=batch.partition, offset=batch.start, exc_info=again.__cause__)
        log.info("partition_read_again", partition=batch.partition, offset=again.offset)
        seek = self._ports.withdraw if isinstance(again, PromiseBroken) else self._ports.seek_back
        seek(batch.partition, again.offset)

    def _on_broken_promise(self, partition: int, broken: BrokenPromise) -> None:
        self._meters.refused("checkpoint_missing", 1)
        log.error("checkpoint_missing", partition=partition, **broken._asdict(), cause=str(broken))

    def _on_unreadable(self, key: str, error: DecodeError) -> None:
        self._meters.refused("checkpoint_unreadable", 1)
        log.error("checkpoint_unreadable", key=key, error=str(error))

    def _send(self, partition: int, emitted: Emitted, *, is_result: bool = False) -> None:
        for warning in emitted.warnings:
            log.warning(**warning, partition=partition)
        for emit in emitted.records:
            self._ports.send(partition, emit, is_result=is_result)
        for count in emitted.counts:
            self._meters.count(count)

    def _send_dead_letter(self, letter: DeadLetter, *, holds_back: bool = True) -> None:
        log.warning(
            "record_dead_lettered",
            reason=letter.reason,
            error=letter.error,
            partition=letter.source_partition,
            offset=letter.source_offset,
            topic=letter.source_topic,
        )
        self._meters.dead_lettered(letter.reason)
        held_back = letter.source_offset if holds_back else None
        emit = Emit(DEAD_LETTERS, letter.letter_id, encode(letter), held_back, by_key=True)
        self._ports.send(letter.source_partition, emit)


def _age_ms(record: SourceRecord) -> float:
    """How long ago Kafka took a record; 0 where its clock is ahead of ours."""
    return max(0.0, time.time_ns() / NS_PER_MS - record.timestamp)


async def yield_to_loop() -> None:
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
