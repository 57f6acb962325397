"""A stand-in for the Kafka client library, as far as the publisher uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError


class Sent:
    """A message at the broker."""

    home = 3

    def __init__(
        self, topic: str, value: bytes, key: bytes, offset: int, headers: list[tuple[str, bytes]] | None = None
    ) -> None:
        self._headers = headers
        self._topic, self._value, self._key, self._offset = topic, value, key, offset

    def topic(self) -> str:
        return self._topic

    def value(self) -> bytes:
        return self._value

    def key(self) -> bytes:
        return self._key

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers

    def partition(self) -> int:
        return self.home

    def offset(self) -> int:
        return self._offset


class FakeClient:
    """The client library as far as the publisher uses it."""

    def __init__(self, config: dict[str, Any], room: int = 100) -> None:
        self.config = config
        self.room = room
        self.queue: list[tuple[Sent, Callable[..., None]]] = []
        self.log: list[Sent] = []
        self.error: KafkaError | None = None
        self.purged = 0

    def __len__(self) -> int:
        return len(self.queue)

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        on_delivery: Callable[..., None] | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        if len(self.queue) >= self.room:
            raise BufferError
        sent = Sent(topic, value, key, len(self.log) + len(self.queue), headers)
        self.queue.append((sent, on_delivery or self.config["on_delivery"]))

    def poll(self, _seconds: float) -> int:
        queue, self.queue = self.queue, []
        for sent, report in queue:
            if self.error is None:
                self.log.append(sent)
            if self.error is not None or not self.config.get("delivery.report.only.error"):
                report(self.error, sent)
        return len(queue)

    def flush(self, seconds: float) -> int:
        self.poll(seconds)
        return len(self.queue)

    def purge(self) -> None:
        self.purged += 1
        self.queue.clear()

    def close(self, _seconds: float) -> None:
        pass
