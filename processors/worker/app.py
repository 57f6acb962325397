"""The wiring of a worker: a Faust application around a stage's agent, and everything beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

from obflow import kafka, kafka_logs
from obflow.faults import FaultPoints
from obflow.log_ends import LogEnds
from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.topics import topic_name
from processors.contract import Companion, Stage
from processors.settings import ProcessorSettings
from processors.worker.agent import StageAgent, WorkerPorts
from processors.worker.changelog import CheckpointRules
from processors.worker.checkpoints import Checkpointer, CheckpointTable
from processors.worker.credentials import credentials_of
from processors.worker.cut import LoggedRecord, SourceBatch
from processors.worker.dead_letters import dead_letter_of
from processors.worker.faust_side import FaustSide
from processors.worker.meters import WorkerMeters
from processors.worker.outbox import Outbox, SendEmit, sender
from processors.worker.preflight import log_ends
from processors.worker.transport import BatchApp, IdentityCodec
from processors.worker.watchdog import LogReplaced
from schemas.errors import FatalError, MessageError
from schemas.logs import LogId
from schemas.topics import Topic

Fail: TypeAlias = Callable[[FatalError], None]

LINGER_S = 0.002
MAX_BATCH_BYTES = 128 * 1024
COMMIT_INTERVAL_S = 0.5
BUFFERED_BATCHES = 16
"""Batches waiting for the agent. Faust counts events, and a batch is one: its 4,096 would be millions of records."""
REQUEST_S = 40.0
"""A connection that brings no answer for so long is given up, and made anew."""


@runtime_checkable
class StageSettings(Protocol):
    """What every stage's section has."""

    app_id: str
    checkpoint_seconds: float


class Beside(Protocol):
    """Brings a stage's companion, where the settings ask for one."""

    @property
    def writes(self) -> tuple[Topic, ...]:
        """Topics that the companion writes."""

    @property
    def obeys(self) -> tuple[Topic, ...]:
        """Those of them that it follows from their start and obeys, which no other log may be put in place of."""

    def open(self, settings: Settings, metrics: Metrics, send: SendEmit) -> Companion | None:
        """The companion. Raises UsageError where the settings contradict each other."""


@dataclass(frozen=True)
class WorkerParts:
    """The parts of a worker that somebody runs or asks.

    Attributes:
        app: The Faust application.
        agent: Holds this worker's partitions.
        outbox: Everything on its way out.
        checkpointer: Saves what the agent holds.
        meters: What is counted.
        companion: Works beside the stage, if anybody does.
    """

    app: BatchApp
    agent: StageAgent
    outbox: Outbox
    checkpointer: Checkpointer
    meters: WorkerMeters
    companion: Companion | None

    def recovered(self) -> int | None:
        """How far the recovery of the checkpoints has come; rises while it goes on. None where none is under way.

        May be called from any thread.
        """
        if not self.agent.is_recovering:
            return None
        offsets: list[int | None] = list(self.app.tables.recovery.active_offsets.values())
        return sum(offset for offset in offsets if offset is not None)


def create_worker(
    stage: Stage[Any, Any],
    settings: Settings,
    source: LogId,
    metrics: Metrics,
    fail: Fail,
    beside: Beside | None = None,
) -> WorkerParts:
    """Wire a worker around a stage. Nothing is started, and no broker asked.

    Args:
        stage: What is done with records.
        settings: `kafka`, the stage's section and, for what Faust needs, `processor` are used.
        source: The log that is read (`preflight.open_source`).
        metrics: Where it is counted.
        fail: Ends the process, at once.
        beside: Brings the companion.
    """
    meters, faults, faust = WorkerMeters(metrics, stage.reads, stage.label), FaultPoints.from_environment(), FaustSide()
    outbox = _outbox_of(faust, meters, fail, faults)
    ports = WorkerPorts(
        source,
        outbox,
        send=sender(outbox, partial(topic_name, settings)),
        load=faust.load,
        seek_back=faust.seek_back,
        is_current=faust.is_current,
        fail=fail,
        faults=faults,
        named_log=LogEnds(settings, stage.names.topic) if stage.names is not None else None,
        withdraw=faust.withdraw,
        is_whole=faust.is_whole,
        was_refused=faust.was_refused,
        changelog_id=faust.changelog_id,
    )
    companion = beside.open(settings, metrics, ports.send) if beside is not None else None
    section = settings.section(stage.role, StageSettings)  # type: ignore[type-abstract] # a protocol to hold it against
    agent = StageAgent(
        stage,
        ports,
        meters,
        max_batch_records=settings.of(ProcessorSettings).max_batch_records,
        checkpoint_s=section.checkpoint_seconds,
        companion=companion,
    )
    _make_application(faust, stage, settings, section.app_id, agent)
    _judge_checkpoints(faust.table, settings, source, stage, agent, fail)
    _read_by_agent(faust.app, stage, source, agent)
    return WorkerParts(faust.app, agent, outbox, _checkpointer_of(faust, outbox, agent), meters, companion)


def _outbox_of(faust: FaustSide, meters: WorkerMeters, fail: Fail, faults: FaultPoints) -> Outbox:
    outbox = Outbox(
        faust.producer,
        fail,
        on_acknowledged=lambda send: meters.acknowledged(send, outbox.in_flight),
        faults=faults,
    )
    return outbox


def _make_application(
    faust: FaustSide, stage: Stage[Any, Any], settings: Settings, app_id: str, agent: StageAgent
) -> None:
    """Make the application, and the table that its checkpoints are recovered into."""
    app = BatchApp(
        settings.kafka.topic_prefix + app_id, agent, outage_s=settings.kafka.outage_seconds, **_options(settings)
    )
    faust.bind(app, app.Table(_table_of(stage), key_type=bytes, value_type=bytes, partitions=settings.kafka.partitions))


def _read_by_agent(app: BatchApp, stage: Stage[Any, Any], source: LogId, agent: StageAgent) -> None:
    """Have the application give the agent what it reads of the source, as bytes."""
    records = app.topic(
        source.topic, key_serializer=IdentityCodec(), value_serializer=IdentityCodec(), acks=False, allow_empty=True
    )
    app.agent(records, name=stage.name)(_as_agent(agent))


def _checkpointer_of(faust: FaustSide, outbox: Outbox, agent: StageAgent) -> Checkpointer:
    return Checkpointer(
        faust.table.changelog_topic_name, outbox, agent.owned, on_saved=faust.note_saved, now=time.monotonic
    )


def _judge_checkpoints(
    table: Any,  # noqa: ANN401 (Faust's)
    settings: Settings,
    source: LogId,
    stage: Stage[Any, Any],
    agent: StageAgent,
    fail: Fail,
) -> None:
    """Have the table hold what it recovers against the log, and refuse what is not from here."""
    topic = table.changelog_topic_name
    changelog = [LogId(topic, "")]

    def ask_rules() -> CheckpointRules:
        topic_id = kafka_logs.topic_ids(settings, [topic])[topic]
        changelog[0] = LogId(topic, topic_id)
        starts = kafka_logs.start_offsets(settings, [topic])
        cut = frozenset(partition for (_, partition), start in starts.items() if start > 0)
        try:
            ends = log_ends(settings, source)
        except LogReplaced as error:
            fail(error)
            raise
        return CheckpointRules(source.short_id, stage.outlives_log, ends, cut, changelog[0].short_id)

    def on_refused(message: Any, error: MessageError) -> None:  # noqa: ANN401 (Faust's)
        record = LoggedRecord(message.offset, round(message.timestamp * 1000), message.key, message.value)
        agent.on_refused_checkpoint(dead_letter_of(changelog[0], message.partition, record, error, stage.role))

    table.data.ask_rules, table.data.on_refused = ask_rules, on_refused


def _table_of(stage: Stage[Any, Any]) -> str:
    """Name of the table behind a changelog, which Faust calls `<app_id>-<table>-changelog`."""
    return stage.changelog.name.removesuffix("-changelog").rpartition("-")[2]


def _as_agent(held: StageAgent) -> Callable[[AsyncIterator[SourceBatch]], Any]:
    async def agent(stream: AsyncIterator[SourceBatch]) -> None:
        await held.run(stream)

    return agent


def _options(settings: Settings) -> dict[str, Any]:
    chosen = settings.of(ProcessorSettings)
    return {
        "broker": [f"kafka://{server.strip()}" for server in settings.kafka.bootstrap_servers.split(",")],
        "broker_credentials": credentials_of(settings.kafka),
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
        "broker_commit_interval": COMMIT_INTERVAL_S,
        "consumer_auto_offset_reset": "earliest",
        "stream_buffer_maxsize": BUFFERED_BATCHES,
        # Nothing is acknowledged event by event, so a rebalance would wait for acknowledgements for ever.
        "stream_wait_empty": False,
        "producer_linger": LINGER_S,
        "producer_max_batch_size": MAX_BATCH_BYTES,
        "producer_max_request_size": kafka.MAX_RECORD_BYTES,
        "producer_request_timeout": REQUEST_S,
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


async def wait_at_most(awaitable: Any, seconds: float) -> bool:  # noqa: ANN401 (anything that can be awaited)
    """Wait at most so long; False where it took longer."""
    try:
        await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return False
    return True
