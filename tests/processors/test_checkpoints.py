"""Checkpoints leave behind their factors, count when acknowledged, and are read back by how far they have come."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from processors.changelog import Checkpoint, Due
from processors.checkpoints import Checkpointer, CheckpointStore
from processors.outbox import Outbox, Send
from schemas.messages import InstrumentKey

INSTRUMENT = InstrumentKey("binance", "BTCUSDT")
KEY = b"binance:BTCUSDT"
PARTITION = TP("books-changelog", 3)


class SlowProducer:
    """Takes records; the test decides when each is acknowledged."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes, int | None]] = []
        self.futures: list[asyncio.Future[Any]] = []

    async def send(self, topic: str, value: bytes, key: bytes, partition: int | None) -> asyncio.Future[Any]:
        self.sent.append((topic, value, key, partition))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


class Books:
    """A partition with one checkpoint due."""

    def __init__(self) -> None:
        self.partition = 3
        self.owned = True
        self.history: list[str] = []

    def due(self, now_s: float, *, everything: bool) -> list[Due]:
        return [Due(INSTRUMENT, b"state", lambda: self.history.append("saved"))]

    def abandon(self) -> None:
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
        self.outbox.put(Send("factors", b"k", b"factor", 3, source_partition=3, source_offset=1, is_result=True))
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


def event(value: bytes | None, key: bytes = KEY) -> Any:
    return SimpleNamespace(key=key, value=value, message=SimpleNamespace(key=key, value=value, partition=3))


def checkpoint(next_offset: int, log: str = "OqQGnAVA") -> bytes:
    return Checkpoint(log, next_offset, b"state").to_bytes()


@pytest.fixture
def store() -> CheckpointStore:
    table = SimpleNamespace(name="books")
    return CheckpointStore("memory://", SimpleNamespace(), table, table_name="books")


def recovered(store: CheckpointStore, *values: bytes | None) -> bytes | None:
    store.apply_changelog_batch([event(value) for value in values], to_key=lambda k: k, to_value=lambda v: v)
    found: bytes | None = store.data.get(KEY)
    return found


async def test_recovery_keeps_the_checkpoint_that_has_come_further(store: CheckpointStore) -> None:
    assert recovered(store, checkpoint(10), checkpoint(40), checkpoint(30)) == checkpoint(40)
    assert recovered(store, checkpoint(20)) == checkpoint(40)
    assert recovered(store, checkpoint(41)) == checkpoint(41)


async def test_a_checkpoint_of_a_recreated_topic_replaces_the_old_ones(store: CheckpointStore) -> None:
    assert recovered(store, checkpoint(10_000), checkpoint(5, log="gWOcBj2e")) == checkpoint(5, log="gWOcBj2e")


async def test_what_cannot_be_read_is_handed_on_as_written(store: CheckpointStore) -> None:
    assert recovered(store, checkpoint(10), b"garbage") == b"garbage"
    assert recovered(store, None) is None


async def test_the_store_knows_how_far_it_knows_a_changelog_until_the_partition_comes_or_goes(
    store: CheckpointStore,
) -> None:
    store.keep(KEY, checkpoint(10), PARTITION, 7)
    store.keep(KEY, checkpoint(11), PARTITION, 6)
    assert store.data[KEY] == checkpoint(11)
    assert store.persisted_offset(PARTITION) == 7

    await store.on_rebalance({PARTITION}, set(), set())
    assert store.persisted_offset(PARTITION) == 7

    await store.on_rebalance({PARTITION}, set(), {PARTITION})
    assert store.persisted_offset(PARTITION) is None


async def test_the_checkpoints_of_a_partition_that_went_are_forgotten(store: CheckpointStore) -> None:
    store.keep(KEY, checkpoint(10), PARTITION, 7)
    await store.on_recovery_completed({TP("books-changelog", 4)}, set())

    assert KEY not in store.data
