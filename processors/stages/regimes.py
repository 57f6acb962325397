"""Factors to regimes: windows of `factors.v1` in, the rules' judgement of each closed one out, at once, in order.

A closed window that is due a question is also offered to the companion, which asks a language model: a window is closed
once in the life of a log, and offered at most once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from processors.contract import NOTHING, Batch, Count, Emit, Emitted, NamedPlaces, decode_each
from processors.derived.followed import keep_to_log, last_place
from processors.regimes.events import rule_event, rule_set
from processors.regimes.questions import is_due
from processors.regimes.rules import rule_settings
from processors.regimes.shown import shown
from processors.regimes.state import OLDER, Closed, Passed, RegimeState, close_windows
from processors.regimes.window import LATEST_NS, is_possible
from processors.regimes.words import rule_words
from schemas.codec import decode_as, encode
from schemas.errors import ImpossibleRecord, MessageError
from schemas.messages import FactorRecord, InstrumentKey
from schemas.places import Extent, NamedPlace, Place, check_place, named_place
from schemas.topics import FACTORS, L2, REGIMES, REGIMES_CHANGELOG, Topic


class BookPlaces:
    """The places in the books' log that factor events name."""

    topic = L2

    def named_by_record(self, record: FactorRecord) -> NamedPlace | None:
        """The place of its last event."""
        return named_place(record)

    def named_by_state(self, state: RegimeState, partition: int) -> NamedPlace | None:
        """The place of the last event taken."""
        return last_place(state, partition)

    def check(self, state: RegimeState, record: FactorRecord, extent: Extent) -> None:
        """Refuse events of another log than the books' own; as of `keep_to_log`."""
        keep_to_log(state, record, extent)


class RegimeOptions(Protocol):
    """What is read of the section `regimes`, beside the rules' thresholds."""

    @property
    def language(self) -> str:
        """Language of the sentences."""


class RegimesStage:
    """Keeps one open window an instrument and judges each that an event closes."""

    name = "regimes"
    role = "regimes"
    label = "regime"
    reads = FACTORS
    writes: tuple[Topic, ...] = (REGIMES,)
    changelog = REGIMES_CHANGELOG
    layout = 3
    older = OLDER
    outlives_log = True
    """What a state holds are offsets of the books' log: `factors.v1` may be made anew and filled again from there."""
    names: NamedPlaces[RegimeState, FactorRecord] | None = BookPlaces()
    shares: tuple[str, ...] = ()
    decode_records = 1
    """A record packs up to 256 events."""
    step_records = 1

    def __init__(self, options: RegimeOptions) -> None:
        self._rules = rule_settings(options)
        self._rule_set = rule_set(self._rules)
        self._language = options.language

    def decode(self, payloads: Sequence[bytes | None]) -> list[FactorRecord | MessageError]:
        """Decode records; one with an event that no window takes is refused whole."""
        return decode_each(_read, payloads)

    def check(self, record: FactorRecord, place: Place) -> None:
        """Refuse a record of an instrument of another partition."""
        check_place(record, place)

    def key(self, record: FactorRecord) -> str:
        """`venue:symbol`."""
        return f"{record.venue}:{record.symbol}"

    def fresh(self, key: str) -> RegimeState:
        """No window yet."""
        return RegimeState()

    def dump(self, state: RegimeState) -> bytes:
        """Write down the open window and what the rules remember."""
        return state.to_bytes()

    def load(self, key: str, data: bytes) -> RegimeState:
        """Read them."""
        return RegimeState.from_bytes(data)

    def connects(self, state: RegimeState, record: FactorRecord) -> bool:
        """Always: events do not say which one they follow."""
        return True

    def step(self, state: RegimeState, batch: Batch[FactorRecord]) -> Emitted:
        """Take events to their window: one rule event for each window they close."""
        records, passed, offer = [], Counter[Passed](), None
        for offset, record in zip(batch.offsets, batch.records, strict=True):
            for closed in close_windows(state, record, self._rules, lambda why: passed.update([why])):
                records.append(self._emit(record.instrument, batch.key, offset, closed))
                offer = closed if is_due(closed) else offer
        counts = [Count("obflow_ignored_total", "reason", why.value, number) for why, number in passed.items()]
        return Emitted(records, counts, offer=offer)

    def due(self, state: RegimeState, now_s: float) -> Emitted:
        """Nothing: windows close by their events alone."""
        return NOTHING

    def gauges(self, states: Iterable[RegimeState], now_s: float) -> Iterator[Count]:
        """None."""
        return iter(())

    def _emit(self, instrument: InstrumentKey, key: str, offset: int, closed: Closed) -> Emit:
        event = rule_event(instrument, closed, self._rule_set, rule_words(shown(closed), self._language))
        return Emit(REGIMES, key, encode(event), offset, closed.received_ns)


def _read(payload: bytes) -> FactorRecord:
    record = decode_as(FactorRecord, payload)
    for event in record.events:
        if not 0 <= event.received_ns <= LATEST_NS:
            raise ImpossibleRecord("a received time that no window holds", received_ns=event.received_ns)
        if not is_possible(event):
            raise ImpossibleRecord("a factor that no book has", source_offset=event.source_offset)
    return record
