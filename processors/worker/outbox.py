"""What the worker sends: in order, bounded, every acknowledgement accounted for.

Records go to the aiokafka producer that Faust keeps, not through `topic.send`, which costs more than most steps do. One
task hands them over in the order they were put, so that the events of a partition leave in the order of its log. A send
that fails ends the process at once: what would leave after it must not (a sink drops what is not higher than what it
has, so the failed events would be lost). Restarted, the worker emits them again from its checkpoint.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from obflow.faults import FaultPoints
from processors.contract import Emit
from schemas.errors import DeliveryFailed, FatalError
from schemas.topics import Topic

MAX_IN_FLIGHT = 512
"""Records enqueued but not acknowledged, after which `wait_for_room` waits. A large record has about 80 KB."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """One record to be sent.

    Attributes:
        topic: Name on the broker.
        key, value: Bytes of the record.
        partition: Partition of `topic`; None leaves it to the key.
        source_partition, source_offset: The source record it came from, not to be committed before this is
            acknowledged; no offset where it holds nothing back.
        received_ns: Time at the socket of the newest event in it, ns UTC.
        is_result: Whether it is what the worker is there to make, for the fault point and for latency.
        headers: Of the record.
    """

    topic: str
    key: bytes
    value: bytes
    partition: int | None
    source_partition: int
    source_offset: int | None
    received_ns: int = 0
    is_result: bool = False
    headers: tuple[tuple[str, bytes], ...] = ()


class SendEmit(Protocol):
    """Puts what a stage emits on its way, given the source partition it came from; never waits."""

    def __call__(self, partition: int, emit: Emit, *, is_result: bool = False) -> None:
        """`is_result`: it is what the worker is there to make."""


class KafkaProducer(Protocol):
    """What is used of `AIOKafkaProducer`."""

    async def send(
        self, topic: str, value: bytes, key: bytes, partition: int | None, *, headers: Sequence[tuple[str, bytes]]
    ) -> asyncio.Future[Any]:
        """Put a record into a batch; the future is done when the broker has acknowledged it."""
        ...


class Outbox:
    """Records on their way out.

    Args:
        producer: Gives the producer underneath, once it has started.
        fail: Ends the process; must not return in production.
        on_acknowledged: Told of every record the broker has taken.
        faults: Armed fault points.
        max_in_flight: Bound of records put and not acknowledged.
    """

    def __init__(
        self,
        producer: Callable[[], KafkaProducer],
        fail: Callable[[FatalError], None],
        *,
        on_acknowledged: Callable[[Send], None] = lambda _: None,
        faults: FaultPoints | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._producer = producer
        self._fail = fail
        self._on_acknowledged = on_acknowledged
        self._faults = faults or FaultPoints()
        self._max_in_flight = max_in_flight
        self._queue: asyncio.Queue[tuple[int, Send, asyncio.Future[Any]]] = asyncio.Queue()
        self._numbers = 0
        self._unacknowledged: dict[int, dict[int, int | None]] = defaultdict(dict)
        self._in_flight = 0
        self._changed = asyncio.Event()
        self._failure: DeliveryFailed | None = None

    @property
    def in_flight(self) -> int:
        """Records put and not acknowledged."""
        return self._in_flight

    def enqueue(self, send: Send) -> asyncio.Future[Any]:
        """Take a record, never waiting. The future is done, with Kafka's metadata, when it is acknowledged.

        Raises:
            DeliveryFailed: An earlier send failed; nothing may leave any more.
        """
        if self._failure is not None:
            raise self._failure
        self._numbers += 1
        self._unacknowledged[send.source_partition][self._numbers] = send.source_offset
        self._in_flight += 1
        acknowledged: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((self._numbers, send, acknowledged))
        return acknowledged

    async def wait_for_room(self) -> None:
        """Wait until fewer than the bound are in flight.

        Raises:
            DeliveryFailed: A send failed, so the wait would never end.
        """
        while self._in_flight >= self._max_in_flight:
            await self._change()

    async def wait_until_acknowledged(self, partition: int) -> None:
        """Wait until all that was put for a source partition before this call is acknowledged.

        Raises:
            DeliveryFailed: A send failed, so the wait would never end.
        """
        last = self._numbers
        while self._oldest_number(partition) <= last:
            await self._change()

    def oldest_offset(self, partition: int) -> int | None:
        """Lowest source offset of a partition that something unacknowledged came from."""
        held = (offset for offset in self._unacknowledged[partition].values() if offset is not None)
        return min(held, default=None)

    async def run(self) -> None:
        """Hand records to the producer, for ever."""
        while self._failure is None:
            number, send, acknowledged = await self._queue.get()
            await self._hand_over(number, send, acknowledged)

    async def _hand_over(self, number: int, send: Send, acknowledged: asyncio.Future[Any]) -> None:
        try:
            if send.is_result and self._faults.fires("fail_send"):
                raise RuntimeError("a fault point refused it")
            sent = await self._producer().send(
                send.topic, send.value, key=send.key, partition=send.partition, headers=list(send.headers)
            )
        except Exception as error:
            self._failed(send, error)
        else:
            sent.add_done_callback(lambda done: self._on_done(number, send, acknowledged, done))

    def _on_done(self, number: int, send: Send, acknowledged: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
        # Runs before the producer's task takes the partition's next batch: the client sends one batch of a partition
        # at a time and both are callbacks of the same future, this one registered first.
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            self._failed(send, error or asyncio.CancelledError())
            return
        del self._unacknowledged[send.source_partition][number]
        self._in_flight -= 1
        self._changed.set()
        if not acknowledged.done():
            acknowledged.set_result(done.result())
        self._on_acknowledged(send)

    def _failed(self, send: Send, error: BaseException) -> None:
        if self._failure is not None:
            return
        self._failure = DeliveryFailed(
            f"a record was not acknowledged ({type(error).__name__}: {error})",
            next_step="restart the worker, it continues from its checkpoint",
            topic=send.topic,
            source_partition=send.source_partition,
            source_offset=send.source_offset,
        )
        self._changed.set()
        self._fail(self._failure)

    def _oldest_number(self, partition: int) -> int:
        return next(iter(self._unacknowledged[partition]), self._numbers + 1)

    async def _change(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._changed.clear()
        await self._changed.wait()


def sender(outbox: Outbox, name_of: Callable[[Topic], str]) -> SendEmit:
    """The way from a stage into an outbox.

    Args:
        outbox: Takes the records.
        name_of: Gives a topic's name on the broker.
    """

    def send(partition: int, emit: Emit, *, is_result: bool = False) -> None:
        outbox.enqueue(
            Send(
                name_of(emit.topic),
                key=emit.key.encode(),
                value=emit.value,
                partition=None if emit.by_key else partition,
                source_partition=partition,
                source_offset=emit.source_offset,
                received_ns=emit.received_ns,
                is_result=is_result,
                headers=emit.headers,
            )
        )

    return send
