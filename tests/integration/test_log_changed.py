"""The log changes under workers: made anew, given more partitions, or cut; each is a sentence within seconds."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from schemas.logs import OffsetStamp, short_id
from schemas.topics import BOOKS_CHANGELOG, FACTORS, L2, ROLLOUT, Topic
from tests.integration.processing import PARTITIONS, FactorLog, Worker, interleaved, pipeline, publish, until, workers
from tests.integration.test_processor import Expected, assert_whole, drained, streams_of
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

SOON_S = 20.0
"""The watchdog looks every two seconds; the rest is a busy machine's."""


def made_anew(settings: Settings, topic: Topic = L2) -> None:
    name = topics.topic_name(settings, topic)
    kafka.ask(settings, lambda client, timeout: client.delete_topics([name], request_timeout=timeout))
    time.sleep(1.0)  # for as long the group has no partitions to hand out
    topics.apply(settings)


def widened(settings: Settings, topic: Topic = L2) -> None:
    wanted = [NewPartitions(topics.topic_name(settings, topic), PARTITIONS + 1)]
    kafka.ask(settings, lambda client, timeout: client.create_partitions(wanted, request_timeout=timeout))


def ended(worker: Worker) -> str:
    """The sentence that it ends with."""
    assert worker.process.wait(patient(SOON_S)) == 1, worker.tail()
    return worker.tail().splitlines()[-1]


@pytest.mark.parametrize("role", tiered(["process", "regimes"], "process"))
def test_workers_end_soon_after_their_topic_was_made_anew(broker: str, tmp_path: Path, role: str) -> None:
    settings = pipeline(broker)
    with workers(settings, tmp_path, role) as start:
        worker = start()
        worker.wait_ready()
        made_anew(settings, L2 if role == "process" else FACTORS)
        assert "was made anew: it is another log: restart the worker" in ended(worker)


@pytest.mark.exhaustive
def test_workers_that_obey_a_rollout_end_where_its_topic_was_made_anew(broker: str, tmp_path: Path) -> None:
    """Steps count from the log's start: they would obey the old log's last one, and none of the new log."""
    model = {"base_url": "http://127.0.0.1:9/v1", "model": "any", "rollout": True}
    settings = pipeline(broker, regimes=model)
    with workers(settings, tmp_path, "regimes") as start:
        worker = start()
        worker.wait_ready()
        made_anew(settings, ROLLOUT)
        assert "rollout.v1 was made anew: it is another log: restart the worker" in ended(worker)


@pytest.mark.exhaustive
@pytest.mark.case("topic-made-anew")
def test_a_worker_without_a_partition_ends_too_where_its_topic_was_made_anew(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker)
    with workers(settings, tmp_path) as start:
        several = [start() for _ in range(2)]
        for worker in several:
            worker.wait_ready(60)
        made_anew(settings)
        assert all("was made anew" in ended(worker) for worker in several)


@pytest.mark.exhaustive
@pytest.mark.parametrize("role", tiered(["process", "regimes"], "process"))
def test_workers_end_where_their_topic_gets_more_partitions(broker: str, tmp_path: Path, role: str) -> None:
    settings = pipeline(broker)
    with workers(settings, tmp_path, role) as start:
        worker = start()
        worker.wait_ready()
        widened(settings, L2 if role == "process" else FACTORS)
        sentence = ended(worker)
    moved = "its keys have moved: set kafka.topic_prefix for every role"
    assert f"has {PARTITIONS + 1} partitions now, and {PARTITIONS} before: {moved}" in sentence


def stamp_of(settings: Settings) -> str:
    """What a worker commits beside its offsets now."""
    names = [topics.topic_name(settings, topic) for topic in (BOOKS_CHANGELOG, L2)]
    ids = kafka_logs.topic_ids(settings, names)
    return OffsetStamp(*(short_id(ids[name]) for name in names)).text


def test_what_was_committed_of_a_log_that_is_no_more_skips_nothing_of_the_new_one(broker: str, tmp_path: Path) -> None:
    """The broker forgets offsets with their topic; those that somebody commits who has not noticed, it keeps."""
    settings = pipeline(broker)
    name, streams = topics.topic_name(settings, L2), streams_of(seed=70, instruments=6, records=90)
    group = settings.kafka.topic_prefix + settings.processor.app_id
    publish(settings, interleaved([records[:40] for records in streams]))
    with workers(settings, tmp_path) as start:
        worker = start()
        drained(settings)
        assert worker.stop() == 0
        stamp = stamp_of(settings)
        ends = {place: end for place, end in kafka_logs.committed_offsets(settings, group, [name]).items() if end}
        committed = [TopicPartition(*place, end, stamp) for place, end in ends.items()]
        with closing(kafka.consumer(settings, group)) as late:
            made_anew(settings)
            publish(settings, interleaved(streams))
            stored = FactorLog(settings, from_end=True)
            late.commit(offsets=committed, asynchronous=False)
        assert kafka_logs.committed_offsets(settings, group, [name]) == {}, "they are none of this log"
        worker = start()
        drained(settings)
        told = worker.logged("offset_taken_back")
        assert worker.stop() == 0
        assert {line["partition"] for line in told} == {one.partition for one in committed}
        assert all("the partition is read from the log's start" in line["cause"] for line in told)
        again = start()
        again.wait_ready()
        assert again.logged("offset_taken_back") == [], "the broker has it right by now"
    assert_whole(stored.read(), Expected(streams))


def test_records_removed_before_they_were_read_are_named_and_the_worker_goes_on(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker)
    name = topics.topic_name(settings, L2)
    streams = streams_of(seed=60, instruments=8, records=90)
    publish(settings, interleaved([records[:30] for records in streams]))
    with workers(settings, tmp_path) as start:
        worker = start()
        drained(settings)
        worker.stop()
        publish(settings, interleaved([records[30:60] for records in streams]))
        ends = [
            TopicPartition(name, number, end) for (_, number), end in kafka_logs.end_offsets(settings, [name]).items()
        ]
        kafka.ask(settings, lambda client, timeout: client.delete_records(ends, request_timeout=timeout))
        worker = start()
        until(lambda: bool(worker.logged("source_hole")), 30, worker.tail)
        drained(settings)
        publish(settings, interleaved([records[60:] for records in streams]))
        drained(settings)
        assert "the log has lost records" in worker.logged("source_hole")[0]["cause"]
        assert worker.stop() == 0
