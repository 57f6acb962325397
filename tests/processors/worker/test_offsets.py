"""What may be committed, against a brute force that remembers every record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.worker.offsets import PartitionOffsets

KEYS = ["venue:A", "venue:B", "BTC-USDT-PERP"]


def test_a_clean_partition_commits_its_position() -> None:
    offsets = PartitionOffsets(100)
    offsets.advance(120)

    assert offsets.committable(None) == 120


def test_the_first_record_after_a_checkpoint_holds_the_partition_back() -> None:
    offsets = PartitionOffsets(100)
    offsets.processed(KEYS[0], 103)
    offsets.advance(110)

    assert offsets.committable(None) == 103


def test_what_is_processed_while_a_checkpoint_is_under_way_stays_held() -> None:
    offsets = PartitionOffsets(0)
    offsets.processed(KEYS[0], 3)
    offsets.begin_save(KEYS[0])
    offsets.processed(KEYS[0], 7)
    offsets.processed(KEYS[0], 9)
    offsets.advance(10)
    offsets.saved(KEYS[0])

    assert offsets.committable(None) == 7
    assert list(offsets.dirty) == [KEYS[0]]


def test_an_unacknowledged_send_holds_the_partition_back() -> None:
    offsets = PartitionOffsets(5)
    offsets.advance(10)

    assert offsets.committable(8) == 8


def test_reading_again_does_not_lower_the_position() -> None:
    offsets = PartitionOffsets(5)
    offsets.advance(50)
    offsets.advance(20)

    assert offsets.position == 50


def test_an_abandoned_checkpoint_saves_nothing() -> None:
    offsets = PartitionOffsets(0)
    offsets.processed(KEYS[0], 3)
    offsets.begin_save(KEYS[0])
    offsets.abandon()
    offsets.processed(KEYS[0], 6)
    offsets.advance(9)

    assert offsets.committable(None) == 3


@given(
    st.lists(
        st.tuples(st.sampled_from(["process", "begin", "finish"]), st.sampled_from(range(3)), st.integers(1, 4)),
        max_size=60,
    )
)
def test_nothing_committable_is_unsaved(steps: list[tuple[str, int, int]]) -> None:
    offsets = PartitionOffsets(0)
    offset = 0
    processed: dict[int, str] = {}
    begun: dict[str, int] = {}
    saved: dict[str, int] = {}
    for step, which, count in steps:
        key = KEYS[which]
        if step == "process":
            offsets.processed(key, offset)
            processed.update(dict.fromkeys(range(offset, offset + count), key))
            offset += count
            offsets.advance(offset)
        elif step == "begin" and key in offsets.dirty:
            offsets.begin_save(key)
            begun[key] = offset
        elif step == "finish" and key in begun:
            saved[key] = begun.pop(key)
            offsets.saved(key)

    unsaved = [at for at, key in processed.items() if at >= saved.get(key, 0)]

    assert offsets.committable(None) == min([offset, *unsaved])
