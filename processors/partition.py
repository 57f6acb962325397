"""The books of one partition: everything between records and what is sent, without Kafka and without a clock.

Records come in source order. Each instrument skips those its state already holds, so a partition may be read again from
any earlier offset. The first record after a state was loaded may show that the state is too old (an earlier owner wrote
an older checkpoint last): then the partition is read again from the state's own offset, once, before the record counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple

from orderbook.validity import Outcome, Validity
from processors.factors.columns import FactorColumns, L2Columns
from processors.factors.reference.core import process_batch
from processors.factors.reference.state import InstrumentState
from processors.factors.resync import ResyncAsker
from processors.worker.admission import ReadAgain, SetAside, admit
from processors.worker.changelog import Checkpoint, Due, first_due_s
from processors.worker.cut import SourceBatch, SourceLog, SourceRecord
from processors.worker.dead_letters import letter_about
from processors.worker.offsets import PartitionProgress
from schemas.errors import DecodeError, MessageError
from schemas.factors import FACTOR_SET
from schemas.messages import (
    DeadLetter,
    FactorRecord,
    InstrumentKey,
    L2Record,
    ResyncRequest,
    Source,
)

ROLE = "processor"
PACKED_EVENTS = 160
"""Most events in one record: fewer than it may hold, so that a dead letter about it keeps it whole (64 KiB)."""
READ_AGAIN_RECORDS = 500_000
"""Farthest a partition is read again for one instrument. A state older than that belongs to one that was quiet."""
CONNECTS = frozenset({Outcome.APPLIED, Outcome.ROUTINE})
"""What a record does to a state that lacks nothing before it. Any other outcome may be owed to what is lacking."""


class Run(NamedTuple):
    """Consecutive records of one instrument from one batch, all of one source, at most as many as a record packs."""

    instrument: InstrumentKey
    source: Source
    offsets: list[int]
    records: list[L2Record]


class Decoded(NamedTuple):
    """What a batch holds: runs in order of their first record, and what did not decode."""

    runs: list[Run]
    letters: list[DeadLetter]


class Processed(NamedTuple):
    """What became of a run.

    Attributes:
        record: The factor record to be sent; None where there was no event.
        taken: How many of the run's records the book did not hold yet.
        columns: What the core made of those.
    """

    record: FactorRecord | None
    taken: int
    columns: FactorColumns


class Kept:
    """One instrument as this worker holds it."""

    def __init__(self, instrument: InstrumentKey, partition: int, state: InstrumentState, due_s: float) -> None:
        self.state = state
        self.asker = ResyncAsker(instrument, partition)
        self.due_s = due_s
        self.is_first = True
        self.was_read_again = False


class PartitionBooks:
    """Books, progress and checkpoints of one partition.

    Args:
        partition: Which.
        position: Offset from which it is read.
        log: The source log.
        load: Gives the newest checkpoint of an instrument, if there is one.
        unreadable: Told of a checkpoint that cannot be read; its book then waits for the next snapshot.
        thin_notional: T of status THIN, quote units.
        checkpoint_s: Seconds between two checkpoints of an instrument that receives records.

    Attributes:
        owned: Whether the partition is this worker's at the moment.
    """

    def __init__(
        self,
        partition: int,
        position: int,
        *,
        log: SourceLog,
        load: Callable[[InstrumentKey], bytes | None],
        unreadable: Callable[[InstrumentKey, DecodeError], None],
        thin_notional: float,
        checkpoint_s: float,
    ) -> None:
        self.partition = partition
        self.owned = True
        self.progress = PartitionProgress(position)
        self._first_read = position
        self._log = log
        self._load = load
        self._unreadable = unreadable
        self._thin_notional = thin_notional
        self._checkpoint_s = checkpoint_s
        self._kept: dict[InstrumentKey, Kept] = {}
        self._set_aside = SetAside(self.progress)

    def decode(self, batch: SourceBatch) -> Decoded:
        """Decode a batch and sort it by instrument. A record that is refused does not stop the others."""
        runs: dict[InstrumentKey, list[Run]] = {}
        letters = []
        for record in batch.records:
            try:
                l2 = self._admit(record)
            except MessageError as error:
                if record.offset >= self.progress.position:
                    letters.append(letter_about(self._log, self.partition, record, error, ROLE))
            else:
                alone = self._set_aside.is_looked_through(l2.instrument, record.offset)
                _add(runs.setdefault(l2.instrument, []), record.offset, l2, alone=alone)
        return Decoded(list(chain.from_iterable(runs.values())), letters)

    def process(self, run: Run, now_s: float) -> Processed:
        """Take a run to its instrument's book, records apart that the book already holds.

        Raises:
            ReadAgain: The loaded state is too old for the run, or handling a record of it failed.
            FatalError: Handling records fails again and again.
        """
        kept = self._keep(run.instrument, now_s)
        skip = sum(1 for offset in run.offsets if offset < kept.state.next_source_offset)
        if skip == len(run.offsets):
            return Processed(None, 0, FactorColumns())
        offsets, records = run.offsets[skip:], run.records[skip:]
        self._check_first(kept, offsets[0], records[0])
        try:
            columns = process_batch(kept.state, L2Columns.from_records(offsets, records))
        except Exception as error:
            del self._kept[run.instrument]  # half of the run may be in it
            raise self._set_aside.after_failure(run.instrument, offsets, error) from error
        kept.state.next_source_offset = offsets[-1] + 1
        self.progress.processed(run.instrument, offsets[0])
        self._follow(kept, columns, offsets[-1], len(offsets), now_s)
        return Processed(self._pack(run, columns), len(offsets), columns)

    def requests(self, now_s: float) -> list[ResyncRequest]:
        """Requests for snapshots that are due now."""
        asked = (kept.asker.due(now_s) for kept in self._kept.values())
        return [request for request in asked if request is not None]

    def validities(self) -> Iterator[Validity]:
        """State of every book."""
        return (kept.state.tracked.validity for kept in self._kept.values())

    def due(self, now_s: float, *, everything: bool) -> list[Due]:
        """Write down the states whose time has come, or all that changed since they were saved."""
        due = []
        for instrument in list(self.progress.dirty):
            kept = self._kept.get(instrument)
            if kept is None:
                continue  # about to be read again
            if everything or now_s >= kept.due_s:
                kept.due_s = now_s + self._checkpoint_s
                self.progress.begin_save(instrument)
                payload = self._written_down(instrument, kept.state)
                due.append(Due(instrument, payload, partial(self.progress.saved, instrument)))
        return due

    def abandon(self) -> None:
        """What `due` wrote down will not be saved."""
        self.progress.abandon()

    def _admit(self, record: SourceRecord) -> L2Record:
        set_aside = self._set_aside.error_of(record.offset)
        if set_aside is not None:
            raise set_aside
        return admit(L2Record, record, self.partition, self._log)

    def _keep(self, instrument: InstrumentKey, now_s: float) -> Kept:
        kept = self._kept.get(instrument)
        if kept is None:
            due_s = first_due_s(instrument, now_s, self._checkpoint_s)
            kept = self._kept[instrument] = Kept(instrument, self.partition, self._state(instrument), due_s)
        return kept

    def _state(self, instrument: InstrumentKey) -> InstrumentState:
        payload = self._load(instrument)
        state = None
        try:
            state = self._restored(payload) if payload is not None else None
        except DecodeError as error:
            self._unreadable(instrument, error)
        return state or InstrumentState(self._thin_notional)

    def _restored(self, payload: bytes) -> InstrumentState | None:
        checkpoint = Checkpoint.from_bytes(payload)
        if checkpoint.source_log != self._log.short_id:
            return None
        state = InstrumentState.from_bytes(checkpoint.state)
        if state.next_source_offset != checkpoint.next_offset:
            raise DecodeError(f"a checkpoint of {checkpoint.next_offset} with a state of {state.next_source_offset}")
        state.thin_notional = self._thin_notional
        return state

    def _written_down(self, instrument: InstrumentKey, state: InstrumentState) -> bytes:
        log = self._log.short_id
        return Checkpoint(str(instrument), log, self.partition, state.next_source_offset, state.to_bytes()).to_bytes()

    def _check_first(self, kept: Kept, offset: int, record: L2Record) -> None:
        if not kept.is_first:
            return
        wanted = kept.state.next_source_offset
        # What lies between the state and where this worker began to read, it has not seen: it may be others' records
        # alone, and then this one connects.
        unseen = min(offset, self._first_read) - wanted
        is_doubtful = wanted >= 0 and 0 < unseen <= READ_AGAIN_RECORDS and not kept.was_read_again
        if is_doubtful and kept.state.tracked.judge(record) not in CONNECTS:
            kept.was_read_again = True
            self._first_read = wanted
            raise ReadAgain(wanted)
        kept.is_first = False

    def _follow(self, kept: Kept, columns: FactorColumns, last: int, records: int, now_s: float) -> None:
        kept.asker.follow(columns.resync, now_s)
        if columns.outcomes[Outcome.IGNORED_OLD_EPOCH] == records:
            kept.asker.only_lower_epochs(kept.state.tracked.epoch, last, now_s)
        else:
            kept.asker.heard_own_epoch()

    def _pack(self, run: Run, columns: FactorColumns) -> FactorRecord | None:
        if not columns:
            return None
        return FactorRecord(
            venue=run.instrument.venue,
            symbol=run.instrument.symbol,
            source=run.source,
            factor_set=FACTOR_SET,
            source_log=self._log.short_id,
            source_partition=self.partition,
            events=columns.events(),
        )


def _add(runs: list[Run], offset: int, record: L2Record, *, alone: bool) -> None:
    is_full = not runs or runs[-1].source is not record.source or len(runs[-1].records) == PACKED_EVENTS
    if is_full or alone:
        runs.append(Run(record.instrument, record.source, [], []))
    runs[-1].offsets.append(offset)
    runs[-1].records.append(record)
