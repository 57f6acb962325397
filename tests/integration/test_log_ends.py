"""How far a log goes is asked of the broker where it must be, and no more often."""

from __future__ import annotations

import uuid
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID
from confluent_kafka.admin import AdminClient

from obflow import kafka, kafka_logs, topics
from obflow.log_ends import LogEnds
from obflow.settings import KafkaSettings, Settings
from obflow.topics import topic_name
from schemas.errors import TopicMismatch
from schemas.places import NamedPlace, is_inside
from schemas.topics import L2
from tests.integration.sinking import Feed, wait_for
from tests.support.patience import patient

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(broker: str) -> Settings:
    """Topics of the test's own."""
    prefix = f"e{uuid.uuid4().hex[:8]}."
    chosen = Settings(kafka=KafkaSettings(bootstrap_servers=broker, topic_prefix=prefix, partitions=4))
    topics.apply(chosen)
    return chosen


def delete(settings: Settings, *names: str) -> None:
    client = kafka.admin(settings)
    for answer in client.delete_topics(list(names)).values():
        answer.result(patient(20))
    wait_for(lambda: not set(names) & client.list_topics(timeout=patient(10)).topics.keys(), 20, "the topics' deletion")


def send(settings: Settings, records: int) -> None:
    feed = Feed(settings, L2)
    for _ in range(records):
        feed.send_bytes(b"x", key="binance:A")
    feed.flush()


def ends_of(settings: Settings) -> LogEnds:
    """The broker's first answer."""
    ends = LogEnds(settings, L2)
    ends.refresh(NamedPlace("", 0, 0))
    return ends


def found(ends: LogEnds, named: NamedPlace) -> bool:
    if not ends.knows(named):
        ends.refresh(named)
    return is_inside(named, ends.extent)


def test_a_place_is_inside_once_its_record_is_there_and_not_before(settings: Settings) -> None:
    send(settings, 3)
    ends = ends_of(settings)
    log, [part] = ends.extent.log, [part for part, end in ends.extent.ends.items() if end]

    assert ends.extent.ends[part] == 3
    assert [found(ends, NamedPlace(log, part, offset)) for offset in (0, 2, 3, 2**63 - 1)] == [True, True, False, False]
    send(settings, 1)
    assert not found(ends, NamedPlace(log, part, 3)), "nobody has read since the last answer"
    ends.expire()
    assert found(ends, NamedPlace(log, part, 3))


def test_the_broker_is_asked_for_places_beyond_the_last_answer_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(settings, 3)
    ends = ends_of(settings)
    log, [part] = ends.extent.log, [part for part, end in ends.extent.ends.items() if end]
    ends.expire()
    asked = []
    real = kafka.patiently
    monkeypatch.setattr(kafka, "patiently", lambda *given: asked.append(1) or real(*given))

    for offset in range(3):
        assert found(ends, NamedPlace(log, part, offset))
    assert asked == []
    for offset in range(10, 20):
        assert not found(ends, NamedPlace(log, part, offset))
    assert len(asked) == 2, "once for the ends and once for the identity, however many records"


def test_a_topic_made_anew_is_another_log_and_the_old_ones_places_lie_outside(settings: Settings) -> None:
    send(settings, 3)
    ends = ends_of(settings)
    old, [part] = ends.extent.log, [part for part, end in ends.extent.ends.items() if end]
    delete(settings, topics.topic_name(settings, L2))
    topics.apply(settings)
    send(settings, 1)
    ends.expire()

    assert not found(ends, NamedPlace(old, part, 5))
    assert ends.extent.log != old
    assert found(ends, NamedPlace(ends.extent.log, part, 0))
    assert not found(ends, NamedPlace(old, part, 0))


def test_a_broker_that_tells_no_end_as_it_comes_back_is_asked_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(settings, 3)
    real, blank = AdminClient.list_offsets, Future[SimpleNamespace]()
    blank.set_result(SimpleNamespace(offset=OFFSET_INVALID))
    asked: list[object] = []

    def blank_at_first(self: AdminClient, wanted: Any, **options: Any) -> Any:
        asked.append(wanted)
        return dict.fromkeys(wanted, blank) if len(asked) % 2 else real(self, wanted, **options)

    monkeypatch.setattr(AdminClient, "list_offsets", blank_at_first)
    assert sum(ends_of(settings).extent.ends.values()) == 3
    assert sum(kafka_logs.end_offsets(settings, [topic_name(settings, L2)]).values()) == 3
    assert len(asked) >= 4, "each is asked again"  # and more often where an answer comes too late


def test_a_missing_topic_is_said(settings: Settings) -> None:
    delete(settings, topics.topic_name(settings, L2))

    with pytest.raises(TopicMismatch, match="obflow topics apply"):
        LogEnds(settings, L2).refresh(NamedPlace("anylogAA", 0, 0))
