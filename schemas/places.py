"""The rules of where a record lies and what it may say of other records, the same for every reader.

- It lies in the partition its instrument's key belongs in: in another, it would be a second stream of that instrument.
- Its epoch lies at most a day ahead of its own time by the broker's clock: one far ahead would fence off all producers.
- A place it names in the books' log is inside that log, in its instrument's partition: one that no record has yet would
  make all that truly follows look like a repetition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.errors import ForeignRecord, ImpossibleRecord
from schemas.evaluations import RegimeEval
from schemas.messages import (
    AnomalyEvent,
    AnomalyKind,
    ArbitrageEvent,
    DeadLetter,
    FactorRecord,
    InstrumentKey,
    QuoteRecord,
    Record,
    RegimeEvent,
    ResyncRequest,
    SignalEvent,
)
from schemas.partitions import partition_of
from schemas.rollouts import STATE_KEY, RolloutRecord
from schemas.units import MS_PER_DAY


class Place(NamedTuple):
    """Where a record lies.

    Attributes:
        partition: Its partition.
        partitions: How many the topic has; 0 where that is not known, and then none of them is wrong.
        appended_ms: When the broker took it, ms UTC; -1 where that is not known, and then no epoch is too far ahead.
    """

    partition: int
    partitions: int
    appended_ms: int


class Extent(NamedTuple):
    """A log as far as it goes.

    Attributes:
        log: First 8 characters of its topic id.
        ends: Offset its next record will get, by partition.
    """

    log: str
    ends: Mapping[int, int]


class NamedPlace(NamedTuple):
    """A place in the books' log that a record names.

    Attributes:
        log: The log's name; empty where the record says none and means the one there is.
        partition: Partition in it.
        offset: The highest offset it names.
    """

    log: str
    partition: int
    offset: int


def check_place(record: Record, place: Place) -> None:
    """Hold a record against where it lies.

    Raises:
        ForeignRecord: Its instrument belongs in another partition.
        ImpossibleRecord: Its epoch lies too far ahead of its own time.
    """
    if isinstance(record, DeadLetter):
        return
    if isinstance(record, RolloutRecord):
        check_key(STATE_KEY, place)
        return
    if isinstance(record, RegimeEval):
        check_key(record.model, place)
        return
    if isinstance(record, QuoteRecord | ArbitrageEvent):
        check_key(record.canonical, place)
    else:
        check_partition(record.instrument, place.partition, place.partitions)
    epoch = getattr(record, "epoch", 0)
    if place.appended_ms >= 0 and epoch - place.appended_ms > MS_PER_DAY:
        raise ImpossibleRecord("an epoch more than a day ahead of the record's time", epoch=epoch, **_whose(record))


def check_key(key: str, place: Place) -> None:
    """Hold a key that names no instrument against the partition its record lies in.

    Raises:
        ForeignRecord: It belongs in another one.
    """
    home = partition_of(key, place.partitions) if place.partitions else place.partition
    if home != place.partition:
        raise ForeignRecord(f"it lies in partition {place.partition}, and its key belongs in {home}")


def check_partition(instrument: InstrumentKey, partition: int, partitions: int) -> None:
    """Hold an instrument against a partition.

    Raises:
        ForeignRecord: It belongs in another one.
    """
    home = partition_of(str(instrument), partitions) if partitions else partition
    if home != partition:
        raise ForeignRecord(f"it lies in partition {partition}, and its key belongs in {home}", **instrument._asdict())


def named_place(record: Record) -> NamedPlace | None:
    """The place in the books' log that a record names, if it names one."""
    if isinstance(record, FactorRecord):
        return NamedPlace(record.source_log, record.source_partition, record.events[-1].source_offset)
    if isinstance(record, AnomalyEvent) and record.kind is AnomalyKind.STALE:
        return None  # it names one in the log of statuses
    if isinstance(record, RegimeEvent | SignalEvent | AnomalyEvent | QuoteRecord):
        return NamedPlace(record.source_log, record.source_partition, record.source_offset)
    if isinstance(record, ResyncRequest):
        return NamedPlace("", record.source_partition, record.source_offset)
    return None


def is_inside(named: NamedPlace, extent: Extent) -> bool:
    """Whether a log holds, or has held, the place that is named. What retention took from its start was inside."""
    return named.log in ("", extent.log) and named.offset < extent.ends.get(named.partition, 0)


def check_named(record: Record, named: NamedPlace, extent: Extent) -> None:
    """Hold the place a record names against the log it names it in.

    Args:
        record: The record.
        named: What it names.
        extent: The log of that name, as it was after the record was read.

    Raises:
        ForeignRecord: The place is not inside the log, or not in the instrument's partition.
    """
    instrument = record.instrument  # type: ignore[union-attr] # a letter names no place
    check_partition(instrument, named.partition, len(extent.ends))
    if not is_inside(named, extent):
        end = extent.ends.get(named.partition, 0)
        raise ForeignRecord(
            f"it names offset {named.offset} of partition {named.partition}, which ends at {end}",
            **instrument._asdict(),
        )


def _whose(record: Any) -> dict[str, Any]:  # noqa: ANN401 (any record but a letter)
    return dict(record.instrument._asdict())
