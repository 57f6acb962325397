"""Single records of a log, read where they lie."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from confluent_kafka import KafkaException, TopicPartition

from obflow import kafka
from obflow.settings import Settings

READER_GROUP: Final = "obflow-doctor"
PEEK_SECONDS: Final = 10.0


class RecordAt(NamedTuple):
    """A record.

    Attributes:
        value: Its payload; None where it has none.
        written_ms: Kafka's time of it, ms UTC; -1 where it has none.
    """

    value: bytes | None
    written_ms: int


def read_at(settings: Settings, places: Mapping[kafka.Partition, int]) -> dict[kafka.Partition, RecordAt]:
    """Read the first record at or behind each offset, as far as they come within the deadline.

    Raises:
        FatalError: The broker does not answer, or refuses.
    """
    if not places:
        return {}
    reader = kafka.consumer(settings, READER_GROUP, {"log_level": kafka.CRITICAL_ONLY})
    found: dict[kafka.Partition, RecordAt] = {}
    deadline = time.monotonic() + PEEK_SECONDS
    try:
        reader.assign([TopicPartition(*partition, offset) for partition, offset in places.items()])
        while len(found) < len(places) and time.monotonic() < deadline:
            message = reader.poll(0.1)
            if message is not None and message.error() is None:
                where = (str(message.topic()), int(message.partition() or 0))
                found.setdefault(where, RecordAt(message.value(), message.timestamp()[1]))
    except KafkaException as error:
        raise kafka.readable(error, settings) from None
    finally:
        reader.close()
    return found
