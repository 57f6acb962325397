"""Who says what of the feeds: `feed-status.v1` of the last minute, then as it is written."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from confluent_kafka import KafkaException, Message, TopicPartition

from obflow import kafka, kafka_logs
from obflow.clock import Clock
from obflow.kafka_errors import unreachable
from obflow.settings import Settings
from obflow.topics import topic_name
from schemas.codec import decode_as
from schemas.errors import MessageError
from schemas.messages import FeedStatus, InstrumentKey, Source
from schemas.places import Place, check_place
from schemas.topics import FEED_STATUS
from schemas.units import NS_PER_MS

RUN_HEADER = "run"
"""Header of a status: which run of a producer wrote it. Epochs cannot tell: a producer has many, and 0 at its start."""
SHARE_HEADER = "share"
"""Header of a status of a producer that shares a venue's instruments by a lease: among which producers."""
RUN = re.compile(r"[0-9a-f]{32}")
"""What a run looks like. A status without one was not written by a producer, and no word of anybody's."""
RECENT_SECONDS = 60.0
"""A status older than this, by Kafka's time, is of a producer that is gone: it would have sent a heartbeat."""
BATCH = 1_000


class Speaker(NamedTuple):
    """Whose word a status is: a run of a producer's, on one instrument."""

    instrument: InstrumentKey
    source: Source
    run: str


class SeenStatus(NamedTuple):
    """A status as it lay in the log.

    Attributes:
        status: The status.
        run: Whose.
        written_ms: Kafka's time, ms UTC.
        share: Among which producers its writer shares by a lease; empty where it does not.
    """

    status: FeedStatus
    run: str
    written_ms: int
    share: str = ""

    @property
    def speaker(self) -> Speaker:
        """Whose word it is."""
        return Speaker(self.status.instrument, self.status.source, self.run)


class StatusReader:
    """Reads the statuses of all feeds.

    Args:
        settings: `kafka` is used.
        clock: What is now.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._topic = topic_name(settings, FEED_STATUS)
        self._ends = {partition: end for (_, partition), end in kafka_logs.end_offsets(settings, [self._topic]).items()}
        self._later: list[SeenStatus] = []  # came while the recent ones were read
        self._consumer = kafka.consumer(settings, "obflow-feed-guard")
        try:
            self._left = self._assign_since(clock.now_ns() // NS_PER_MS - int(RECENT_SECONDS * 1000))
        except KafkaException as error:
            self._consumer.close()
            raise kafka.readable(error, settings) from None

    def recent(self) -> dict[Speaker, SeenStatus]:
        """Read the newest word of each speaker within the last minute, by Kafka's time. To be called once.

        Raises:
            BrokerUnreachable: It does not answer in time.
        """
        found: dict[Speaker, SeenStatus] = {}
        patience_s = self._settings.kafka.request_timeout_seconds
        deadline = time.monotonic() + patience_s
        while self._left:
            if time.monotonic() > deadline:
                raise unreachable(self._settings, f"{self._topic} could not be read within {patience_s:g} s")
            for message in self._consumer.consume(BATCH, 0.05):
                if message.error() is not None:
                    raise kafka.readable(KafkaException(message.error()), self._settings)
                self._handle_message(message, found)
        return found

    def poll(self) -> list[SeenStatus]:
        """Read what was written since, without waiting."""
        later, self._later = self._later, []
        for message in self._consumer.consume(BATCH, 0.0):
            if message.error() is None:
                later.extend(self._seen(message))
            elif message.error().fatal():
                raise kafka.readable(KafkaException(message.error()), self._settings)
            # Anything else the client mends, and says so in its log.
        return later

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def _assign_since(self, since_ms: int) -> set[int]:
        """Read on from that time; gives the partitions that hold something since."""
        asked = [TopicPartition(self._topic, partition, since_ms) for partition in self._ends]
        starts = self._consumer.offsets_for_times(asked, self._settings.kafka.request_timeout_seconds)
        begin = {item.partition: item.offset for item in starts if 0 <= item.offset < self._ends[item.partition]}
        offsets = self._ends | begin
        self._consumer.assign([TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()])
        return set(begin)

    def _handle_message(self, message: Message, found: dict[Speaker, SeenStatus]) -> None:
        end = self._ends[message.partition()]
        for seen in self._seen(message):
            if message.offset() < end:
                found[seen.speaker] = seen
            else:
                self._later.append(seen)
        if message.offset() + 1 >= end:
            self._left.discard(message.partition())

    def _seen(self, message: Message) -> list[SeenStatus]:
        """The status, or nothing where it is no producer's: a sink reads this topic too, and dead-letters that."""
        _, written_ms = message.timestamp()
        try:
            status = decode_as(FeedStatus, message.value() or b"")
            check_place(status, Place(message.partition(), len(self._ends), written_ms))
        except MessageError:
            return []
        headers = dict(message.headers() or [])
        run, share = (bytes(headers.get(name) or b"").decode(errors="replace") for name in (RUN_HEADER, SHARE_HEADER))
        return [SeenStatus(status, run, written_ms, share)] if RUN.fullmatch(run) else []
