"""What a worker could be at most: Kafka to Kafka by the same client library of C, the same codec, the same kernel.

It lacks all that makes a worker safe: no group, no commits, no checkpoints, no order held after a failed send.

    python -m tests.benchmarks.bare_loop BOOTSTRAP L2_TOPIC FACTORS_TOPIC LOG
"""

from __future__ import annotations

import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from processors.factors.kernel.engine import KernelEngine
from processors.factors.kernel.trial import trial
from tests.processors.feed import THIN_NOTIONAL

POLL_RECORDS = 2_000
WAIT_S = 0.2
MAX_PACKED = 256


class BareLoop:
    """Reads `l2.v1`, writes `factors.v1`."""

    def __init__(self, bootstrap: str, out: str, log: str) -> None:
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"{out}.bare",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 10,
            }
        )
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 2, "acks": "all"})
        self.engine = KernelEngine(THIN_NOTIONAL)
        self.states: dict[Any, Any] = {}
        self.out, self.log = out, log

    def polled(self) -> list[Message]:
        """What is there, waiting for the first only."""
        first = self.consumer.poll(WAIT_S)
        return [] if first is None else [first, *self.consumer.consume(POLL_RECORDS - 1, 0)]

    def handle(self, messages: list[Message]) -> None:
        by_key = defaultdict(list)
        for message in messages:
            by_key[message.key()].append(message)
        for key, polled in by_key.items():
            for start in range(0, len(polled), MAX_PACKED):
                self._write(key, polled[start : start + MAX_PACKED])
        self.producer.poll(0)

    def _write(self, key: Any, messages: list[Message]) -> None:
        state = self.states.setdefault(key, self.engine.fresh())
        rows: list[Any] = list(self.engine.decode([message.value() for message in messages]))
        columns = self.engine.step(state, [message.offset() for message in messages], rows)
        self.producer.produce(self.out, columns.encoded(rows[0], self.log, messages[0].partition()), key)

    def run(self, is_enough: Callable[[], bool]) -> None:
        while not is_enough():
            self.handle(self.polled())


def main(bootstrap: str, l2: str, out: str, log: str) -> None:
    """Loop until SIGTERM, over partitions that are given by hand: nothing to join, nothing to wait for."""
    failed = trial()  # compiled code is loaded before the first record, as a worker does
    assert not failed, failed
    loop, ended = BareLoop(bootstrap, out, log), list[int]()
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    partitions = loop.consumer.list_topics(l2, 20.0).topics[l2].partitions
    loop.consumer.assign([TopicPartition(l2, partition, 0) for partition in partitions])
    loop.run(lambda: bool(ended))
    loop.producer.flush(20)


if __name__ == "__main__":
    main(*sys.argv[1:])
