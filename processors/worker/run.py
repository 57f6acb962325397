"""A worker from start to end: what runs beside the Faust application, an orderly stop, and an end at once."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import uvloop

from obflow import kafka_logs
from obflow.health import BROKER, beating
from obflow.logs import get_logger
from obflow.metrics import Metrics
from obflow.probes import broker_probe, probing
from obflow.settings import Settings
from obflow.terminal import tell_error
from obflow.topics import topic_name
from processors.contract import Stage
from processors.settings import ProcessorSettings
from processors.worker.app import Beside, WorkerParts, create_worker, until_stopped, wait_at_most
from processors.worker.preflight import log_ends, open_source, require_changelog
from processors.worker.watchdog import Watchdog
from schemas.errors import EXIT_DONE, FatalError
from schemas.logs import LogId
from schemas.topics import DEAD_LETTERS

log = get_logger(__name__)

CLOSE_S = 1.0
SAVE_S = 4.0
COMMIT_S = 2.0
LEAVE_S = 3.0
# A timer that is late under load is no news.
LIBRARIES = {
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "mode.timers": logging.ERROR,
    "aiokafka": logging.WARNING,
    "httpx2": logging.WARNING,
}


def install_uvloop() -> None:
    """Have every event loop of the process be uvloop's: the consumer's thread makes its own."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def end_at_once(error: FatalError) -> NoReturn:
    """End the process now, with the error's sentence and exit code.

    Nothing is tidied up, on purpose: no record may leave after one that failed, and a stalled worker cannot stop.
    What was not saved is repeated from the last checkpoint.
    """
    log.critical("worker_ended", error=str(error))
    logging.shutdown()
    tell_error(error)
    os._exit(error.exit_code)


async def run_worker(
    stage: Stage[Any, Any], settings: Settings, stop: asyncio.Event, beside: Beside | None = None
) -> None:
    """Run one worker until `stop` is set, then save, commit and leave the group.

    Args:
        stage: What is done with records.
        settings: Of this process.
        stop: Set from outside.
        beside: Brings the stage's companion, if there may be one.

    Raises:
        UsageError: The settings of the stage or of its companion contradict each other.
        BrokerUnreachable: No broker answers at the start.
        DependencyError: A topic is missing.
        TopicMismatch: A topic has another number of partitions than declared.
    """
    _quieten_libraries()
    metrics = Metrics(stage.role)
    with metrics.served(settings.metrics), probing(metrics.health, {BROKER: broker_probe(settings)}):
        async with beating(metrics.health):
            await _run(stage, settings, metrics, stop, beside)


async def _run(
    stage: Stage[Any, Any], settings: Settings, metrics: Metrics, stop: asyncio.Event, beside: Beside | None
) -> None:
    started_s = time.monotonic()
    used = (*stage.writes, *(beside.writes if beside is not None else ()), DEAD_LETTERS, stage.changelog)
    if stage.names is not None:
        used = (*used, stage.names.topic)
    source = await asyncio.to_thread(open_source, settings, stage.reads, used)
    worker = create_worker(stage, settings, source, metrics, end_at_once, beside)
    await asyncio.to_thread(require_changelog, settings, worker.checkpointer.topic)
    others = [topic_name(settings, topic) for topic in used if topic is not stage.changelog]
    obeyed = beside.obeys if beside is not None and worker.companion is not None else ()
    names = [topic_name(settings, topic) for topic in obeyed]
    ids = await asyncio.to_thread(kafka_logs.topic_ids, settings, names) if names else {}
    watchdog = _watchdog_of(worker, settings, source, dict.fromkeys([*others, worker.checkpointer.topic], "") | ids)
    log.info("worker_starting", topic=source.topic, source_log=source.short_id, after_s=_since(started_s))
    parts = {
        "outbox": worker.outbox.run(),
        "checkpoints": worker.checkpointer.run(),
        "faust": _run_app(worker, started_s),
        "timers": worker.agent.run_timers(),
        "stop": stop.wait(),
    }
    if worker.companion is not None:
        parts["companion"] = worker.companion.run()
    running = [asyncio.create_task(part, name=name) for name, part in parts.items()]
    watchdog.start()
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    watchdog.stop()
    _end_if_failed(done)
    await _stop_in_order(worker)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _watchdog_of(worker: WorkerParts, settings: Settings, source: LogId, used: Mapping[str, str]) -> Watchdog:
    return Watchdog(
        lambda: (worker.agent.positions(), worker.recovered()),
        lambda: log_ends(settings, source, used),
        end_at_once,
        patience_s=settings.of(ProcessorSettings).watchdog_seconds,
        observe=worker.meters.lag,
    )


def _end_if_failed(done: set[asyncio.Task[Any]]) -> None:
    """End at once where a part of the worker failed: what is left of it, the consumer's thread first, would not end."""
    for task in done:
        error = task.exception()
        if isinstance(error, FatalError):
            end_at_once(error)
        if error is not None:
            log.error("part_failed", part=task.get_name(), exc_info=error)
            end_at_once(
                FatalError(
                    f"the worker failed in its part {task.get_name()} ({type(error).__name__}: {error})",
                    next_step="restart it; it continues from its checkpoints",
                )
            )


async def _run_app(worker: WorkerParts, started_s: float) -> None:
    await worker.app.start()
    log.info("worker_ready", partitions=len(worker.agent.owned()), after_s=_since(started_s))
    await until_stopped(worker.app)


async def _stop_in_order(worker: WorkerParts) -> None:
    """Take nothing more, save every state, commit, leave the group.

    Each step has a deadline and is only a courtesy: what is left undone, the next owner repeats.
    """
    stopping_s = time.monotonic()
    worker.agent.drain()
    if worker.companion is not None:
        await wait_at_most(worker.companion.close(), CLOSE_S)
    saved = await wait_at_most(_save_all(worker), SAVE_S)
    committed = saved and await wait_at_most(worker.app.consumer.commit(), COMMIT_S)
    left = await wait_at_most(worker.app.stop(), LEAVE_S)
    log.info("worker_stopped", saved=saved, committed=committed, left=left, after_s=_since(stopping_s))
    if not left:
        logging.shutdown()
        os._exit(EXIT_DONE)


async def _save_all(worker: WorkerParts) -> None:
    await worker.checkpointer.save(everything=True)
    for held in worker.agent.owned():
        await worker.outbox.wait_until_acknowledged(held.partition)


def _quieten_libraries() -> None:
    """Keep what the libraries say of every step for `--verbose`."""
    if logging.getLogger().level > logging.DEBUG:
        for name, level in LIBRARIES.items():
            logging.getLogger(name).setLevel(level)


def _since(start_s: float) -> float:
    return round(time.monotonic() - start_s, 2)
