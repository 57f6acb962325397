"""Where the log ends, and whether it still is the log that was read."""

from __future__ import annotations

import pytest

from obflow import kafka_logs
from obflow.settings import Settings
from processors.worker.preflight import log_ends
from processors.worker.watchdog import LogReplaced, LogWidened
from schemas.errors import TopicMismatch
from schemas.logs import LogId

LOG = LogId("l2.v1", "gWOcBj2eTlqYk0yS9m4c2A")


@pytest.fixture
def topic_id(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the broker says the topic's identity is; its two partitions have come far."""
    known = {LOG.topic: LOG.topic_id, "factors.v1": "lAnnUnbVQsuTXmL131QzrQ"}

    def logs_there(_settings: Settings, names: list[str]) -> dict[str, LogId]:
        return {name: LogId(name, known[name], 2) for name in names if name in known}

    monkeypatch.setattr(kafka_logs, "logs_there", logs_there)
    monkeypatch.setattr(kafka_logs, "end_offsets", lambda _settings, names: {(names[0], 0): 70, (names[0], 1): 80})
    return known


def test_the_ends_are_those_of_the_log_that_was_read(topic_id: dict[str, str]) -> None:
    assert log_ends(Settings(), LOG) == {0: 70, 1: 80}


def test_a_topic_made_anew_is_found_out_though_it_has_come_as_far(topic_id: dict[str, str]) -> None:
    topic_id[LOG.topic] = "another-id-0123456789A"

    with pytest.raises(LogReplaced, match="another log"):
        log_ends(Settings(), LOG)


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_topic_with_another_number_of_partitions_than_at_the_start_is_found_out(
    topic_id: dict[str, str], partitions: int
) -> None:
    with pytest.raises(LogWidened, match=f"has 2 partitions now, and {partitions} before: its keys have moved"):
        log_ends(Settings(), LOG._replace(partitions=partitions))


def test_a_topic_that_is_gone_is_named_with_what_makes_it_again(topic_id: dict[str, str]) -> None:
    assert log_ends(Settings(), LOG._replace(partitions=2), {"factors.v1": ""}) == {0: 70, 1: 80}
    del topic_id["factors.v1"]

    with pytest.raises(TopicMismatch, match=r"^factors\.v1 is not on the broker any more: `obflow topics apply`"):
        log_ends(Settings(), LOG._replace(partitions=2), {"factors.v1": ""})


def test_another_topic_may_be_made_anew_unless_it_is_obeyed(topic_id: dict[str, str]) -> None:
    before, topic_id["factors.v1"] = topic_id["factors.v1"], "another-id-0123456789A"
    assert log_ends(Settings(), LOG, {"factors.v1": ""}) == {0: 70, 1: 80}

    with pytest.raises(LogReplaced, match=r"^the topic factors\.v1 was made anew"):
        log_ends(Settings(), LOG, {"factors.v1": before})
