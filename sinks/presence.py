"""The sinks of a pipeline as one consumer group: who is there, for which tables, and which partitions each has.

Every process is one member, whatever it feeds. It reads nothing as a member: offsets are the tables' own, and each
table has a reader of its own. The client's name says the tables, and whether rows are put back. The broker forgets a
member that was killed or suspended after the session timeout, and its partitions go to the others.

While members meet anew each goes on with what it had: nobody else has it before they have met, and who believes so
wrongly is fenced off by claims (`sinks/claims.py`). A table whose partitions stay the same notices nothing.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from confluent_kafka import KafkaException

from obflow import kafka
from obflow.logs import get_logger
from obflow.topics import topic_name
from schemas.errors import BrokerUnreachable, UsageError
from schemas.topics import L2
from sinks.contract import Table
from sinks.settings import SinkSettings
from sinks.shares import Share

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

    from obflow.settings import Settings

GROUP_MIDDLE: Final = "-presence-"
RESTORES: Final = "-restore"
JOIN_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.2
LEAVE_SECONDS: Final = 0.5
MEMBER: Final = {
    "partition.assignment.strategy": "range",  # topic by topic, so that every process has its part of the busy ones
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 1_000,  # by its answer a member hears that others have come or gone
    "topic.metadata.refresh.interval.ms": 5_000,  # a topic that was made, or got more partitions
    "log_level": kafka.CRITICAL_ONLY,
}
_log = get_logger(__name__)


class Presence:
    """One process among those that feed tables.

    Args:
        settings: `kafka` and `sink` are used.
        tables: The tables it feeds.
        restores: Whether it puts rows back: it is given no partitions then.

    Attributes:
        shares: What it holds, by table.
        meets: Whether the members meet anew just now, so that what it holds may be another's in a moment.
    """

    def __init__(self, settings: Settings, tables: Iterable[Table[Any]], *, restores: bool = False) -> None:
        self._settings = settings
        topics = {table.name: topic_name(settings, table.topic) for table in tables}
        self.shares = {name: Share() for name in topics}
        self._topics = topics
        self._group = f"{settings.of(SinkSettings).group}{GROUP_MIDDLE}{settings.kafka.topic_prefix}"
        self._name = f"{uuid.uuid4().hex[:8]}{RESTORES if restores else ''}:{','.join(sorted(topics))}"
        self._is_known = self.meets = False
        self._meetings = 0
        self._restored: tuple[int, frozenset[str]] = (-1, frozenset())
        self._looking = threading.Lock()
        self._member = kafka.consumer(settings, self._group, {**MEMBER, "client.id": self._name})
        wanted = [topic_name(settings, L2)] if restores else sorted(set(topics.values()))  # no sink reads that one
        self._member.subscribe(wanted, on_assign=self._given, on_revoke=self._meeting, on_lost=self._lost)

    @property
    def is_settled(self) -> bool:
        """Whether it is known what this process has."""
        return self._is_known

    def beat(self) -> None:
        """Stay a member; to be called several times a second. A broker that is away is none of its business."""
        try:
            self._member.poll(0)
        except KafkaException:
            return

    def stand_alone(self) -> None:
        """Make sure that nobody else feeds one of the tables.

        Raises:
            UsageError: Somebody does.
            BrokerUnreachable: The broker does not answer, or does not let it in among them.
        """
        others = self._others(beating=True)
        fed = {table for name in others for table in name.partition(":")[2].split(",")}
        if both := sorted(fed & set(self._topics)):
            raise UsageError(
                f"another `obflow sink` feeds {both[0]} now",
                next_step="stop it first; one that was killed is forgotten after some seconds",
            )

    def require_nobody_restores(self, table: str) -> None:
        """Make sure that nobody puts rows of a table back, among those that this process has met last.

        Raises:
            UsageError: Somebody does.
            BrokerUnreachable: The broker does not answer.
        """
        with self._looking:
            meetings = self._meetings
            if self._restored[0] != meetings:
                names = [name.partition(":") for name in self._others(beating=False)]
                at_work = [tables.split(",") for who, _, tables in names if who.endswith(RESTORES)]
                self._restored = (meetings, frozenset(one for tables in at_work for one in tables))
            restored = self._restored[1]
        if table in restored:
            raise UsageError(f"rows of {table} are being put back now", next_step="start the sink when that has ended")

    def close(self) -> None:
        """Leave. A broker that does not answer is not waited for: it forgets the member by itself."""
        leaving = threading.Thread(target=self._member.close, name="leave-presence", daemon=True)
        leaving.start()
        leaving.join(LEAVE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _given(self, member: Consumer, given: list[TopicPartition]) -> None:
        """Hand out what this process has from now on, and read nothing of it here."""
        member.assign([])
        self._meetings += 1
        self.meets = False
        for table, topic in self._topics.items():
            self.shares[table].give(frozenset(place.partition for place in given if place.topic == topic))
        if not self._is_known:
            _log.info("presence_known", group=self._group, tables=sorted(self._topics))
        self._is_known = True

    def _meeting(self, member: Consumer, _taken: list[TopicPartition]) -> None:
        """Go on meanwhile: what others get is known when all have met."""
        member.unassign()
        self.meets = True

    def _lost(self, member: Consumer, _taken: list[TopicPartition]) -> None:
        """Stop at once: the others have met without this process."""
        member.unassign()
        for share in self.shares.values():
            share.give(None)
        _log.warning("presence_lost", group=self._group, tables=sorted(self._topics))

    def _others(self, *, beating: bool) -> set[str]:
        """Names of the other members, once this process is one."""
        give_up_s = time.monotonic() + JOIN_SECONDS
        while self._name not in (names := self._members()):
            if time.monotonic() > give_up_s:
                raise BrokerUnreachable(f"the broker has not let anybody join the group {self._group}")
            if beating:
                self.beat()
            time.sleep(LOOK_SECONDS)
        return names - {self._name}

    def _members(self) -> set[str]:
        """Names of the members; none while the broker still hands out who is one."""
        found = kafka.ask(
            self._settings,
            lambda client, timeout: client.describe_consumer_groups([self._group], request_timeout=timeout),
        )
        group = found[self._group]
        return {member.client_id for member in group.members} if group.state.name == "STABLE" else set()
