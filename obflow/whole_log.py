"""A topic from its start to where it ends now: what audits and other questions about the whole log read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import TopicPartition

from obflow import kafka
from obflow.settings import Settings
from schemas.errors import FatalError

if TYPE_CHECKING:
    from confluent_kafka import Consumer

IDLE_S: Final = 30.0
READ_AT_ONCE: Final = 2000
POLL_S: Final = 0.2
GROUP: Final = "obflow-whole-log"


class Logged(NamedTuple):
    """One record as it lies in a log."""

    partition: int
    offset: int
    value: bytes


def read_log(settings: Settings, topic: str) -> Iterator[Logged]:
    """Every record a topic holds now, each partition in order.

    Args:
        settings: `kafka` is used.
        topic: Name on the broker, with its prefix.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: There is no such topic.
        FatalError: No record came for half a minute although some are left.
    """
    ends = {part: end for (_, part), end in kafka.end_offsets(settings, [topic]).items()}
    starts = {part: start for (_, part), start in kafka.start_offsets(settings, [topic]).items()}
    left = {part: end for part, end in ends.items() if end > starts[part]}
    with closing(kafka.consumer(settings, GROUP)) as consumer:
        consumer.assign([TopicPartition(topic, part, starts[part]) for part in left])
        yield from _until(consumer, left)


def _until(consumer: Consumer, ends: dict[int, int]) -> Iterator[Logged]:
    waiting = set(ends)
    heard_s = time.monotonic()
    while waiting:
        messages = [message for message in consumer.consume(READ_AT_ONCE, POLL_S) if message.error() is None]
        if messages:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s > IDLE_S:
            raise FatalError(f"the log gave no record for {IDLE_S:g} s", next_step="see whether the broker is healthy")
        for message in messages:
            part, offset = message.partition(), message.offset()
            if offset < ends[part]:
                yield Logged(part, offset, message.value() or b"")
            if offset >= ends[part] - 1:
                waiting.discard(part)
