"""What a librdkafka client says of itself every few seconds: a small part of it, on the metrics page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from obflow.metrics import Metrics
from schemas.units import US_PER_SECOND

EVERY_MS: Final = 5_000
UP: Final = "UP"


class Window(msgspec.Struct):
    """Times of the last interval. Attributes: avg is the mean, microseconds."""

    avg: int = 0


class Broker(msgspec.Struct):
    """One connection. Attributes: state is UP where it stands; rtt the round trips."""

    state: str = ""
    rtt: Window = msgspec.field(default_factory=Window)


class Statistics(msgspec.Struct):
    """What is read of a client's statistics; names are librdkafka's (STATISTICS.md)."""

    tx_bytes: int = 0
    rx_bytes: int = 0
    msg_size: int = 0
    brokers: dict[str, Broker] = msgspec.field(default_factory=dict)


class ClientStatistics:
    """The figures of one client.

    Args:
        metrics: Where they are shown.
        client: Its label there: the same for the next client that does the same.
    """

    def __init__(self, metrics: Metrics, client: str) -> None:
        self._decoder = msgspec.json.Decoder(Statistics)
        self._seen = Statistics()
        self._metrics = metrics
        self._client = client

    @property
    def options(self) -> Mapping[str, object]:
        """Options of the client; it calls back from its own `poll`."""
        return {"statistics.interval.ms": EVERY_MS, "stats_cb": self.take}

    def take(self, text: str) -> None:
        """Show statistics as the client gives them, JSON."""
        found, before = self._decoder.decode(text), self._seen
        self._seen = found
        counter, gauge, client = self._metrics.counter, self._metrics.gauge, self._client
        # What went to a broker that the client has given up since is no longer in its sums.
        counter("obflow_kafka_sent_bytes_total", client=client).inc(max(0, found.tx_bytes - before.tx_bytes))
        counter("obflow_kafka_received_bytes_total", client=client).inc(max(0, found.rx_bytes - before.rx_bytes))
        gauge("obflow_kafka_queued_bytes", client=client).set(found.msg_size)
        brokers = found.brokers.values()
        gauge("obflow_kafka_brokers_up", client=client).set(sum(broker.state == UP for broker in brokers))
        slowest_us = max((broker.rtt.avg for broker in brokers), default=0)
        gauge("obflow_kafka_round_trip_seconds", client=client).set(slowest_us / US_PER_SECOND)
