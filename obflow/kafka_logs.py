"""What the broker tells of its logs: which ones they are, where they begin and end, how far a group has come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import ListOffsetsResultInfo, OffsetSpec

from obflow import kafka
from obflow.kafka import Partition
from obflow.settings import Settings
from schemas.logs import LogId, OffsetStamp, parse_stamp, short_id

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, TopicDescription

_URL_SAFE = str.maketrans("+/", "-_")


def topic_ids(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Look up the identity each topic got when it was created, as Kafka writes it (22 characters).

    A topic deleted and created again has another one, so that its offsets are never taken for the old ones.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: A topic is not there.
    """
    found = _described(settings, dict.fromkeys(names))
    return {name: url_safe(topic.topic_id) for name, topic in found.items()}


def logs_there(settings: Settings, names: Iterable[str]) -> dict[str, LogId]:
    """Look up the logs that topics are now, those that there are.

    Raises:
        BrokerUnreachable: No broker answers.
    """
    found = _described(settings, dict.fromkeys(names), accepted=(KafkaError.UNKNOWN_TOPIC_OR_PART,))
    return {name: LogId(name, url_safe(topic.topic_id), len(topic.partitions)) for name, topic in found.items()}


def url_safe(topic_id: object) -> str:
    """The identity as the broker and its tools write it: the client library uses the other base64 alphabet."""
    return str(topic_id).translate(_URL_SAFE)


def end_offsets(settings: Settings, names: Iterable[str]) -> dict[Partition, int]:
    """Look up the offset the next record of each partition will get.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: A topic is not there.
    """
    return _offsets(settings, names, OffsetSpec.latest())


def start_offsets(settings: Settings, names: Iterable[str]) -> dict[Partition, int]:
    """Look up the offset of the oldest record each partition still has.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: A topic is not there.
    """
    return _offsets(settings, names, OffsetSpec.earliest())


def offsets_at(settings: Settings, names: Iterable[str], since_ms: int) -> dict[Partition, int]:
    """Look up each partition's first record of a time or later, by Kafka's time of it, ms UTC.

    A partition that has none is given where its next record will lie. Errors as of `end_offsets`.
    """
    wanted = list(names)
    ends = end_offsets(settings, wanted)
    found = _offsets(settings, wanted, OffsetSpec.for_timestamp(since_ms))
    return {partition: found[partition] if found[partition] >= 0 else end for partition, end in ends.items()}


class Committed(NamedTuple):
    """An offset that a group has committed, and what stands beside it."""

    offset: int
    stamp: OffsetStamp


def committed_offsets(settings: Settings, group: str, names: Iterable[str]) -> dict[Partition, int]:
    """The offsets of `committed`, alone; errors as there."""
    return {place: found.offset for place, found in committed(settings, group, names).items()}


def committed(settings: Settings, group: str, names: Iterable[str]) -> dict[Partition, Committed]:
    """Look up how far a consumer group has come, for those partitions of the topics that it has committed.

    One that was committed of another log, which had the topic's name before, is none of this one.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: A topic is not there.
    """
    described = _described(settings, names)
    logs = {name: short_id(url_safe(topic.topic_id)) for name, topic in described.items()}
    partitions = [TopicPartition(name, one.id) for name, topic in described.items() for one in topic.partitions]
    # Asked as a member would: librdkafka's administrative call for this crashes the process (its issue 5040) if the
    # group's coordinator is just moving or loading.
    asker = kafka.consumer(settings, group, {"log_level": kafka.CRITICAL_ONLY})
    try:
        found = kafka.patiently(settings, lambda left: asker.committed(partitions, timeout=left))
    finally:
        asker.close()
    stamped = [(item, _stamp_of(item)) for item in found if item.offset >= 0]
    return {
        (item.topic, item.partition): Committed(item.offset, stamp)
        for item, stamp in stamped
        if not stamp.is_of_another(logs[item.topic])
    }


def _stamp_of(committed: TopicPartition) -> OffsetStamp:
    """What stands beside an offset. The library copies on beyond the end of it, which may give no text at all."""
    try:
        return parse_stamp(committed.metadata or "")
    except UnicodeDecodeError as error:
        return parse_stamp(error.object.decode("latin-1"))


def _described(settings: Settings, names: Iterable[str], accepted: Collection[int] = ()) -> dict[str, TopicDescription]:
    topics = TopicCollection(list(names))
    return kafka.ask(
        settings, lambda client, timeout: client.describe_topics(topics, request_timeout=timeout), accepted=accepted
    )


def _partitions(settings: Settings, names: Iterable[str]) -> list[Partition]:
    described = _described(settings, names)
    return [(name, partition.id) for name, topic in described.items() for partition in topic.partitions]


def _offsets(settings: Settings, names: Iterable[str], spec: OffsetSpec) -> dict[Partition, int]:
    wanted = {TopicPartition(*partition): spec for partition in _partitions(settings, names)}

    def call(client: AdminClient, timeout: float) -> Mapping[TopicPartition, Future[ListOffsetsResultInfo]]:
        # A client that has yet to look up the partitions' leaders now and then misses the answer, and only asks again
        # after three seconds (11 of 641 calls took that long; once it knows them, none of 618).
        client.list_topics(timeout=timeout)
        answers: Mapping[TopicPartition, Future[ListOffsetsResultInfo]]
        answers = client.list_offsets(wanted, request_timeout=timeout)
        return answers

    def told(left: float) -> dict[Partition, int]:
        client = kafka.admin(settings)  # held until the answers are here
        found = kafka.answers(call(client, left), left)
        return {(item.topic, item.partition): told_offset(answer) for item, answer in found.items()}

    return kafka.patiently(settings, told)


def told_offset(answer: ListOffsetsResultInfo) -> int:
    """The offset that a broker told; -1 where no record is of the time that was asked for.

    Raises:
        KafkaException: It told none, as one does that has just come back: no end of a log may be read out of that.
    """
    if answer.offset == OFFSET_INVALID:
        raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    return int(answer.offset)
