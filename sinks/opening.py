"""A table's worker: held against its log and its table, claimed, and made to begin where its table ends."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from obflow import kafka_logs
from obflow.clock import Clock
from obflow.log_ends import LogEnds
from obflow.log_identity import LogIdentities
from obflow.logs import get_logger
from obflow.settings import Settings
from obflow.topics import topic_name
from schemas.logs import short_id
from schemas.topics import L2
from schemas.units import NS_PER_SECOND
from sinks.batching import Limits, RowBatch
from sinks.blocks import BlockDecoder
from sinks.claims import Claim, claim
from sinks.compilation import Decode
from sinks.consumer import Worker
from sinks.contract import Table
from sinks.counts import Counts
from sinks.dead_letters import LetterBox
from sinks.holes import Hole, HoleKind, expired_holes, note
from sinks.identities import Identities
from sinks.judge import Judge, names_places
from sinks.missing_rows import RowWatch
from sinks.preflight import identity, require_same, require_same_log, require_shape
from sinks.presence import Presence
from sinks.reader import Log, Span, TopicReader, look_up_after
from sinks.recheck import Recheck
from sinks.resume import stored_identities, stored_positions, stored_rows
from sinks.runs import DroppedRuns
from sinks.settings import SinkSettings
from sinks.shares import HeldShare, Share
from sinks.store import Store
from sinks.tables import factors
from sinks.telemetry import Telemetry
from sinks.writer import Writer, WrittenBatch

WATCH_SECONDS: Final = 0.2
REST_SECONDS: Final = 2.0
"""After which a sink that has nothing to feed, or was fenced off, looks again: longer than it takes to hear of it."""
NO_WORD_SECONDS: Final = 1.0
"""After which a sink that has not been told its partitions asks the broker what may be the matter."""
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


def open_worker(around: Surroundings, table: Table[Any], counts: Counts) -> Worker | None:
    """A worker that begins where its table ends, for the partitions that are this process's; None where none are.

    Raises:
        SchemaMismatch: The table is missing or has other columns.
        TopicMismatch: The log has lost records that the table holds, or is not there.
        UsageError: Rows of the table are being put back.
        DependencyError: The broker or the database does not answer.
    """
    share = around.presence.shares[table.name]
    held = _await_share(around, share, table)
    if around.stop.is_set():
        return None
    [topic_id] = kafka_logs.topic_ids(around.settings, [topic_name(around.settings, table.topic)]).values()
    if not held.partitions:
        counts.lags, counts.buffered_rows, counts.oldest_ns = {}, 0, None
        return None
    begun = _begin(around, table, held, short_id(topic_id))
    watch = RowWatch(around.store, table, counts, around.clock, None if begun.is_whole else begun.log.ends)
    # Last: from here on something has to be closed.
    reader, spans = _open_reader(around, table, begun)
    _note_expired(around, table, begun, counts)
    worker = _make_worker(around, table, begun, reader, watch, counts, lambda: share.held.number == held.number)
    _commit_stored(around.settings, reader, begun.log, begun.stored)
    _log.info("table_opened", table=table.name, log=begun.log.name, partitions=sorted(spans), stored=len(begun.stored))
    return worker


class Begun(NamedTuple):
    """What a worker begins with.

    Attributes:
        known_by: What the table is known by.
        claimed: What its inserts are stored under.
        stored: Highest offset the table holds, by (log, partition).
        identities: What is stored already.
        whole: The log.
        log: What of it is this process's.
    """

    known_by: str
    claimed: Claim
    stored: Mapping[tuple[str, int], int]
    identities: Identities
    whole: Log
    log: Log

    @property
    def is_whole(self) -> bool:
        """Whether all of the log is this process's."""
        return len(self.log.ends) == len(self.whole.ends)


def _begin(around: Surroundings, table: Table[Any], held: HeldShare, log_name: str) -> Begun:
    """See that the table can be fed, claim the partitions, and then ask the table and the log how far they are."""
    store, partitions = around.store, held.partitions or frozenset()
    around.presence.require_nobody_restores(table.name)
    known_by = identity(store, table)  # before the table is asked for anything else
    require_shape(store, table)
    who, now_ns = secrets.token_hex(8), around.clock.now_ns()
    claimed = claim(store, table, log_name, partitions, who=who, now_ns=now_ns)
    stored = stored_positions(store, table)
    identities = Identities(table, stored_identities(store, table))
    whole = look_up_after(around.settings, table.topic, stored)
    return Begun(known_by, claimed, stored, identities, whole, whole.only(partitions))


def _open_reader(around: Surroundings, table: Table[Any], begun: Begun) -> tuple[TopicReader, dict[int, Span]]:
    """Open the log behind what the table holds."""
    skipped = _noting_absent(around.store, table, begun.log)
    reader = TopicReader(around.settings, begun.log, skipped, around.telemetry.client_options(table))
    try:
        return reader, reader.assign(begun.stored)
    except BaseException:
        reader.close()
        raise


def _make_worker(
    around: Surroundings,
    table: Table[Any],
    begun: Begun,
    reader: TopicReader,
    watch: RowWatch,
    counts: Counts,
    holds: Callable[[], bool],
) -> Worker:
    store, settings, chosen = around.store, around.settings, around.settings.of(SinkSettings)
    is_same_log = partial(require_same_log, around.logs, begun.log.topic, begun.log.topic_id)
    return Worker(
        table,
        reader,
        _make_writer(around, table, begun, counts, is_same_log),
        begun.identities,
        recheck=Recheck(store, table).look,
        find_stored=lambda rows: set(stored_rows(store, table, rows)),
        limits=Limits(chosen.flush_rows, chosen.flush_seconds),
        max_buffered_rows=chosen.max_buffered_rows,
        clock=around.clock,
        judge=Judge(len(begun.whole.ends), LogEnds(settings, L2) if names_places(table.topic) else None, is_same_log),
        dropped=DroppedRuns(store, lambda: around.clock.monotonic_ns() / NS_PER_SECOND),
        counts=counts,
        written=partial(_note_written, around.telemetry, watch),
        look=watch.look,
        holds=holds,
        decoder=BlockDecoder(around.decode) if around.decode and table is factors.TABLE else None,
    )


def _make_writer(
    around: Surroundings, table: Table[Any], begun: Begun, counts: Counts, is_same_log: Callable[[], None]
) -> Writer:
    """Make what inserts, as long as table and log are those that were looked at."""
    return Writer(
        table,
        around.store,
        LetterBox(around.settings),
        begun.claimed,
        clock=around.clock,
        stop=around.stop,
        counts=counts,
        require_same=partial(require_same, around.store, table, begun.known_by),
        require_same_log=is_same_log,
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


def _note_written(telemetry: Telemetry, watch: RowWatch, batch: RowBatch, written: WrittenBatch) -> None:
    telemetry.written(batch, written)
    watch.stored(batch, written)


def _note_expired(around: Surroundings, table: Table[Any], begun: Begun, counts: Counts) -> None:
    """Note what retention deleted before it was read."""
    holes = expired_holes(around.settings, begun.whole, begun.stored)
    expired = [hole for hole in holes if hole.partition in begun.log.ends]
    for hole in expired:
        note(around.store, table.name, begun.log, hole)
    records = sum(hole.end - hole.first for hole in expired)
    counts.expired += records
    if records:
        _log.error("records_expired", topic=begun.log.topic, records=records)


def _noting_absent(store: Store, table: Table[Any], log: Log) -> Callable[[int, int, int], None]:
    def skipped(partition: int, first: int, end: int) -> None:
        if table.topic.cleanup == "compact":
            return  # which changes were taken out of it, the audit knows by their numbers
        note(store, table.name, log, Hole(HoleKind.ABSENT, partition, first, end))
        _log.error("records_absent", topic=log.topic, partition=partition, first=first, records=end - first)

    return skipped
