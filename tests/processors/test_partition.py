"""The books of one partition, read in any batches, read again, saved, lost and taken over."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.admission import MAX_UNFORESEEN, ReadAgain
from processors.changelog import Checkpoint
from processors.columns import FactorColumns, L2Columns
from processors.core import process_batch
from processors.partition import PACKED_EVENTS, READ_AGAIN_RECORDS, PartitionBooks
from processors.reading import SourceBatch, SourceLog
from processors.state import InstrumentState
from schemas.codec import decode, encode
from schemas.digest import event_bytes
from schemas.errors import DecodeError, FatalError
from schemas.messages import (
    MAX_PAYLOAD_BYTES,
    FactorEvent,
    InstrumentKey,
    Kind,
    L2Record,
    Reason,
    Source,
)
from schemas.partitions import partition_of
from schemas.units import MS_PER_DAY
from tests.processors.generated import GRIDS, Producer

LOG = SourceLog("l2.v1", "OqQGnAVAQsuTXmL131QzrQ", "OqQGnAVA")
OTHER_LOG = SourceLog("l2.v1", "gWOcBj2eQsuTXmL131QzrQ", "gWOcBj2e")
PARTITION = 3
Events = dict[InstrumentKey, dict[int, bytes]]


@dataclass
class KafkaRecord:
    """A record as the consumer hands it over."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 1_700_000_000_000
    timestamp_type: int = 1


def log_of(seed: int, instruments: int, records: int, wild: float = 0.1) -> list[KafkaRecord]:
    """Records of several instruments in one partition, drawn in turn at random."""
    random = Random(seed)
    producers = [
        Producer(Random(seed + number), 60_000, 40, 500, GRIDS[number % len(GRIDS)], wild, 60_000_000)
        for number in range(instruments)
    ]
    drawn = [
        msgspec.structs.replace((producer := random.choice(producers)).next(), symbol=f"S{producers.index(producer)}")
        for _ in range(records)
    ]
    return [KafkaRecord(offset, str(record.instrument).encode(), encode(record)) for offset, record in enumerate(drawn)]


def books_of(
    position: int = 0, saved: dict[InstrumentKey, bytes] | None = None, log: SourceLog = LOG, **options: float
) -> PartitionBooks:
    unreadable: list[object] = []
    books = PartitionBooks(
        PARTITION,
        position,
        log=log,
        load=(saved or {}).get,
        unreadable=lambda instrument, error: unreadable.append((instrument, error)),
        thin_notional=options.get("thin_notional", 10_000.0),
        checkpoint_s=options.get("checkpoint_s", 5.0),
    )
    books.unreadable_seen = unreadable  # type: ignore[attr-defined] # for the one test that asks
    return books


def batch_of(records: list[KafkaRecord], start: int | None = None) -> SourceBatch:
    first = records[0].offset if start is None else start
    return SourceBatch(PARTITION, first, records[-1].offset + 1, 1, list(records))


def emitted(
    books: PartitionBooks, records: list[KafkaRecord], now_s: float = 0.0
) -> list[tuple[InstrumentKey, FactorEvent]]:
    """Process records as the agent does; what it would send."""
    batch = batch_of(records)
    found = []
    for run in books.decode(batch).runs:
        processed = books.process(run, now_s)
        if processed.record is not None:
            found.extend((run.instrument, event) for event in processed.record.events)
    books.progress.advance(batch.end)
    return found


def expected_of(records: list[KafkaRecord]) -> Events:
    """What the core makes of each instrument's records in one go."""
    books = books_of()
    by_instrument: dict[InstrumentKey, tuple[list[int], list[L2Record]]] = {}
    for run in books.decode(batch_of(records)).runs:
        offsets, found = by_instrument.setdefault(run.instrument, ([], []))
        offsets.extend(run.offsets)
        found.extend(run.records)
    return {
        instrument: {
            event.source_offset: event_bytes(event)
            for event in process_batch(InstrumentState(), L2Columns.from_records(offsets, found)).events()
        }
        for instrument, (offsets, found) in by_instrument.items()
    }


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_any_batches_give_the_events_of_one(size: int) -> None:
    records = log_of(1, 4, 300)
    books = books_of()
    found: Events = {}
    for first in range(0, len(records), size):
        for instrument, event in emitted(books, records[first : first + size]):
            found.setdefault(instrument, {})[event.source_offset] = event_bytes(event)

    assert found == expected_of(records)
    assert books.progress.position == 300


def test_records_that_a_book_holds_already_are_passed_over() -> None:
    records = log_of(2, 3, 120)
    books = books_of()
    emitted(books, records[:80])

    assert emitted(books, records[:80]) == []
    again = emitted(books, records[40:])
    assert {event.source_offset for _, event in again}.isdisjoint(range(80))


def test_a_run_packs_no_more_events_than_a_record_may_hold() -> None:
    records = log_of(3, 1, 600, wild=0.0)
    runs = books_of().decode(batch_of(records)).runs

    assert [len(run.records) for run in runs] == [PACKED_EVENTS] * 3 + [600 - 3 * PACKED_EVENTS]


def test_records_of_another_source_are_another_run_in_source_order() -> None:
    records = log_of(4, 1, 6, wild=0.0)
    [run] = books_of().decode(batch_of(records)).runs
    for index in (2, 3):
        records[index].value = encode(msgspec.structs.replace(run.records[index], source=Source.REPLAY))
    runs = books_of().decode(batch_of(records)).runs

    assert [(run.source, run.offsets) for run in runs] == [
        (Source.SIMULATOR, [0, 1]),
        (Source.REPLAY, [2, 3]),
        (Source.SIMULATOR, [4, 5]),
    ]


def test_what_does_not_decode_becomes_a_letter_with_its_origin() -> None:
    records = log_of(5, 1, 3)
    records[1].value = b"x" * (MAX_PAYLOAD_BYTES + 10)
    decoded = books_of().decode(batch_of(records))
    [letter] = decoded.letters

    assert letter.letter_id == f"{LOG.topic_id}:{PARTITION}:1"
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("l2.v1", PARTITION, 1)
    assert (letter.reason, letter.role, letter.received_ns) == ("DecodeError", "processor", 1_700_000_000_000 * 10**6)
    assert (len(letter.payload), letter.payload_bytes) == (MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 10)
    assert (letter.venue, letter.symbol) == ("nowhere", "S0")
    assert sum(len(run.records) for run in decoded.runs) == 2


def test_a_grid_that_is_no_number_is_refused_and_not_the_batch() -> None:
    records = log_of(5, 1, 3, wild=0.0)
    [run] = books_of().decode(batch_of(records)).runs
    records[1].value = encode(msgspec.structs.replace(run.records[1], tick_size="1e-3"))
    decoded = books_of().decode(batch_of(records))

    assert [letter.reason for letter in decoded.letters] == ["ImpossibleRecord"]
    assert [run.offsets for run in decoded.runs] == [[0, 2]]


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"no colon"])
def test_a_letter_of_a_record_with_a_key_that_says_nothing_names_no_instrument(key: bytes | None) -> None:
    [letter] = books_of().decode(batch_of([KafkaRecord(0, key, None)])).letters

    assert (letter.venue, letter.symbol, letter.payload) == ("", "", b"")


def test_a_bad_record_read_again_is_not_put_aside_again() -> None:
    records = [KafkaRecord(7, b"a:b", b"bad"), KafkaRecord(8, b"a:b", b"bad")]
    books = books_of(7)
    books.progress.advance(8)

    assert [letter.source_offset for letter in books.decode(batch_of(records)).letters] == [8]


def test_checkpoints_fall_due_once_an_interval_and_all_at_the_end() -> None:
    records = log_of(6, 20, 400)
    books = books_of(checkpoint_s=5.0)
    emitted(books, records, now_s=100.0)
    at = {now: len(books.due(now, everything=False)) for now in (100.0, 102.5, 105.0)}
    books.abandon()

    assert at[100.0] < 5
    assert 0 < at[102.5] < 20
    assert sum(at.values()) == 20, "each of the twenty once, spread over the interval"
    assert books.due(106.0, everything=False) == []
    assert len(books.due(106.0, everything=True)) == 20


def test_a_saved_book_is_due_again_only_after_it_has_changed() -> None:
    records = log_of(7, 1, 20)
    books = books_of()
    emitted(books, records[:10])
    for due in books.due(0, everything=True):
        due.saved()
    assert books.due(100, everything=True) == []

    emitted(books, records[10:])
    assert len(books.due(100, everything=True)) == 1


def saved_after(records: list[KafkaRecord]) -> dict[InstrumentKey, bytes]:
    books = books_of()
    emitted(books, records)
    return {due.instrument: due.payload for due in books.due(0, everything=True)}


def test_a_checkpoint_of_another_log_is_not_taken() -> None:
    """A recreated topic begins at offset 0: an old state would skip all of it."""
    records = log_of(8, 1, 100, wild=0.0)
    books = books_of(saved=saved_after(records), log=OTHER_LOG)

    assert len(emitted(books, records)) > 90


@pytest.mark.parametrize("damage", [b"", b"\x09" + b"x" * 40, None])
def test_a_checkpoint_that_cannot_be_read_is_told_and_the_book_waits_for_a_snapshot(damage: bytes | None) -> None:
    records = log_of(9, 1, 100, wild=0.0)
    saved = saved_after(records[:50])
    [instrument] = saved
    saved[instrument] = saved[instrument][:-5] if damage is None else damage
    books = books_of(50, saved)

    assert emitted(books, records[50:60]) == []
    assert [type(error) for _, error in books.unreadable_seen] == [DecodeError]  # type: ignore[attr-defined]


def test_a_state_too_old_for_where_reading_began_asks_to_read_again_once() -> None:
    """An earlier owner wrote an older checkpoint last; offsets were committed beyond it."""
    records = log_of(10, 1, 100, wild=0.0)
    books = books_of(60, saved_after(records[:40]))

    with pytest.raises(ReadAgain) as again:
        emitted(books, records[60:])
    assert again.value.offset == 40

    found = dict(emitted(books, records[40:])[:1])
    assert next(iter(found.values())).source_offset == 40


def test_where_even_that_does_not_connect_the_book_is_broken() -> None:
    records = log_of(11, 1, 100, wild=0.0)
    books = books_of(60, saved_after(records[:40]))
    with pytest.raises(ReadAgain):
        emitted(books, records[60:])

    emitted(books, records[60:70])
    [request] = books.requests(0.0)
    assert (request.reason, request.source_offset) == (Reason.GAP, 60)


def test_a_gap_behind_where_reading_began_is_a_gap_and_nothing_is_read_again() -> None:
    records = log_of(12, 1, 100, wild=0.0)
    books = books_of(40, saved_after(records[:40]))

    emitted(books, records[41:50])
    assert [request.reason for request in books.requests(0.0)] == [Reason.GAP]


def test_a_quiet_instrument_whose_state_is_older_than_the_commit_just_goes_on() -> None:
    """Its next record connects: what lies between belongs to others."""
    records = log_of(13, 1, 101, wild=0.0)
    books = books_of(5000, saved_after(records[:100]))
    records[100].offset = 5000

    assert [event.source_offset for _, event in emitted(books, records[100:])] == [5000]


def test_an_instrument_quiet_for_very_long_is_not_looked_for_in_all_the_log() -> None:
    records = log_of(13, 1, 102, wild=0.0)
    books = books_of(READ_AGAIN_RECORDS + 101, saved_after(records[:100]))
    records[101].offset = READ_AGAIN_RECORDS + 101

    emitted(books, records[101:])
    assert [request.reason for request in books.requests(0.0)] == [Reason.GAP]


def test_only_lower_epochs_for_ten_seconds_are_reported() -> None:
    records = log_of(14, 1, 30, wild=0.0)
    books = books_of()
    emitted(books, records)
    [run] = books_of().decode(batch_of(records)).runs
    stale = msgspec.structs.replace(
        run.records[-1],
        kind=Kind.DELTA,
        epoch=0,
        previous_sequence=0,
        bid_ticks=[],
        bid_lots=[],
        ask_ticks=[],
        ask_lots=[],
    )
    emitted(books, [KafkaRecord(30, b"", encode(stale))], now_s=100.0)

    assert books.requests(109.0) == []
    [request] = books.requests(110.0)
    assert (request.reason, request.epoch) == (Reason.STALE_EPOCH, run.records[-1].epoch)


@dataclass
class Cluster:
    """A partition with its log, its changelog, its group's offset, and workers that come and go."""

    records: list[KafkaRecord]
    random: Random
    saved: dict[InstrumentKey, bytes] = field(default_factory=dict)
    committed: int = 0
    written: list[tuple[InstrumentKey, int, bytes]] = field(default_factory=list)
    in_flight: list[tuple[InstrumentKey, int, bytes]] = field(default_factory=list)
    old_checkpoints: list[tuple[InstrumentKey, bytes]] = field(default_factory=list)
    read_at: int = 0
    owner: PartitionBooks = field(init=False)

    def __post_init__(self) -> None:
        self.take_over()

    def take_over(self) -> None:
        """The owner dies with all it had in flight, but for what the broker took; another one starts."""
        taken = self.random.randint(0, len(self.in_flight))
        self.written.extend(self.in_flight[:taken])
        self.in_flight.clear()
        self.read_at = self.committed
        self.owner = books_of(self.committed, self.saved)

    def process(self, count: int) -> None:
        """A batch, of which a rebalance may cut off the end."""
        records = self.records[self.read_at : self.read_at + count]
        if not records:
            return
        batch = batch_of(records)
        runs = self.owner.decode(batch).runs
        stop_after = self.random.choice((len(runs), self.random.randint(0, len(runs))))
        for run in runs[:stop_after]:
            try:
                processed = self.owner.process(run, 0.0)
            except ReadAgain as again:
                self.read_at = again.offset
                return
            if processed.record is not None:
                self.in_flight.extend(
                    (run.instrument, event.source_offset, event_bytes(event)) for event in processed.record.events
                )
        if stop_after == len(runs):
            self.owner.progress.advance(batch.end)
            self.read_at = batch.end
        else:
            self.read_at = self.random.randint(min(self.committed, self.read_at), self.read_at)

    def save(self) -> None:
        """Factors acknowledged, then checkpoints acknowledged while processing goes on, then the offset."""
        due = self.owner.due(0, everything=True)
        self.written.extend(self.in_flight)
        self.in_flight.clear()
        self.process(self.random.randint(0, 10))
        acknowledged = self.random.choice((len(due), len(due), self.random.randint(0, len(due))))
        for one in self.random.sample(due, acknowledged):
            self.saved[one.instrument] = one.payload
            self.old_checkpoints.append((one.instrument, one.payload))
            one.saved()
        self.owner.abandon()
        self.commit()

    def commit(self) -> None:
        self.committed = max(self.committed, self.owner.progress.committable(self.oldest()))

    def oldest(self) -> int | None:
        return min((offset for _, offset, _ in self.in_flight), default=None)

    def zombie(self) -> None:
        """An owner of long ago still writes a checkpoint, after the new one."""
        if self.old_checkpoints:
            instrument, payload = self.random.choice(self.old_checkpoints)
            self.saved[instrument] = payload

    def finish(self) -> None:
        for _ in range(1000):
            if self.read_at >= len(self.records):
                break
            self.process(50)
        self.written.extend(self.in_flight)
        self.in_flight.clear()


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    steps=st.lists(
        st.sampled_from(["process", "process", "process", "save", "save", "commit", "crash", "zombie"]), max_size=40
    ),
)
def test_whatever_happens_the_log_holds_every_event_in_order_and_each_emission_agrees(
    seed: int, steps: list[str]
) -> None:
    random = Random(seed)
    cluster = Cluster(log_of(seed, 3, 120), random)
    for step in steps:
        if step == "process":
            cluster.process(random.randint(1, 25))
        elif step == "save":
            cluster.save()
        elif step == "commit":
            cluster.commit()
        elif step == "crash":
            cluster.take_over()
        else:
            cluster.zombie()
            cluster.take_over()
    cluster.finish()

    found: Events = {}
    for instrument, offset, content in cluster.written:
        assert found.setdefault(instrument, {}).setdefault(offset, content) == content
    assert found == {instrument: events for instrument, events in expected_of(cluster.records).items() if events}
    for events in found.values():
        assert list(events) == sorted(events), "a first emission lies behind a later event"


def home_log(partitions: int = 6) -> SourceLog:
    return LOG._replace(partitions=partitions)


def at_home(symbol: str, partitions: int = 6) -> bool:
    return partition_of(f"nowhere:{symbol}", partitions) == PARTITION


def test_a_record_of_an_instrument_of_another_partition_is_a_letter_and_no_books() -> None:
    records = log_of(15, 6, 200, wild=0.0)
    books = books_of(log=home_log())
    decoded = books.decode(batch_of(records))

    foreign = [record.offset for record in records if not at_home(decode(record.value).symbol)]  # type: ignore[union-attr, arg-type]
    assert [letter.source_offset for letter in decoded.letters] == foreign != []
    assert {letter.reason for letter in decoded.letters} == {"ForeignRecord"}
    assert all(at_home(run.instrument.symbol) for run in decoded.runs)


@pytest.mark.parametrize("epoch", [9_223_372_036_854, 1_700_000_000_000 + 2 * MS_PER_DAY])
def test_an_epoch_far_ahead_is_a_letter_and_the_book_goes_on(epoch: int) -> None:
    records = log_of(16, 1, 60, wild=0.0)
    plain = expected_of(records)
    [run] = books_of().decode(batch_of(records)).runs
    poison = msgspec.structs.replace(run.records[30], epoch=epoch, kind=Kind.INVALID, reason=Reason.GAP, **NO_LEVELS)
    spoilt = [*records[:30], KafkaRecord(30, b"", encode(poison)), *(moved(record) for record in records[30:])]
    books = books_of()

    assert len(emitted(books, spoilt)) == sum(map(len, plain.values()))
    assert [letter.error for letter in books_of().decode(batch_of(spoilt)).letters] != []


NO_LEVELS: dict[str, list[int]] = {
    name: [] for name in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots", "trade_ticks", "trade_lots")
}


def moved(record: KafkaRecord) -> KafkaRecord:
    return KafkaRecord(record.offset + 1, record.key, record.value)


class Mistaken:
    """The core, which fails on these offsets, halfway through the records it was given."""

    def __init__(self, *offsets: int) -> None:
        self._offsets = set(offsets)
        self.failures = 0

    def __call__(self, state: InstrumentState, columns: L2Columns) -> FactorColumns:
        bad = self._offsets & set(columns.source_offset)
        if not bad:
            return process_batch(state, columns)
        self.failures += 1
        row = columns.source_offset.index(min(bad))
        if row:
            process_batch(state, L2Columns.from_records(columns.source_offset[:row], rows_of(columns, row)))
        raise KeyError("a mistake")


def rows_of(columns: L2Columns, count: int) -> list[L2Record]:
    return [columns.record(row) for row in range(count)]


def read_to_the_end(books: PartitionBooks, records: list[KafkaRecord], size: int) -> tuple[Events, list[int]]:
    """Read in batches, again from where it is asked; events by instrument and offset, and the letters' offsets."""
    events: Events = {}
    letters: list[int] = []
    at = 0
    while at < len(records):
        batch = batch_of(records[at : at + size], start=at)
        decoded = books.decode(batch)
        try:
            for run in decoded.runs:
                record = books.process(run, 0.0).record
                for event in record.events if record else ():
                    known = events.setdefault(run.instrument, {}).setdefault(event.source_offset, event_bytes(event))
                    assert known == event_bytes(event), "what is sent again is the same"
        except ReadAgain as again:
            at = again.offset
            continue
        letters += [letter.source_offset for letter in decoded.letters]
        books.progress.advance(batch.end)
        at = batch.end
    return events, letters


@pytest.mark.parametrize("size", [1, 10, 200])
@pytest.mark.parametrize("bad", [[0], [57], [199], [40, 41, 130]])
def test_a_record_whose_handling_fails_is_set_aside_and_all_others_are_as_without_it(
    size: int, bad: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = log_of(17, 3, 200, wild=0.0)
    core = Mistaken(*bad)
    monkeypatch.setattr("processors.partition.process_batch", core)
    books = books_of()
    events, letters = read_to_the_end(books, records, size)

    assert letters == bad
    assert core.failures >= len(bad)
    assert events == expected_of([record for record in records if record.offset not in bad])
    assert books.decode(batch_of(records[bad[0] : bad[0] + 1])).letters == [], "it was told once"


def test_a_core_that_fails_on_everything_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    records = log_of(18, 1, 100, wild=0.0)
    monkeypatch.setattr("processors.partition.process_batch", Mistaken(*range(100)))

    with pytest.raises(FatalError, match=f"{MAX_UNFORESEEN + 1} records"):
        read_to_the_end(books_of(), records, 10)


def test_while_a_record_is_looked_for_no_checkpoint_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    records = log_of(19, 1, 20, wild=0.0)
    monkeypatch.setattr("processors.partition.process_batch", Mistaken(15))
    books = books_of()
    emitted(books, records[:10])
    with pytest.raises(ReadAgain) as again:
        emitted(books, records[10:])

    assert again.value.offset == 0, "no checkpoint holds anything yet"
    assert books.due(100.0, everything=True) == []
    assert books.progress.committable(None) == 0


def test_a_checkpoint_whose_state_has_come_to_another_offset_is_none() -> None:
    records = log_of(20, 1, 60, wild=0.0)
    saved = saved_after(records[:50])
    [(instrument, payload)] = saved.items()
    patched = Checkpoint.from_bytes(payload)._replace(next_offset=55).to_bytes()
    books = books_of(50, {instrument: patched})

    assert emitted(books, records[50:]) == []
    assert [type(error) for _, error in books.unreadable_seen] == [DecodeError]  # type: ignore[attr-defined]
