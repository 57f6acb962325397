"""Which instruments of a venue are this producer's, where several share them: decided by a consumer group.

Its members are the producers. The partitions that it shares out are those of `l2.v1`, as so many buckets of
instruments: who has one produces what `selection.bucket_of` puts into it. Nothing is read as a member. Partitions
change hands one way only (`cooperative-sticky`): who has one is told to give it up, ends its feeds, and then another is
given it. The broker forgets a member that was killed or cut off after the session timeout, and gives its partitions to
the others.

A member that is suspended cannot know that its time is over. So everything that it publishes passes a fence, which
closes by this machine's clock earlier than the broker forgets anybody; what was on its way before is of a lower epoch
than the new producer's, and readers pass it over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import OFFSET_END, KafkaException, TopicPartition

from obflow import kafka, kafka_logs
from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.topics import NEW_LOGS, topic_name
from producers.books.records import ProducerRecord
from producers.broker.overload import Sink
from producers.selection import Selection, bucket_of
from schemas.errors import TopicMismatch
from schemas.topics import L2

if TYPE_CHECKING:
    from confluent_kafka import Consumer

SESSION_MS: Final = 6_000
"""A member that is not heard of for so long is forgotten. Brokers allow no less unless they are told to."""
AWAKE_SECONDS: Final = 4.0
"""Without a beat for so long the fence closes. A beat of the member's own is up to a second older than ours."""
ASK_SECONDS: Final = 1.0
MEMBER: Final = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": SESSION_MS,
    "heartbeat.interval.ms": 1_000,
    "topic.metadata.refresh.interval.ms": 30_000,  # within so long it sees that the topic has other partitions
    "auto.offset.reset": "latest",
    "log_level": kafka.CRITICAL_ONLY,
}

log = structlog.get_logger(__name__)


def group_of(settings: Settings, venue: str, selection: Selection) -> str:
    """Name the group of those who share: of the same topics, the same venue, and asked for the same instruments."""
    asked = "\n".join([*sorted(selection.named), "", *sorted(selection.quotes)])
    return f"obflow-producers-{settings.kafka.topic_prefix}{venue}-{sha256(asked.encode()).hexdigest()[:8]}"


class Lease:
    """One producer among those that share a venue's instruments.

    Args:
        settings: `kafka` is used.
        venue: The venue.
        selection: What all of them were asked for.
        metrics: Where it is shown how many partitions it has.
        monotonic_s: A clock that never falls and goes on while the process is suspended.

    Attributes:
        group: The name of the group.
        on_taken: Told when partitions are to be given up; in order (True), or because they are somebody else's already.
        on_given: Told when there are more.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """

    def __init__(
        self,
        settings: Settings,
        venue: str,
        selection: Selection,
        *,
        metrics: Metrics,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.group = group_of(settings, venue, selection)
        self.on_taken: Callable[[bool], None] = lambda _: None
        self.on_given: Callable[[], None] = lambda: None
        self._settings = settings
        self._bucket = cache(lambda symbol: bucket_of(selection, venue, symbol, self._partitions))
        self._monotonic_s = monotonic_s
        self._topic = topic_name(settings, L2)
        self._partitions = len(kafka_logs.end_offsets(settings, [self._topic]))
        self._held: frozenset[int] = frozenset()
        self._gauge = metrics.gauge("obflow_leased_partitions", venue=venue)
        self._fenced = metrics.counter("obflow_fenced_records_total", venue=venue)
        self._beat_s = monotonic_s()
        self._is_fenced = False
        self._is_moved = False
        self._member = self._join()

    def holds(self, symbol: str) -> bool:
        """Tell whether an instrument is ours."""
        return self._bucket(symbol) in self._held

    def beat(self) -> None:
        """Take in what the group has decided; to be called many times a second.

        Raises:
            FatalError: The broker does not let this producer in among them.
            TopicMismatch: The topic has another number of partitions than at the start, so that the others may share
                instruments out in another way.
        """
        if self._is_moved:
            raise TopicMismatch(
                f"{self._topic} has another number of partitions than at the start: who shares its instruments would "
                "take others for them",
                next_step=NEW_LOGS,
            )
        if self.is_overdue():
            self._join_anew()
        self._beat_s = self._monotonic_s()
        try:
            message = self._member.poll(0)
        except KafkaException:
            return  # a broker that is away is told of by whoever publishes
        if message is not None and message.error() is not None and message.error().fatal():
            raise kafka.readable(KafkaException(message.error()), self._settings)

    def is_overdue(self) -> bool:
        """Tell whether somebody else may have these instruments by now; what is published is then dropped."""
        if self._held and self._monotonic_s() - self._beat_s > AWAKE_SECONDS:
            self._is_fenced = True
        return self._is_fenced

    def note_fenced(self) -> None:
        """Count a record that was not published."""
        self._fenced.inc()

    def close(self) -> None:
        """Leave: what is ours goes to the others at once. To be called when the last word of each feed is out."""
        self.on_taken = lambda _: None
        self._member.close()

    def _join(self) -> Consumer:
        member = kafka.consumer(self._settings, self.group, MEMBER)
        member.subscribe([self._topic], on_assign=self._given, on_revoke=self._revoked, on_lost=self._lost)
        return member

    def _join_anew(self) -> None:
        """Give up everything at once, silently: it is somebody else's, or will be."""
        asleep_s = round(self._monotonic_s() - self._beat_s, 1)
        log.warning("lease_overdue", group=self.group, asleep_s=asleep_s, partitions=sorted(self._held))
        self._hold(frozenset())
        self.on_taken(False)
        old, self._member = self._member, self._join()
        threading.Thread(target=old.close, name="leave-lease", daemon=True).start()
        self._is_fenced = False

    def _given(self, member: Consumer, given: list[TopicPartition]) -> None:
        member.incremental_assign([TopicPartition(one.topic, one.partition, OFFSET_END) for one in given])
        if given:
            member.pause(given)  # nothing is read as a member
        if member is self._member:  # one left behind still says that it lost everything
            self._is_moved = self._partitions_now(member) not in (0, self._partitions)
            self._hold(self._held | {one.partition for one in given})
            self.on_given()

    def _partitions_now(self, member: Consumer) -> int:
        """Ask how many partitions the topic has; 0 where nobody says."""
        try:
            return len(member.list_topics(self._topic, ASK_SECONDS).topics[self._topic].partitions)
        except (KafkaException, KeyError):
            return 0

    def _revoked(self, member: Consumer, taken: list[TopicPartition]) -> None:
        self._give_up(member, taken, in_order=True)

    def _lost(self, member: Consumer, taken: list[TopicPartition]) -> None:
        self._give_up(member, taken, in_order=False)

    def _give_up(self, member: Consumer, taken: list[TopicPartition], *, in_order: bool) -> None:
        if member is self._member:  # one left behind still says that it lost everything
            log.info(
                "lease_ends", group=self.group, partitions=sorted(one.partition for one in taken), in_order=in_order
            )
            self._hold(self._held - {one.partition for one in taken})
            self.on_taken(in_order)
        member.incremental_unassign(taken)

    def _hold(self, held: frozenset[int]) -> None:
        self._held = held
        self._gauge.set(len(held))


class FencedSink:
    """The way to the broker of a producer with a lease: nothing passes where the lease may be over.

    Args:
        sink: The way.
        lease: The lease.
    """

    def __init__(self, sink: Sink, lease: Lease) -> None:
        self._sink = sink
        self._lease = lease

    @property
    def waiting(self) -> int:
        """Records handed over and not yet acknowledged."""
        return self._sink.waiting

    def offer(self, record: ProducerRecord) -> bool:
        """Hand over one record; one that may be another producer's to write is counted, and goes nowhere."""
        if self._lease.is_overdue():
            self._lease.note_fenced()
            return True
        return self._sink.offer(record)
