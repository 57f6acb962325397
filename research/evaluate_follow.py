"""`obflow evaluate regimes --follow`: the verdict on each model after every mark, into a table and a topic.

It remembers nothing: killed and started again it reads the tables and goes on. A verdict that is written twice is one
row of `regime_eval` and one newest record of its model.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from obflow import kafka
from obflow.clickhouse import QueryFailed
from obflow.health import BEAT_SECONDS, BROKER, STORE, Health
from obflow.logs import get_logger
from obflow.metrics import Metrics
from obflow.probes import broker_probe, probing
from obflow.sending import Sender
from obflow.settings import Settings
from obflow.topics import topic_name
from research.evaluation.online import verdicts
from research.evaluation.protocol import MARK_S
from research.followed_tables import FollowedTables
from research.regime_tables import RegimeTables
from schemas.codec import encode
from schemas.errors import DeliveryFailed, StoreUnreachable
from schemas.evaluations import RegimeEval
from schemas.partitions import partition_of
from schemas.topics import REGIME_EVAL
from sinks.store import Store

log = get_logger(__name__)

LOOK_AT_S: Final = 20.0
"""Second of a minute at which it looks: by then the minute before is over and stored."""
LONGEST_LOOK_S: Final = 1800.0
"""After which a look is taken for one that will never end."""
TIMES: Final = {"mark_ns": "mark_at", "decided_ns": "decided_at", "shown_at_ns": "shown_at"}


def follow_regimes(settings: Settings, store: Store, stop: threading.Event, judge: ModelJudge) -> None:
    """Judge until `stop` is set. A look that fails is told and made again a minute later.

    Args:
        settings: `kafka` is used.
        store: The tables, to be written to.
        stop: Ends it.
        judge: Looks, and tells what it found.

    Raises:
        BrokerUnreachable: No broker answers at the start.
        SchemaMismatch: A table or view is not there.
    """
    kafka.require_broker(settings)
    RegimeTables(store).require("regime_eval")
    health = judge.metrics.health
    with probing(health, {BROKER: broker_probe(settings), STORE: store.ping}), kept_moving(health, judge.moved_s):
        while not stop.is_set():
            try:
                judge.look()
            except (StoreUnreachable, QueryFailed, DeliveryFailed) as error:
                log.warning("look_failed", cause=error.cause, again_s=MARK_S)
            stop.wait(wait_s(time.time()))


class VerdictWriter:
    """Writes verdicts, over one client of the broker.

    Args:
        settings: `kafka` is used.
        store: The tables, to be written to.
        metrics: What is counted.
    """

    def __init__(self, settings: Settings, store: Store, metrics: Metrics) -> None:
        self._topic = topic_name(settings, REGIME_EVAL)
        self._partitions = settings.kafka.partitions
        self._store = store
        self._metrics = metrics
        self._sender = Sender(settings)

    def write(self, verdict: RegimeEval) -> None:
        """Write a verdict as a row, then as a record: who obeys the record finds the row.

        Raises:
            StoreUnreachable, QueryFailed: The row was not written.
            DeliveryFailed: The record was not acknowledged.
        """
        self._store.command(*_insert(verdict))
        self._metrics.counter("obflow_stored_total", table="regime_eval").inc()
        self._sender.send(
            self._topic,
            encode(verdict),
            key=verdict.model,
            what="a verdict",
            partition=partition_of(verdict.model, self._partitions),
        )
        self._metrics.counter("obflow_emitted_total", topic=REGIME_EVAL.name).inc()

    def close(self) -> None:
        """Let go of the client."""
        self._sender.close()


class ModelJudge:
    """Looks at the tables, and writes a verdict on each model where a mark is new.

    Args:
        store: The tables.
        writer: Writes the verdicts.
        metrics: What is counted.
        told: Takes each verdict once it is written.
    """

    def __init__(
        self,
        store: Store,
        writer: VerdictWriter,
        metrics: Metrics,
        told: Callable[[RegimeEval], None] = lambda _: None,
    ) -> None:
        self.metrics = metrics
        self._writer = writer
        self._told = told
        self._tables = FollowedTables(RegimeTables(store))
        self._written_ns = -1
        self._moved_s = time.monotonic()

    def moved_s(self) -> float:
        """When the last look began, monotonic."""
        return self._moved_s

    def look(self) -> None:
        """Take what is new, and judge. Errors as of `VerdictWriter.write`."""
        self._moved_s = time.monotonic()
        self._tables.look()
        rows = self._tables.rows
        if rows.mark_ns > self._written_ns:
            for verdict in verdicts(rows, time.time_ns()):
                self._writer.write(verdict)
                self._told(verdict)
            self._written_ns = rows.mark_ns
        self.metrics.histogram("obflow_batch_seconds", stage="evaluate").observe(time.monotonic() - self._moved_s)


@contextmanager
def kept_moving(health: Health, moved_s: Callable[[], float]) -> Iterator[None]:
    """Say that the process moves, while the block runs: also in a look, which may take minutes, but not for ever.

    Args:
        health: Where it is said.
        moved_s: When it did last, monotonic.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            if time.monotonic() - moved_s() < LONGEST_LOOK_S:
                health.beat()

    threading.Thread(target=beat, name="beats", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def wait_s(now_s: float) -> float:
    """How long until the next look."""
    return (LOOK_AT_S - now_s) % MARK_S or float(MARK_S)


def _insert(verdict: RegimeEval) -> tuple[str, dict[str, object]]:
    """The statement that stores a verdict, and its values; a time is a number of ns."""
    fields: dict[str, object] = msgspec.to_builtins(verdict)
    columns = ", ".join(TIMES.get(name, name) for name in fields)
    values = ", ".join(_value(name, value) for name, value in fields.items())
    return f"INSERT INTO regime_eval ({columns}) SELECT {values}", {k: v for k, v in fields.items() if v is not None}


def _value(name: str, value: object) -> str:
    if value is None:
        return "NULL"
    kind = "String" if isinstance(value, str) else "Float64" if isinstance(value, float) else "Int64"
    return f"fromUnixTimestamp64Nano({{{name}:Int64}}, 'UTC')" if name in TIMES else f"{{{name}:{kind}}}"
