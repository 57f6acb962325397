"""Bring the broker's topics to what `schemas/topics.py` declares, and name every difference.

Options differ back and forth harmlessly and are set right in place. The number of partitions is not: it decides which
worker owns an instrument, and the offsets and checkpoints of each partition would be another's. So it is never changed
here; a declaration with another number needs new topics, under another prefix.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, TopicCollection
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from obflow import kafka
from obflow.settings import Settings
from obflow.settings.topic_options import options_of
from schemas.errors import FatalError, TopicMismatch
from schemas.topics import TOPICS, Topic

MISSING = "missing"
PARTITIONS = "partitions"
IN_FORCE_CHECK_SECONDS = 0.05
NEW_LOGS = (
    "set kafka.topic_prefix for every role and run `obflow topics apply`: new topics are other logs, and the rows "
    "stored so far stay"
)
"""What to do where a broker has lost records, so that offsets mean other records than before."""
# A compacted log is read whole at each start, so it is cleaned early and in small pieces: what is still in the newest
# piece is never cleaned, and Kafka's own default lets that grow to a gigabyte a partition.
COMPACTED_SEGMENT_BYTES = 16 * 1024 * 1024
COMPACTED_DIRTY_RATIO = 0.1


@dataclass(frozen=True)
class TopicState:
    """A topic as declared, or as found on the broker.

    Attributes:
        name: Its name on the broker, prefix and all.
        partitions: How many it has.
        options: Kafka's topic options; as found, all of them.
    """

    name: str
    partitions: int
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """One thing about a topic that is not as declared.

    Attributes:
        topic: Name on the broker.
        what: `missing`, `partitions`, or the option's name.
        declared: Value declared.
        found: Value on the broker; empty where the topic is missing.
    """

    topic: str
    what: str
    declared: str
    found: str

    @property
    def mendable(self) -> bool:
        """Whether `apply` can set it right in place."""
        return self.what != PARTITIONS

    def __str__(self) -> str:
        if self.what == MISSING:
            return f"{self.topic} is missing"
        return f"{self.topic}: {self.what} is {self.found}, declared {self.declared}"


@dataclass(frozen=True)
class Applied:
    """What `apply` did.

    Attributes:
        created: Names of the topics it created.
        changed: The options it set right.
        unchanged: Names of the topics that were as declared.
    """

    created: tuple[str, ...]
    changed: tuple[Difference, ...]
    unchanged: tuple[str, ...]


def topic_name(settings: Settings, topic: Topic) -> str:
    """The topic's name on the broker: prefix and declared name."""
    return settings.kafka.topic_prefix + topic.name


def declared(settings: Settings, topics: Iterable[Topic] = TOPICS) -> tuple[TopicState, ...]:
    """What the broker should hold by the declaration and the settings."""
    return tuple(
        TopicState(
            topic_name(settings, topic),
            settings.kafka.partitions,
            _options(topic) | options_of(topic, settings.kafka.topic_options),
        )
        for topic in topics
    )


def compare(wanted: Iterable[TopicState], found: Mapping[str, TopicState]) -> tuple[Difference, ...]:
    """Name every difference between what is wanted and what there is, topic by topic."""
    differences: list[Difference] = []
    for topic in wanted:
        there = found.get(topic.name)
        if there is None:
            differences.append(Difference(topic.name, MISSING, "there", ""))
            continue
        if there.partitions != topic.partitions:
            differences.append(Difference(topic.name, PARTITIONS, str(topic.partitions), str(there.partitions)))
        for option, value in topic.options.items():
            actual = there.options.get(option, "not set")
            if actual != value:
                differences.append(Difference(topic.name, option, value, actual))
    return tuple(differences)


def check(settings: Settings) -> tuple[Difference, ...]:
    """Name every difference between the declaration and the broker; none at all means it is as declared.

    Raises:
        BrokerUnreachable: No broker answers.
    """
    wanted = declared(settings)
    return compare(wanted, _found(settings, [topic.name for topic in wanted]))


def apply(settings: Settings) -> Applied:
    """Create what is missing and set options right. Doing it again changes nothing.

    When it returns, every broker that was asked knows the topics and each partition has a leader.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: A topic has another number of partitions, in which case nothing at all was changed.
        FatalError: The broker accepted the changes, but they did not come into force in time.
    """
    wanted = declared(settings)
    differences = check(settings)
    _refuse_other_partitions(differences)
    missing = {difference.topic for difference in differences if difference.what == MISSING}
    changed = tuple(difference for difference in differences if difference.what != MISSING)
    _create(settings, [topic for topic in wanted if topic.name in missing])
    _change(settings, changed)
    if differences:
        _wait_until_in_force(settings)
    touched = missing | {difference.topic for difference in changed}
    return Applied(
        created=tuple(topic.name for topic in wanted if topic.name in missing),
        changed=changed,
        unchanged=tuple(topic.name for topic in wanted if topic.name not in touched),
    )


def _options(topic: Topic) -> dict[str, str]:
    options = {
        # Retention counts from when the broker got a record, so that old data being replayed is not deleted at once.
        "message.timestamp.type": "LogAppendTime",
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(kafka.MAX_RECORD_BYTES),
    }
    if topic.cleanup == "compact":
        options["segment.bytes"] = str(COMPACTED_SEGMENT_BYTES)
        options["min.cleanable.dirty.ratio"] = str(COMPACTED_DIRTY_RATIO)
        options["min.compaction.lag.ms"] = str(topic.whole_ms)
    return options


def _found(settings: Settings, names: list[str]) -> dict[str, TopicState]:
    kafka.require_broker(settings)
    client = kafka.admin(settings)
    known = kafka.patiently(settings, lambda left: client.list_topics(timeout=left)).topics
    present = [name for name in names if name in known and _led(known[name])]
    if not present:
        return {}
    described = kafka.ask(
        settings, lambda client, timeout: client.describe_topics(TopicCollection(present), request_timeout=timeout)
    )
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in present]
    options = kafka.ask(settings, lambda client, timeout: client.describe_configs(resources, request_timeout=timeout))
    by_name = {
        resource.name: {name: str(entry.value) for name, entry in entries.items()}
        for resource, entries in options.items()
    }
    return {name: TopicState(name, len(topic.partitions), by_name[name]) for name, topic in described.items()}


def _led(topic: TopicMetadata) -> bool:
    return topic.error is None and all(partition.leader >= 0 for partition in topic.partitions.values())


def _refuse_other_partitions(differences: Iterable[Difference]) -> None:
    fixed = [difference for difference in differences if not difference.mendable]
    if fixed:
        raise TopicMismatch(
            "; ".join(map(str, fixed)),
            next_step=(
                "nothing was changed, since it would move instruments between workers; "
                "set kafka.partitions to what is there, or kafka.topic_prefix to start new topics"
            ),
        )


def _create(settings: Settings, topics: list[TopicState]) -> None:
    if not topics:
        return
    new = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=settings.kafka.replication_factor,
            config=dict(topic.options),
        )
        for topic in topics
    ]
    kafka.ask(
        settings,
        lambda client, timeout: client.create_topics(new, operation_timeout=timeout, request_timeout=timeout),
        accepted=(KafkaError.TOPIC_ALREADY_EXISTS,),  # somebody else is applying them too
    )


def _wait_until_in_force(settings: Settings) -> None:
    """Wait for the broker to learn what its controller has decided: it answers from what it has learnt."""
    deadline = time.monotonic() + settings.kafka.request_timeout_seconds
    while differences := check(settings):
        _refuse_other_partitions(differences)  # somebody else created it meanwhile, with another number
        if time.monotonic() > deadline:
            raise FatalError(
                f"the broker at {settings.kafka.bootstrap_servers} accepted the changes, but after "
                f"{settings.kafka.request_timeout_seconds:g} s {differences[0]}",
                next_step="look at the broker's log",
            )
        time.sleep(IN_FORCE_CHECK_SECONDS)


def _change(settings: Settings, differences: Iterable[Difference]) -> None:
    entries: dict[str, list[ConfigEntry]] = {}
    for difference in differences:
        entry = ConfigEntry(difference.what, difference.declared, incremental_operation=AlterConfigOpType.SET)
        entries.setdefault(difference.topic, []).append(entry)
    if not entries:
        return
    resources = [
        ConfigResource(ResourceType.TOPIC, name, incremental_configs=changes) for name, changes in entries.items()
    ]
    kafka.ask(settings, lambda client, timeout: client.incremental_alter_configs(resources, request_timeout=timeout))
