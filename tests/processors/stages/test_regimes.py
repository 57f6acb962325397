"""The windows of one partition: what is refused, what outlives its log, and what is offered."""

from __future__ import annotations

from itertools import chain

import msgspec
import pytest

from processors.regimes.questions import is_due
from processors.regimes.state import RegimeState, close_windows
from processors.regimes.window import LATEST_NS
from processors.worker.changelog import Checkpoint, seal
from processors.worker.places import AskBroker
from schemas.codec import decode_as, encode
from schemas.errors import DecodeError, ImpossibleRecord, MessageError
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorRecord, RegimeEvent
from schemas.places import Extent, NamedPlace, is_inside
from tests.processors.regimes.generated import L2_LOG, RULES, Market, event_of, packed, record
from tests.processors.staged import LOG, PARTITION, KafkaRecord, Reader, WantsAll, stage_of

SYMBOLS = ("AAA", "BBB", "CCC")
REGIMES = stage_of("regimes")


def log_of(seed: int, events: int = 250) -> list[KafkaRecord]:
    """Three instruments' records in turn."""
    streams = [packed(Market(seed + n).events(events), [5, 40, 1], symbol=symbol) for n, symbol in enumerate(SYMBOLS)]
    rounds = chain.from_iterable(zip(*streams, strict=True))
    return [KafkaRecord(offset, str(each.instrument).encode(), encode(each)) for offset, each in enumerate(rounds)]


def expected(records: list[KafkaRecord]) -> dict[str, list[RegimeEvent]]:
    """In memory, in one go, instrument by instrument."""
    found: dict[str, list[RegimeEvent]] = {}
    states: dict[str, RegimeState] = {}
    for each in records:
        one = decode_as(FactorRecord, each.value or b"")
        closed = close_windows(states.setdefault(one.symbol, RegimeState()), one, RULES, lambda _: None)
        found.setdefault(one.symbol, []).extend(event_of(one.instrument, window) for window in closed)
    return found


def by_symbol(reader: Reader) -> dict[str, list[RegimeEvent]]:
    events = [decode_as(RegimeEvent, emit.value) for emit in reader.sent]
    return {symbol: [event for event in events if event.symbol == symbol] for symbol in SYMBOLS}


def test_every_closed_window_is_judged_as_in_memory() -> None:
    reader = Reader(REGIMES)
    reader.read(log_of(1))

    assert by_symbol(reader) == expected(log_of(1))


def test_a_window_in_a_checkpoint_is_never_closed_and_so_never_offered_again() -> None:
    records = log_of(3)
    first = Reader(REGIMES, companion=WantsAll())
    first.read(records)
    first.save()
    again = Reader(REGIMES, saved=first.saved, companion=WantsAll())
    again.read(records)
    again.save()

    assert first.companion is not None
    assert again.companion is not None
    assert len(first.companion.given) == len(SYMBOLS)
    assert (again.sent, again.companion.given) == ([], [])


def test_the_window_that_is_offered_is_the_newest_that_is_due_a_question() -> None:
    reader = Reader(REGIMES, companion=WantsAll())
    reader.read(log_of(3))
    reader.save()
    ends_ns = {symbol: {event.window_end_ns for event in events} for symbol, events in by_symbol(reader).items()}

    assert reader.companion is not None
    given = {key.split(":")[1]: closed for key, closed in reader.companion.given}
    assert given.keys() == set(SYMBOLS)
    for symbol, closed in given.items():
        assert is_due(closed)
        minutes_questions = {end_ns for end_ns in ends_ns[symbol] if end_ns // 10**9 % 60 == 50}
        assert closed.window.end_ns >= max(minutes_questions)


def test_a_checkpoint_of_the_rules_before_is_not_read() -> None:
    """Its numbers mean something else; the instrument warms up anew."""
    held = RegimeState(source_log=L2_LOG, next_offset=5)
    sealed = seal(1, 0, REGIMES.dump(held))
    reader = Reader(REGIMES, saved={KEY: Checkpoint(KEY, LOG.short_id, PARTITION, 0, sealed).to_bytes()})
    reader.read(in_a_log(packed(Market(5).events(100), [10], **AT_HOME)))

    assert reader.unreadable == [KEY]
    assert events_of(reader) == expected(in_a_log(packed(Market(5).events(100), [10], **AT_HOME)))["AAC"]


def test_a_state_outlives_the_factor_log_since_it_holds_the_books_offsets() -> None:
    """`factors.v1` recreated and filled again from the books' log: what was judged is not judged again."""
    records = log_of(7)
    reader = Reader(REGIMES)
    reader.read(records[:60])
    reader.save()
    elsewhere = {
        key: Checkpoint.from_bytes(payload)._replace(source_log="gWOcBj2e").to_bytes()
        for key, payload in reader.saved.items()
    }
    again = Reader(REGIMES, saved=elsewhere)
    again.read(records)
    both = {symbol: events + by_symbol(again)[symbol] for symbol, events in by_symbol(reader).items()}

    assert both == expected(records)
    assert again.counts["obflow_ignored_total", "already_processed"] > 0


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
    decoded = Reader(REGIMES).held.decode([KafkaRecord(17, b"binance-futures:AAA", value)])
    [letter] = decoded.letters

    assert decoded.runs == []
    assert (letter.letter_id, letter.role) == (f"OqQGnAVAQsuTXmL131QzrQ:{PARTITION}:17", "regimes")
    assert (letter.reason, letter.payload) == (error.__name__, value or b"")


def test_the_latest_time_still_makes_an_event_that_fits_its_record() -> None:
    events = Market(1).events(2)
    events[0] = msgspec.structs.replace(events[0], received_ns=LATEST_NS - 10**10)
    events[1] = msgspec.structs.replace(events[1], received_ns=LATEST_NS)
    reader = Reader(REGIMES)

    assert len(reader.read([KafkaRecord(0, b"", encode(record(events)))])) == 1


# places in the books' log

AT_HOME = {"symbol": "AAC", "partition": PARTITION}
"""An instrument whose key belongs in the partition under test."""
KEY = "binance-futures:AAC"
PARTITIONS = 6


class BookLog:
    """The books' log, of which only the broker knows the end."""

    def __init__(self, end: int, log: str = L2_LOG) -> None:
        self.true = Extent(log, dict.fromkeys(range(PARTITIONS), end))
        self.extent = Extent(log, {})
        self.is_fresh = False
        self.asked: list[NamedPlace] = []

    def knows(self, named: NamedPlace) -> bool:
        return self.is_fresh or is_inside(named, self.extent)

    def expire(self) -> None:
        self.is_fresh = False

    def refresh(self, named: NamedPlace) -> None:
        self.asked.append(named)
        self.extent, self.is_fresh = self.true, True


def in_a_log(values: list[FactorRecord]) -> list[KafkaRecord]:
    return [KafkaRecord(offset, KEY.encode(), encode(value)) for offset, value in enumerate(values)]


def read_asking(reader: Reader, records: list[KafkaRecord]) -> list[str]:
    """Read records as the agent does, asking the broker where it must; the reasons of letters."""
    reasons = []
    for source in records:
        [run] = reader.held.decode([source]).runs
        while True:
            try:
                processed = reader.held.process(run, 0.0)
            except AskBroker as ask:
                ask.log.refresh(ask.named)
                continue
            reader.sent += processed.emitted.records
            if processed.refused is not None:
                reasons.append(processed.refused.reason)
            break
        reader.held.offsets.advance(source.offset + 1)
    return reasons


def events_of(reader: Reader) -> list[RegimeEvent]:
    return [decode_as(RegimeEvent, emit.value) for emit in reader.sent]


def test_windows_go_on_as_if_no_false_origin_had_come() -> None:
    plain = packed(Market(5).events(300), [10], **AT_HOME)
    far = [msgspec.structs.replace(event, source_offset=2**60 + n) for n, event in enumerate(plain[3].events)]
    foreign = [
        msgspec.structs.replace(plain[3], events=far),
        msgspec.structs.replace(plain[3], source_log="elsewher"),
        msgspec.structs.replace(plain[3], source_partition=PARTITION + 1),
    ]
    reader = Reader(REGIMES, named_log=BookLog(end=plain[-1].events[-1].source_offset + 1))
    reasons = read_asking(reader, in_a_log([*plain[:4], *foreign, *plain[4:]]))

    assert reasons == ["ForeignRecord"] * 3
    assert events_of(reader) == expected(in_a_log(plain))["AAC"] != []
    assert not reader.counts


def test_a_record_that_was_refused_is_no_second_letter_when_it_is_read_again() -> None:
    plain = packed(Market(5).events(100), [10], **AT_HOME)
    records = in_a_log([*plain, msgspec.structs.replace(plain[3], source_log="elsewher")])
    reader = Reader(REGIMES, named_log=BookLog(end=10_000))

    assert read_asking(reader, records) == ["ForeignRecord"]
    assert read_asking(reader, records[-1:]) == []


def test_the_broker_is_asked_once_for_all_that_its_answer_holds() -> None:
    book_log = BookLog(end=10_000)
    read_asking(Reader(REGIMES, named_log=book_log), in_a_log(packed(Market(5).events(100), [10], **AT_HOME)))

    assert len(book_log.asked) == 1


def test_what_is_left_of_a_log_that_is_gone_is_taken_until_the_new_one_comes() -> None:
    old = packed(Market(6).events(120), [10], **AT_HOME, source_log="formerly")
    new = packed(Market(7).events(120), [10], **AT_HOME)
    reader = Reader(REGIMES, named_log=BookLog(end=10_000))
    reasons = read_asking(reader, in_a_log([*old[:-1], *new, old[-1]]))

    assert reasons == ["ForeignRecord"]
    assert {event.source_log for event in events_of(reader)} == {"formerly", L2_LOG}


def saved_state(state: RegimeState) -> dict[str, bytes]:
    sealed = seal(REGIMES.layout, 0, REGIMES.dump(state))
    return {KEY: Checkpoint(KEY, LOG.short_id, PARTITION, 0, sealed).to_bytes()}


def test_a_log_that_was_left_by_mistake_is_taken_again() -> None:
    saved = saved_state(RegimeState(source_log="elsewher", left_logs=[L2_LOG], next_offset=5))
    reader = Reader(REGIMES, saved=saved, named_log=BookLog(end=10_000))

    assert read_asking(reader, in_a_log(packed(Market(5).events(100), [10], **AT_HOME))) == []
    assert reader.sent != []


def test_a_state_ahead_of_the_books_log_is_not_taken() -> None:
    saved = saved_state(RegimeState(source_log=L2_LOG, next_offset=2**60))
    reader = Reader(REGIMES, saved=saved, named_log=BookLog(end=10_000))

    assert read_asking(reader, in_a_log(packed(Market(5).events(100), [10], **AT_HOME))) == []
    assert reader.unreadable == [KEY]
    assert reader.sent != []
