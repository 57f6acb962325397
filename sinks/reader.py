"""Reads one topic from given offsets. The group's committed offsets are written for lag dashboards and never read."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from obflow import kafka, kafka_logs
from obflow.topics import NEW_LOGS, topic_name
from schemas.errors import FatalError, TopicMismatch
from schemas.logs import ORIGIN_HEADER, Origin, Position, parse_origin, short_id
from schemas.topics import Topic
from schemas.units import NS_PER_MS
from sinks.settings import SinkSettings

if TYPE_CHECKING:
    from confluent_kafka import Message

    from obflow.settings import Settings

MAX_POLL_RECORDS: Final = 200
"""Of records with a hundred rows each still no more than an insert: the first one begins soon."""
PREFETCH_KBYTES: Final = 16 * 1024
SHORT_SECONDS: Final = 10.0
"""How long a log has to be found short before it is called so: a broker that restarts may know less for a moment."""
SHORT_LOOK_SECONDS: Final = 0.2


class Read(NamedTuple):
    """One record as read.

    Attributes:
        position: Where it lies.
        payload: Its bytes.
        appended_ns: Kafka's time of it, ns UTC.
        origin: What identifies it.
        sent_again: Whether it was sent again by hand, so that its origin lies elsewhere.
        false_origin: It says that it was, of a place that cannot be its first one; its origin is where it lies.
    """

    position: Position
    payload: bytes
    appended_ns: int
    origin: Origin
    sent_again: bool = False
    false_origin: bool = False


class Span(NamedTuple):
    """Where one partition's reading begins.

    Attributes:
        start: First offset to read.
        expired: Records that retention deleted before they were read.
    """

    start: int
    expired: int


class Log(NamedTuple):
    """A topic as it is on the broker now.

    Attributes:
        topic: Its name there.
        topic_id: Its id: another one after the topic was deleted and made again.
        starts: Oldest offset it still has, by partition.
        ends: Offset its next record will get, by partition.
    """

    topic: str
    topic_id: str
    starts: Mapping[int, int]
    ends: Mapping[int, int]

    @property
    def name(self) -> str:
        """The log's name in the tables."""
        return short_id(self.topic_id)

    def only(self, partitions: Collection[int]) -> Log:
        """The same log, of which these partitions alone are read."""
        starts = {part: start for part, start in self.starts.items() if part in partitions}
        return self._replace(starts=starts, ends={part: self.ends[part] for part in starts})


def look_up(settings: Settings, wanted: Iterable[Topic]) -> dict[Topic, Log]:
    """The logs of topics.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: A topic is not there.
    """
    names = {topic: topic_name(settings, topic) for topic in wanted}
    ids = kafka_logs.topic_ids(settings, names.values())
    starts, ends = kafka_logs.start_offsets(settings, names.values()), kafka_logs.end_offsets(settings, names.values())
    return {
        topic: Log(name, ids[name], _of_topic(starts, name), _of_topic(ends, name)) for topic, name in names.items()
    }


def look_up_after(settings: Settings, topic: Topic, stored: Mapping[tuple[str, int], int]) -> Log:
    """The log of a topic, looked up after its table was asked how far it is, and again before it is called short.

    The order matters: an end that is older than the table's answer would make what was written between the two look
    like records the broker has lost.

    Args:
        settings: `kafka` is used.
        topic: The topic.
        stored: Highest offset the table holds, by (log, partition).

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there, or ends before what the table holds of it for ten seconds.
    """
    give_up_s = time.monotonic() + SHORT_SECONDS
    while True:
        log = look_up(settings, [topic])[topic]
        try:
            spans(log, stored)
        except TopicMismatch:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(SHORT_LOOK_SECONDS)
        else:
            return log


def _of_topic(offsets: Mapping[tuple[str, int], int], name: str) -> dict[int, int]:
    return {partition: offset for (topic, partition), offset in offsets.items() if topic == name}


def spans(log: Log, stored: Mapping[tuple[str, int], int]) -> dict[int, Span]:
    """Where to begin in every partition: after what the table holds, or at the log's start where it holds nothing.

    Args:
        log: The log.
        stored: Highest offset the table holds, by (log, partition).

    Raises:
        TopicMismatch: The table holds offsets that the log has not reached.
    """
    found: dict[int, Span] = {}
    for partition, start in log.starts.items():
        resume = stored.get((log.name, partition), -1) + 1
        if resume > log.ends[partition]:
            raise TopicMismatch(
                f"the table holds partition {partition} of {log.topic} ({log.name}) up to {resume - 1}, but it ends "
                f"at {log.ends[partition]}: the broker has lost records",
                next_step=NEW_LOGS,
            )
        expired = start - resume if resume and start > resume else 0
        found[partition] = Span(max(resume, start), expired)
    return found


class TopicReader:
    """Reads the partitions of one log.

    Args:
        settings: `kafka` and `sink` are used.
        log: The topic's log.
        skipped: Told of offsets that hold no record, as partition, first of them and first past them.
        options: More of the client's options: its statistics.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        skipped: Callable[[int, int, int], None] = lambda _partition, _first, _end: None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self._settings = settings
        self._log = log
        self._skipped = skipped
        self._name = log.topic
        overrides = {
            # Offsets are chosen here; one that is gone must not be replaced in silence.
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": PREFETCH_KBYTES,
            **(options or {}),
        }
        self._consumer = kafka.consumer(settings, settings.of(SinkSettings).group, overrides)
        self._assigned: list[TopicPartition] = []
        self._starts: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._paused = False
        self._ended: set[int] = set()

    def has_passed(self, ends: Mapping[int, int]) -> bool:
        """Whether every partition was read up to these offsets, or to its end where the client is told of ends."""
        return all(self._next[part] >= end or part in self._ended for part, end in ends.items())

    def assign(self, stored: Mapping[tuple[str, int], int]) -> dict[int, Span]:
        """Begin after what the table holds.

        Args:
            stored: Highest offset the table holds, by (log, partition).

        Returns:
            Where each partition begins.
        """
        found = spans(self._log, stored)
        self._assigned = [TopicPartition(self._name, partition, span.start) for partition, span in found.items()]
        self._starts = {partition: span.start for partition, span in found.items()}
        self._next = dict(self._starts)
        self._consumer.assign(self._assigned)
        return found

    def poll(self, timeout_seconds: float) -> list[Read]:
        """The next records; none where none came in time.

        Raises:
            FatalError: The log cannot be read from where it should be.
        """
        try:
            messages = self._consumer.consume(MAX_POLL_RECORDS, timeout_seconds)
        except KafkaException as error:
            raise kafka.readable(error, self._settings) from error
        return [self._read(message) for message in messages if self._is_record(message)]

    def pause(self) -> None:
        """Stop fetching; polling goes on and returns nothing."""
        if not self._paused:
            self._consumer.pause(self._assigned)
            self._paused = True

    def resume(self) -> None:
        """Fetch again."""
        if self._paused:
            self._consumer.resume(self._assigned)
            self._paused = False

    def commit(self, ends: Mapping[tuple[str, int], int]) -> None:
        """Commit progress for those who watch the group's lag; a failure changes nothing here."""
        offsets = [TopicPartition(self._name, partition, offset) for (_, partition), offset in ends.items()]
        self._consumer.commit(offsets=offsets, asynchronous=True)

    def lags(self) -> dict[int, int]:
        """Records not read yet, by partition, as far as the client knows the log's end."""
        return {place.partition: self._lag(place) for place in self._consumer.position(self._assigned)}

    def close(self) -> None:
        """Let go of the log."""
        self._consumer.close()

    def _lag(self, place: TopicPartition) -> int:
        _, end = self._consumer.get_watermark_offsets(place, cached=True)
        begun = place.offset if place.offset >= 0 else self._starts[place.partition]
        return max(0, int(end) - int(begun))

    def _is_record(self, message: Message) -> bool:
        error: KafkaError | None = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            self._ended.add(message.partition())
            return False
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise FatalError(
                f"{self._name} no longer has the records to read next ({error.str()})",
                next_step="restart the sink: it counts what is lost and goes on with what is left",
            )
        if error.retriable() or error.code() in _PASSING:
            return False
        raise kafka.readable(KafkaException(error), self._settings)

    def _read(self, message: Message) -> Read:
        own = Origin(self._log.topic, self._log.topic_id, message.partition(), message.offset())
        wanted = self._next[own.partition]
        self._next[own.partition] = own.offset + 1
        if own.offset > wanted:
            self._skipped(own.partition, wanted, own.offset)
        _, appended_ms = message.timestamp()
        first = self._first(message)
        false = first is not None and not may_be_first(first, own)
        origin = own if first is None or false else first
        payload = message.value() or b""
        return Read(own.position, payload, appended_ms * NS_PER_MS, origin, origin is not own, false)

    def _first(self, message: Message) -> Origin | None:
        """What identifies a record sent again by hand; None for every other, and for a header that says nothing."""
        for name, value in message.headers() or ():
            if name == ORIGIN_HEADER and value:
                return parse_origin(self._log.topic, value.decode("ascii", "replace"))
        return None


_PASSING: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT})


def may_be_first(first: Origin, own: Origin) -> bool:
    """Whether a record can have been written first at a place: in its own log it lies before, in the same partition.

    Args:
        first: Where it says it was written first.
        own: Where it lies.
    """
    is_earlier = first.partition == own.partition and first.offset < own.offset
    return first.topic_id != own.topic_id or is_earlier
