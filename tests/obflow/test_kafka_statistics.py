"""What of a client's statistics is shown."""

from __future__ import annotations

import json

import pytest

from obflow.kafka_statistics import ClientStatistics
from obflow.metrics import Metrics


def told(sent: int, received: int, *brokers: tuple[str, int], queued: int = 0) -> str:
    """Statistics as librdkafka 2 writes them, of what is read and a part of the rest."""
    of_brokers = {f"b{n}": {"state": state, "rtt": {"avg": us, "p99": 9}} for n, (state, us) in enumerate(brokers)}
    figures = {"tx_bytes": sent, "rx_bytes": received, "msg_size": queued, "brokers": of_brokers}
    return json.dumps({"name": "obflow#producer-1", "topics": {}, **figures})


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("producer")


def test_the_figures_of_a_client_are_shown_in_base_units(metrics: Metrics) -> None:
    ClientStatistics(metrics, "publisher").take(told(700, 300, ("UP", 1_500), ("DOWN", 0), ("UP", 500), queued=42))

    assert metrics.value("obflow_kafka_sent_bytes_total", client="publisher") == 700
    assert metrics.value("obflow_kafka_received_bytes_total", client="publisher") == 300
    assert metrics.value("obflow_kafka_queued_bytes", client="publisher") == 42
    assert metrics.value("obflow_kafka_brokers_up", client="publisher") == 2
    assert metrics.value("obflow_kafka_round_trip_seconds", client="publisher") == 0.0015


def test_a_client_that_takes_the_place_of_another_adds_to_its_bytes(metrics: Metrics) -> None:
    first = ClientStatistics(metrics, "table factors")
    for text in (told(700, 300), told(900, 500)):
        first.take(text)
    ClientStatistics(metrics, "table factors").take(told(50, 60))

    assert metrics.value("obflow_kafka_sent_bytes_total", client="table factors") == 950
    assert metrics.value("obflow_kafka_received_bytes_total", client="table factors") == 560


def test_a_broker_that_a_client_gave_up_takes_nothing_back_of_what_was_counted(metrics: Metrics) -> None:
    client = ClientStatistics(metrics, "table factors")
    for text in (told(700, 300), told(100, 40), told(150, 50)):
        client.take(text)

    assert metrics.value("obflow_kafka_sent_bytes_total", client="table factors") == 750
    assert metrics.value("obflow_kafka_received_bytes_total", client="table factors") == 310


def test_a_client_without_a_broker_says_so(metrics: Metrics) -> None:
    ClientStatistics(metrics, "publisher").take(told(0, 0))

    assert metrics.value("obflow_kafka_brokers_up", client="publisher") == 0
