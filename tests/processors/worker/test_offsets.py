"""What may be committed, against a brute force that remembers every record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.worker.offsets import PartitionProgress
from schemas.messages import InstrumentKey

KEYS = [InstrumentKey("venue", symbol) for symbol in "ABC"]


def test_a_clean_partition_commits_its_position() -> None:
    progress = PartitionProgress(100)
    progress.advance(120)

    assert progress.committable(None) == 120


def test_the_first_record_after_a_checkpoint_holds_the_partition_back() -> None:
    progress = PartitionProgress(100)
    progress.processed(KEYS[0], 103)
    progress.advance(110)

    assert progress.committable(None) == 103


def test_what_is_processed_while_a_checkpoint_is_under_way_stays_held() -> None:
    progress = PartitionProgress(0)
    progress.processed(KEYS[0], 3)
    progress.begin_save(KEYS[0])
    progress.processed(KEYS[0], 7)
    progress.processed(KEYS[0], 9)
    progress.advance(10)
    progress.saved(KEYS[0])

    assert progress.committable(None) == 7
    assert list(progress.dirty) == [KEYS[0]]


def test_an_unacknowledged_send_holds_the_partition_back() -> None:
    progress = PartitionProgress(5)
    progress.advance(10)

    assert progress.committable(8) == 8


def test_reading_again_does_not_lower_the_position() -> None:
    progress = PartitionProgress(5)
    progress.advance(50)
    progress.advance(20)

    assert progress.position == 50


def test_an_abandoned_checkpoint_saves_nothing() -> None:
    progress = PartitionProgress(0)
    progress.processed(KEYS[0], 3)
    progress.begin_save(KEYS[0])
    progress.abandon()
    progress.processed(KEYS[0], 6)
    progress.advance(9)

    assert progress.committable(None) == 3


@given(
    st.lists(
        st.tuples(st.sampled_from(["process", "begin", "finish"]), st.sampled_from(range(3)), st.integers(1, 4)),
        max_size=60,
    )
)
def test_nothing_committable_is_unsaved(steps: list[tuple[str, int, int]]) -> None:
    progress = PartitionProgress(0)
    offset = 0
    processed: dict[int, InstrumentKey] = {}
    begun: dict[InstrumentKey, int] = {}
    saved: dict[InstrumentKey, int] = {}
    for step, which, count in steps:
        key = KEYS[which]
        if step == "process":
            progress.processed(key, offset)
            processed.update(dict.fromkeys(range(offset, offset + count), key))
            offset += count
            progress.advance(offset)
        elif step == "begin" and key in progress.dirty:
            progress.begin_save(key)
            begun[key] = offset
        elif step == "finish" and key in begun:
            saved[key] = begun.pop(key)
            progress.saved(key)

    unsaved = [at for at, key in processed.items() if at >= saved.get(key, 0)]

    assert progress.committable(None) == min([offset, *unsaved])
