"""Where a stream of factor events was left: which of them are new, and where a memory has to start afresh.

Events come in source order. One that was taken before (its source offset is not higher, within a `source_log`) changes
nothing, so a log may be read again from anywhere. Another `source_log` is another stream; what still comes of one that
was left is passed over. Time may go back where a recording is replayed as it was, or a clock was set: an event from
earlier than the newest is late and left out, one from more than a minute earlier shows that the stream began anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from processors.contract import Count
from schemas.errors import DecodeError, ForeignRecord
from schemas.messages import FactorEvent, FactorRecord
from schemas.places import Extent, NamedPlace, check_named, named_place
from schemas.topics import L2
from schemas.units import NS_PER_SECOND

StateT = TypeVar("StateT")

BEGAN_ANEW_NS: Final = 60 * NS_PER_SECOND
"""Time going back by more than this is another stream, by less a late event."""
LEFT_LOGS: Final = 8
REPEATED: Final = "already_processed"
LEFT_LOG: Final = "left_source_log"
LATE: Final = "late"
BEGAN_ANEW: Final = "began_anew"


class FollowedLog(msgspec.Struct):
    """How far one instrument's events were taken. Serialisable as it stands.

    Attributes:
        source_log: Log that the events come from.
        left_logs: Logs they came from before.
        next_offset: First source offset that was not taken; -1 before the first event.
        newest_ns: Received time of the newest event.
    """

    source_log: str = ""
    left_logs: list[str] = []
    next_offset: int = -1
    newest_ns: int = 0


class NewEvent(NamedTuple):
    """An event that was not taken before, and whether it is of another stream than the one before it."""

    event: FactorEvent
    is_afresh: bool


class Following(Protocol):
    """A state that follows a log of factor events."""

    followed: FollowedLog


def new_events(followed: FollowedLog, record: FactorRecord, passed: Counter[str]) -> Iterator[NewEvent]:
    """Take a record's events and yield those that are new.

    Args:
        followed: How far events were taken; changed as they are yielded.
        record: Consecutive events of the instrument.
        passed: Counts what is left out, and streams that began anew, by reason.
    """
    if record.source_log in followed.left_logs:
        passed[LEFT_LOG] += len(record.events)
        return
    is_afresh = record.source_log != followed.source_log
    if is_afresh:
        _turn_to(followed, record.source_log)
    for event in record.events:
        if event.source_offset < followed.next_offset:
            passed[REPEATED] += 1
            continue
        followed.next_offset = event.source_offset + 1
        if event.received_ns < followed.newest_ns - BEGAN_ANEW_NS:
            passed[BEGAN_ANEW] += 1
            is_afresh = True
        elif event.received_ns < followed.newest_ns and not is_afresh:
            passed[LATE] += 1
            continue
        followed.newest_ns = event.received_ns
        yield NewEvent(event, is_afresh)
        is_afresh = False


def counted(passed: Counter[str]) -> list[Count]:
    """What was passed over, as counts."""
    return [Count("obflow_ignored_total", "reason", why, number) for why, number in passed.items()]


class LogMemory(Protocol):
    """What is remembered of the books' log that events come from."""

    source_log: str
    left_logs: list[str]
    next_offset: int


def last_place(memory: LogMemory, partition: int) -> NamedPlace | None:
    """Name the place of the last event taken; None before the first."""
    return NamedPlace(memory.source_log, partition, memory.next_offset - 1) if memory.next_offset > 0 else None


def keep_to_log(memory: LogMemory, record: FactorRecord, extent: Extent) -> None:
    """Refuse events of another log than the books' own: they would displace it for good.

    A log that was deleted and made anew ends what came of the old one; what is left of that is taken as long as
    nothing came of the new one.

    Raises:
        ForeignRecord: The record names no place there is.
    """
    named = named_place(record)
    if named is None:
        return
    if named.log == extent.log:
        check_named(record, named, extent)
        memory.left_logs = [log for log in memory.left_logs if log != extent.log]
    elif memory.source_log == extent.log:
        raise ForeignRecord(f"it names log {named.log}, and the books' log is {extent.log}")


class FactorPlaces:
    """The places in the books' log that factor events name."""

    topic = L2

    def named_by_record(self, record: FactorRecord) -> NamedPlace | None:
        """The place of its last event."""
        return named_place(record)

    def named_by_state(self, state: Following, partition: int) -> NamedPlace | None:
        """The place of the last event taken."""
        return last_place(state.followed, partition)

    def check(self, state: Following, record: FactorRecord, extent: Extent) -> None:
        """Refuse events of another log than the books' own; as of `keep_to_log`."""
        keep_to_log(state.followed, record, extent)


def read_state(data: bytes, kind: type[StateT]) -> StateT:
    """Read a state that was written by its fields' names.

    Raises:
        DecodeError: It is cut or holds an impossible value.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise DecodeError(f"a checkpoint holds an impossible value ({error})") from error


def _turn_to(followed: FollowedLog, source_log: str) -> None:
    if followed.source_log:
        followed.left_logs = [*followed.left_logs, followed.source_log][-LEFT_LOGS:]
    followed.source_log, followed.next_offset, followed.newest_ns = source_log, -1, 0
