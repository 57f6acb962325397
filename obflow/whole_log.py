"""A topic from its start to where it ends now: what audits and other questions about the whole log read."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import KafkaError, TopicPartition

from obflow import kafka, kafka_logs
from obflow.settings import Settings
from schemas.errors import FatalError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

IDLE_S: Final = 30.0
READ_AT_ONCE: Final = 2000
POLL_S: Final = 0.2
GROUP: Final = "obflow-whole-log"
# A log may end in offsets that hold no record: the client tells that it is at the end, the last record does not.
TELLS_ENDS: Final = {"enable.partition.eof": True}


class Logged(NamedTuple):
    """One record as it lies in a log.

    Attributes:
        partition, offset: Where.
        value: Its bytes.
        written_ms: Kafka's time of it, ms UTC; -1 where it has none.
        headers: Its headers.
    """

    partition: int
    offset: int
    value: bytes
    written_ms: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


class LogReading:
    """One reading of a topic: iterating gives every record it holds now, each partition in order.

    Args:
        settings: `kafka` is used.
        topic: Name on the broker, with its prefix.

    Attributes:
        starts, ends: First offset of each partition, and first past its last record.
        records: How many were read.
        absent: Stretches, as first offset and first past, in which no record lies though earlier and later ones do;
            by partition. Known once everything is read.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: There is no such topic.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self.starts = {part: start for (_, part), start in kafka_logs.start_offsets(settings, [topic]).items()}
        self.ends = {part: end for (_, part), end in kafka_logs.end_offsets(settings, [topic]).items()}
        self.absent: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.records = 0
        self._settings = settings
        self._topic = topic

    def __iter__(self) -> Iterator[Logged]:
        """Read it.

        Raises:
            FatalError: No record came for half a minute although some are left.
        """
        upto = dict(self.starts)
        left = {part: end for part, end in self.ends.items() if end > self.starts[part]}
        with closing(kafka.consumer(self._settings, GROUP, TELLS_ENDS)) as consumer:
            consumer.assign([TopicPartition(self._topic, part, self.starts[part]) for part in left])
            for logged in _until(consumer, left):
                self._note_absent(logged.partition, upto[logged.partition], logged.offset)
                upto[logged.partition] = logged.offset + 1
                self.records += 1
                yield logged
        for part, end in self.ends.items():
            self._note_absent(part, upto[part], end)
        if self.absent:
            self._set_expired_apart()

    def _note_absent(self, part: int, first: int, end: int) -> None:
        if end > first:
            self.absent[part].append((first, end))

    def _set_expired_apart(self) -> None:
        """What retention deleted during the reading did not lie between other records."""
        for (_, part), start in kafka_logs.start_offsets(self._settings, [self._topic]).items():
            self.starts[part] = max(self.starts[part], min(start, self.ends[part]))
        absent = {
            part: [(max(first, self.starts[part]), end) for first, end in found if end > self.starts[part]]
            for part, found in self.absent.items()
        }
        self.absent = defaultdict(list, {part: found for part, found in absent.items() if found})


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
    yield from LogReading(settings, topic)


def read_tail(settings: Settings, topic: str, most: int, only: Collection[int] | None = None) -> Iterator[Logged]:
    """At most so many of the last records of each partition, each partition in order.

    Args:
        settings: `kafka` is used.
        topic: Name on the broker, with its prefix.
        most: Records of a partition.
        only: Partitions; None is all of them.

    Raises:
        BrokerUnreachable, TopicMismatch, FatalError: As `read_log`.
    """
    starts, ends = kafka_logs.start_offsets(settings, [topic]), kafka_logs.end_offsets(settings, [topic])
    wanted = {part: end for (_, part), end in ends.items() if only is None or part in only}
    left = {part: end for part, end in wanted.items() if end > starts[topic, part]}
    with closing(kafka.consumer(settings, GROUP, TELLS_ENDS)) as consumer:
        begin = {part: max(starts[topic, part], end - most) for part, end in left.items()}
        consumer.assign([TopicPartition(topic, part, first) for part, first in begin.items()])
        yield from _until(consumer, left)


def read_since(settings: Settings, topic: str, offsets: Mapping[int, int]) -> Iterator[Logged]:
    """The records from these offsets on, by partition; from the log's start in any other. Errors as of `read_log`."""
    starts, ends = kafka_logs.start_offsets(settings, [topic]), kafka_logs.end_offsets(settings, [topic])
    first = {part: max(start, offsets.get(part, 0)) for (_, part), start in starts.items()}
    left = {part: end for (_, part), end in ends.items() if end > first[part]}
    if not left:
        return
    with closing(kafka.consumer(settings, GROUP, TELLS_ENDS)) as consumer:
        consumer.assign([TopicPartition(topic, part, first[part]) for part in left])
        yield from _until(consumer, left)


def _until(consumer: Consumer, ends: dict[int, int]) -> Iterator[Logged]:
    waiting = set(ends)
    heard_s = time.monotonic()
    while waiting:
        messages = [message for message in consumer.consume(READ_AT_ONCE, POLL_S) if _tells(message)]
        if messages:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s > IDLE_S:
            raise FatalError(f"the log gave no record for {IDLE_S:g} s", next_step="see whether the broker is healthy")
        for message in messages:
            part, offset = message.partition(), message.offset()
            if message.error() is None and offset < ends[part]:
                yield _logged(message)
            if offset >= ends[part] - (message.error() is None):
                waiting.discard(part)


def _tells(message: Message) -> bool:
    """Whether it is a record, or says where a partition ends; anything else the client mends by itself."""
    error = message.error()
    return error is None or error.code() == KafkaError._PARTITION_EOF


def _logged(message: Message) -> Logged:
    headers = tuple((name, value or b"") for name, value in message.headers() or ())
    return Logged(message.partition(), message.offset(), message.value() or b"", message.timestamp()[1], headers)
