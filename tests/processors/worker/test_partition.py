"""One partition of any stage: decoded, processed, saved, read again. Books and regimes are the stages that show it."""

from __future__ import annotations

import pytest

from processors.worker.failures import ReadAgain
from schemas.bounds import MAX_PAYLOAD_BYTES
from schemas.topics import FACTORS
from tests.processors.staged import (
    LOG,
    OTHER_LOG,
    PARTITION,
    KafkaRecord,
    Reader,
    WantsAll,
    book_log,
    log_of,
    saved_after,
    stage_of,
    told,
)

BOOKS = stage_of("books")


def offsets(reader: Reader, records: list[KafkaRecord]) -> list[int]:
    return [emit.source_offset for emit in reader.read(records) if emit.source_offset is not None]


def test_records_that_a_state_holds_already_are_passed_over_and_counted() -> None:
    records = book_log(2, 3, 120)
    reader = Reader(BOOKS)
    reader.read(records[:80])

    assert reader.read(records[:80]) == []
    assert reader.skipped == 80
    assert min(offsets(reader, records[40:])) >= 80


def test_a_run_is_no_longer_than_one_step_takes() -> None:
    runs = Reader(BOOKS).held.decode(book_log(3, 1, 400)).runs

    assert [len(run.records) for run in runs] == [BOOKS.step_records] * 2 + [400 - 2 * BOOKS.step_records]


def test_runs_come_in_the_order_of_their_keys_first_records() -> None:
    records = book_log(3, 4, 100)
    runs = Reader(BOOKS).held.decode(records).runs

    assert [run.offsets[0] for run in runs] == sorted(run.offsets[0] for run in runs)
    assert sorted(offset for run in runs for offset in run.offsets) == list(range(100))


def test_what_does_not_decode_becomes_a_letter_with_its_origin() -> None:
    records = book_log(5, 1, 3)
    records[1].value = b"x" * (MAX_PAYLOAD_BYTES + 10)
    decoded = Reader(BOOKS).held.decode(records)
    [letter] = decoded.letters

    assert letter.letter_id == f"{LOG.topic_id}:{PARTITION}:1"
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("l2.v1", PARTITION, 1)
    assert (letter.reason, letter.role, letter.received_ns) == ("DecodeError", "processor", 1_700_000_000_000 * 10**6)
    assert (len(letter.payload), letter.payload_bytes) == (MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 10)
    assert (letter.venue, letter.symbol) == ("nowhere", "S0")
    assert sum(len(run.records) for run in decoded.runs) == 2


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"no colon"])
def test_a_letter_of_a_record_with_a_key_that_says_nothing_names_no_instrument(key: bytes | None) -> None:
    [letter] = Reader(BOOKS).held.decode([KafkaRecord(0, key, None)]).letters

    assert (letter.venue, letter.symbol, letter.payload) == ("", "", b"")


def test_a_bad_record_read_again_is_not_put_aside_again() -> None:
    records = [KafkaRecord(7, b"a:b", b"bad"), KafkaRecord(8, b"a:b", b"bad")]
    reader = Reader(BOOKS, 7)
    reader.held.offsets.advance(8)

    assert [letter.source_offset for letter in reader.held.decode(records).letters] == [8]


def test_checkpoints_fall_due_once_an_interval_and_all_at_the_end() -> None:
    reader = Reader(BOOKS)
    reader.read(book_log(6, 20, 400), now_s=100.0)
    at = {now: len(reader.held.begin_checkpoints(now, everything=False)) for now in (100.0, 102.5, 105.0)}
    reader.held.abandon_checkpoints()

    assert at[100.0] < 5
    assert 0 < at[102.5] < 20
    assert sum(at.values()) == 20, "each of the twenty once, spread over the interval"
    assert reader.held.begin_checkpoints(106.0, everything=False) == []
    assert len(reader.held.begin_checkpoints(106.0, everything=True)) == 20


def test_a_saved_state_is_due_again_only_after_it_has_changed() -> None:
    records = book_log(7, 1, 20)
    reader = Reader(BOOKS)
    reader.read(records[:10])
    assert reader.save() == ["nowhere:S0"]
    assert reader.save(100.0) == []

    reader.read(records[10:])
    assert reader.save(100.0) == ["nowhere:S0"]


def test_a_checkpoint_of_another_log_is_not_taken_where_the_stage_ends_with_its_log() -> None:
    """A recreated topic begins at offset 0: an old state would skip all of it."""
    records = book_log(8, 1, 100, wild=0.0)
    reader = Reader(BOOKS, saved=saved_after(BOOKS, records), log=OTHER_LOG)

    assert len([event for emit in reader.read(records) for event in told(emit)]) > 90


@pytest.mark.parametrize("damage", [b"", b"\x09" + b"x" * 40, None])
def test_a_checkpoint_that_cannot_be_read_is_told_and_its_key_starts_afresh(damage: bytes | None) -> None:
    records = book_log(9, 1, 100, wild=0.0)
    saved = saved_after(BOOKS, records[:50])
    [key] = saved
    saved[key] = saved[key][:-5] if damage is None else damage
    reader = Reader(BOOKS, 50, saved)

    assert reader.read(records[50:60]) == [], "a book waits for a snapshot"
    assert reader.unreadable == [key]


def test_a_state_too_old_for_where_reading_began_asks_to_read_again_once() -> None:
    """An earlier owner wrote an older checkpoint last; offsets were committed beyond it."""
    records = book_log(10, 1, 100, wild=0.0)
    reader = Reader(BOOKS, 60, saved_after(BOOKS, records[:40]))

    with pytest.raises(ReadAgain) as again:
        reader.read(records[60:])
    assert again.value.offset == 40
    assert offsets(reader, records[40:])[0] == 40


def test_a_quiet_key_whose_state_is_older_than_the_commit_just_goes_on() -> None:
    """Its next record connects: what lies between belongs to others."""
    records = book_log(13, 1, 101, wild=0.0)
    reader = Reader(BOOKS, 5000, saved_after(BOOKS, records[:100]))
    records[100].offset = 5000

    assert offsets(reader, records[100:]) == [5000]


REGIMES = stage_of("regimes")


def factor_log(seed: int) -> list[KafkaRecord]:
    return log_of(FACTORS, seed, 600)


def test_an_offer_is_made_only_when_the_checkpoint_that_holds_it_is_acknowledged() -> None:
    reader = Reader(REGIMES, companion=WantsAll())
    reader.read(factor_log(3))
    assert reader.sent
    assert reader.companion is not None
    assert reader.companion.given == []

    due = reader.held.begin_checkpoints(0.0, everything=False)
    assert len(due) == 3, "an offer does not wait for the next checkpoint"
    assert reader.companion.given == []
    for one in due:
        one.saved()
    assert {key for key, _ in reader.companion.given} == {one.key for one in due}


def test_the_newest_offer_of_a_key_waits_and_older_ones_are_dropped_and_counted() -> None:
    reader = Reader(REGIMES, companion=WantsAll())
    reader.read(factor_log(3))
    reader.save()
    assert reader.companion is not None

    assert len(reader.companion.given) == 3
    assert 1 < reader.companion.drops["superseded"] < len(reader.sent), "one offer a step, whatever it closed"


def test_offers_of_checkpoints_that_are_abandoned_are_counted() -> None:
    reader = Reader(REGIMES, companion=WantsAll())
    reader.read(factor_log(3))
    reader.held.begin_checkpoints(0.0, everything=True)
    reader.held.abandon_checkpoints()
    assert reader.companion is not None

    assert reader.companion.drops["moved"] == 3
    assert reader.companion.given == []


def test_what_nobody_wants_brings_no_checkpoint_forward() -> None:
    reader = Reader(REGIMES, companion=WantsAll(wanted=False))
    records = factor_log(5)
    reader.read(records[:30], now_s=0.0)
    assert len(reader.save(4.999, everything=False)) == 3
    reader.read(records[30:], now_s=5.0)
    assert reader.save(9.0, everything=False) == []
    assert len(reader.save(10.0, everything=False)) == 3
