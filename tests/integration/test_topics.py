"""Topics and offsets on a real broker: applied once, checked exactly, read back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import KafkaError, Message, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType, TopicMetadata

from obflow import kafka, kafka_logs, topics
from obflow.cli import main
from obflow.settings import KafkaSettings, Settings
from schemas.errors import TopicMismatch
from schemas.logs import short_id
from schemas.topics import L2, TOPICS, TRADES
from tests.support.patience import patient

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(broker: str) -> Iterator[Settings]:
    """Settings with a prefix nobody else uses; its topics are deleted afterwards."""
    chosen = Settings(kafka=KafkaSettings(bootstrap_servers=broker, topic_prefix=f"{uuid.uuid4().hex}.", partitions=4))
    yield chosen
    names = [topic.name for topic in topics.declared(chosen)]
    delete(chosen, names)


def until(happened: Callable[[], bool]) -> None:
    """Wait for the broker to learn what its controller has decided."""
    for _ in range(200):
        if happened():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen within 10 s")


def known(settings: Settings) -> dict[str, TopicMetadata]:
    found: dict[str, TopicMetadata] = kafka.admin(settings).list_topics(timeout=patient(10)).topics
    return found


def delete(settings: Settings, names: list[str]) -> None:
    gone = (KafkaError.UNKNOWN_TOPIC_OR_PART,)
    kafka.ask(settings, lambda client, timeout: client.delete_topics(names, request_timeout=timeout), accepted=gone)
    until(lambda: not set(names) & set(known(settings)))


def set_option(settings: Settings, name: str, option: str, value: str) -> None:
    entry = ConfigEntry(option, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    kafka.ask(settings, lambda client, timeout: client.incremental_alter_configs([resource], request_timeout=timeout))


def test_apply_creates_what_is_declared_and_a_second_time_changes_nothing(settings: Settings) -> None:
    names = tuple(topic.name for topic in topics.declared(settings))
    assert [difference.what for difference in topics.check(settings)] == ["missing"] * len(TOPICS)
    assert topics.apply(settings).created == names
    assert topics.check(settings) == ()
    again = topics.apply(settings)
    assert (again.created, again.changed, again.unchanged) == ((), (), names)


def test_a_changed_option_is_named_and_set_right(settings: Settings) -> None:
    topics.apply(settings)
    name = topics.topic_name(settings, L2)
    set_option(settings, name, "retention.ms", "1000")
    set_option(settings, name, "message.timestamp.type", "CreateTime")
    until(lambda: len(topics.check(settings)) == 2)
    assert {str(difference) for difference in topics.check(settings)} == {
        f"{name}: retention.ms is 1000, declared {L2.retention_ms}",
        f"{name}: message.timestamp.type is CreateTime, declared LogAppendTime",
    }
    assert {change.what for change in topics.apply(settings).changed} == {"retention.ms", "message.timestamp.type"}
    assert topics.check(settings) == ()


def test_another_number_of_partitions_is_refused_and_nothing_else_is_touched(settings: Settings) -> None:
    name = topics.topic_name(settings, TRADES)
    new = [NewTopic(name, 7, 1)]
    kafka.ask(settings, lambda client, timeout: client.create_topics(new, request_timeout=timeout))
    until(lambda: name in known(settings))
    with pytest.raises(TopicMismatch, match=f"{name}: partitions is 7, declared 4"):
        topics.apply(settings)
    assert topics.topic_name(settings, L2) not in known(settings)


def test_the_commands_report_and_exit_accordingly(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    where = [f"--set=kafka.{key}={getattr(settings.kafka, key)}" for key in ("bootstrap_servers", "topic_prefix")]
    where.append("--set=kafka.partitions=4")
    assert main(["topics", "check", *where]) == 1
    assert "`obflow topics apply` mends this" in capfd.readouterr().out
    assert main(["topics", "apply", *where]) == 0
    assert capfd.readouterr().out.count("created ") == len(TOPICS)
    assert main(["topics", "check", "--json", *where]) == 0
    assert capfd.readouterr().out == f'{{"topics":{len(TOPICS)},"differences":[]}}\n'


def test_a_topic_created_again_is_another_log(settings: Settings) -> None:
    topics.apply(settings)
    name = topics.topic_name(settings, L2)
    first = kafka_logs.topic_ids(settings, [name])[name]
    assert len(first) == 22
    assert kafka_logs.topic_ids(settings, [name])[name] == first
    delete(settings, [name])
    topics.apply(settings)
    second = kafka_logs.topic_ids(settings, [name])[name]
    assert short_id(second) != short_id(first)


def test_a_lookup_of_a_topic_that_is_not_there_points_at_apply(settings: Settings) -> None:
    for call in (kafka_logs.topic_ids, kafka_logs.end_offsets, kafka_logs.start_offsets):
        with pytest.raises(TopicMismatch, match="`obflow topics apply`"):
            call(settings, [topics.topic_name(settings, L2)])


def test_records_land_where_the_workers_client_looks_and_offsets_count_them(settings: Settings) -> None:
    """1,000 keys over 24 partitions, through the broker."""
    wide = Settings(kafka=settings.kafka.model_copy(update={"partitions": 24}))
    topics.apply(wide)
    name = topics.topic_name(wide, L2)
    landed: dict[bytes, int] = {}

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None
        key = message.key()
        assert isinstance(key, bytes)
        landed[key] = message.partition() or 0

    producer = kafka.producer(wide)
    keys = [f"venue-{number % 7}:SYMBOL-{number}".encode() for number in range(1000)]
    for key in keys:
        producer.produce(name, key=key, value=b"x", on_delivery=delivered)
    assert producer.flush(patient(30)) == 0
    numbers = list(range(24))
    choose = DefaultPartitioner()
    assert landed == {key: choose(key, numbers, numbers) for key in keys}
    ends = kafka_logs.end_offsets(wide, [name])
    assert ends == {(name, number): sum(p == number for p in landed.values()) for number in numbers}
    assert set(kafka_logs.start_offsets(wide, [name]).values()) == {0}


def test_committed_offsets_are_those_of_the_group(settings: Settings) -> None:
    topics.apply(settings)
    name = topics.topic_name(settings, L2)
    group = f"readers-{uuid.uuid4().hex}"
    assert kafka_logs.committed_offsets(settings, group, [name]) == {}
    consumer = kafka.consumer(settings, group)
    try:
        consumer.commit(offsets=[TopicPartition(name, 2, 5)], asynchronous=False)
    finally:
        consumer.close()
    assert kafka_logs.committed_offsets(settings, group, [name]) == {(name, 2): 5}


def test_two_that_apply_at_once_both_succeed(settings: Settings) -> None:
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(topics.apply, [settings, settings]))
    assert len(outcomes) == 2
    assert topics.check(settings) == ()
