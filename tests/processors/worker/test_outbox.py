"""Sends in order, bounded, and none after one that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from obflow.faults import FaultPoints
from processors.worker.outbox import Outbox, Send
from schemas.errors import DeliveryFailed, FatalError
from tests.support.patience import patient


class FakeProducer:
    """Takes records; the test decides when each is acknowledged or refused."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.futures: list[asyncio.Future[Any]] = []

    async def send(
        self, topic: str, value: bytes, key: bytes, partition: int | None, *, headers: Sequence[tuple[str, bytes]]
    ) -> asyncio.Future[Any]:
        self.sent.append((topic, value))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


def factor(offset: int, partition: int = 0) -> Send:
    return Send("factors", b"key", str(offset).encode(), partition, partition, offset, is_result=True)


class Running:
    """An outbox with its task, its producer and what it failed with."""

    def __init__(self, **options: Any) -> None:
        self.producer = FakeProducer()
        self.failures: list[FatalError] = []
        self.acknowledged: list[Send] = []
        self.outbox = Outbox(
            lambda: self.producer, self.failures.append, on_acknowledged=self.acknowledged.append, **options
        )
        self.task = asyncio.get_running_loop().create_task(self.outbox.run())

    async def turn(self, times: int = 5) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    async def __aenter__(self) -> Running:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_records_leave_in_the_order_they_were_put() -> None:
    async with Running() as running:
        for offset in range(20):
            running.outbox.enqueue(factor(offset))
        await running.turn(50)

        assert [int(value) for _, value in running.producer.sent] == list(range(20))


async def test_a_put_is_done_when_the_broker_has_it() -> None:
    async with Running() as running:
        future = running.outbox.enqueue(factor(7))
        await running.turn()
        assert not future.done()
        assert running.outbox.oldest_offset(0) == 7

        running.producer.futures[0].set_result("metadata")
        assert await future == "metadata"
        assert running.outbox.oldest_offset(0) is None
        assert [send.source_offset for send in running.acknowledged] == [7]


async def test_the_oldest_unacknowledged_offset_is_kept_by_partition() -> None:
    async with Running() as running:
        for offset, partition in ((9, 0), (4, 1), (10, 0)):
            running.outbox.enqueue(factor(offset, partition))
        await running.turn()
        running.producer.futures[0].set_result(None)
        await running.turn()

        assert running.outbox.oldest_offset(0) == 10
        assert running.outbox.oldest_offset(1) == 4


async def test_a_wait_for_acknowledgements_is_for_what_was_put_before_it() -> None:
    async with Running() as running:
        running.outbox.enqueue(factor(1))
        running.outbox.enqueue(factor(1, partition=5))
        waiting = asyncio.ensure_future(running.outbox.wait_until_acknowledged(0))
        await running.turn()
        running.outbox.enqueue(factor(2))
        await running.turn()
        assert not waiting.done()

        running.producer.futures[0].set_result(None)
        await asyncio.wait_for(waiting, patient(1))


async def test_room_is_full_at_the_bound_and_free_again_after_an_acknowledgement() -> None:
    async with Running(max_in_flight=2) as running:
        running.outbox.enqueue(factor(1))
        await asyncio.wait_for(running.outbox.wait_for_room(), patient(1))
        running.outbox.enqueue(factor(2))
        waiting = asyncio.ensure_future(running.outbox.wait_for_room())
        await running.turn()
        assert not waiting.done()

        running.producer.futures[0].set_result(None)
        await asyncio.wait_for(waiting, patient(1))


async def test_a_refused_record_ends_the_process_and_nothing_leaves_after_it() -> None:
    async with Running() as running:
        running.outbox.enqueue(factor(1))
        await running.turn()
        running.producer.futures[0].set_exception(TimeoutError("too late"))
        await running.turn()

        assert [type(error) for error in running.failures] == [DeliveryFailed]
        assert "TimeoutError: too late" in str(running.failures[0])
        assert "source_offset=1" in str(running.failures[0])
        with pytest.raises(DeliveryFailed):
            running.outbox.enqueue(factor(2))
        with pytest.raises(DeliveryFailed):
            await running.outbox.wait_until_acknowledged(0)
        assert len(running.producer.sent) == 1


async def test_several_refused_records_are_one_failure() -> None:
    async with Running() as running:
        for offset in (1, 2):
            running.outbox.enqueue(factor(offset))
        await running.turn()
        for future in running.producer.futures:
            future.set_exception(TimeoutError())
        await running.turn()

        assert len(running.failures) == 1


async def test_the_fault_point_refuses_the_nth_factor_record_and_what_waits_behind_stays() -> None:
    async with Running(faults=FaultPoints({"fail_send": 2})) as running:
        running.outbox.enqueue(Send("resync", b"", b"", None, 0, 0))
        for offset in (1, 2, 3):
            running.outbox.enqueue(factor(offset))
        await running.turn(20)

        assert [value for _, value in running.producer.sent] == [b"", b"1"]
        assert len(running.failures) == 1
