"""Tells others which tables a sink feeds, for as long as it lives, so that nobody puts rows back beside it.

Sinks choose their offsets themselves and are members of no group. So each is a member of a second group that reads
nothing: the client's name says the tables. The broker forgets one that was killed after the session timeout.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from confluent_kafka import KafkaException

from obflow import kafka
from obflow.logs import get_logger
from obflow.topics import topic_name
from schemas.errors import BrokerUnreachable, UsageError
from schemas.topics import DEAD_LETTERS
from sinks.settings import SinkSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

    from obflow.settings import Settings

GROUP_MIDDLE: Final = "-presence-"
JOIN_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.2
LEAVE_SECONDS: Final = 0.5
_log = get_logger(__name__)


class Presence:
    """One process among those that feed tables.

    Args:
        settings: `kafka` and `sink` are used.
        tables: Names of the tables it feeds.
    """

    def __init__(self, settings: Settings, tables: Iterable[str]) -> None:
        self._settings = settings
        self._tables = frozenset(tables)
        self._group = f"{settings.of(SinkSettings).group}{GROUP_MIDDLE}{settings.kafka.topic_prefix}"
        self._name = f"{uuid.uuid4().hex[:8]}:{','.join(sorted(self._tables))}"
        self._is_known = False
        quiet = {"client.id": self._name, "log_level": kafka.CRITICAL_ONLY}
        self._member = kafka.consumer(settings, self._group, quiet)
        self._member.subscribe([topic_name(settings, DEAD_LETTERS)], on_assign=self._joined)

    def beat(self) -> None:
        """Stay a member; to be called every few seconds. A broker that is away is none of its business."""
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
        give_up_s = time.monotonic() + JOIN_SECONDS
        while self._name not in (names := self._members()):
            if time.monotonic() > give_up_s:
                raise BrokerUnreachable(f"the broker has not let anybody join the group {self._group}")
            self.beat()
            time.sleep(LOOK_SECONDS)
        fed = {table for name in names - {self._name} for table in name.partition(":")[2].split(",")}
        if both := sorted(fed & self._tables):
            raise UsageError(
                f"another `obflow sink` feeds {both[0]} now",
                next_step="stop it first; one that was killed is forgotten after some seconds",
            )

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

    def _joined(self, member: Consumer, _given: list[TopicPartition]) -> None:
        """Read nothing of what the group hands out."""
        member.assign([])
        if not self._is_known:
            self._is_known = True
            _log.info("presence_known", group=self._group, tables=sorted(self._tables))

    def _members(self) -> set[str]:
        """Names of the members; none while the broker still hands out who is one."""
        found = kafka.ask(
            self._settings,
            lambda client, timeout: client.describe_consumer_groups([self._group], request_timeout=timeout),
        )
        group = found[self._group]
        return {member.client_id for member in group.members} if group.state.name == "STABLE" else set()
