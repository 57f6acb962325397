"""The doctor on a real broker: topics and the newest records."""

from __future__ import annotations

import uuid

import pytest

from obflow import kafka, topics
from obflow.broker_checks import broker_checks
from obflow.findings import Check
from obflow.settings import KafkaSettings, Settings
from schemas.codec import encode
from schemas.messages import Reason, ResyncRequest
from schemas.topics import L2, RESYNC, TOPICS, Topic
from tests.support.patience import patient

pytestmark = pytest.mark.integration

REQUEST = ResyncRequest("binance", "BTCUSDT", Reason.GAP, epoch=1, source_partition=0, source_offset=7, attempt=1)


@pytest.fixture
def settings(broker: str) -> Settings:
    """Settings with a prefix nobody else uses."""
    return Settings(kafka=KafkaSettings(bootstrap_servers=broker, topic_prefix=f"{uuid.uuid4().hex}.", partitions=2))


def write(settings: Settings, topic: Topic, *payloads: bytes | None) -> None:
    producer = kafka.producer(settings)
    for payload in payloads:
        producer.produce(topics.topic_name(settings, topic), key=b"binance:BTCUSDT", value=payload)
    assert producer.flush(patient(30)) == 0


def finding(settings: Settings, name: str) -> Check:
    return next(check for check in broker_checks(settings) if check.name == name)


def test_missing_topics_are_named_with_the_command_that_mends_them(settings: Settings) -> None:
    found = finding(settings, "topics")
    assert not found.ok
    assert found.detail.count(" is missing") == len(TOPICS)
    assert found.remedy == "`obflow topics apply`"
    assert finding(settings, "records") == Check("records", True, "no records yet")


def test_a_broker_as_declared_with_records_of_this_version_is_well(settings: Settings) -> None:
    topics.apply(settings)
    write(settings, RESYNC, encode(REQUEST))
    assert [check.ok for check in broker_checks(settings)] == [True, True, True]
    assert finding(settings, "records").detail == "the newest of 1 topics decode"


def test_records_of_another_version_are_named_by_topic_partition_and_offset(settings: Settings) -> None:
    topics.apply(settings)
    write(settings, RESYNC, encode(REQUEST), b"\x00\x00\x00\x03\xe7later")
    write(settings, L2, encode(REQUEST))
    found = finding(settings, "records")
    assert not found.ok
    assert f"{topics.topic_name(settings, RESYNC)}[" in found.detail
    assert "@1: unknown frame (magic 0, schema id 999)" in found.detail
    assert "it is a ResyncRequest, not a L2Record" in found.detail
    assert "upgrade" in found.remedy
