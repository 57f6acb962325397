"""The factors of a book after each of its records."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from schemas.bounds import Finite, Int64, Label, LogName, Offset, Partition, TimeNs
from schemas.messages.instruments import InstrumentRecord, Source


class Status(StrEnum):
    """State of the book behind a factor event: the first of these that holds."""

    RESYNCING = "RESYNCING"
    EMPTY = "EMPTY"
    ONE_SIDED = "ONE_SIDED"
    CROSSED = "CROSSED"
    LOCKED = "LOCKED"
    THIN = "THIN"
    OK = "OK"


class FactorEvent(msgspec.Struct, frozen=True, gc=False):
    """The factors after one record.

    Attributes:
        source_offset: Offset of that record in `l2.v1`.
        sequence: Its sequence.
        exchange_ns, received_ns: Its times.
        status: State of the book.
        values: One nullable float a factor, in the order of `schemas.factors.FACTORS`. Null is "no value":
            never 0, never NaN.
    """

    source_offset: Offset
    sequence: Int64
    received_ns: TimeNs
    status: Status
    values: tuple[Finite | None, ...]
    exchange_ns: TimeNs | None = None

    @property
    def decided_ns(self) -> int:
        """When the event could first be known, ns UTC: when its record was received. Records carry it."""
        return self.received_ns


class FactorRecord(InstrumentRecord, frozen=True, gc=False):
    """Consecutive factor events of one instrument (`factors.v1`), at most `MAX_EVENTS`.

    Identity of an event: (instrument, source_log, source_partition, source_offset). A replay after a crash reproduces
    identity and values, though records may pack events differently.

    Attributes:
        venue, symbol, source: As in `L2Record`.
        factor_set: Version of the factor list.
        source_log: First 8 characters of the Kafka topic id of `l2.v1`: a recreated topic is another log.
        source_partition: Partition of `l2.v1`.
        events: In source order.
        run: Of the book records behind all of them, as in `L2Record`.
    """

    source: Source
    factor_set: Label
    source_log: LogName
    source_partition: Partition
    events: list[FactorEvent]
    run: Label = ""
