"""What `obflow doctor` asks about each table: whether it keeps up with its log."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from obflow import kafka, kafka_logs
from obflow.findings import Check, unknown
from obflow.flow import GroupLook, LogFollower
from obflow.group_looks import WatchedReader, look_at
from obflow.settings import Settings
from schemas.errors import BrokerUnreachable, StoreUnreachable, TopicMismatch
from sinks import migrate
from sinks.contract import Table
from sinks.reader import Log, look_up
from sinks.resume import stored_positions
from sinks.settings import SinkSettings
from sinks.store import Store
from sinks.tables import TABLES

PATIENCE_S: Final = 10.0
"""Beyond `sink.flush_seconds`: the time of an insert on a busy machine."""
PAUSE_S: Final = 3.0
EVERY_TABLE: Final = "obflow sink"
"""What feeds all of them: a command a table would be a dozen where nobody feeds any."""


def position_checks(settings: Settings) -> list[Check]:
    """Look at every table that is there; whether all are, others say."""
    try:
        store = Store(settings.clickhouse, readonly=True)
    except StoreUnreachable:  # the check of the store says why
        return [Check("rows", False, "not known while no ClickHouse answers")]
    try:
        there = [table for table in TABLES.values() if not migrate.lacking(store, table)]
        watched = [_watch(settings, store, table) for table in there]
        if sum(one.is_late for one in watched) > 1:
            for one in watched:
                one.reader = one.reader._replace(command=EVERY_TABLE)
        return [finding for one in watched for finding in one.findings()]
    except (BrokerUnreachable, TopicMismatch) as error:
        return [unknown("rows", error)]
    finally:
        store.close()


def _watch(settings: Settings, store: Store, table: Table[Any]) -> WatchedReader:
    limit_s = settings.of(SinkSettings).flush_seconds + PATIENCE_S
    reader = LogFollower(f"rows of {table.name}", f"table {table.name}", f"obflow sink --table {table.name}", limit_s)
    return WatchedReader(reader, partial(_look, settings, store, table), PAUSE_S)


def _look(settings: Settings, store: Store, table: Table[Any]) -> GroupLook:
    log, positions = table_positions(settings, store, table)
    return look_at(settings, log.topic, positions)


def table_positions(settings: Settings, store: Store, table: Table[Any]) -> tuple[Log, dict[int, int]]:
    """The log that feeds a table, and up to where the table has come, by partition.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
        StoreUnreachable, QueryFailed: The database does not answer, or refuses.
    """
    log = look_up(settings, [table.topic])[table.topic]
    read = kafka_logs.committed_offsets(settings, settings.of(SinkSettings).group, [log.topic])
    return log, positions_of(log, stored_positions(store, table), read)


def positions_of(
    log: Log, stored: Mapping[tuple[str, int], int], read: Mapping[kafka.Partition, int]
) -> dict[int, int]:
    """Up to where a table has come: its last row, or what gave no row and was read all the same.

    Args:
        log: Its log.
        stored: Highest offset stored, by (log, partition).
        read: Committed offsets of the sinks' group.
    """
    return {part: max(stored.get((log.name, part), -1) + 1, read.get((log.topic, part), 0)) for part in log.ends}
