"""A changelog loses its checkpoints while no worker runs: the next one says so, and not an event is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from schemas.topics import BOOKS_CHANGELOG, L2
from tests.integration.processing import FactorLog, interleaved, pipeline, publish, read_all, until, workers
from tests.integration.test_processor import Expected, assert_whole, drained, streams_of
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

Lose = Callable[[Settings], None]


def emptied(settings: Settings) -> None:
    """Remove every record of the changelog, which a broker does for one that is not compacted alone."""
    name = topics.topic_name(settings, BOOKS_CHANGELOG)
    ends = [TopicPartition(name, number, end) for (_, number), end in kafka_logs.end_offsets(settings, [name]).items()]
    alter(settings, name, {"cleanup.policy": "compact,delete"})
    kafka.ask(settings, lambda client, timeout: client.delete_records(ends, request_timeout=timeout))
    topics.apply(settings)


def alter(settings: Settings, name: str, options: Mapping[str, str]) -> None:
    """Set options of a topic."""
    entries = [
        ConfigEntry(option, value, incremental_operation=AlterConfigOpType.SET) for option, value in options.items()
    ]
    changed = [ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)]
    kafka.ask(settings, lambda client, timeout: client.incremental_alter_configs(changed, request_timeout=timeout))


def made_anew(settings: Settings) -> None:
    """Delete the changelog and make it again."""
    name = topics.topic_name(settings, BOOKS_CHANGELOG)
    kafka.ask(settings, lambda client, timeout: client.delete_topics([name], request_timeout=timeout))
    topics.apply(settings)


@pytest.mark.parametrize("lose", tiered([emptied, made_anew], emptied))
@pytest.mark.case("changelog-emptied")
def test_a_worker_whose_changelog_was_emptied_says_so_and_loses_nothing(
    broker: str, tmp_path: Path, lose: Lose
) -> None:
    settings = pipeline(broker)
    streams = streams_of(seed=40, instruments=6, records=120)
    publish(settings, interleaved([records[:70] for records in streams]))
    with workers(settings, tmp_path / "before") as start:
        worker = start()
        drained(settings)
        assert worker.stop() == 0

    lose(settings)
    publish(settings, interleaved([records[70:95] for records in streams]))
    with workers(settings, tmp_path / "after") as start:
        worker = start()
        drained(settings)
        told = worker.logged("checkpoint_missing")
        worker.kill()
        assert {line["partition"] for line in told} == _partitions_in_use(settings)
        assert all("is committed, and the changelog has no usable checkpoint" in line["cause"] for line in told)
        publish(settings, interleaved([records[95:] for records in streams]))
        again = start()
        drained(settings)
        assert again.logged("checkpoint_missing") == [], "it was mended"
    assert_whole(FactorLog(settings).read(), Expected(streams))


@pytest.mark.exhaustive
@pytest.mark.parametrize("lose", [emptied, made_anew])
def test_a_changelog_that_is_lost_under_a_worker_loses_nothing_of_quiet_instruments(
    broker: str, tmp_path: Path, lose: Lose
) -> None:
    """Those that go on have checkpoints soon; those of the same partition that are quiet have none any more."""
    settings = pipeline(broker)
    streams = streams_of(seed=50, instruments=24, records=60)
    publish(settings, interleaved([records[:30] for records in streams]))
    with workers(settings, tmp_path) as start:
        worker = start()
        drained(settings)
        lose(settings)
        publish(settings, interleaved([records[30:40] for records in streams[::2]]))
        drained(settings)
        worker.kill()
        publish(settings, interleaved([records[30:] for records in streams[1::2]]))
        publish(settings, interleaved([records[40:] for records in streams[::2]]))
        again = start()
        drained(settings)
        assert again.logged("checkpoint_missing")
    assert_whole(FactorLog(settings).read(), Expected(streams))


@pytest.mark.exhaustive
@pytest.mark.parametrize("written", [None, b"rubbish"])
def test_a_checkpoint_that_compaction_took_for_the_sake_of_rubbish_is_missed(
    broker: str, tmp_path: Path, written: bytes | None
) -> None:
    """Others of the same partition are whole, and what was written instead is refused: still its key is no new one."""
    settings = pipeline(broker)
    name, streams = topics.topic_name(settings, BOOKS_CHANGELOG), streams_of(seed=80, instruments=8, records=80)
    publish(settings, interleaved([records[:40] for records in streams]))
    with workers(settings, tmp_path) as start:
        worker = start()
        drained(settings)
        assert worker.stop() == 0
        victim = next(key for key in _keys(settings) if _sharing(settings, key))
        compacted(settings, name, victim, written)
        publish(settings, interleaved([records[40:] for records in streams]))
        again = start()
        drained(settings)
        assert [line["key"] for line in again.logged("checkpoint_missing")] == [victim.decode()]
    assert_whole(FactorLog(settings).read(), Expected(streams))


def compacted(settings: Settings, name: str, key: bytes, value: bytes | None) -> None:
    """Write a record of a key, and wait until it is the only one that the changelog has of it."""
    own = topics.declared(settings, [BOOKS_CHANGELOG])[0].options
    soon = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0", "min.compaction.lag.ms": "0"}
    alter(settings, name, {**soon, "max.compaction.lag.ms": "100"})
    [[part]] = [{one.partition for one in read_all(settings, BOOKS_CHANGELOG) if one.key == key}]
    producer = kafka.producer(settings)

    def is_done() -> bool:
        producer.produce(name, value, key=key, partition=part)
        assert producer.flush(patient(20)) == 0
        return all(one.value in (value, None) for one in read_all(settings, BOOKS_CHANGELOG) if one.key == key)

    until(is_done, 60, lambda: "not compacted")
    alter(settings, name, own)


def _keys(settings: Settings) -> set[bytes]:
    return {one.key for one in read_all(settings, BOOKS_CHANGELOG)}


def _sharing(settings: Settings, key: bytes) -> bool:
    homes = {one.key: one.partition for one in read_all(settings, BOOKS_CHANGELOG)}
    return list(homes.values()).count(homes[key]) > 1


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("partitions", "sentence"),
    [
        (0, "is not on the broker any more: `obflow topics apply` creates what is missing"),
        (2, "has 2 partitions now, and 4 before: its keys have moved: set kafka.topic_prefix for every role"),
    ],
)
def test_a_worker_whose_changelog_is_gone_or_narrower_ends_with_a_sentence(
    broker: str, tmp_path: Path, partitions: int, sentence: str
) -> None:
    """It would go on, save nothing and commit nothing, for half an hour and in silence."""
    settings = pipeline(broker)
    name = topics.topic_name(settings, BOOKS_CHANGELOG)
    with workers(settings, tmp_path) as start:
        worker = start()
        worker.wait_ready()
        kafka.ask(settings, lambda client, timeout: client.delete_topics([name], request_timeout=timeout))
        if partitions:
            until(lambda: not kafka_logs.logs_there(settings, [name]), 20, worker.tail)
            new = [NewTopic(name, num_partitions=partitions, replication_factor=1)]
            kafka.ask(settings, lambda client, timeout: client.create_topics(new, request_timeout=timeout))
        assert worker.process.wait(patient(30)) == 1, worker.tail()
        assert sentence in worker.tail().splitlines()[-1]


def _partitions_in_use(settings: Settings) -> set[int]:
    ends = kafka_logs.end_offsets(settings, [topics.topic_name(settings, L2)])
    return {number for (_, number), end in ends.items() if end}
