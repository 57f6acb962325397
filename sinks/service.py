"""One process, a thread per table. Tables fail alone; where none can be fed the process ends, to be started again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from obflow.clock import Clock
from obflow.health import BROKER, STORE
from obflow.log_identity import LogIdentities
from obflow.logs import get_logger
from obflow.metrics import Metrics
from obflow.probes import broker_probe, probing
from obflow.settings import Settings
from schemas.errors import BrokerUnreachable, StoreUnreachable
from sinks.compilation import decoder_of
from sinks.contract import Table
from sinks.counts import Counts
from sinks.feeds import PATIENCE_SECONDS, OnceForAll, TableFeed
from sinks.opening import REST_SECONDS, WATCH_SECONDS, Surroundings, open_worker
from sinks.presence import Presence
from sinks.store import Store
from sinks.telemetry import Telemetry
from sinks.writer import waits

LEAVE_SECONDS: Final = 3.5
JOINING_SECONDS: Final = 0.02
T = TypeVar("T")
_log = get_logger(__name__)


def serve(
    settings: Settings,
    tables: Sequence[Table[Any]],
    *,
    clock: Clock,
    stop: threading.Event,
    metrics: Metrics | None = None,
    watch: Callable[[Mapping[str, Counts]], None] = lambda counts: None,
) -> dict[str, Counts]:
    """Feed tables from their topics until told to stop, or until nothing more can be done in this process.

    Args:
        settings: `kafka`, `clickhouse`, `producer` and `sink` are used.
        tables: Which.
        clock: Tells the time.
        stop: Set to stop; what is buffered is written first. It is set here where no table can be fed.
        metrics: Where it is counted.
        watch: Called a few times a second with what has been done so far, by table.

    Returns:
        What has been done, by table.

    Raises:
        PipelineError: What keeps the first table from being fed that cannot be at the end.
    """
    metrics = metrics or Metrics("sink")
    telemetry = Telemetry(metrics, clock)
    store = patiently(lambda: Store(settings.clickhouse), stop)
    if store is None:
        return {}
    decode = decoder_of(tables, settings.cache)  # before the process takes part in anything
    presence = Presence(settings, tables)
    around = Surroundings(settings, store, telemetry, clock, stop, presence, LogIdentities(settings), decode)
    feeds = _feeds_of(around, tables)
    counts = {feed.table.name: feed.counts for feed in feeds}

    def look() -> None:
        metrics.health.beat()
        presence.beat()
        telemetry.show(feeds)
        watch(counts)

    with probing(metrics.health, {BROKER: broker_probe(settings), STORE: store.ping}):
        _run(feeds, stop, look, lambda: WATCH_SECONDS if presence.is_settled else JOINING_SECONDS)
    look()
    presence.close()
    _raise_first_trouble(feeds)
    return counts


def _feeds_of(around: Surroundings, tables: Sequence[Table[Any]]) -> list[TableFeed]:
    """Make a feed a table, which end the process together where nothing more can be done in it."""
    feeds: list[TableFeed] = []

    def end_if_hopeless() -> None:
        if all(feed.is_hopeless for feed in feeds) or any(feed.ends_the_process for feed in feeds):
            around.stop.set()

    once = OnceForAll()
    feeds.extend(
        TableFeed(
            table,
            partial(open_worker, around, table),
            around.stop,
            end_if_hopeless,
            once=once,
            rest=partial(_rest, around, table),
        )
        for table in tables
    )
    return feeds


def _raise_first_trouble(feeds: Sequence[TableFeed]) -> None:
    """Raise what keeps the first table from being fed, if anything does; first of all what ends the process."""
    failing = [feed for feed in feeds if feed.trouble is not None]
    for feed in sorted(failing, key=lambda feed: not feed.ends_the_process):
        raise feed.trouble  # type: ignore[misc] # not None


def _rest(around: Surroundings, table: Table[Any]) -> None:
    share, until_s = around.presence.shares[table.name], time.monotonic() + REST_SECONDS
    number = share.held.number
    while time.monotonic() < until_s and not around.stop.is_set():
        if share.wait(number, WATCH_SECONDS):
            return


def patiently(attempt: Callable[[], T], stop: threading.Event) -> T | None:
    """Try until the other side answers, with growing, jittered pauses; None where told to stop meanwhile.

    Raises:
        BrokerUnreachable, StoreUnreachable: Nothing answered for half a minute.
    """
    give_up_s = time.monotonic() + PATIENCE_SECONDS
    pauses = waits()
    while not stop.is_set():
        try:
            return attempt()
        except (BrokerUnreachable, StoreUnreachable) as error:
            if time.monotonic() > give_up_s:
                raise
            _log.warning("waiting", reason=error.reason, cause=error.cause)
        stop.wait(pauses.next_s())
    return None


def _run(
    feeds: Sequence[TableFeed], stop: threading.Event, watch: Callable[[], None], pause_s: Callable[[], float]
) -> None:
    threads = [threading.Thread(target=feed.run, name=f"sink-{feed.table.name}", daemon=True) for feed in feeds]
    for thread in threads:
        thread.start()
    while not stop.wait(pause_s()):
        watch()
    deadline_s = time.monotonic() + LEAVE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
