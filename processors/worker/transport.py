"""The Faust application around batch delivery: its transport, its producer and the codec that leaves batches alone."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import faust
from aiokafka.errors import UnknownTopicOrPartitionError
from faust.serializers.codecs import Codec
from faust.transport.drivers import aiokafka as driver

from processors.worker.delivery import LIBRARY_LOG, BatchConsumer, Delivery


class KeepingProducer(driver.Producer):  # type: ignore[misc] # untyped base
    """Faust's aiokafka producer, which keeps what it was given for as long as a broker may be away."""

    logger = LIBRARY_LOG

    def _new_producer(self, transactional_id: str | None = None) -> Any:  # noqa: ANN401 (untyped library object)
        """Make the producer. Its client and its sender have the time of one request already; these are three others."""
        producer, outage_s = super()._new_producer(transactional_id), self.app.outage_s
        producer._request_timeout_ms = round(outage_s * 1000)  # a wait for room
        producer._message_accumulator._batch_ttl = outage_s  # a batch that waits for a broker
        producer.client._wait_on_metadata = partial(
            _wait_on_metadata, producer.client, producer.client._wait_on_metadata, outage_s
        )
        return producer


async def _wait_on_metadata(client: Any, wait: Callable[[str], Awaitable[Any]], outage_s: float, topic: str) -> Any:  # noqa: ANN401 (untyped library objects)
    """Wait for what a topic looks like; the stock client takes it for unknown where it is the broker that is away."""
    give_up_s = time.monotonic() + outage_s
    while True:
        try:
            return await wait(topic)
        except UnknownTopicOrPartitionError:
            is_over = await client.force_metadata_update() or time.monotonic() >= give_up_s
            if is_over and client.cluster.partitions_for_topic(topic) is None:
                raise


class BatchTransport(driver.Transport):  # type: ignore[misc] # untyped base
    """Faust's aiokafka transport with the batch consumer."""

    Consumer = BatchConsumer
    Producer = KeepingProducer


class IdentityCodec(Codec):  # type: ignore[misc] # untyped base
    """Leaves values as they are: a batch is not bytes."""

    def _loads(self, s: Any) -> Any:  # noqa: ANN401
        return s

    def _dumps(self, s: Any) -> Any:  # noqa: ANN401
        return s


class BatchApp(faust.App):  # type: ignore[misc] # untyped base
    """A Faust application whose source topic is delivered in batches.

    Args:
        app_id: Name of the consumer group.
        delivery: The application's side.
        outage_s: How long what was sent is kept for a broker that is away, seconds.
        options: Faust's settings.
    """

    logger = LIBRARY_LOG

    def __init__(self, app_id: str, delivery: Delivery, *, outage_s: float, **options: Any) -> None:  # noqa: ANN401 (Faust's settings)
        self.delivery, self.outage_s = delivery, outage_s
        super().__init__(app_id, **options)

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Create none: checkpoints live in Kafka, and the root may be read-only."""
