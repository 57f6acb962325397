"""The windows of one partition: everything between factor records and what is sent, without Kafka and without a clock.

Records come in the order of the log. Those a state already holds change nothing, so a partition may be read again from
any earlier offset. A question for the language model is put only when the checkpoint behind its window is acknowledged:
a window is closed once in the life of a log, and asked about at most once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from processors.changelog import Checkpoint, Due, first_due_s
from processors.letters import letter_about
from processors.progress import PartitionProgress
from processors.reading import SourceLog, SourceRecord
from processors.regimes.events import rule_event, rule_set
from processors.regimes.questions import Question
from processors.regimes.rules import RuleSettings
from processors.regimes.state import Closed, Passed, RegimeState, take
from processors.regimes.window import LATEST_NS, is_possible
from schemas.codec import decode_as
from schemas.errors import DecodeError, ImpossibleRecord, MessageError
from schemas.messages import DeadLetter, FactorRecord, InstrumentKey, RegimeEvent

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
        self._kept: dict[InstrumentKey, Kept] = {}
        self._saving: list[Question] = []

    def process(self, source: SourceRecord, now_s: float) -> list[Judged]:
        """Take one record to its instrument and return the rules' events of the windows it closes.

        Raises:
            MessageError: It is none, or holds what no window takes; `letter` says so.
        """
        if source.offset < self.progress.position:
            return []
        record = _decode(source.value)
        instrument = record.instrument
        kept = self._keep(instrument, now_s)
        if source.offset < kept.next_offset:
            for _ in record.events:
                self._passed(Passed.REPEATED)
            return []
        closed = take(kept.state, record, self._rules, self._passed)
        kept.next_offset = source.offset + 1
        self.progress.processed(instrument, source.offset)
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
            kept = self._kept[instrument]
            if everything or now_s >= kept.due_s:
                kept.due_s = now_s + self._checkpoint_s
                self.progress.begin_save(instrument)
                payload = Checkpoint(self._log.short_id, kept.next_offset, kept.state.to_bytes()).to_bytes()
                due.append(Due(instrument, payload, partial(self._saved, instrument, self._release(kept))))
        return due

    def abandon(self) -> None:
        """What `due` wrote down will not be saved."""
        self.progress.abandon()
        for _ in self._saving:
            self._asker.dropped("moved")
        self._saving.clear()

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
                return RegimeState.from_bytes(checkpoint.state), checkpoint.next_offset if same else -1
        except DecodeError as error:
            self._unreadable(instrument, error)
        return RegimeState(), -1


def _decode(payload: bytes | None) -> FactorRecord:
    if payload is None:
        raise DecodeError("a record without a value")
    record = decode_as(FactorRecord, payload)
    for event in record.events:
        if not 0 <= event.received_ns <= LATEST_NS:
            raise ImpossibleRecord("a received time that no window holds", received_ns=event.received_ns)
        if not is_possible(event):
            raise ImpossibleRecord("a factor that no book has", source_offset=event.source_offset)
    return record
