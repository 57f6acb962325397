"""The events of one batch as arrays, with what `FactorColumns` has; bytes leave them without an object an event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from orderbook.kernel.ladder import Ints
from orderbook.validity import Outcome
from processors.factors.engine import Break, FactorColumns, L2Row
from processors.factors.kernel.arrays import Floats
from processors.factors.kernel.encode import encode_events
from processors.factors.kernel.process import (
    COLUMNS,
    EXCHANGE_NS,
    HAS_EXCHANGE,
    RECEIVED_NS,
    SEQUENCE,
    STATUS,
    STATUSES,
)
from schemas.codec import FRAME, MAGIC, check_packed
from schemas.factors import FACTOR_NAMES, FACTOR_SET
from schemas.messages import FactorEvent, Status
from schemas.versions import newest

SCHEMA: Final = newest("factors")
SOURCES: Final = ("live", "replay", "simulator")


class KernelColumns:
    """Events in source order, as they are added.

    Attributes:
        outcomes: How many records had each outcome.
        resync: The break that is still open after the batch, or None.
        source_offset: Of the record behind each event.
        matrix: A row an event, one place a factor, NaN for null.
        about: A row an event: the columns that `process` names.
    """

    def __init__(self, most: int) -> None:
        """Have room for so many events."""
        self.outcomes: Counter[Outcome] = Counter()
        self.resync: Break | None = None
        self.source_offset: list[int] = []
        self.matrix: Floats = np.empty((most, len(FACTOR_NAMES)))
        self.about: Ints = np.empty((most, COLUMNS), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.source_offset)

    @property
    def received_ns(self) -> list[int]:
        """Time of the record behind each event, ns UTC."""
        times: list[int] = self.about[: len(self), RECEIVED_NS].tolist()
        return times

    @property
    def status(self) -> list[Status]:
        """State of the book after each."""
        return [STATUSES[code] for code in self.about[: len(self), STATUS]]

    def leave(self, places: Sequence[int]) -> None:
        """Drop all events but those at these places, which rise. What the batch did stays."""
        kept = list(places)
        self.source_offset = [self.source_offset[place] for place in kept]
        self.matrix, self.about = self.matrix[kept], self.about[kept]

    def room(self) -> tuple[Floats, Ints]:
        """Give the rows of the events to come, to be written."""
        start = len(self.source_offset)
        return (self.matrix[start:], self.about[start:]) if start else (self.matrix, self.about)

    def add_run(self, offsets: Sequence[int]) -> None:
        """Add the events of applied deltas, which were written already."""
        self.source_offset += offsets
        self.outcomes[Outcome.APPLIED] += len(offsets)

    def add(self, columns: FactorColumns) -> None:
        """Add what the reference made of a record."""
        self.outcomes += columns.outcomes
        for event in columns.events():
            at = len(self)
            exchange = (event.exchange_ns or 0, event.exchange_ns is not None)
            self.about[at] = (event.sequence, *exchange, event.received_ns, STATUSES.index(event.status))
            self.matrix[at] = [np.nan if value is None else value for value in event.values]
            self.source_offset.append(event.source_offset)

    def events(self) -> list[FactorEvent]:
        """The events as records hold them."""
        about, values = self.about[: len(self)].tolist(), self.matrix[: len(self)].tolist()
        return [
            FactorEvent(
                source_offset=offset,
                sequence=about[at][SEQUENCE],
                exchange_ns=about[at][EXCHANGE_NS] if about[at][HAS_EXCHANGE] else None,
                received_ns=about[at][RECEIVED_NS],
                status=STATUSES[about[at][STATUS]],
                values=tuple([None if value != value else value for value in values[at]]),
            )
            for at, offset in enumerate(self.source_offset)
        ]

    def encoded(self, first: L2Row, log: str, partition: int) -> bytes:
        """The events as one encoded factor record.

        Args:
            first: A row of the batch, all of one feed source and run.
            log: First 8 characters of the source topic's id.
            partition: Of the source topic.
        """
        count = len(self)
        check_packed(count)
        head = _text(first.venue) + _text(first.symbol) + _long(SOURCES.index(first.source)) + _text(FACTOR_SET)
        matrix = self.matrix[:count]
        events = encode_events(
            np.array(self.source_offset, dtype=np.int64),
            self.about[:count],
            matrix,
            matrix.view(np.int64),
        )
        frame = FRAME.pack(MAGIC, SCHEMA.schema_id)
        return b"".join((frame, head, _text(log), _long(partition), _text(first.run), events.tobytes()))


def _text(value: str) -> bytes:
    data = value.encode()
    return _long(len(data)) + data


def _long(value: int) -> bytes:
    """A number from 0 on, as Avro writes it."""
    rest, out = value << 1, bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)
