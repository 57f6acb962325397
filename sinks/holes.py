"""Stretches of a log that a table has no rows of and never will, kept in `log_holes`: they outlive whoever met them.

A sink's position is the table itself, so that the first row past a hole hides it. A hole is written before that row.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from obflow import kafka_logs
from obflow.settings import Settings
from sinks.reader import Log
from sinks.settings import SinkSettings
from sinks.store import Store

TABLE: Final = "log_holes"
NOTE: Final = (
    "INSERT INTO log_holes (table_name, topic, k_log, k_part, kind, first_offset, end_offset, noted_at) SELECT "
    "{table:String}, {topic:String}, {log:String}, {part:UInt16}, {kind:String}, {first:UInt64}, {end:UInt64}, "
    "now64(9, 'UTC')"
)


class HoleKind(StrEnum):
    """Why there is nothing to store of a stretch."""

    EXPIRED = "expired"
    """Retention deleted its records before they were read."""
    ABSENT = "absent"
    """The log holds no record there, though it holds earlier and later ones."""


class Hole(NamedTuple):
    """One stretch of a partition: offsets from `first` to before `end`."""

    kind: HoleKind
    partition: int
    first: int
    end: int


def expired_holes(settings: Settings, log: Log, stored: Mapping[tuple[str, int], int]) -> list[Hole]:
    """What retention has deleted between the last record that was read and the first that is left.

    Where the last records gave no rows (heartbeats, events sent again), the table does not know that they were read;
    the group's committed offsets do, which are written once everything before them is stored. What was deleted before
    any sink began to read the log is no hole.

    Args:
        settings: `kafka` and `sink` are used.
        log: The log.
        stored: Highest offset the table holds, by (log, partition).

    Raises:
        BrokerUnreachable: No broker answers.
    """
    resumes = {partition: stored.get((log.name, partition), -1) + 1 for partition in log.starts}
    if all(start <= resumes[partition] for partition, start in log.starts.items()):
        return []
    read = kafka_logs.committed_offsets(settings, settings.of(SinkSettings).group, [log.topic])
    if not read and not any(resumes.values()):
        return []
    firsts = {partition: max(resume, read.get((log.topic, partition), 0)) for partition, resume in resumes.items()}
    return [
        Hole(HoleKind.EXPIRED, partition, first, log.starts[partition])
        for partition, first in firsts.items()
        if first < log.starts[partition]
    ]


def note(store: Store, table: str, log: Log, hole: Hole) -> None:
    """Write a hole down; noting it again, or longer, replaces it.

    Args:
        store: The database.
        table: The table that lacks it.
        log: The log it is in.
        hole: The hole.

    Raises:
        StoreUnreachable, QueryFailed: It was not written.
    """
    where = {"table": table, "topic": log.topic, "log": log.name, "part": hole.partition}
    store.command(NOTE, {**where, "kind": hole.kind.value, "first": hole.first, "end": hole.end})
