"""Topics: what is declared, and how differences are named. What a real broker makes of it is in tests/integration."""

from __future__ import annotations

import re
import socket

import pytest
from pydantic import ValidationError

from obflow import topics
from obflow.settings import KafkaSettings, Settings
from obflow.topics import Difference, TopicState, compare, declared
from schemas.errors import BrokerUnreachable, TopicMismatch
from schemas.topics import BOOKS_CHANGELOG, L2, TOPICS

SETTINGS = Settings(kafka=KafkaSettings(topic_prefix="trial.", partitions=3))
WANTED = TopicState("a", 3, {"retention.ms": "1", "cleanup.policy": "delete"})


class TestDeclared:
    def test_every_declared_topic_has_the_prefix_and_the_partitions_of_the_settings(self) -> None:
        states = declared(SETTINGS)
        assert [state.name for state in states] == [f"trial.{topic.name}" for topic in TOPICS]
        assert {state.partitions for state in states} == {3}

    def test_retention_counts_from_the_brokers_clock_on_every_topic(self) -> None:
        assert {state.options["message.timestamp.type"] for state in declared(SETTINGS)} == {"LogAppendTime"}

    def test_only_changelogs_are_compacted_and_they_are_kept_short(self) -> None:
        (log,) = declared(SETTINGS, [L2])
        (changelog,) = declared(SETTINGS, [BOOKS_CHANGELOG])
        assert (log.options["cleanup.policy"], changelog.options["cleanup.policy"]) == ("delete", "compact")
        assert "segment.bytes" not in log.options
        assert int(changelog.options["segment.bytes"]) < 1024**3


class TestOptionsThatAreSet:
    def test_the_more_exact_name_counts_and_others_stay_as_declared(self) -> None:
        given = {"*/retention.ms": "3600000", "l2.v1/retention.ms": "-1", "l2.v1/segment.bytes": "1048576"}
        kafka = KafkaSettings(topic_options=given)
        found = {state.name: state.options for state in declared(Settings(kafka=kafka))}

        assert (found["l2.v1"]["retention.ms"], found["l2.v1"]["segment.bytes"]) == ("-1", "1048576")
        assert found["trades.v1"]["retention.ms"] == "3600000"
        assert found["l2.v1"]["max.message.bytes"] == found["trades.v1"]["max.message.bytes"]

    def test_a_compacted_topic_keeps_what_its_compaction_keeps(self) -> None:
        kafka = KafkaSettings(topic_options={"*/retention.ms": "3600000", "*/min.insync.replicas": "1"})
        (changelog,) = declared(Settings(kafka=kafka), [BOOKS_CHANGELOG])

        assert changelog.options["retention.ms"] == "-1"
        assert changelog.options["min.insync.replicas"] == "1"

    @pytest.mark.parametrize(
        ("name", "value", "why"),
        [
            ("retention.ms", "1", "write it as TOPIC/OPTION"),
            ("trades.v1/cleanup.policy", "compact", "write it as TOPIC/OPTION"),
            ("trade/retention.ms", "1", "there is no topic trade"),
            ("*/retention.ms", "0", "0 is no number of milliseconds"),
            ("*/segment.bytes", "-1", "-1 is no number of bytes"),
            ("*/retention.bytes", "many", "many is no number of bytes"),
            ("*/min.insync.replicas", "2", "kafka.replication_factor is 1, so that nothing could ever be written"),
        ],
    )
    def test_what_cannot_be_set_is_refused_with_why(self, name: str, value: str, why: str) -> None:
        with pytest.raises(ValidationError, match=re.escape(f"{name} cannot be set: {why}")):
            KafkaSettings(topic_options={name: value})

    def test_more_copies_let_more_of_them_be_in_step(self) -> None:
        KafkaSettings(topic_options={"*/min.insync.replicas": "2"}, replication_factor=3)


class TestCompare:
    def test_as_declared_is_no_difference_whatever_else_the_broker_sets(self) -> None:
        there = TopicState("a", 3, {**WANTED.options, "segment.bytes": "1"})
        assert compare([WANTED], {"a": there, "other": TopicState("other", 9)}) == ()

    def test_a_missing_topic_is_one_difference(self) -> None:
        (difference,) = compare([WANTED], {})
        assert (str(difference), difference.mendable) == ("a is missing", True)

    def test_each_option_is_named_with_both_values(self) -> None:
        there = TopicState("a", 3, {"retention.ms": "2"})
        assert [str(difference) for difference in compare([WANTED], {"a": there})] == [
            "a: retention.ms is 2, declared 1",
            "a: cleanup.policy is not set, declared delete",
        ]

    def test_another_number_of_partitions_cannot_be_mended(self) -> None:
        (difference,) = compare([WANTED], {"a": TopicState("a", 4, WANTED.options)})
        assert str(difference) == "a: partitions is 4, declared 3"
        assert not difference.mendable


def test_apply_changes_nothing_where_one_topic_has_another_number_of_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    differences = (Difference("a", "missing", "there", ""), Difference("b", "partitions", "24", "8"))
    monkeypatch.setattr(topics, "check", lambda settings: differences)
    touched: list[object] = []
    monkeypatch.setattr(topics, "_create", lambda *arguments: touched.append(arguments))
    with pytest.raises(TopicMismatch, match=r"b: partitions is 8, declared 24: nothing was changed"):
        topics.apply(SETTINGS)
    assert touched == []


def test_a_broker_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=address))
    for call in (topics.check, topics.apply):
        with pytest.raises(BrokerUnreachable, match=address):
            call(settings)
