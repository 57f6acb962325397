"""The windows of one partition, read in any pieces, read again, saved, lost and taken over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.regimes.events import rule_event, rule_set
from processors.regimes.partition import AskFirst, PartitionRegimes
from processors.regimes.questions import Question
from processors.regimes.rules import RuleSettings
from processors.regimes.state import Closed, Passed, RegimeState, take
from processors.regimes.window import LATEST_NS
from processors.worker.admission import ReadAgain
from processors.worker.changelog import Checkpoint
from processors.worker.cut import SourceLog
from schemas.codec import decode_as, encode
from schemas.errors import DecodeError, ImpossibleRecord, MessageError
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorRecord, InstrumentKey, RegimeEvent
from schemas.places import Extent, NamedPlace, is_inside
from tests.processors.regimes.generated import L2_LOG, Market, packed, record

RULES = RuleSettings()
LOG = SourceLog("factors.v1", "OqQGnAVAQsuTXmL131QzrQ", "OqQGnAVA")
PARTITION = 3
SYMBOLS = ("AAA", "BBB", "CCC")


@dataclass
class KafkaRecord:
    """A record as the consumer hands it over."""

    offset: int
    value: bytes | None
    key: bytes | None = b"binance-futures:AAA"
    timestamp: int = 1_700_000_000_000
    timestamp_type: int = 1


@dataclass
class Asker:
    """Wants everything; keeps what it was given."""

    wanted: bool = True
    put_: list[Question] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)

    def wants(self, instrument: InstrumentKey, closed: Closed) -> bool:
        return self.wanted

    def put(self, question: Question) -> None:
        self.put_.append(question)

    def dropped(self, reason: str) -> None:
        self.drops[reason] += 1


def log_of(seed: int, events: int = 250) -> list[KafkaRecord]:
    """Three instruments' records in turn."""
    streams = [packed(Market(seed + n).events(events), [5, 40, 1], symbol=symbol) for n, symbol in enumerate(SYMBOLS)]
    rounds = chain.from_iterable(zip(*streams, strict=True))
    return [KafkaRecord(offset, encode(each), str(each.instrument).encode()) for offset, each in enumerate(rounds)]


class Reader:
    """A partition's windows, and what is known of them elsewhere: checkpoints, and counts."""

    def __init__(self, saved: dict[InstrumentKey, bytes] | None = None, position: int = 0) -> None:
        self.saved = dict(saved or {})
        self.asker = Asker()
        self.passed: Counter[Passed] = Counter()
        self.unreadable: list[InstrumentKey] = []
        self.events: list[RegimeEvent] = []
        self.asked_offsets: list[int] = []
        self.held = PartitionRegimes(
            PARTITION,
            position,
            log=LOG,
            load=self.saved.get,
            unreadable=lambda instrument, _: self.unreadable.append(instrument),
            rules=RULES,
            checkpoint_s=5.0,
            passed=lambda why: self.passed.update([why]),
            asker=self.asker,
        )

    def read(self, records: list[KafkaRecord], now_s: float = 0.0) -> Reader:
        for each in records:
            self.events += [judged.event for judged in self.held.process(each, now_s)]
            self.held.progress.advance(each.offset + 1)
        return self

    def save(self, now_s: float = 0.0, *, everything: bool = True) -> list[InstrumentKey]:
        due = self.held.due(now_s, everything=everything)
        for one in due:
            self.saved[one.instrument] = one.payload
            one.saved()
        return [one.instrument for one in due]

    def committable(self) -> int:
        return self.held.progress.committable(None)


def expected(records: list[KafkaRecord]) -> dict[str, list[RegimeEvent]]:
    """In memory, in one go, instrument by instrument."""
    found: dict[str, list[RegimeEvent]] = {}
    states: dict[str, RegimeState] = {}
    for each in records:
        one = decode_as(FactorRecord, each.value or b"")
        closed = take(states.setdefault(one.symbol, RegimeState()), one, RULES, lambda _: None)
        found.setdefault(one.symbol, []).extend(
            rule_event(one.instrument, window, rule_set(RULES)) for window in closed
        )
    return found


def by_symbol(events: list[RegimeEvent]) -> dict[str, list[RegimeEvent]]:
    return {symbol: [event for event in events if event.symbol == symbol] for symbol in SYMBOLS}


def distinct(events: list[RegimeEvent]) -> list[RegimeEvent]:
    return list({(event.symbol, event.source_offset): event for event in events}.values())


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 80), st.booleans()), max_size=4))
def test_whatever_is_killed_where_every_window_is_judged_once_in_effect(
    seed: int, kills: list[tuple[int, bool]]
) -> None:
    """A worker reads, saves now and then, dies; the next reads from what was committed, with what was saved."""
    records = log_of(seed)
    reader, emitted, committed = Reader(), list[RegimeEvent](), 0
    for length, saves_first in kills:
        reader.read(records[committed : committed + length])
        if saves_first:
            reader.save()
        emitted += reader.events
        committed = reader.committable()
        reader = Reader(reader.saved, committed)
    emitted += reader.read(records[committed:]).events
    assert by_symbol(distinct(emitted)) == expected(records)
    assert len(dict.fromkeys(map(msgspec.json.encode, emitted))) == len(distinct(emitted))


def test_nothing_is_committed_beyond_what_no_checkpoint_holds() -> None:
    reader = Reader().read(log_of(1)[:30])
    assert reader.committable() == 0
    reader.save()
    assert reader.committable() == 30


def test_a_question_is_put_only_when_its_windows_checkpoint_is_acknowledged() -> None:
    reader = Reader().read(log_of(3))
    assert reader.events
    assert reader.asker.put_ == []
    due = reader.held.due(0.0, everything=False)
    assert {one.instrument.symbol for one in due} == set(SYMBOLS), "a question does not wait for the next checkpoint"
    assert reader.asker.put_ == []
    for one in due:
        one.saved()
    assert {question.instrument.symbol for question in reader.asker.put_} == set(SYMBOLS)
    newest = {event.symbol: event.window_end_ns for event in reader.events}
    assert {q.instrument.symbol: q.closed.window.end_ns for q in reader.asker.put_} == newest
    assert reader.asker.drops["superseded"] > 0


def test_a_window_in_a_checkpoint_is_never_closed_and_so_never_asked_about_again() -> None:
    records = log_of(3)
    first = Reader().read(records)
    first.save()
    asked = {(q.instrument, q.closed.window.end_ns) for q in first.asker.put_}
    again = Reader(first.saved).read(records)
    again.save()
    assert (again.events, again.asker.put_) == ([], [])
    assert asked


def test_without_questions_checkpoints_keep_their_interval() -> None:
    reader = Reader()
    reader.asker.wanted = False
    records = log_of(5, events=600)
    reader.read(records[:60], now_s=0.0)
    assert len(reader.save(4.999, everything=False)) == len(SYMBOLS)
    reader.read(records[60:90], now_s=5.0)
    assert reader.save(9.0, everything=False) == []
    assert len(reader.save(10.0, everything=False)) == len(SYMBOLS)


def test_questions_of_checkpoints_that_are_abandoned_are_counted() -> None:
    reader = Reader().read(log_of(3))
    reader.held.due(0.0, everything=True)
    reader.held.abandon()
    assert reader.asker.drops["moved"] == len(SYMBOLS)
    assert reader.asker.put_ == []


def test_a_checkpoint_that_cannot_be_read_starts_its_instrument_afresh() -> None:
    reader = Reader({InstrumentKey("binance-futures", "AAA"): b"\x09nonsense"}).read(log_of(1))
    assert reader.unreadable == [InstrumentKey("binance-futures", "AAA")]
    assert by_symbol(reader.events) == expected(log_of(1))


def test_a_state_outlives_the_factor_log_since_it_holds_the_books_offsets() -> None:
    """`factors.v1` recreated and filled again from the books' log: what was judged is not judged again."""
    records = log_of(7)
    reader = Reader().read(records[:60])
    reader.save()
    elsewhere = {
        instrument: Checkpoint.from_bytes(payload)._replace(source_log="gWOcBj2e").to_bytes()
        for instrument, payload in reader.saved.items()
    }
    again = Reader(elsewhere).read(records)
    assert by_symbol(reader.events + again.events) == expected(records)
    assert again.passed[Passed.REPEATED] > 0


def _with(index: int, **changes: object) -> bytes:
    events = Market(1).events(3)
    events[index] = msgspec.structs.replace(events[index], **changes)
    return encode(record(events))


def _values(name: str, value: float) -> tuple[float | None, ...]:
    return tuple(value if index == FACTOR_INDEX[name] else None for index in range(len(FACTOR_INDEX)))


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, DecodeError),
        (b"", DecodeError),
        (b"no record", DecodeError),
        (_with(0)[:-1], DecodeError),
        (_with(2, received_ns=LATEST_NS + 1), ImpossibleRecord),
        (_with(1, received_ns=-1), ImpossibleRecord),
        (_with(1, values=_values("ofi_l1", float("inf"))), ImpossibleRecord),
        (_with(1, values=_values("mid", float("nan"))), ImpossibleRecord),
        (_with(1, values=_values("obi_10bps", 1.5)), ImpossibleRecord),
        (_with(1, values=_values("bid_depth_10bps", 1e300)), ImpossibleRecord),
        (_with(1, values=_values("mid", 1e-300)), ImpossibleRecord),
    ],
)
def test_a_record_that_no_window_takes_is_refused_whole_and_its_letter_says_why(
    value: bytes | None, error: type[MessageError]
) -> None:
    reader, bad = Reader(), KafkaRecord(17, value)
    with pytest.raises(error) as raised:
        reader.held.process(bad, 0.0)
    letter = reader.held.letter(bad, raised.value)
    assert (letter.letter_id, letter.role, letter.reason) == (
        "OqQGnAVAQsuTXmL131QzrQ:3:17",
        "regimes",
        error.__name__,
    )
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("factors.v1", 3, 17)
    assert letter.payload == (value or b"")
    assert reader.committable() == 0


def test_the_latest_time_still_makes_an_event_that_fits_its_record() -> None:
    events = Market(1).events(2)
    events[0] = msgspec.structs.replace(events[0], received_ns=LATEST_NS - 10**10)
    events[1] = msgspec.structs.replace(events[1], received_ns=LATEST_NS)
    reader = Reader().read([KafkaRecord(0, encode(record(events)))])
    assert [encode(event) for event in reader.events]


class BookLog:
    """The books' log, of which only the broker knows the end."""

    def __init__(self, end: int, log: str = L2_LOG) -> None:
        self.true = Extent(log, dict.fromkeys(range(PARTITIONS), end))
        self.extent = Extent(log, {})
        self.is_fresh = False
        self.asked: list[NamedPlace] = []

    def knows(self, named: NamedPlace) -> bool:
        return self.is_fresh or is_inside(named, self.extent)

    def refresh(self, named: NamedPlace) -> None:
        self.asked.append(named)
        self.extent, self.is_fresh = self.true, True


AT_HOME = {"symbol": "AAC", "partition": PARTITION}
"""An instrument whose key belongs in the partition under test."""
PARTITIONS = 6


def judged_reader(book_log: BookLog, saved: dict[InstrumentKey, bytes] | None = None) -> Reader:
    reader = Reader(saved)
    reader.held._book_log = book_log
    return reader


def read_asking(reader: Reader, book_log: BookLog, *values: FactorRecord) -> list[str]:
    """Read records as the agent does, asking the broker where it must; the reasons of letters."""
    reasons = []
    for offset, value in enumerate(values, start=len(reader.asked_offsets)):
        source = KafkaRecord(offset, encode(value))
        reader.asked_offsets.append(offset)
        while True:
            try:
                reader.events += [judged.event for judged in reader.held.process(source, 0.0)]
            except AskFirst as ask:
                book_log.refresh(ask.named)
                continue
            except MessageError as error:
                reasons.append(error.reason)
            break
        reader.held.progress.advance(offset + 1)
    return reasons


def test_windows_go_on_as_if_no_false_origin_had_come() -> None:
    plain = packed(Market(5).events(300), [10], **AT_HOME)
    far = [msgspec.structs.replace(event, source_offset=2**60 + n) for n, event in enumerate(plain[3].events)]
    foreign = [
        msgspec.structs.replace(plain[3], events=far),
        msgspec.structs.replace(plain[3], source_log="elsewher"),
        msgspec.structs.replace(plain[3], source_partition=PARTITION + 1),
    ]
    book_log = BookLog(end=plain[-1].events[-1].source_offset + 1)
    reader = judged_reader(book_log)
    reasons = read_asking(reader, book_log, *plain[:4], *foreign, *plain[4:])

    assert reasons == ["ForeignRecord"] * 3
    assert reader.events == expected([KafkaRecord(n, encode(each)) for n, each in enumerate(plain)])["AAC"] != []
    assert not reader.passed


def test_the_broker_is_asked_once_for_all_that_its_answer_holds() -> None:
    plain = packed(Market(5).events(100), [10], **AT_HOME)
    book_log = BookLog(end=10_000)
    read_asking(judged_reader(book_log), book_log, *plain)

    assert len(book_log.asked) == 1


def test_what_is_left_of_a_log_that_is_gone_is_taken_until_the_new_one_comes() -> None:
    old = packed(Market(6).events(120), [10], **AT_HOME, source_log="formerly")
    new = packed(Market(7).events(120), [10], **AT_HOME)
    book_log = BookLog(end=10_000)
    reader = judged_reader(book_log)
    reasons = read_asking(reader, book_log, *old[:-1], *new, old[-1])

    assert reasons == ["ForeignRecord"]
    assert {event.source_log for event in reader.events} == {"formerly", L2_LOG}


def test_a_log_that_was_left_by_mistake_is_taken_again() -> None:
    plain = packed(Market(5).events(100), [10], **AT_HOME)
    book_log = BookLog(end=10_000)
    saved = state_bytes(RegimeState(source_log="elsewher", left_logs=[L2_LOG], next_offset=5))
    reader = judged_reader(book_log, saved)

    assert read_asking(reader, book_log, *plain) == []
    assert reader.events != []


def test_a_state_ahead_of_the_books_log_is_not_taken() -> None:
    plain = packed(Market(5).events(100), [10], **AT_HOME)
    book_log = BookLog(end=10_000)
    reader = judged_reader(book_log, state_bytes(RegimeState(source_log=L2_LOG, next_offset=2**60)))

    assert read_asking(reader, book_log, *plain) == []
    assert reader.unreadable == [InstrumentKey("binance-futures", "AAC")]
    assert reader.events != []


def state_bytes(state: RegimeState) -> dict[InstrumentKey, bytes]:
    key = InstrumentKey("binance-futures", "AAC")
    return {key: Checkpoint(str(key), LOG.short_id, PARTITION, 0, state.to_bytes()).to_bytes()}


def test_a_record_whose_handling_fails_is_set_aside_and_all_others_are_as_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = log_of(8)
    bad = 40

    def mistaken(state: RegimeState, one: FactorRecord, *rest: object) -> list[Closed]:
        closed = take(state, one, *rest)  # type: ignore[arg-type] # handed through
        if one == decode_as(FactorRecord, records[bad].value or b""):
            raise KeyError("a mistake")
        return closed

    monkeypatch.setattr("processors.regimes.partition.take", mistaken)
    reader, letters, again_from, at = Reader(), [], [], 0
    while at < len(records):
        if at == 20:
            reader.save()
        try:
            reader.read(records[at : at + 1])
        except ReadAgain as again:
            again_from.append(again.offset)
            at = again.offset
            continue
        except MessageError as error:
            letters.append((at, error.reason))
            reader.held.progress.advance(at + 1)
        at += 1

    assert letters == [(bad, "Unprocessable")]
    assert all(20 <= offset <= bad for offset in again_from), "from its last checkpoint"
    assert by_symbol(distinct(reader.events)) == expected(records[:bad] + records[bad + 1 :])
