"""A committed offset without its checkpoints: told, and read again from the log's start; what is gone is named."""

from __future__ import annotations

import pytest

from processors.stages import STAGES
from processors.worker.failures import ReadAgain
from processors.worker.promises import BrokenPromise, PromiseBroken
from schemas.topics import FACTORS
from tests.processors.staged import KafkaRecord, Reader, WantsAll, book_log, log_of, saved_after, stage_of, told

BOOKS, REGIMES = stage_of("books"), stage_of("regimes")


@pytest.fixture
def records() -> list[KafkaRecord]:
    return book_log(21, 2, 100, wild=0.0)


def test_a_key_whose_checkpoint_is_gone_has_the_log_read_from_its_start(records: list[KafkaRecord]) -> None:
    reader = Reader(BOOKS, 60, log_start=0, is_whole=False)
    with pytest.raises(PromiseBroken) as again:
        reader.read(records[60:])

    assert again.value.offset == 0
    assert reader.broken == [BrokenPromise("nowhere:S0", 60, 0)]
    assert reader.held.offsets.committable(None) == 0, "nothing is promised until that is done"
    reader.read(records)
    assert [len(told(emit)) for emit in reader.sent] == [len(told(emit)) for emit in whole(records)]


def whole(records: list[KafkaRecord]) -> list[object]:
    reader = Reader(BOOKS)
    reader.read(records)
    return list(reader.sent)


def test_it_is_told_and_read_again_once_and_not_for_each_key(records: list[KafkaRecord]) -> None:
    reader = Reader(BOOKS, 60, log_start=0, is_whole=False)
    with pytest.raises(PromiseBroken):
        reader.read(records[60:])
    reader.read(records)

    assert len(reader.broken) == 1
    assert len(list(reader.held.states())) == 2


def test_a_new_key_is_taken_as_new_where_the_changelog_is_whole(records: list[KafkaRecord]) -> None:
    reader = Reader(BOOKS, 60, saved_after(BOOKS, records[:60]), log_start=0)
    newcomers = book_log(22, 5, 40, wild=0.0)
    others = [one for one in newcomers if one.key not in (b"nowhere:S0", b"nowhere:S1")]
    reader.read([KafkaRecord(60 + at, one.key, one.value) for at, one in enumerate(others)])

    assert reader.broken == []
    assert len(list(reader.held.states())) == 3


def test_a_key_of_which_only_a_refused_checkpoint_is_left_has_the_log_read_again(records: list[KafkaRecord]) -> None:
    """Compaction keeps the last record of a key, and so takes the good checkpoint before it."""
    saved = saved_after(BOOKS, records[:60])
    del saved["nowhere:S1"]
    reader = Reader(BOOKS, 60, saved, log_start=0, refused=frozenset(["nowhere:S1"]))
    with pytest.raises(PromiseBroken):
        reader.read(records[60:])

    assert [broken.key for broken in reader.broken] == ["nowhere:S1"]


@pytest.mark.parametrize("name", sorted(STAGES))
def test_older_checkpoints_in_a_changelog_made_anew_are_not_taken_for_the_newest(name: str) -> None:
    """Records of most stages do not say what they follow: nothing else would tell that a state lacks some."""
    stage = stage_of(name)
    log = log_of(stage.reads, 5, 600)
    saved, committed = saved_after(stage, log[: len(log) // 3]), len(log) * 2 // 3
    reader = Reader(stage, committed, dict(saved), log_start=0, is_whole=False, is_foreign=True)
    with pytest.raises(PromiseBroken) as again:
        reader.read(log[committed:])
    assert again.value.offset == 0
    reader.read(log)

    undisturbed = Reader(stage, 0, dict(saved))
    undisturbed.read(log)
    assert len(reader.broken) == 1
    assert said(reader) == said(undisturbed)


def said(reader: Reader) -> dict[str, list[bytes]]:
    by_key: dict[str, list[bytes]] = {}
    for emit in reader.sent:
        by_key.setdefault(emit.key, []).append(emit.value)
    return by_key


def test_a_checkpoint_that_cannot_be_read_has_the_log_read_again_too(records: list[KafkaRecord]) -> None:
    saved = saved_after(BOOKS, records[:60])
    saved = {key: data[:-1] for key, data in saved.items()}
    reader = Reader(BOOKS, 60, saved, log_start=0)
    with pytest.raises(PromiseBroken):
        reader.read(records[60:])

    assert reader.unreadable == ["nowhere:S0"]


def test_where_nothing_is_committed_nothing_is_promised(records: list[KafkaRecord]) -> None:
    reader = Reader(BOOKS, 60, is_whole=False)
    reader.read(records[60:])

    assert reader.broken == []


def test_what_the_log_no_longer_holds_is_named_and_reading_goes_on(records: list[KafkaRecord]) -> None:
    reader = Reader(BOOKS, 60, log_start=60, is_whole=False)
    reader.read(records[60:])

    assert [str(broken) for broken in reader.broken] == [
        "offset 60 is committed, and the changelog has no usable checkpoint of nowhere:S0; "
        "the log holds nothing before that: its state of records 0 to 59 is lost"
    ]
    assert reader.held.offsets.position == 100


def test_what_is_gone_of_a_log_that_is_read_again_is_named() -> None:
    assert "from offset 20; the log has lost records 0 to 19" in str(BrokenPromise("a:b", 60, 20))
    assert str(BrokenPromise("a:b", 60, 0)).endswith("read again from offset 0")


def test_a_quiet_state_is_asked_whether_it_connects_and_no_log_is_read(records: list[KafkaRecord]) -> None:
    reader = Reader(BOOKS, 60, saved_after(BOOKS, records[:40]), log_start=0)
    with pytest.raises(ReadAgain) as again:
        reader.read(records[60:])

    assert not isinstance(again.value, PromiseBroken)


def test_what_was_offered_before_is_not_offered_again() -> None:
    log = log_of(FACTORS, 3, 600)
    reader = Reader(REGIMES, len(log), log_start=0, is_whole=False, companion=WantsAll())
    last = KafkaRecord(len(log), log[-1].key, log[-1].value)
    with pytest.raises(PromiseBroken):
        reader.read([last])
    reader.read(log)
    reader.save()

    assert reader.sent
    assert reader.companion is not None
    assert reader.companion.given == []


def test_nothing_is_read_again_of_what_the_log_no_longer_holds(records: list[KafkaRecord]) -> None:
    saved = saved_after(BOOKS, records[:40])
    reader = Reader(BOOKS, 60, saved, log_start=60)
    reader.read(records[60:])
    assert reader.held.offsets.position == 100

    reader = Reader(BOOKS, 60, saved, log_start=50)
    with pytest.raises(ReadAgain) as again:
        reader.read(records[60:])
    assert again.value.offset == 50
