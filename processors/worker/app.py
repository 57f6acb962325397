"""The wiring of a worker: which topic goes to its agent, and who holds what. What a role adds is its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from obflow import kafka
from obflow.faults import FaultPoints
from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.topics import topic_name
from processors.worker.agent import PartitionsAgent, Ties
from processors.worker.changelog import CheckpointRules
from processors.worker.checkpoints import Checkpointer, CheckpointTable
from processors.worker.cut import LoggedRecord, SourceBatch, SourceLog
from processors.worker.dead_letters import letter_about
from processors.worker.delivery import BatchApp, IdentityCodec
from processors.worker.meters import WorkerMeters
from processors.worker.outbox import Outbox
from processors.worker.preflight import log_ends
from schemas.errors import FatalError, MessageError
from schemas.messages import InstrumentKey
from schemas.topics import DEAD_LETTERS, Topic

A = TypeVar("A", bound=PartitionsAgent[Any])
Fail: TypeAlias = Callable[[FatalError], None]

LINGER_SECONDS = 0.002
MAX_BATCH_BYTES = 128 * 1024
COMMIT_SECONDS = 0.5
BUFFERED_BATCHES = 16
"""Batches waiting for the agent. Faust counts events, and a batch is one: its 4,096 would be millions of records."""
SEND_SECONDS = 120.0
"""A record not acknowledged by then has failed. Longer than a broker's restart."""


class Role(NamedTuple):
    """One kind of worker.

    Attributes:
        name: As it stands in metrics and logs.
        reads: The topic it reads.
        uses: Every other topic it needs to be there.
        create: Wires a worker of this kind; nothing is started, and no broker asked.
    """

    name: str
    reads: Topic
    uses: tuple[Topic, ...]
    create: Callable[[Settings, SourceLog, Metrics, Fail], Worker[Any]]


@dataclass(frozen=True)
class Worker(Generic[A]):
    """The parts of a worker that somebody runs or asks.

    Attributes:
        app: The Faust application.
        agent: Holds this worker's partitions.
        outbox: Everything on its way out.
        checkpointer: Saves what the agent holds.
        meters: What is counted.
        beside: Parts that run beside the others until the end, by name.
        before_stop: Brought to an end before the last checkpoint.
    """

    app: BatchApp
    agent: A
    outbox: Outbox
    checkpointer: Checkpointer
    meters: WorkerMeters
    beside: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    before_stop: Callable[[], Coroutine[Any, Any, None]] | None = None

    def recovered(self) -> int | None:
        """How far the recovery of the checkpoints has come; rises while it goes on. None where none is under way.

        May be called from any thread.
        """
        if not self.agent.is_recovering:
            return None
        offsets: list[int | None] = list(self.app.tables.recovery.active_offsets.values())
        return sum(offset for offset in offsets if offset is not None)


class Names(NamedTuple):
    """How an application is known to the broker.

    Attributes:
        app_id: The consumer group, without the prefix of the topics.
        table: Of the checkpoints. The changelog is `<app id>-<table>-changelog`: by default the one that
            schemas/topics.py declares.
        role: Who refuses a checkpoint, in its dead letter.
        outlives_log: Whether a checkpoint still holds where the source topic was made anew.
    """

    app_id: str
    table: str
    role: str
    outlives_log: bool = False


def wire(
    settings: Settings,
    source: SourceLog,
    names: Names,
    create: Callable[[Ties], A],
    meters: WorkerMeters,
    fail: Fail,
) -> Worker[A]:
    """Wire a batch application around an agent. Nothing is started, and no broker asked.

    Args:
        settings: `kafka` and, for what Faust needs, `processor` are used.
        source: The log that is read (`processors.worker.preflight.open_source`).
        names: How it is known to the broker.
        create: Makes the agent.
        meters: What is counted.
        fail: Ends the process, at once.
    """
    faults = FaultPoints.from_environment()
    outbox = Outbox(
        lambda: app.producer._producer,
        fail,
        on_acknowledged=lambda send: meters.acknowledged(send, outbox.in_flight),
        faults=faults,
    )
    ties = Ties(
        source,
        topic_name(settings, DEAD_LETTERS),
        outbox,
        load=lambda instrument: table.data.get(_key(instrument)),
        seek_back=lambda partition, offset: app.consumer.seek_back(partition, offset),
        is_current=lambda batch: app.consumer.is_current(batch),
        fail=fail,
        faults=faults,
    )
    agent = create(ties)
    app = BatchApp(settings.kafka.topic_prefix + names.app_id, agent, **_options(settings))
    table = app.Table(names.table, key_type=bytes, value_type=bytes, partitions=settings.kafka.partitions)
    _judge_checkpoints(table, settings, source, names, agent)
    checkpointer = Checkpointer(
        table.changelog_topic_name,
        outbox,
        agent.owned,
        keep=lambda key, payload, sent: table.data.keep(key, payload, sent.topic_partition, sent.offset),
        now=time.monotonic,
    )
    records = app.topic(
        source.topic, key_serializer=IdentityCodec(), value_serializer=IdentityCodec(), acks=False, allow_empty=True
    )
    app.agent(records, name=names.table)(_as_agent(agent))
    return Worker(app, agent, outbox, checkpointer, meters)


def _judge_checkpoints(
    table: Any,  # noqa: ANN401 (Faust's)
    settings: Settings,
    source: SourceLog,
    names: Names,
    agent: PartitionsAgent[Any],
) -> None:
    """Have the table hold what it recovers against the log, and refuse what is not from here."""
    topic = table.changelog_topic_name
    changelog = [SourceLog(topic, "", "")]

    def look() -> CheckpointRules:
        topic_id = kafka.topic_ids(settings, [topic])[topic]
        changelog[0] = SourceLog(topic, topic_id, kafka.source_log(topic_id))
        return CheckpointRules(source.short_id, names.outlives_log, log_ends(settings, source))

    def refused(message: Any, error: MessageError) -> None:  # noqa: ANN401 (Faust's)
        record = LoggedRecord(message.offset, round(message.timestamp * 1000), message.key, message.value)
        agent.on_refused_checkpoint(letter_about(changelog[0], message.partition, record, error, names.role))

    table.data.look, table.data.refused = look, refused


def _as_agent(held: PartitionsAgent[Any]) -> Callable[[AsyncIterator[SourceBatch]], Any]:
    async def agent(stream: AsyncIterator[SourceBatch]) -> None:
        await held.run(stream)

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
        "producer_max_request_size": kafka.MAX_RECORD_BYTES,
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
