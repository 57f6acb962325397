"""Rows of `factors` as spans of columns, decoded many records at a time and inserted without an object a value.

The rows of a record are a sequence like any other, so that whoever looks at single rows, halves a batch or cuts a
record goes on as before; a row is made where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias, overload

import numpy as np

from schemas.codec import FRAME, decode_as
from schemas.errors import MessageError
from schemas.kernel.factor_columns import (
    EXCHANGE_NS,
    RECEIVED_NS,
    SEQUENCE,
    SLOW,
    SOURCE_OFFSET,
    STATUSES,
    FactorEvents,
)
from schemas.messages import FactorEvent, FactorRecord, InstrumentKey, Source
from sinks.contract import Row, Stream

MOST_HEADS: Final = 4_096
"""Remembered at once; then the memory starts afresh."""


class RecordHead(NamedTuple):
    """What the events of a record have in common. Attributes as in `FactorRecord`."""

    venue: str
    symbol: str
    source: Source
    factor_set: str
    run: str
    source_log: str
    source_partition: int

    @classmethod
    def of(cls, record: FactorRecord) -> RecordHead:
        """Take it from a record."""
        return cls(*(getattr(record, name) for name in cls._fields))


class BlockRows(Sequence[Row]):
    """The rows of one record, or some of them that follow each other.

    Attributes:
        events: The columns.
        head: What they have in common.
        start, stop: Which of the columns' places are theirs.
    """

    __slots__ = ("events", "head", "start", "stop")

    def __init__(self, events: FactorEvents, head: RecordHead, start: int, stop: int) -> None:
        self.events, self.head, self.start, self.stop = events, head, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> BlockRows: ...

    def __getitem__(self, index: int | slice) -> Row | BlockRows:
        places = range(self.start, self.stop)[index]
        if isinstance(places, int):
            return self._row(places)
        if places.step != 1:
            raise ValueError("rows of a block are cut, not picked")
        return BlockRows(self.events, self.head, places.start, places.stop)

    @property
    def stream(self) -> Stream:
        """The stream in which their identities rise."""
        head = self.head
        return Stream(InstrumentKey(head.venue, head.symbol), head.source_log, head.source_partition)

    @property
    def last_offset(self) -> int:
        """The highest source offset."""
        return int(self.events.numbers[SOURCE_OFFSET, self.stop - 1])

    @property
    def judged(self) -> FactorRecord:
        """The record as far as it is held against the logs: its head, and its last event without values."""
        at, head = self.stop - 1, self.head
        offset, sequence, received_ns, _ = self.events.numbers[:, at].tolist()
        last = FactorEvent(offset, sequence, received_ns, STATUSES[self.events.status[at]], ())
        named = (head.venue, head.symbol, head.source, head.factor_set, head.source_log, head.source_partition)
        return FactorRecord(*named, [last], head.run)

    def count_up_to(self, offset: int) -> int:
        """How many of them, the first ones, have a source offset that is not higher."""
        offsets = self.events.numbers[SOURCE_OFFSET, self.start : self.stop]
        return int(np.searchsorted(offsets, offset, side="right"))

    def _row(self, at: int) -> Row:
        events, head = self.events, self.head
        numbers = events.numbers[:, at].tolist()
        received_ns = numbers[RECEIVED_NS]
        found = zip(events.values[:, at].tolist(), events.is_value[:, at].tolist(), strict=True)
        return (
            *(head.venue, head.symbol, head.source.value, numbers[SEQUENCE], received_ns),
            *(numbers[EXCHANGE_NS] if events.has_exchange[at] else None, received_ns),
            *(STATUSES[events.status[at]].value, head.factor_set, head.run),
            *(value if is_value else None for value, is_value in found),
            *(head.source_log, head.source_partition, numbers[SOURCE_OFFSET]),
        )


Rows: TypeAlias = Sequence[Row]
"""Rows of one record: one by one, or a span of a block."""


class BlockDecoder:
    """Makes blocks of payloads. What precedes the events of a record is judged by the codec, once, and known again.

    Args:
        decode: Decodes what is plainly a good record.
    """

    def __init__(self, decode: Callable[[Sequence[bytes]], FactorEvents]) -> None:
        self._decode = decode
        self._heads: dict[bytes, RecordHead] = {}

    def rows(self, payloads: Sequence[bytes]) -> list[BlockRows | None]:
        """The rows of each payload; None where the codec is to decide about it."""
        events = self._decode(payloads)
        found: list[BlockRows | None] = []
        for payload, end, (start, stop) in zip(payloads, events.heads.tolist(), events.spans.tolist(), strict=True):
            head = None if end == SLOW else self._head(payload, end)
            found.append(None if head is None else BlockRows(events, head, start, stop))
        return found

    def _head(self, payload: bytes, end: int) -> RecordHead | None:
        key = payload[FRAME.size : end]
        if key not in self._heads:
            try:
                record = decode_as(FactorRecord, payload)
            except MessageError:
                return None
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            self._heads[key] = RecordHead.of(record)
        return self._heads[key]
