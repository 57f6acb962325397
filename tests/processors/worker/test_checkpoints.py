"""Checkpoints leave behind their factors, count when acknowledged, and are read back by how far they have come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from processors.worker.changelog import Checkpoint, CheckpointDue, CheckpointRules
from processors.worker.checkpoints import Checkpointer, CheckpointStore
from processors.worker.outbox import Outbox, Send
from schemas.errors import DecodeError, MessageError
from schemas.partitions import partition_of

KEY = b"binance:BTCUSDT"
PARTITION = TP("books-changelog", 3)
PARTITIONS = 8
HOME = partition_of(KEY.decode(), PARTITIONS)
HOME_PARTITION = TP("books-changelog", HOME)


class SlowProducer:
    """Takes records; the test decides when each is acknowledged."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes, int | None]] = []
        self.futures: list[asyncio.Future[Any]] = []

    async def send(
        self, topic: str, value: bytes, key: bytes, partition: int | None, *, headers: Sequence[tuple[str, bytes]]
    ) -> asyncio.Future[Any]:
        self.sent.append((topic, value, key, partition))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


class Books:
    """A partition with one checkpoint due."""

    def __init__(self) -> None:
        self.partition = 3
        self.owned = True
        self.history: list[str] = []

    def begin_checkpoints(self, now_s: float, *, everything: bool) -> list[CheckpointDue]:
        return [CheckpointDue(KEY.decode(), b"state", lambda: self.history.append("saved"))]

    def abandon_checkpoints(self) -> None:
        self.history.append("abandoned")


class Running:
    """A checkpointer with its outbox, in the midst of saving."""

    def __init__(self) -> None:
        self.producer, self.books, self.kept = SlowProducer(), Books(), []  # type: ignore[var-annotated]
        self.outbox = Outbox(lambda: self.producer, fail=lambda error: None)
        self.checkpointer = Checkpointer(
            "books-changelog", self.outbox, lambda: [self.books], lambda *what: self.kept.append(what), now=lambda: 0.0
        )
        self.tasks = [asyncio.ensure_future(self.outbox.run())]

    async def __aenter__(self) -> Running:
        self.outbox.enqueue(Send("factors", b"k", b"factor", 3, source_partition=3, source_offset=1, is_result=True))
        self.saving = asyncio.ensure_future(self.checkpointer.save())
        self.tasks.append(self.saving)
        await self.turn()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def turn(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def acknowledge(self, number: int, offset: int = 0) -> None:
        self.producer.futures[number].set_result(SimpleNamespace(topic_partition=PARTITION, offset=offset))
        await self.turn()


async def test_a_checkpoint_leaves_only_after_the_factors_before_it_are_acknowledged() -> None:
    async with Running() as running:
        assert [value for _, value, _, _ in running.producer.sent] == [b"factor"]

        await running.acknowledge(0)
        assert running.producer.sent[1:] == [("books-changelog", b"state", KEY, 3)]


async def test_a_checkpoint_counts_only_when_it_is_acknowledged_itself() -> None:
    async with Running() as running:
        await running.acknowledge(0)
        assert running.books.history == []

        await running.acknowledge(1, offset=17)
        assert running.books.history == ["saved"]
        assert [(key, payload, sent.offset) for key, payload, sent in running.kept] == [(KEY, b"state", 17)]
        assert running.saving.done()


async def test_a_partition_lost_meanwhile_gets_no_checkpoint_from_this_worker() -> None:
    async with Running() as running:
        running.books.owned = False
        await running.acknowledge(0)

        assert len(running.producer.sent) == 1
        assert running.books.history == ["abandoned"]


async def test_a_checkpoint_holds_back_no_source_offset() -> None:
    async with Running() as running:
        await running.acknowledge(0)

        assert running.outbox.oldest_offset(3) is None


def event(value: bytes | None, key: bytes | None = KEY, partition: int = HOME, offset: int = 7) -> Any:
    tp = TP("books-changelog", partition)
    return SimpleNamespace(message=SimpleNamespace(key=key, value=value, partition=partition, offset=offset, tp=tp))


def checkpoint(next_offset: int, log: str = "OqQGnAVA", key: str = KEY.decode(), partition: int = HOME) -> bytes:
    return Checkpoint(key, log, partition, next_offset, b"state").to_bytes()


class Refusals(list[tuple[str, str]]):
    """What a store refused: the error's class, and its sentence."""

    def note(self, message: Any, error: MessageError) -> None:
        self.append((error.reason, str(error)))


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


@pytest.fixture
def store(refusals: Refusals) -> CheckpointStore:
    return store_of("books", refusals, outlives_log=False)


def store_of(name: str, refusals: Refusals, *, outlives_log: bool) -> CheckpointStore:
    table = SimpleNamespace(name=name)
    made = CheckpointStore("memory://", SimpleNamespace(), table, table_name=name)
    made.ask_rules = lambda: CheckpointRules("OqQGnAVA", outlives_log, dict.fromkeys(range(PARTITIONS), 100))
    made.on_refused = refusals.note
    return made


def recovered(store: CheckpointStore, *values: bytes | None) -> bytes | None:
    store.apply_changelog_batch([event(value) for value in values], to_key=lambda k: k, to_value=lambda v: v)
    found: bytes | None = store.data.get(KEY)
    return found


def test_a_checkpoint_survives_its_bytes() -> None:
    written = Checkpoint("binance:币安人生USDT", "abcdefgh", 65_535, 2**62, b"state")

    assert Checkpoint.from_bytes(written.to_bytes()) == written


@given(st.data())
def test_a_checkpoint_that_was_changed_anywhere_is_none(data: st.DataObject) -> None:
    payload = checkpoint(10)
    at = data.draw(st.integers(0, len(payload) - 1))
    changed = bytes([*payload[:at], payload[at] ^ data.draw(st.integers(1, 255)), *payload[at + 1 :]])

    for wrong in (changed, payload[:at], payload + b"x"):
        with pytest.raises(DecodeError):
            Checkpoint.from_bytes(wrong)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_checkpoint_or_a_message_error(payload: bytes) -> None:
    with pytest.raises(MessageError):
        CheckpointRules("OqQGnAVA", False, {}).read(KEY, payload, HOME)


async def test_recovery_keeps_the_checkpoint_that_has_come_further(store: CheckpointStore) -> None:
    assert recovered(store, checkpoint(10), checkpoint(40), checkpoint(30)) == checkpoint(40)
    assert recovered(store, checkpoint(20)) == checkpoint(40)
    assert recovered(store, checkpoint(41)) == checkpoint(41)


@pytest.mark.parametrize(
    ("foreign", "reason", "why"),
    [
        (None, "DecodeError", "without a key or a value"),
        (b"", "DecodeError", "has no head"),
        (b"garbage", "DecodeError", "has no head"),
        (b"\x01OqQGnAVA" + bytes(100), "DecodeError", "unknown version 1"),
        (checkpoint(50)[:-6] + b"others", "DecodeError", "checksum"),
        (checkpoint(101), "ForeignRecord", "the log ends at 100"),
        (checkpoint(2**63 - 1), "ForeignRecord", "the log ends at 100"),
        (checkpoint(-2), "ForeignRecord", "up to -2"),
        (checkpoint(50, log="gWOcBj2e"), "ForeignRecord", "OqQGnAVA is read"),
        (checkpoint(50, key="binance:ETHUSDT"), "ForeignRecord", "binance:ETHUSDT"),
        (checkpoint(50, partition=HOME + 1), "ForeignRecord", f"partition {HOME + 1}"),
    ],
)
async def test_a_checkpoint_that_is_not_from_here_replaces_none(
    store: CheckpointStore, refusals: Refusals, foreign: bytes | None, reason: str, why: str
) -> None:
    assert recovered(store, checkpoint(10), foreign) == checkpoint(10)
    assert recovered(store, checkpoint(12)) == checkpoint(12)
    [(found, sentence)] = refusals
    assert found == reason
    assert why in sentence


async def test_a_checkpoint_in_a_partition_where_its_key_does_not_belong_is_refused(
    store: CheckpointStore, refusals: Refusals
) -> None:
    elsewhere = (HOME + 1) % PARTITIONS
    store.apply_changelog_batch(
        [event(checkpoint(10, partition=elsewhere), partition=elsewhere)], to_key=lambda k: k, to_value=lambda v: v
    )

    assert KEY not in store.data
    assert [reason for reason, _ in refusals] == ["ForeignRecord"]
    assert store.was_refused(KEY), "compaction may have taken a good one for its sake"
    assert not store.was_refused(b"binance:ETHUSDT")


async def test_a_state_that_outlives_its_log_is_kept_until_the_new_log_has_one(
    refusals: Refusals,
) -> None:
    store = store_of("windows", refusals, outlives_log=True)
    old = checkpoint(10_000, log="gWOcBj2e")

    assert recovered(store, old) == old
    assert recovered(store, checkpoint(5)) == checkpoint(5)
    assert recovered(store, checkpoint(10_001, log="gWOcBj2e")) == checkpoint(5)
    assert [reason for reason, _ in refusals] == ["ForeignRecord"]


async def test_the_store_knows_how_far_it_knows_a_changelog_until_partitions_move(
    store: CheckpointStore,
) -> None:
    store.record_saved(KEY, checkpoint(10), HOME_PARTITION, 0)
    assert store.persisted_offset(HOME_PARTITION) == 0
    store.apply_changelog_batch([event(checkpoint(11), offset=6)], to_key=lambda k: k, to_value=lambda v: v)
    store.record_saved(KEY, checkpoint(12), HOME_PARTITION, 7)
    assert store.data[KEY] == checkpoint(12)
    assert store.persisted_offset(HOME_PARTITION) == 7

    await store.on_rebalance({HOME_PARTITION}, set(), set())
    assert store.persisted_offset(HOME_PARTITION) == 7

    await store.on_rebalance({HOME_PARTITION}, set(), {HOME_PARTITION})
    assert store.persisted_offset(HOME_PARTITION) is None


async def test_what_others_wrote_before_a_checkpoint_of_ones_own_is_still_to_be_read(store: CheckpointStore) -> None:
    """A worker that wakes after its session has one under way, and does not know yet that it has a successor."""
    recovered(store, checkpoint(10))
    store.record_saved(KEY, checkpoint(12), HOME_PARTITION, 9)
    assert store.persisted_offset(HOME_PARTITION) == 7

    await store.on_rebalance({HOME_PARTITION}, set(), set())
    read = [event(checkpoint(60), offset=8), event(checkpoint(12), offset=9)]
    store.apply_changelog_batch(read, to_key=lambda k: k, to_value=lambda v: v)
    assert store.data[KEY] == checkpoint(60)
    assert store.persisted_offset(HOME_PARTITION) == 9


async def test_the_checkpoints_of_a_partition_that_went_are_forgotten(store: CheckpointStore) -> None:
    store.record_saved(KEY, checkpoint(10), PARTITION, 7)
    await store.on_recovery_completed({TP("books-changelog", 4)}, set())

    assert KEY not in store.data


async def test_a_changelog_is_whole_where_it_holds_something_and_was_never_cut(store: CheckpointStore) -> None:
    assert not store.is_whole(HOME), "it may have been made anew"
    recovered(store, checkpoint(10))
    assert store.is_whole(HOME)

    store.ask_rules = lambda: CheckpointRules("OqQGnAVA", False, {}, cut=frozenset([HOME]))
    await store.on_rebalance(set(), set(), set())
    assert not store.is_whole(HOME)
