"""What the log of the rollout calls for: a row of each change that lies there, and of each that it has no more.

Changes are numbered from 1 on, so that it is known which ones compaction took out of the log, and, of those, which
lie in no table: nobody can store them any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from typing import NamedTuple

from obflow.doctor import AuditLine
from obflow.whole_log import Logged
from research.expected import Place, record_of
from schemas.errors import MessageError
from schemas.rollouts import RolloutRecord


class NumberedChange(NamedTuple):
    """A change of the rollout on its log, or a record that is none: it has no number and gets a letter."""

    place: Place
    step: int = 0


def changes_on(log: Iterable[Logged], partitions: int = 0) -> set[NumberedChange]:
    """What must have a row or a letter of what a log holds; a request needs neither."""
    found = set()
    for logged in log:
        place = (logged.partition, logged.offset)
        try:
            record = record_of(RolloutRecord, logged, partitions)
        except MessageError:
            found.add(NumberedChange(place))
            continue
        if record.action is None:
            found.add(NumberedChange(place, record.step))
    return found


def compacted_unread(changes: Iterable[NumberedChange], stored: Collection[int]) -> Set[int]:
    """Numbers of the changes that neither the log nor the table has.

    Args:
        changes: Those on the log.
        stored: Numbers of those of that log in the table.
    """
    known = {change.step for change in changes} | set(stored)
    return set(range(1, max(known, default=0) + 1)) - known


def with_compacted(line: AuditLine, unread: Collection[int]) -> AuditLine:
    """The line, with the changes that nobody can store any more."""
    counts: Mapping[str, int] = {**line.counts, "compacted": len(unread)}
    told = (f"{len(unread)} changes were taken out of the log before they were stored",) if unread else ()
    return line._replace(counts=dict(counts), problems=(*line.problems, *told))
