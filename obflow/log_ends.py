"""How far a log goes, for readers of records that name places in it; asked again where what is known is not enough.

A record that names a place was written after the record that lies there, so an answer of the broker that was asked for
after the record was read decides. Most records name places the last answer holds, and cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec

from obflow import kafka, kafka_logs
from obflow.settings import Settings
from obflow.topics import topic_name
from schemas.logs import short_id
from schemas.places import Extent, NamedPlace, is_inside
from schemas.topics import Topic

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


class LogEnds:
    """Where the partitions of a topic end. Nothing is known, and nobody asked, before the first `refresh`.

    Args:
        settings: `kafka` is used.
        topic: The topic whose places are named.
    """

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._settings = settings
        self._topic = topic_name(settings, topic)
        self._client: AdminClient | None = None
        self._log, self._partitions = "", 0
        self._ends: dict[int, int] = {}
        self._ends_are_new = self._log_is_new = False

    @property
    def extent(self) -> Extent:
        """The log as the broker's last answers have it."""
        return Extent(self._log, self._ends)

    def expire(self) -> None:
        """Records read from now on may name places that the last answers do not hold yet."""
        self._ends_are_new = self._log_is_new = False

    def knows(self, named: NamedPlace) -> bool:
        """Whether the place is inside the log, or the broker was asked after the record that names it was read."""
        return (self._ends_are_new and self._log_is_new) or is_inside(named, self.extent)

    def refresh(self, named: NamedPlace) -> None:
        """Ask the broker for as much as it takes to know of a place. Blocks, within the deadline of the settings.

        Raises:
            BrokerUnreachable: It does not answer.
            TopicMismatch: The topic is not there any more.
        """
        if not self._ends_are_new and self._log:
            self._ends, self._ends_are_new = self._ask_ends(), True
        if not self.knows(named):
            log, (self._log, self._partitions) = self._log, self._identity()
            if log != self._log:  # deleted and made anew: the answer before may have been of either
                self._ends = self._ask_ends()
            self._ends_are_new = self._log_is_new = True

    def _identity(self) -> tuple[str, int]:
        def call(left: float) -> tuple[str, int]:
            answers = self._held().describe_topics(TopicCollection([self._topic]), request_timeout=left)
            found = answers[self._topic].result(left + 1)
            return short_id(kafka_logs.url_safe(found.topic_id)), len(found.partitions)

        return kafka.patiently(self._settings, call)

    def _ask_ends(self) -> dict[int, int]:
        wanted = {TopicPartition(self._topic, part): OffsetSpec.latest() for part in range(self._partitions)}

        def call(left: float) -> dict[int, int]:
            answers = self._held().list_offsets(wanted, request_timeout=left)
            return {
                place.partition: kafka_logs.told_offset(answer.result(left + 1)) for place, answer in answers.items()
            }

        return kafka.patiently(self._settings, call)

    def _held(self) -> AdminClient:
        """One client for every question: a new one has to look for the partitions' leaders first."""
        self._client = self._client or kafka.admin(self._settings)
        return self._client
