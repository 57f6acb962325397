"""A changelog loses its checkpoints while no worker runs: the next one says so, and not an event is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from schemas.topics import BOOKS_CHANGELOG, L2
from tests.integration.processing import FactorLog, interleaved, pipeline, publish, workers
from tests.integration.test_processor import Expected, assert_whole, drained, streams_of
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

Lose = Callable[[Settings], None]


def emptied(settings: Settings) -> None:
    """Remove every record of the changelog, which a broker does for one that is not compacted alone."""
    name = topics.topic_name(settings, BOOKS_CHANGELOG)
    ends = [TopicPartition(name, number, end) for (_, number), end in kafka_logs.end_offsets(settings, [name]).items()]
    entry = ConfigEntry("cleanup.policy", "compact,delete", incremental_operation=AlterConfigOpType.SET)
    changed = [ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry])]
    kafka.ask(settings, lambda client, timeout: client.incremental_alter_configs(changed, request_timeout=timeout))
    kafka.ask(settings, lambda client, timeout: client.delete_records(ends, request_timeout=timeout))
    topics.apply(settings)


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


def _partitions_in_use(settings: Settings) -> set[int]:
    ends = kafka_logs.end_offsets(settings, [topics.topic_name(settings, L2)])
    return {number for (_, number), end in ends.items() if end}
