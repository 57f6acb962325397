"""How far a reader of a topic has come, at one moment: plain numbers, asked of the broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from obflow import kafka, kafka_logs
from obflow.findings import Check
from obflow.flow import GroupLook, LogFollower, flow_findings, is_late
from obflow.records_at import read_at
from obflow.settings import Settings


class WatchedReader:
    """A reader that is judged: by one look, or where that does not tell by a second one after a pause.

    Args:
        reader: Who.
        look: Looks at it; the first time at once.
        pause_s: Between two looks, seconds.

    Attributes:
        reader: As above.
        is_late: Whether one look does not tell.
    """

    def __init__(self, reader: LogFollower, look: Callable[[], GroupLook], pause_s: float) -> None:
        self.reader = reader
        self._look = look
        self._before = look()
        self.is_late = is_late(reader, self._before)
        self._due_s = time.monotonic() + (pause_s if self.is_late else 0.0)

    def findings(self) -> list[Check]:
        """Judge it; what is left of its pause is waited for, so that several pause side by side."""
        if not self.is_late:
            return flow_findings(self.reader, self._before, self._before)
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        return flow_findings(self.reader, self._before, self._look())


def look_at(settings: Settings, topic: str, positions: Mapping[int, int]) -> GroupLook:
    """Look at a reader that has come up to these positions.

    Args:
        settings: `kafka` is used.
        topic: Name on the broker.
        positions: Next offset to read, by partition.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """
    starts, ends = (_of(offsets(settings, [topic])) for offsets in (kafka_logs.start_offsets, kafka_logs.end_offsets))
    look = GroupLook(topic, starts, ends, positions, {})
    waits = {(topic, part): max(positions.get(part, 0), starts[part]) for part in look.waiting()}
    found, now_s = read_at(settings, waits), time.time()
    ages_s = {part: max(0.0, now_s - record.written_ms / 1000) for (_, part), record in found.items()}
    return look._replace(ages_s=ages_s)


def look_at_group(settings: Settings, group: str, topic: str) -> GroupLook:
    """Look at a consumer group; arguments and errors as of `look_at`."""
    positions = _of(kafka_logs.committed_offsets(settings, group, [topic]))
    found = kafka.ask(
        settings, lambda client, timeout: client.describe_consumer_groups([group], request_timeout=timeout)
    )[group]
    members = [_held(member.assignment.topic_partitions, topic) for member in found.members]
    look = look_at(settings, topic, positions)
    return look._replace(members=members, is_settled=found.state.name in ("STABLE", "EMPTY", "DEAD"))


def _held(assigned: Iterable[object], topic: str) -> frozenset[int]:
    return frozenset(int(one.partition) for one in assigned if one.topic == topic)  # type: ignore[attr-defined] # Kafka's


def _of(offsets: Mapping[kafka.Partition, int]) -> dict[int, int]:
    return {part: offset for (_, part), offset in offsets.items()}
