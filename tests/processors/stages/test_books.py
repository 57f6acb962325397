"""The books of one partition: what becomes of its records, and when a snapshot is asked for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from processors.stages.books import PACKED_EVENTS
from processors.worker.failures import ReadAgain
from processors.worker.promises import READ_AGAIN_RECORDS
from schemas.codec import decode_as, encode
from schemas.errors import MessageError
from schemas.messages import FactorRecord, Kind, L2Record, Reason, Source
from tests.processors.staged import KafkaRecord, Reader, book_log, saved_after, stage_of


def books(position: int = 0, saved: dict[str, bytes] | None = None) -> Reader:
    return Reader(stage_of("books"), position, saved)


def factors(reader: Reader, records: list[KafkaRecord]) -> list[FactorRecord]:
    return [decode_as(FactorRecord, emit.value) for emit in reader.read(records)]


def changed(record: KafkaRecord, **fields: object) -> bytes:
    changed_record: L2Record = msgspec.structs.replace(decode_as(L2Record, record.value or b""), **fields)
    return encode(changed_record)


def requests(reader: Reader, now_s: float) -> list[Any]:
    return reader.timed(now_s)


def test_a_record_packs_no_more_events_than_it_may_hold() -> None:
    records = book_log(3, 1, 600, wild=0.0)
    packed = [len(record.events) for record in factors(books(), records)]

    assert packed[1:] == [PACKED_EVENTS] * 2 + [600 - 3 * PACKED_EVENTS]
    assert PACKED_EVENTS - 10 < packed[0] <= PACKED_EVENTS, "the first has none for what came before the snapshot"


def test_records_of_another_source_are_another_factor_record_in_source_order() -> None:
    records = book_log(4, 1, 12, wild=0.0)
    for index in (8, 9):
        records[index].value = changed(records[index], source=Source.REPLAY)
    found = factors(books(), records)

    assert [record.source for record in found] == [Source.SIMULATOR, Source.REPLAY, Source.SIMULATOR]
    assert [event.source_offset for event in found[1].events] == [8, 9]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"tick_size": "1e-3"}, "ImpossibleRecord"), ({"venue": "some:where"}, "ImpossibleRecord")],
)
def test_a_grid_or_a_venue_that_cannot_be_used_is_refused_and_not_the_batch(
    fields: dict[str, str], reason: str
) -> None:
    records = book_log(5, 1, 3, wild=0.0)
    records[1].value = changed(records[1], **fields)
    decoded = books().held.decode(records)

    assert [letter.reason for letter in decoded.letters] == [reason]
    assert [run.offsets for run in decoded.runs] == [[0, 2]]


def test_two_instruments_never_share_a_key() -> None:
    """`a:b` of venue `x` and `b` of venue `x:a` would: the second is no venue."""
    stage = stage_of("books")
    record = book_log(5, 1, 1)[0]
    same = [changed(record, venue="x", symbol="a:b"), changed(record, venue="x:a", symbol="b")]
    first, second = stage.decode(same)

    assert stage.key(first) == "x:a:b"
    assert isinstance(second, MessageError)


def test_an_event_of_factors_holds_back_the_first_offset_it_came_from() -> None:
    [first, second] = books().read(book_log(3, 1, 200, wild=0.0))

    assert first.source_offset == decode_as(FactorRecord, first.value).events[0].source_offset
    assert second.source_offset == PACKED_EVENTS
    assert second.received_ns == decode_as(FactorRecord, second.value).events[-1].received_ns


def test_a_threshold_changed_between_two_runs_holds_for_restored_books_too() -> None:
    records = book_log(16, 1, 100, wild=0.0)
    saved = saved_after(stage_of("books", thin_notional=1e-9), records[:60])
    restored = Reader(stage_of("books", thin_notional=1e300), 60, saved)

    statuses = {event.status for record in factors(restored, records[60:]) for event in record.events}
    assert "OK" not in statuses
    assert "THIN" in statuses


def test_where_even_reading_again_does_not_connect_the_book_is_broken() -> None:
    records = book_log(11, 1, 100, wild=0.0)
    reader = books(60, saved_after(stage_of("books"), records[:40]))
    with pytest.raises(ReadAgain):
        reader.read(records[60:])

    reader.read(records[60:70])
    [request] = requests(reader, 0.0)
    assert (request.reason, request.source_partition, request.source_offset) == (Reason.GAP, 3, 60)


def test_a_gap_behind_where_reading_began_is_a_gap_and_nothing_is_read_again() -> None:
    records = book_log(12, 1, 100, wild=0.0)
    reader = books(40, saved_after(stage_of("books"), records[:40]))

    reader.read(records[41:50])
    assert [request.reason for request in requests(reader, 0.0)] == [Reason.GAP]


def test_an_instrument_quiet_for_very_long_is_not_looked_for_in_all_the_log() -> None:
    records = book_log(13, 1, 102, wild=0.0)
    reader = books(READ_AGAIN_RECORDS + 101, saved_after(stage_of("books"), records[:100]))
    records[101].offset = READ_AGAIN_RECORDS + 101

    reader.read(records[101:])
    assert [request.reason for request in requests(reader, 0.0)] == [Reason.GAP]


def test_only_lower_epochs_for_ten_seconds_are_reported() -> None:
    records = book_log(14, 1, 30, wild=0.0)
    reader = books()
    reader.read(records)
    last = decode_as(L2Record, records[-1].value or b"")
    nothing: dict[str, object] = {"bid_ticks": [], "bid_lots": [], "ask_ticks": [], "ask_lots": []}
    stale = changed(records[-1], kind=Kind.DELTA, epoch=0, previous_sequence=0, **nothing)
    reader.read([KafkaRecord(30, b"", stale)], now_s=100.0)

    assert requests(reader, 109.0) == []
    [request] = requests(reader, 110.0)
    assert (request.reason, request.epoch) == (Reason.STALE_EPOCH, last.epoch)


def test_a_request_is_counted_and_told_in_the_log_with_what_it_says() -> None:
    records = book_log(12, 1, 60, wild=0.0)
    reader = books()
    reader.read(records[:40])
    reader.read(records[41:50])
    [asked] = [emitted for emitted in reader.held.timers(0.0) if emitted.records]

    assert [emit.source_offset for emit in asked.records] == [None], "a request holds nothing back"
    assert [(count.metric, count.value, count.number) for count in asked.counts] == [
        ("obflow_resyncs_total", "nowhere", 1)
    ]
    assert asked.warnings == [
        {"event": "resync_requested", "venue": "nowhere", "symbol": "S0", "reason": "gap", "attempt": 1, "offset": 41}
    ]
    assert reader.counts["obflow_gaps_total", "nowhere"] == 1


def test_what_is_ignored_is_counted_by_why() -> None:
    reader = books()
    reader.read(book_log(1, 4, 400))
    reasons = {value: number for (metric, value), number in reader.counts.items() if metric == "obflow_ignored_total"}

    assert set(reasons) == {"routine", "ignored_old_epoch", "ignored_not_live"}


def test_the_gauges_count_every_book_by_its_state() -> None:
    reader = books()
    reader.read(book_log(1, 4, 400))
    gauges = stage_of("books").gauges(reader.held.states(), 0.0)

    assert sum(gauge.number for gauge in gauges if gauge.metric == "obflow_books") == 4
    assert {(gauge.metric, gauge.value) for gauge in stage_of("books").gauges((), 0.0)} == {
        (metric, state)
        for metric in ("obflow_books", "obflow_book_age_seconds")
        for state in ("awaiting_snapshot", "live", "invalid")
    }


def test_the_age_of_a_book_is_the_time_since_its_last_record_here() -> None:
    reader = books()
    reader.read(book_log(1, 4, 400))
    for number, state in enumerate(reader.held.states()):
        state.heard_s = 100.0 + number
    gauges = list(stage_of("books").gauges(reader.held.states(), 107.5))
    ages = {gauge.value: gauge.number for gauge in gauges if gauge.metric == "obflow_book_age_seconds"}
    held = {gauge.value for gauge in gauges if gauge.metric == "obflow_books" and gauge.number}

    assert max(ages.values()) == 7.5
    assert {state for state, age_s in ages.items() if age_s} == held
