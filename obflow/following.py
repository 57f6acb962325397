"""A topic from some offsets on for ever: the records it holds, then those that come. For who obeys what a log says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final, NamedTuple

from confluent_kafka import Message, TopicPartition

from obflow import kafka, kafka_logs
from obflow.settings import Settings
from obflow.whole_log import Logged

GROUP: Final = "obflow-following"
READ_AT_ONCE: Final = 200
"""Few, so that a thread that reads leaves its turn to others."""
POLL_S: Final = 0.2


class Followed(NamedTuple):
    """What came in a moment.

    Attributes:
        records: In the order of their partitions.
        is_current: Whether everything that the log held at the beginning was given by now.
    """

    records: Sequence[Logged]
    is_current: bool


def follow(settings: Settings, topic: str, offsets: Mapping[int, int], stopped: threading.Event) -> Iterator[Followed]:
    """Read a topic until `stopped` is set; something is given each moment, be it nothing.

    Args:
        settings: `kafka` is used.
        topic: Name on the broker, with its prefix.
        offsets: Where to begin, by partition; elsewhere at the log's start.
        stopped: Ends it.

    Raises:
        BrokerUnreachable: No broker answers at the start; later ones are waited for.
        TopicMismatch: There is no such topic.
    """
    starts, ends = kafka_logs.start_offsets(settings, [topic]), kafka_logs.end_offsets(settings, [topic])
    begin = {part: max(start, offsets.get(part, 0)) for (_, part), start in starts.items()}
    left = {part: end for (_, part), end in ends.items() if end > begin[part]}
    with closing(kafka.consumer(settings, GROUP, {"enable.partition.eof": True})) as consumer:
        consumer.assign([TopicPartition(topic, part, first) for part, first in begin.items()])
        while not stopped.is_set():
            messages = consumer.consume(READ_AT_ONCE, POLL_S)
            records = [_logged(message) for message in messages if message.error() is None]
            for message in messages:
                _reached(left, message)
            yield Followed(records, not left)


def _reached(left: dict[int, int], message: Message) -> None:
    """Take a partition off those whose beginning is still being read. A log may end in offsets without a record."""
    part, offset = message.partition(), message.offset()
    if part in left and offset is not None and offset + (message.error() is None) >= left[part]:
        del left[part]


def _logged(message: Message) -> Logged:
    return Logged(message.partition(), message.offset(), message.value() or b"", message.timestamp()[1])
