"""One record at a time, acknowledged, over one client."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from obflow import kafka
from obflow.sending import Sender
from obflow.settings import KafkaSettings, Settings
from producers.settings import ProducerSettings
from schemas.errors import DeliveryFailed

MOCK = {"test.mock.num.brokers": 1, "log_level": 0}
MAKE = kafka.producer


class Clients:
    """Counts the clients that are made, each with a broker in its own process."""

    def __init__(self) -> None:
        self.made: list[Producer] = []

    def make(self, settings: Settings) -> Producer:
        self.made.append(MAKE(settings, MOCK))
        return self.made[-1]


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    found = Clients()
    monkeypatch.setattr(kafka, "producer", found.make)
    return found


def test_one_client_sends_all_records_of_a_sender(clients: Clients) -> None:
    sender = Sender(Settings())
    for number in range(3):
        sender.send("records", b"v", key=f"k{number}", what="a record", partition=0)
    [client] = clients.made
    assert len(client) == 0, "each was waited for"
    sender.close()
    sender.close()


def test_what_is_not_acknowledged_fails_and_the_next_one_has_a_new_client(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"), producer=ProducerSettings(delivery_timeout_seconds=0.2)
    )
    made: list[Producer] = []

    def make(settings: Settings) -> Producer:
        made.append(MAKE(settings, {**MOCK, "delivery.timeout.ms": 30_000} if made else {"log_level": 0}))
        return made[-1]

    monkeypatch.setattr(kafka, "producer", make)
    sender = Sender(settings)
    with pytest.raises(DeliveryFailed, match="a record was not acknowledged"):
        sender.send("records", b"v", key="k", what="a record")
    assert len(made[0]) == 0, "nothing of it is sent later"
    sender._patience_s = 30  # of a busy machine
    sender.send("records", b"v", key="k", what="a record")
    assert len(made) == 2


def test_a_partition_that_a_client_knows_not_to_be_there_is_a_failed_delivery(clients: Clients) -> None:
    sender = Sender(Settings())
    sender.send("records", b"v", key="k", what="a record", partition=0)
    with pytest.raises(DeliveryFailed, match=r"a record was not acknowledged \(.*[Pp]artition"):
        sender.send("records", b"v", key="k", what="a record", partition=4000)
    sender.send("records", b"v", key="k", what="a record", partition=0)
    assert len(clients.made) == 2
