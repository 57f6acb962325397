"""What the logs call for, read independently: with the pure book and the codec, and nothing of processors or sinks.

Every function takes a log's records from its start, each partition in order, and says what must be stored of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias, TypeVar

from obflow.whole_log import Logged
from orderbook.validity import Outcome, TrackedBook
from schemas.codec import decode_as
from schemas.errors import MessageError
from schemas.logs import ORIGIN_HEADER, LogId, parse_origin
from schemas.messages import (
    AnomalyEvent,
    ArbitrageEvent,
    DeadLetter,
    FactorRecord,
    FeedState,
    FeedStatus,
    InstrumentKey,
    L2Record,
    QuoteRecord,
    RegimeEvent,
    RegimeSource,
    SignalEvent,
)
from schemas.places import Place as LogPlace
from schemas.places import check_place
from schemas.rollouts import RolloutRecord

R = TypeVar(
    "R",
    L2Record,
    FactorRecord,
    FeedStatus,
    RegimeEvent,
    SignalEvent,
    AnomalyEvent,
    QuoteRecord,
    ArbitrageEvent,
    RolloutRecord,
)

Place: TypeAlias = tuple[int, int]
"""Partition and offset in one log."""
EVENTFUL: Final = frozenset(
    {
        Outcome.APPLIED,
        Outcome.CROSSED_OUT,
        Outcome.WENT_BEYOND,
        Outcome.MADE_LIVE,
        Outcome.INVALIDATED,
        Outcome.BROKE,
    }
)
"""Outcomes that must give an event."""


class Identity(NamedTuple):
    """What identifies an event: the instrument and where the record of the book log lies that it comes from."""

    instrument: InstrumentKey
    log: str
    partition: int
    offset: int


class ModelIdentity(NamedTuple):
    """What identifies a judgement of a language model: the event that closed its window, and the arm that answered."""

    instrument: InstrumentKey
    log: str
    partition: int
    offset: int
    arm: str


@dataclass
class Judgements:
    """Identities of judgements: those of the rules, and those of the arms, asked for or given again."""

    rules: set[Identity] = field(default_factory=set)
    model: set[ModelIdentity] = field(default_factory=set)

    def take(self, verdict: RegimeEvent) -> None:
        """Take a judgement."""
        window = (verdict.instrument, verdict.source_log, verdict.source_partition, verdict.source_offset)
        if verdict.source is RegimeSource.RULE:
            self.rules.add(Identity(*window))
        else:
            self.model.add(ModelIdentity(*window, verdict.arm))


@dataclass
class Expectation:
    """What an independent reading of the book log calls for.

    Attributes:
        events: Places of the records that must have an event, by instrument; an empty set where none must.
        undecodable: Records that are none, or that break a rule of `schemas.places`: a processor dead-letters them.
        written_ms: Kafka's time of each instrument's newest record, ms UTC.
    """

    events: dict[InstrumentKey, set[Place]] = field(default_factory=dict)
    undecodable: int = 0
    written_ms: dict[InstrumentKey, int] = field(default_factory=dict)


@dataclass
class Emission:
    """What the factor log holds.

    Attributes:
        events: Events in it.
        identities: Events with an identity of their own.
        offsets: Their offsets in the book log, by instrument, log and partition.
    """

    events: int = 0
    identities: int = 0
    offsets: dict[tuple[InstrumentKey, str, int], set[int]] = field(default_factory=dict)


class LastWord(NamedTuple):
    """What was said last of a feed; `written_ms` is Kafka's time of it, ms UTC."""

    state: FeedState
    written_ms: int


@dataclass
class Statuses:
    """What the log of statuses holds.

    Attributes:
        changes: Places of the records that must have a row, or a letter: all but heartbeats.
        last: The newest word of each feed, by instrument and source.
    """

    changes: set[Place] = field(default_factory=set)
    last: dict[tuple[InstrumentKey, str], LastWord] = field(default_factory=dict)


def record_of(kind: type[R], logged: Logged, partitions: int) -> R:
    """Decode a record of a log, as every reader does.

    Args:
        kind: What it must be.
        logged: It.
        partitions: How many the log has; 0 where records may lie in any.

    Raises:
        MessageError: It is none, or breaks a rule of `schemas.places`: its reader dead-letters it.
    """
    record = decode_as(kind, logged.value)
    check_place(record, LogPlace(logged.partition, partitions, logged.written_ms))
    return record


def expected_events(log: Iterable[Logged], partitions: int = 0) -> Expectation:
    """What the book log calls for, by the pure book alone.

    Args:
        log: Its records from its start, each partition in order.
        partitions: How many it has; 0 where records may lie in any.
    """
    found = Expectation()
    books: dict[InstrumentKey, TrackedBook] = defaultdict(TrackedBook)
    for logged in log:
        try:
            record = record_of(L2Record, logged, partitions)
        except MessageError:
            found.undecodable += 1
            continue
        places = found.events.setdefault(record.instrument, set())
        found.written_ms[record.instrument] = logged.written_ms
        if books[record.instrument].apply(record) in EVENTFUL:
            places.add((logged.partition, logged.offset))
    return found


def emitted_events(
    log: Iterable[Logged],
    also: Callable[[Logged, FactorRecord], None] = lambda _logged, _record: None,
    partitions: int = 0,
) -> Emission:
    """Count the events of the factor log, and those that have an identity of their own.

    Args:
        log: Its records.
        also: Given each record that is one.
        partitions: As of `expected_events`.
    """
    found = Emission()
    for logged in log:
        try:
            record = record_of(FactorRecord, logged, partitions)
        except MessageError:
            continue  # a sink dead-letters it; it holds no event that anybody could store
        also(logged, record)
        found.events += len(record.events)
        where = (record.instrument, record.source_log, record.source_partition)
        found.offsets.setdefault(where, set()).update(event.source_offset for event in record.events)
    found.identities = sum(map(len, found.offsets.values()))
    return found


def places(log: Iterable[Logged], name: LogId) -> set[Place]:
    """Places that must have a row or a letter, where every record gives one."""
    return {place for logged in log if (place := identity_of(logged, name))}


def expected_changes(log: Iterable[Logged], name: LogId, partitions: int = 0) -> Statuses:
    """What the log of statuses calls for: a row a change. And who said what last."""
    found = Statuses()
    for logged in log:
        place = identity_of(logged, name)
        try:
            status = record_of(FeedStatus, logged, partitions)
        except MessageError:
            found.changes |= {place} if place else set()
            continue
        if place and not status.heartbeat:
            found.changes.add(place)
        if status.state is FeedState.STOPPED and status.heartbeat:
            continue  # it gave way before it began: the feed is another producer's
        found.last[status.instrument, status.source.value] = LastWord(status.state, logged.written_ms)
    return found


def written_letters(log: Iterable[Logged], name: LogId) -> set[tuple[str, str]]:
    """Id and role of every letter; one that cannot be read is the sink's letter about itself."""
    found = set()
    for logged in log:
        try:
            letter = decode_as(DeadLetter, logged.value)
        except MessageError:
            found.add((name.origin(logged.partition, logged.offset).text, "sink"))
        else:
            found.add((letter.letter_id, letter.role))
    return found


def written_verdicts(log: Iterable[Logged], partitions: int = 0) -> Judgements:
    """Identities of the judgements on their log."""
    found = Judgements()
    for logged in log:
        try:
            found.take(record_of(RegimeEvent, logged, partitions))
        except MessageError:
            continue  # a sink dead-letters it
    return found


def identity_of(logged: Logged, name: LogId) -> Place | None:
    """Where the record lies that a row of this one carries: elsewhere where it was sent again by hand.

    None where that is in another log. One that names a place it cannot have been at first is a record like any other.
    """
    own = (logged.partition, logged.offset)
    said = dict(logged.headers).get(ORIGIN_HEADER, b"").decode("ascii", "replace")
    origin = parse_origin(name.topic, said)
    if origin is None:
        return own
    if origin.topic_id != name.topic_id:
        return None
    first = (origin.partition, origin.offset)
    return first if first[0] == own[0] and first < own else own
