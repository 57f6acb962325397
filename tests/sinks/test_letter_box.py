"""Letters leave through a queue that may be full, and their batch waits until the broker has all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from obflow import kafka
from obflow.settings import Settings
from schemas.codec import decode_as
from schemas.errors import DeliveryFailed
from schemas.messages import DeadLetter
from sinks.dead_letters import LetterBox

LETTERS = [DeadLetter(f"log:0:{n}", "sink", "DecodeError", "no", 0, b"", 0) for n in range(5)]


class FakeProducer:
    """Holds two records, and delivers them when it is polled with time to do so."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.delivered: list[bytes] = []
        self.queue: list[tuple[bytes, Callable[[Any, Any], None]]] = []

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        if len(self.queue) == 2:
            raise BufferError("Local: Queue full")
        self.queue.append((value, on_delivery))

    def poll(self, timeout_seconds: float) -> None:
        if timeout_seconds and self.takes:
            for value, on_delivery in self.queue:
                self.delivered.append(value)
                on_delivery(None, None)
            self.queue.clear()

    def flush(self, timeout_seconds: float) -> int:
        self.poll(timeout_seconds)
        return len(self.queue)


def box(monkeypatch: pytest.MonkeyPatch, producer: FakeProducer, seconds: float = 60.0) -> LetterBox:
    monkeypatch.setattr(kafka, "producer", lambda settings: producer)
    return LetterBox(Settings.load({"producer.delivery_timeout_seconds": seconds}))


def test_more_letters_than_the_queue_holds_all_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer()
    box(monkeypatch, producer).publish(LETTERS)

    assert [decode_as(DeadLetter, value) for value in producer.delivered] == LETTERS


def test_a_queue_that_stays_full_is_a_delivery_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeliveryFailed):
        box(monkeypatch, FakeProducer(takes=False), seconds=0.001).publish(LETTERS)
