"""Requests for snapshots, as readers of the log send them: `resync.v1` from its end on."""

from __future__ import annotations

from confluent_kafka import KafkaException, Message, TopicPartition

from obflow import kafka, kafka_logs
from obflow.log_ends import LogEnds
from obflow.logs import get_logger
from obflow.settings import Settings
from obflow.topics import topic_name
from producers.books.records import ROLE
from schemas.codec import decode_as
from schemas.dead_letters import instrument_of_key, letter_about_record
from schemas.errors import DependencyError, MessageError
from schemas.logs import Origin
from schemas.messages import DeadLetter, ResyncRequest
from schemas.places import NamedPlace, Place, check_named, check_place
from schemas.topics import L2, RESYNC
from schemas.units import NS_PER_MS

MAX_REQUESTS = 500
"""Requests taken at once; the others wait in the topic."""

log = get_logger(__name__)


class ResyncReader:
    """Reads requests for one venue.

    Args:
        settings: `kafka` is used.
        venue: Requests for others are passed over.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """

    def __init__(self, settings: Settings, venue: str) -> None:
        self._settings = settings
        self._venue = venue
        topic = topic_name(settings, RESYNC)
        self._topic_id = kafka_logs.topic_ids(settings, [topic])[topic]
        ends = kafka_logs.end_offsets(settings, [topic])
        self._partitions = len(ends)
        self._book_log = LogEnds(settings, L2)
        self._consumer = kafka.consumer(settings, f"obflow-producer-{venue}")
        # Older requests are of readers of an older producer: its books are gone, and every stream begins anew anyway.
        self._consumer.assign([TopicPartition(topic, partition, end) for (_, partition), end in ends.items()])

    def poll(self) -> tuple[list[ResyncRequest], list[DeadLetter]]:
        """Give what has come, without waiting: requests, and records that were none."""
        requests: list[ResyncRequest] = []
        letters: list[DeadLetter] = []
        self._book_log.expire()
        for message in self._consumer.consume(MAX_REQUESTS, 0.0):
            if message.error() is not None:
                error = KafkaException(message.error())
                if message.error().fatal():
                    raise kafka.readable(error, self._settings)
                continue  # the client mends what can be mended, and says so in its log
            try:
                request = self._admit(message)
            except MessageError as error:
                letters.append(self._letter(message, error))
                continue
            if request.venue == self._venue:
                requests.append(request)
        return requests, letters

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def _admit(self, message: Message) -> ResyncRequest:
        """The request, if it is one from here.

        Raises:
            MessageError: It is none, or breaks a rule of `schemas.places`.
        """
        request = decode_as(ResyncRequest, message.value() or b"")
        check_place(request, Place(message.partition(), self._partitions, message.timestamp()[1]))
        named = NamedPlace("", request.source_partition, request.source_offset)
        try:
            if not self._book_log.knows(named):
                self._book_log.refresh(named)
        except DependencyError as error:  # a snapshot too many does no harm
            log.warning("request_not_judged", symbol=request.symbol, cause=error.cause)
        else:
            check_named(request, named, self._book_log.extent)
        return request

    def _letter(self, message: Message, error: MessageError) -> DeadLetter:
        origin = Origin(message.topic(), self._topic_id, message.partition(), message.offset())
        received_ns = message.timestamp()[1] * NS_PER_MS
        instrument = instrument_of_key(message.key())
        return letter_about_record(origin, message.value(), received_ns, error, role=ROLE, instrument=instrument)
