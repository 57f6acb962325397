"""The wiring of a processor worker: which topic goes to which agent, and who holds what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from obflow.faults import FaultPoints
from obflow.kafka import MAX_RECORD_BYTES
from obflow.settings import Settings
from processors.agents.books import BooksAgent
from processors.checkpoints import Checkpointer, CheckpointTable
from processors.delivery import BatchApp, IdentityCodec
from processors.meters import Meters
from processors.outbox import Outbox
from processors.partition import SourceLog
from processors.reading import SourceBatch
from schemas.errors import FatalError
from schemas.messages import InstrumentKey

TABLE = "books"
"""The changelog is `<app id>-books-changelog`: by default the one that schemas/topics.py declares."""

LINGER_SECONDS = 0.002
MAX_BATCH_BYTES = 128 * 1024
COMMIT_SECONDS = 0.5
BUFFERED_BATCHES = 16
"""Batches waiting for the agent. Faust counts events, and a batch is one: its 4,096 would be millions of records."""
SEND_SECONDS = 120.0
"""A record not acknowledged by then has failed. Longer than a broker's restart."""


@dataclass(frozen=True)
class Worker:
    """The parts of a worker that somebody runs or asks.

    Attributes:
        app: The Faust application.
        books: The agent, with the books of this worker's partitions.
        outbox: Everything on its way out.
        checkpointer: Saves the books.
    """

    app: BatchApp
    books: BooksAgent
    outbox: Outbox
    checkpointer: Checkpointer

    def recovered(self) -> int:
        """How far the recovery of the checkpoints has come; rises while it goes on. May be called from any thread."""
        offsets = list(self.app.tables.recovery.active_offsets.values())
        return sum(offset for offset in offsets if offset is not None)


def create_app(
    settings: Settings,
    source: SourceLog,
    *,
    fail: Callable[[FatalError], None],
    meters: Meters,
    faults: FaultPoints | None = None,
) -> Worker:
    """Wire a worker. Nothing is started, and no broker asked.

    Args:
        settings: `kafka` and `processor` are used.
        source: The log that is read (`processors.source.open_source`).
        fail: Ends the process, at once.
        meters: What is counted.
        faults: Armed fault points.
    """
    outbox = Outbox(
        lambda: app.producer._producer,
        fail,
        on_acknowledged=lambda send: meters.acknowledged(send, outbox.in_flight),
        faults=faults,
    )
    books = BooksAgent(
        settings,
        source,
        outbox,
        load=lambda instrument: table.data.get(_key(instrument)),
        seek_back=lambda partition, offset: app.consumer.seek_back(partition, offset),
        is_current=lambda batch: app.consumer.is_current(batch),
        fail=fail,
        meters=meters,
    )
    app = BatchApp(settings.kafka.topic_prefix + settings.processor.app_id, books, **_options(settings))
    table = app.Table(TABLE, key_type=bytes, value_type=bytes, partitions=settings.kafka.partitions)
    checkpointer = Checkpointer(
        table.changelog_topic_name,
        outbox,
        books.owned,
        keep=lambda key, payload, sent: table.data.keep(key, payload, sent.topic_partition, sent.offset),
        now=time.monotonic,
    )
    records = app.topic(
        source.topic, key_serializer=IdentityCodec(), value_serializer=IdentityCodec(), acks=False, allow_empty=True
    )
    app.agent(records, name="books")(_as_agent(books))
    return Worker(app, books, outbox, checkpointer)


def _as_agent(books: BooksAgent) -> Callable[[AsyncIterator[SourceBatch]], Any]:
    async def agent(stream: AsyncIterator[SourceBatch]) -> None:
        await books.run(stream)

    return agent


def _key(instrument: InstrumentKey) -> bytes:
    return str(instrument).encode()


def _options(settings: Settings) -> dict[str, Any]:
    chosen = settings.processor
    return {
        "broker": [f"kafka://{server.strip()}" for server in settings.kafka.bootstrap_servers.split(",")],
        "autodiscover": False,
        "web_enabled": False,
        "store": "memory://",
        "Table": CheckpointTable,
        # Topics are declared in one place and created by one command.
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "topic_partitions": settings.kafka.partitions,
        "table_standby_replicas": 0,
        "broker_session_timeout": chosen.session_timeout_seconds,
        "broker_heartbeat_interval": chosen.heartbeat_seconds,
        "broker_request_timeout": max(settings.kafka.request_timeout_seconds, chosen.session_timeout_seconds),
        "broker_commit_interval": COMMIT_SECONDS,
        "consumer_auto_offset_reset": "earliest",
        "stream_buffer_maxsize": BUFFERED_BATCHES,
        # Nothing is acknowledged event by event, so a rebalance would wait for acknowledgements for ever.
        "stream_wait_empty": False,
        "producer_linger": LINGER_SECONDS,
        "producer_max_batch_size": MAX_BATCH_BYTES,
        "producer_max_request_size": MAX_RECORD_BYTES,
        "producer_request_timeout": SEND_SECONDS,
    }


async def until_stopped(app: BatchApp) -> None:
    """Wait until the application has crashed or was stopped.

    Raises:
        FatalError: It crashed.
    """
    await app.wait_until_stopped()
    if app.crash_reason is not None:
        raise FatalError(
            f"the worker crashed ({type(app.crash_reason).__name__}: {app.crash_reason})",
            next_step="restart it; it continues from its checkpoints",
        ) from app.crash_reason


async def quietly(awaitable: Any, seconds: float) -> bool:  # noqa: ANN401 (anything that can be awaited)
    """Wait at most so long; False where it took longer."""
    try:
        await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return False
    return True
