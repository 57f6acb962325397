"""One process at a time produces an instrument: a replay keeps away from one that is live."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import KafkaException, TopicPartition

from obflow import kafka
from obflow.clock import Clock
from obflow.settings import Settings
from obflow.topics import topic_name
from schemas.codec import decode_as
from schemas.errors import DecodeError, ImpossibleRecord, UsageError
from schemas.messages import FeedState, FeedStatus, InstrumentKey, Source
from schemas.topics import FEED_STATUS

FRESH_SECONDS = 60.0
"""A status older than this, by Kafka's time, is of a producer that is gone: it would have sent a heartbeat."""
BATCH = 1_000
NS_PER_MS = 1_000_000


def refuse_where_live(settings: Settings, venue: str, symbols: Iterable[str], clock: Clock) -> None:
    """Make sure that nobody produces these instruments live, or from the simulator, into these topics.

    Raises:
        UsageError: Somebody does.
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """
    wanted = set(symbols)
    live = [
        status
        for status in latest_statuses(settings, clock).values()
        if status.venue == venue
        and status.symbol in wanted
        and status.source is not Source.REPLAY
        and status.state is not FeedState.STOPPED
    ]
    if live:
        names = ", ".join(sorted(status.symbol for status in live)[:5])
        raise UsageError(
            f"{names} of {venue} is produced into these topics right now (source {live[0].source})",
            next_step="replay beside it with --topic-prefix, or stop that producer and wait a minute",
        )


def latest_statuses(settings: Settings, clock: Clock) -> dict[InstrumentKey, FeedStatus]:
    """The newest status of each instrument within the last minute, by Kafka's time. Errors as `refuse_where_live`."""
    topic = topic_name(settings, FEED_STATUS)
    ends = {partition: end for (_, partition), end in kafka.end_offsets(settings, [topic]).items()}
    consumer = kafka.consumer(settings, "obflow-replay-guard")
    try:
        since_ms = clock.now_ns() // NS_PER_MS - int(FRESH_SECONDS * 1000)
        asked = [TopicPartition(topic, partition, since_ms) for partition in ends]
        starts = consumer.offsets_for_times(asked, settings.kafka.request_timeout_seconds)
        left = {item.partition: item.offset for item in starts if 0 <= item.offset < ends[item.partition]}
        if not left:
            return {}
        consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in left.items()])
        found: dict[InstrumentKey, FeedStatus] = {}
        deadline = time.monotonic() + settings.kafka.request_timeout_seconds
        while left:
            if time.monotonic() > deadline:
                waited = settings.kafka.request_timeout_seconds
                raise kafka.unreachable(settings, f"{topic} could not be read within {waited:g} s")
            for message in consumer.consume(BATCH, 0.2):
                if message.error() is not None:
                    raise KafkaException(message.error())
                status = _status(message.value())
                if status is not None:
                    found[status.instrument] = status
                if message.offset() + 1 >= ends[message.partition()]:
                    left.pop(message.partition(), None)
        return found
    except KafkaException as error:
        raise kafka.readable(error, settings) from None
    finally:
        consumer.close()


def _status(payload: bytes | None) -> FeedStatus | None:
    try:
        return decode_as(FeedStatus, payload or b"")
    except (DecodeError, ImpossibleRecord):
        return None  # a sink reads this topic too, and dead-letters what is none
