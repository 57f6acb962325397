"""The windows of one partition: everything between factor records and what is sent, without Kafka and without a clock.

Records come in the order of the log. Those a state already holds change nothing, so a partition may be read again from
any earlier offset. A question for the language model is put only when the checkpoint behind its window is acknowledged:
a window is closed once in the life of a log, and asked about at most once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from processors.regimes.events import rule_event, rule_set
from processors.regimes.questions import Question
from processors.regimes.rules import RuleSettings
from processors.regimes.state import Closed, Passed, RegimeState, take
from processors.regimes.window import LATEST_NS, is_possible
from processors.worker.admission import SetAside, admit
from processors.worker.changelog import Checkpoint, Due, first_due_s
from processors.worker.cut import SourceLog, SourceRecord
from processors.worker.dead_letters import letter_about
from processors.worker.offsets import PartitionProgress
from schemas.errors import DecodeError, ForeignRecord, ImpossibleRecord, MessageError
from schemas.messages import DeadLetter, FactorRecord, InstrumentKey, RegimeEvent
from schemas.places import Extent, NamedPlace, check_named, is_inside, named_place

ROLE = "regimes"


class Asker(Protocol):
    """Whoever asks the language model."""

    def wants(self, instrument: InstrumentKey, closed: Closed) -> bool:
        """Whether a window is worth a question."""
        ...

    def put(self, question: Question) -> None:
        """Take a question, never waiting."""
        ...

    def dropped(self, reason: str) -> None:
        """Count a question that will never be asked."""
        ...


class Nobody:
    """The asker where no model is configured."""

    def wants(self, instrument: InstrumentKey, closed: Closed) -> bool:
        """Never."""
        return False

    def put(self, question: Question) -> None:
        """There is none to take: nothing is ever wanted."""

    def dropped(self, reason: str) -> None:
        """Nor one to be dropped."""


class BookLog(Protocol):
    """The books' log, in which factor events name places."""

    @property
    def extent(self) -> Extent:
        """The log as far as it is known."""
        ...

    def knows(self, named: NamedPlace) -> bool:
        """Whether enough is known to judge a place."""
        ...


class AskFirst(Exception):
    """Whether a place is inside the books' log is to be asked of the broker; nothing has changed."""

    def __init__(self, named: NamedPlace) -> None:
        super().__init__(named)
        self.named = named


class Judged(NamedTuple):
    """A window's event, and when the event that closed it was received, ns UTC."""

    event: RegimeEvent
    received_ns: int


class Kept:
    """One instrument as this worker holds it.

    Attributes:
        state: Its memory.
        next_offset: First offset of `factors.v1` that is not in it; -1 before the first.
        due_s: When its next checkpoint is due, monotonic seconds.
        question: Waits for the checkpoint of its window.
    """

    def __init__(self, state: RegimeState, next_offset: int, due_s: float) -> None:
        self.state = state
        self.next_offset = next_offset
        self.due_s = due_s
        self.question: Question | None = None


class PartitionRegimes:
    """Windows, progress and checkpoints of one partition.

    Args:
        partition: Which.
        position: Offset from which it is read.
        log: The source log.
        load: Gives the newest checkpoint of an instrument, if there is one.
        unreadable: Told of a checkpoint that cannot be read; its instrument then starts afresh.
        rules: Thresholds.
        checkpoint_s: Seconds between two checkpoints of an instrument that receives events.
        passed: Told of every event that was left out, and of every fresh start.
        asker: Whoever asks the language model.
        book_log: The books' log; None where the places that events name are not judged.

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
        rules: RuleSettings,
        checkpoint_s: float,
        passed: Callable[[Passed], None],
        asker: Asker,
        book_log: BookLog | None = None,
    ) -> None:
        self.partition = partition
        self.owned = True
        self.progress = PartitionProgress(position)
        self._log = log
        self._load = load
        self._unreadable = unreadable
        self._rules = rules
        self._rule_set = rule_set(rules)
        self._checkpoint_s = checkpoint_s
        self._passed = passed
        self._asker = asker
        self._book_log = book_log
        self._set_aside = SetAside(self.progress)
        self._again_until = 0
        self._kept: dict[InstrumentKey, Kept] = {}
        self._saving: list[Question] = []

    def process(self, source: SourceRecord, now_s: float) -> list[Judged]:
        """Take one record to its instrument and return the rules' events of the windows it closes.

        Raises:
            MessageError: It is none, or holds what no window takes; `letter` says so.
            AskFirst: It names a place of which not enough is known.
            ReadAgain: Handling it failed.
            FatalError: Handling records fails again and again.
        """
        if self._again_until <= source.offset < self.progress.position:
            return []
        record = self._admit(source)
        instrument = record.instrument
        kept = self._keep(instrument, now_s)
        self._check_named(kept.state, record)
        if source.offset < kept.next_offset:
            for _ in record.events:
                self._passed(Passed.REPEATED)
            return []
        closed = self._take(kept, record, source.offset)
        if closed and self._asker.wants(instrument, closed[-1]):
            self._hold(kept, Question(instrument, closed[-1], self), now_s)
        return [Judged(rule_event(instrument, each, self._rule_set), each.received_ns) for each in closed]

    def letter(self, source: SourceRecord, error: MessageError) -> DeadLetter:
        """The dead letter about a record that was refused."""
        return letter_about(self._log, self.partition, source, error, ROLE)

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
                payload = self._written_down(instrument, kept)
                due.append(Due(instrument, payload, partial(self._saved, instrument, self._release(kept))))
        return due

    def abandon(self) -> None:
        """What `due` wrote down will not be saved."""
        self.progress.abandon()
        for _ in self._saving:
            self._asker.dropped("moved")
        self._saving.clear()

    def _admit(self, source: SourceRecord) -> FactorRecord:
        set_aside = self._set_aside.error_of(source.offset)
        if set_aside is not None:
            raise set_aside
        return _usable(admit(FactorRecord, source, self.partition, self._log))

    def _check_named(self, state: RegimeState, record: FactorRecord) -> None:
        """Hold the places that events name against the books' log: one of another would displace it for good.

        A log that was deleted and made anew ends what came of the old one; what is left of that is taken as long as
        nothing came of the new one.
        """
        named = named_place(record)
        if self._book_log is None or named is None:
            return
        extent = self._extent_for(self._book_log, named)
        if named.log == extent.log:
            check_named(record, named, extent)
            state.left_logs = [log for log in state.left_logs if log != extent.log]
        elif state.source_log == extent.log:
            raise ForeignRecord(f"it names log {named.log}, and the books' log is {extent.log}")

    def _extent_for(self, book_log: BookLog, named: NamedPlace) -> Extent:
        if not book_log.knows(named):
            raise AskFirst(named)
        return book_log.extent

    def _take(self, kept: Kept, record: FactorRecord, offset: int) -> list[Closed]:
        instrument = record.instrument
        try:
            closed = take(kept.state, record, self._rules, self._passed)
        except Exception as error:
            del self._kept[instrument]  # half of the record may be in it
            self._again_until = max(self._again_until, offset + 1)
            raise self._set_aside.after_failure(instrument, [offset], error) from error
        kept.next_offset = offset + 1
        self.progress.processed(instrument, offset)
        return closed

    def _written_down(self, instrument: InstrumentKey, kept: Kept) -> bytes:
        log = self._log.short_id
        return Checkpoint(str(instrument), log, self.partition, kept.next_offset, kept.state.to_bytes()).to_bytes()

    def _hold(self, kept: Kept, question: Question, now_s: float) -> None:
        if kept.question is not None:
            self._asker.dropped("superseded")
        kept.question = question
        kept.due_s = now_s

    def _release(self, kept: Kept) -> Question | None:
        question, kept.question = kept.question, None
        if question is not None:
            self._saving.append(question)
        return question

    def _saved(self, instrument: InstrumentKey, question: Question | None) -> None:
        self.progress.saved(instrument)
        if question is not None:
            self._saving.remove(question)
            self._asker.put(question)

    def _keep(self, instrument: InstrumentKey, now_s: float) -> Kept:
        kept = self._kept.get(instrument)
        if kept is None:
            due_s = first_due_s(instrument, now_s, self._checkpoint_s)
            kept = self._kept[instrument] = Kept(*self._restored(instrument), due_s)
        return kept

    def _restored(self, instrument: InstrumentKey) -> tuple[RegimeState, int]:
        """The state of the newest checkpoint. It outlives `factors.v1`: what it holds are offsets of the books' log."""
        payload = self._load(instrument)
        try:
            if payload is not None:
                checkpoint = Checkpoint.from_bytes(payload)
                same = checkpoint.source_log == self._log.short_id
                return self._judged_state(checkpoint.state), checkpoint.next_offset if same else -1
        except DecodeError as error:
            self._unreadable(instrument, error)
        return RegimeState(), -1

    def _judged_state(self, data: bytes) -> RegimeState:
        """The state, unless it says that it holds events of records that the books' log does not have yet."""
        state = RegimeState.from_bytes(data)
        last = NamedPlace(state.source_log, self.partition, state.next_offset - 1)
        if self._book_log is not None and state.next_offset > 0:
            extent = self._extent_for(self._book_log, last)
            if last.log == extent.log and not is_inside(last, extent):
                raise DecodeError(f"a checkpoint holds events up to {last.offset}, where the books' log does not reach")
        return state


def _usable(record: FactorRecord) -> FactorRecord:
    for event in record.events:
        if not 0 <= event.received_ns <= LATEST_NS:
            raise ImpossibleRecord("a received time that no window holds", received_ns=event.received_ns)
        if not is_possible(event):
            raise ImpossibleRecord("a factor that no book has", source_offset=event.source_offset)
    return record
