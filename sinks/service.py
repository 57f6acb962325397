"""One process, a thread per table. Tables fail alone; where none can be fed the process ends, to be started again."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from obflow import kafka_logs
from obflow.clock import Clock
from obflow.health import BROKER, STORE
from obflow.log_ends import LogEnds
from obflow.log_identity import LogIdentities
from obflow.logs import get_logger
from obflow.metrics import Metrics
from obflow.probes import broker_probe, probing
from obflow.settings import Settings
from obflow.topics import topic_name
from schemas.errors import BrokerUnreachable, StoreUnreachable
from schemas.logs import short_id
from schemas.topics import L2
from schemas.units import NS_PER_SECOND
from sinks.batching import Limits, RowBatch
from sinks.blocks import BlockDecoder
from sinks.claims import Claim, claim
from sinks.compilation import Decode, decoder_of
from sinks.consumer import Worker
from sinks.contract import Table
from sinks.counts import Counts
from sinks.dead_letters import LetterBox
from sinks.feeds import PATIENCE_SECONDS, OnceForAll, TableFeed
from sinks.holes import Hole, HoleKind, expired_holes, note
from sinks.identities import Identities
from sinks.judge import Judge, names_places
from sinks.missing_rows import RowWatch
from sinks.preflight import identity, require_same, require_same_log, require_shape
from sinks.presence import Presence
from sinks.reader import Log, TopicReader, look_up_after
from sinks.recheck import Recheck
from sinks.resume import stored_identities, stored_positions, stored_rows
from sinks.runs import DroppedRuns
from sinks.settings import SinkSettings
from sinks.shares import HeldShare, Share
from sinks.store import Store
from sinks.tables import factors
from sinks.telemetry import Telemetry
from sinks.writer import Writer, WrittenBatch, waits

LEAVE_SECONDS: Final = 3.5
WATCH_SECONDS: Final = 0.2
JOINING_SECONDS: Final = 0.02
REST_SECONDS: Final = 2.0
"""After which a sink that has nothing to feed, or was fenced off, looks again: longer than it takes to hear of it."""
NO_WORD_SECONDS: Final = 1.0
"""After which a sink that has not been told its partitions asks the broker what may be the matter."""
T = TypeVar("T")
_log = get_logger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What every worker of the process shares.

    Attributes:
        settings: All of them.
        store: The database.
        telemetry: Where it is counted.
        clock: Tells the time.
        stop: Set when the process is to end.
        presence: The process among the others that feed tables.
        logs: What the topics' logs are by now.
        decode: Decodes factor records many at a time; None where nothing does.
    """

    settings: Settings
    store: Store
    telemetry: Telemetry
    clock: Clock
    stop: threading.Event
    presence: Presence
    logs: LogIdentities
    decode: Decode | None


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
    feeds: list[TableFeed] = []

    def end_if_hopeless() -> None:
        if all(feed.is_hopeless for feed in feeds) or any(feed.ends_the_process for feed in feeds):
            stop.set()

    once = OnceForAll()
    feeds.extend(
        TableFeed(
            table,
            partial(open_worker, around, table),
            stop,
            end_if_hopeless,
            once=once,
            rest=partial(_rest, around, table),
        )
        for table in tables
    )
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
    failing = [feed for feed in feeds if feed.trouble is not None]
    for feed in sorted(failing, key=lambda feed: not feed.ends_the_process):
        raise feed.trouble  # type: ignore[misc] # not None
    return counts


def open_worker(around: Surroundings, table: Table[Any], counts: Counts) -> Worker | None:
    """A worker that begins where its table ends, for the partitions that are this process's; None where none are.

    Raises:
        SchemaMismatch: The table is missing or has other columns.
        TopicMismatch: The log has lost records that the table holds, or is not there.
        UsageError: Rows of the table are being put back.
        DependencyError: The broker or the database does not answer.
    """
    store, settings = around.store, around.settings
    chosen = settings.of(SinkSettings)
    share = around.presence.shares[table.name]
    held = _await_share(around, share, table)
    if around.stop.is_set():
        return None
    ids = kafka_logs.topic_ids(settings, [topic_name(settings, table.topic)])
    if not held.partitions:
        counts.lags, counts.buffered_rows, counts.oldest_ns = {}, 0, None
        return None
    around.presence.require_nobody_restores(table.name)
    known_by = identity(store, table)  # before the table is asked for anything else
    require_shape(store, table)
    [topic_id] = ids.values()
    who, now_ns = secrets.token_hex(8), around.clock.now_ns()
    claimed = claim(store, table, short_id(topic_id), held.partitions, who=who, now_ns=now_ns)
    stored = stored_positions(store, table)
    identities = Identities(table, stored_identities(store, table))
    whole = look_up_after(settings, table.topic, stored)
    log = whole.only(held.partitions)
    is_same = partial(require_same_log, around.logs, log.topic, log.topic_id)
    judge = Judge(len(whole.ends), LogEnds(settings, L2) if names_places(table.topic) else None, is_same)
    watch = RowWatch(store, table, counts, around.clock, None if len(log.ends) == len(whole.ends) else log.ends)
    # Last: from here on something has to be closed.
    reader = TopicReader(settings, log, _noting_absent(store, table, log), around.telemetry.client_options(table))
    try:
        spans = reader.assign(stored)
    except BaseException:
        reader.close()
        raise
    expired = [hole for hole in expired_holes(settings, whole, stored) if hole.partition in log.ends]
    _note_expired(store, table, log, expired, counts)
    worker = Worker(
        table,
        reader,
        _writer(around, table, log, counts, claimed=claimed, known_by=known_by),
        identities,
        recheck=Recheck(store, table).look,
        find_stored=lambda rows: set(stored_rows(store, table, rows)),
        limits=Limits(chosen.flush_rows, chosen.flush_seconds),
        max_buffered_rows=chosen.max_buffered_rows,
        clock=around.clock,
        judge=judge,
        dropped=DroppedRuns(store, lambda: around.clock.monotonic_ns() / NS_PER_SECOND),
        counts=counts,
        written=lambda batch, written: _note_written(around.telemetry, watch, batch, written),
        look=watch.look,
        holds=lambda: share.held.number == held.number,
        decoder=BlockDecoder(around.decode) if around.decode and table is factors.TABLE else None,
    )
    _commit_stored(settings, reader, log, stored)
    _log.info("table_opened", table=table.name, log=log.name, partitions=sorted(spans), stored=len(stored))
    return worker


def _writer(
    around: Surroundings, table: Table[Any], log: Log, counts: Counts, *, claimed: Claim, known_by: str
) -> Writer:
    """What inserts, as long as table and log are those that were looked at."""
    return Writer(
        table,
        around.store,
        LetterBox(around.settings),
        claimed,
        clock=around.clock,
        stop=around.stop,
        counts=counts,
        require_same=partial(require_same, around.store, table, known_by),
        require_same_log=partial(require_same_log, around.logs, log.topic, log.topic_id),
    )


def _commit_stored(settings: Settings, reader: TopicReader, log: Log, stored: Mapping[tuple[str, int], int]) -> None:
    """Commit what the table holds where the group knows less: who was killed between the two cannot any more."""
    known = kafka_logs.committed_offsets(settings, settings.of(SinkSettings).group, [log.topic])
    ends = {place: offset + 1 for place, offset in stored.items() if place[0] == log.name and place[1] in log.ends}
    behind = {place: end for place, end in ends.items() if (known.get((log.topic, place[1])) or 0) < end}
    if behind:
        reader.commit(behind)


def _await_share(around: Surroundings, share: Share, table: Table[Any]) -> HeldShare:
    """What this process is to feed, once it has been told; nothing where it was told to stop before.

    Raises:
        TopicMismatch: The topic is not there.
        DependencyError: The broker does not answer.
    """
    ask_s = time.monotonic() + NO_WORD_SECONDS
    while ((held := share.held).partitions is None or around.presence.meets) and not around.stop.is_set():
        share.wait(held.number, WATCH_SECONDS)
        if time.monotonic() > ask_s:
            kafka_logs.topic_ids(around.settings, [topic_name(around.settings, table.topic)])
            ask_s = time.monotonic() + REST_SECONDS
    return held


def _rest(around: Surroundings, table: Table[Any]) -> None:
    share, until_s = around.presence.shares[table.name], time.monotonic() + REST_SECONDS
    number = share.held.number
    while time.monotonic() < until_s and not around.stop.is_set():
        if share.wait(number, WATCH_SECONDS):
            return


def _note_written(telemetry: Telemetry, watch: RowWatch, batch: RowBatch, written: WrittenBatch) -> None:
    telemetry.written(batch, written)
    watch.stored(batch, written)


def _note_expired(store: Store, table: Table[Any], log: Log, expired: Sequence[Hole], counts: Counts) -> None:
    for hole in expired:
        note(store, table.name, log, hole)
    records = sum(hole.end - hole.first for hole in expired)
    counts.expired += records
    if records:
        _log.error("records_expired", topic=log.topic, records=records)


def _noting_absent(store: Store, table: Table[Any], log: Log) -> Callable[[int, int, int], None]:
    def skipped(partition: int, first: int, end: int) -> None:
        if table.topic.cleanup == "compact":
            return  # which changes were taken out of it, the audit knows by their numbers
        note(store, table.name, log, Hole(HoleKind.ABSENT, partition, first, end))
        _log.error("records_absent", topic=log.topic, partition=partition, first=first, records=end - first)

    return skipped


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
