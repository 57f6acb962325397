"""One partition of a stage: everything between records and what is sent, without Kafka and without a clock.

Records come in source order. Each key skips those its state already holds, so a partition may be read again from any
earlier offset. The first record after a state was loaded may show that the state is too old (an earlier owner wrote an
older checkpoint last): then the partition is read again from the state's own offset, once, before the record counts.
Where there is no state though one was promised (`promises.py`), it is read again from the log's start.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Generic, TypeVar

from processors.contract import NOTHING, Batch, Companion, Emitted, Stage
from processors.worker.changelog import Checkpoint, CheckpointDue, first_due_s, seal, unseal
from processors.worker.cut import SourceRecord
from processors.worker.dead_letters import dead_letter_of
from processors.worker.failures import SetAside
from processors.worker.offsets import PartitionOffsets
from processors.worker.places import NamedLog, NamedPlaceJudge
from processors.worker.promises import Beginning, BrokenPromise
from processors.worker.runs import Decoded, KeyedState, Processed, Run
from schemas.errors import DecodeError, MessageError
from schemas.logs import LogId
from schemas.messages import DeadLetter
from schemas.places import Place

S = TypeVar("S")
R = TypeVar("R")


class HeldPartition(Generic[S, R]):
    """States, offsets and checkpoints of one partition.

    Args:
        stage: What is done with its records.
        partition: Which.
        position: Offset from which it is read.
        log: The source log.
        load: Gives the newest checkpoint of a key, if there is one.
        unreadable: Told of a checkpoint that cannot be used; its key then starts afresh.
        checkpoint_s: Seconds between two checkpoints of a key that receives records.
        companion: Works beside the stage, if anybody does.
        named_log: The log in which records name places; None where those are not judged.
        log_start: Offset of the first record the log still holds; None where nothing is committed.
        is_whole: Whether a key without a checkpoint had no record before the position.
        is_foreign: Whether the position was committed beside another changelog.
        was_refused: Whether what the changelog holds of a key was refused, so that it did have one.
        broken: Told of a checkpoint that is promised and not there.

    Attributes:
        owned: Whether the partition is this worker's at the moment.
    """

    def __init__(
        self,
        stage: Stage[S, R],
        partition: int,
        position: int,
        *,
        log: LogId,
        load: Callable[[str], bytes | None],
        unreadable: Callable[[str, DecodeError], None],
        checkpoint_s: float,
        companion: Companion | None = None,
        named_log: NamedLog | None = None,
        log_start: int | None = None,
        is_whole: bool = True,
        is_foreign: bool = False,
        was_refused: Callable[[str], bool] = lambda _: False,
        broken: Callable[[BrokenPromise], None] = lambda _: None,
    ) -> None:
        self.partition = partition
        self.owned = True
        self.offsets = PartitionOffsets(position)
        self._beginning = Beginning(position, log_start, is_whole=is_whole, is_foreign=is_foreign)
        self._was_refused = was_refused
        self._broken = broken
        self._stage = stage
        self._log = log
        self._load = load
        self._unreadable = unreadable
        self._checkpoint_s = checkpoint_s
        self._companion = companion
        self._most = stage.step_records if stage.names is None else 1
        self._places = _judge(stage, named_log)
        self._set_aside = SetAside(self.offsets)
        self._states: dict[str, KeyedState[S]] = {}
        self._offering = 0

    def decode(self, records: Sequence[SourceRecord]) -> Decoded[R]:
        """Decode records and sort them by key. One that is refused does not stop the others."""
        runs: dict[str, list[Run[R]]] = {}
        letters = []
        found = self._stage.decode([record.value for record in records])
        for source, record in zip(records, found, strict=True):
            refused = self._refused(source, record)
            if refused is None:
                self._add(runs, source.offset, record)  # type: ignore[arg-type] # an error is refused
            elif source.offset >= self.offsets.position:
                letters.append(self.dead_letter(source, refused))
        return Decoded(list(chain.from_iterable(runs.values())), letters)

    def dead_letter(self, source: SourceRecord, error: MessageError) -> DeadLetter:
        """Make the dead letter of a record that is refused."""
        return dead_letter_of(self._log, self.partition, source, error, self._stage.role)

    def process(self, run: Run[R], now_s: float, age_ms: float = 0.0) -> Processed:
        """Take a run, none of it newer than `age_ms`, to its key's state, records apart that the state already holds.

        Raises:
            ReadAgain: The loaded state is lost or too old for the run, or handling a record of it failed.
            AskBroker: It names a place, or its state knows of one, of which not enough is known.
            FatalError: Handling records fails again and again.
        """
        keyed = self._state_of(run.key, now_s)
        skipped = bisect_left(run.offsets, keyed.next_offset)
        offsets, records = run.offsets[skipped:], run.records[skipped:]
        if not records:
            return Processed(NOTHING, skipped)
        if keyed.is_first:
            self._check_first(run.key, keyed, offsets[0], records[0])
        refused = self._places.refusal(keyed.state, records[0]) if self._places else None
        if refused is not None:
            return Processed(NOTHING, skipped, refused if offsets[0] >= self.offsets.position else None)
        batch = Batch(run.key, self._log.short_id, self.partition, offsets, records, now_s, age_ms)
        emitted = self._step(keyed.state, batch)
        keyed.next_offset = offsets[-1] + 1
        self.offsets.processed(run.key, offsets[0])
        if emitted.offer is not None and offsets[-1] >= self._beginning.committed:
            self._hold_offer(run.key, keyed, emitted.offer, now_s)
        return Processed(emitted, skipped)

    def timers(self, now_s: float) -> Iterator[Emitted]:
        """What time alone brings now."""
        return (self._stage.due(keyed.state, now_s) for keyed in self._states.values())

    def states(self) -> Iterator[S]:
        """Every state."""
        return (keyed.state for keyed in self._states.values())

    def unsaved_s(self, now_s: float) -> float:
        """How long what changed has not been written down; the longest of all keys, 0 where everything is saved."""
        dirty = [self._states[key] for key in list(self.offsets.dirty) if key in self._states]
        return max((now_s - keyed.saved_s for keyed in dirty), default=0.0)

    def begin_checkpoints(self, now_s: float, *, everything: bool) -> list[CheckpointDue]:
        """Write down the states whose time has come, or all that changed since they were saved."""
        due = []
        for key in list(self.offsets.dirty):
            keyed = self._states.get(key)
            if keyed is None:
                continue  # about to be read again
            if everything or now_s >= keyed.due_s:
                keyed.due_s, keyed.saved_s = now_s + self._checkpoint_s, now_s
                self.offsets.begin_save(key)
                saved = partial(self._saved, key, self._release_offer(keyed))
                due.append(CheckpointDue(key, self._written_down(key, keyed), saved))
        return due

    def abandon_checkpoints(self) -> None:
        """What was written down last will not be saved."""
        self.offsets.abandon()
        if self._companion is not None:
            for _ in range(self._offering):
                self._companion.dropped("moved")
        self._offering = 0

    def _saved(self, key: str, offer: object | None) -> None:
        self.offsets.saved(key)
        if offer is not None and self._companion is not None:
            self._offering -= 1
            self._companion.enqueue(key, offer, self)

    def _hold_offer(self, key: str, keyed: KeyedState[S], offer: object, now_s: float) -> None:
        if self._companion is None or not self._companion.wants(key, offer):
            return
        if keyed.offer is not None:
            self._companion.dropped("superseded")
        keyed.offer = offer
        keyed.due_s = now_s

    def _release_offer(self, keyed: KeyedState[S]) -> object | None:
        offer, keyed.offer = keyed.offer, None
        self._offering += offer is not None
        return offer

    def _state_of(self, key: str, now_s: float) -> KeyedState[S]:
        keyed = self._states.get(key)
        if keyed is None:
            due_s = first_due_s(key, now_s, self._checkpoint_s)
            keyed = self._states[key] = KeyedState(*self._restored(key), due_s, now_s)
        return keyed

    def _restored(self, key: str) -> tuple[S, int, bool]:
        """The state of the newest checkpoint and its offset, or a fresh one; and whether that one is lost."""
        payload = self._load(key)
        is_lost = not self._beginning.is_whole or self._was_refused(key)
        try:
            if payload is not None:
                checkpoint = Checkpoint.from_bytes(payload)
                is_ours = checkpoint.source_log == self._log.short_id
                if is_ours or self._stage.outlives_log:
                    return self._loaded(key, checkpoint), checkpoint.next_offset if is_ours else -1, False
        except DecodeError as error:
            self._unreadable(key, error)
            is_lost = True
        return self._stage.fresh(key), -1, is_lost

    def _loaded(self, key: str, checkpoint: Checkpoint) -> S:
        data = unseal(self._stage.layout, checkpoint.next_offset, checkpoint.state, self._stage.older)
        state = self._stage.load(key, data)
        if self._places is not None:
            self._places.check_state(state, self.partition)
        return state

    def _written_down(self, key: str, keyed: KeyedState[S]) -> bytes:
        state = seal(self._stage.layout, keyed.next_offset, self._stage.dump(keyed.state))
        return Checkpoint(key, self._log.short_id, self.partition, keyed.next_offset, state).to_bytes()

    def _refused(self, source: SourceRecord, record: R | MessageError) -> MessageError | None:
        """Why a record is not taken; None where it is."""
        if isinstance(record, MessageError):
            return record
        try:
            self._stage.check(record, Place(self.partition, self._log.partitions, source.timestamp))
        except MessageError as error:
            return error
        return self._set_aside.error_of(source.offset)

    def _add(self, runs: dict[str, list[Run[R]]], offset: int, record: R) -> None:
        key = self._stage.key(record)
        mine = runs.setdefault(key, [])
        if not mine or len(mine[-1].records) == self._most or self._set_aside.is_searched(key, offset):
            mine.append(Run(key, [], []))
        mine[-1].offsets.append(offset)
        mine[-1].records.append(record)

    def _step(self, state: S, batch: Batch[R]) -> Emitted:
        try:
            return self._stage.step(state, batch)
        except Exception as error:
            del self._states[batch.key]  # half of the batch may be in it
            raise self._set_aside.after_failure(batch.key, list(batch.offsets), error) from error

    def _check_first(self, key: str, keyed: KeyedState[S], offset: int, record: R) -> None:
        if keyed.is_lost or self._beginning.is_outdated(keyed.next_offset, offset):
            self._read_whole(key)
        is_doubtful = self._beginning.lacks(keyed.next_offset, offset) and not keyed.was_read_again
        if is_doubtful and not self._stage.connects(keyed.state, record):
            keyed.was_read_again = True
            raise self._beginning.from_offset(keyed.next_offset)
        keyed.is_first = False

    def _read_whole(self, key: str) -> None:
        """Read the whole log again where a key's state is lost, unless that is being done."""
        broken = self._beginning.broken(key)
        if broken is not None:
            self._broken(broken)
        again = self._beginning.from_start()
        if again is not None:
            self.offsets.withdraw(again.offset)
            raise again


def _judge(stage: Stage[S, R], log: NamedLog | None) -> NamedPlaceJudge | None:
    return NamedPlaceJudge(stage.names, log) if stage.names is not None and log is not None else None
