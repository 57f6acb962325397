"""How one partition is read: batches without holes, and which of them are stale. No Kafka, no Faust.

What was fetched can be lost on its way, and what arrives can be from before a rebalance. A batch therefore says which
offset it continues from and which seek it followed; the reader knows which offset must come next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec


class SourceRecord(Protocol):
    """What is used of an aiokafka `ConsumerRecord`."""

    @property
    def offset(self) -> int:
        """Offset in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Kafka's time of the record, ms UTC."""
        ...

    @property
    def timestamp_type(self) -> int:
        """0 its producer's time, 1 the broker's."""
        ...

    @property
    def key(self) -> bytes | None:
        """Its key."""
        ...

    @property
    def value(self) -> bytes | None:
        """The payload; None is a tombstone."""
        ...


class LoggedRecord(NamedTuple):
    """A record as it lies in a log, for those who have not `SourceRecord`; fields as there."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    timestamp_type: int = 1


class SourceBatch(msgspec.Struct, frozen=True, gc=False):
    """Consecutive records of one partition.

    Attributes:
        partition: Of the source topic.
        start: Offset this batch continues from: the first record's, or lower where the log itself has a hole.
        end: Offset after the last record.
        seek: Number of the partition's latest seek when the batch was cut.
        records: The records, never empty.
    """

    partition: int
    start: int
    end: int
    seek: int
    records: list[SourceRecord]


class PartitionReader:
    """Where reading of one partition stands.

    Args:
        seeks: Gives a number never given before, in this process, for each seek.

    Attributes:
        expected: Offset the next record must have; None before the first.
        wanted: Offset to seek to at the next poll, if any.
        seek: Number of the latest seek; a batch that carries another one is stale.
    """

    def __init__(self, seeks: Iterator[int]) -> None:
        self._seeks = seeks
        self._hole: tuple[int, int] | None = None
        self.expected: int | None = None
        self.wanted: int | None = None
        self.seek = next(seeks)

    def sought(self, offset: int) -> None:
        """Reading continues at `offset`; whatever was cut before is stale."""
        self.expected = offset
        self.wanted = None
        self.seek = next(self._seeks)

    def want(self, offset: int) -> None:
        """Ask for the records from `offset` on; takes effect at the next poll, and makes earlier batches stale now."""
        self.wanted = offset
        self.seek = next(self._seeks)

    def cut(self, partition: int, records: Sequence[SourceRecord], limit: int) -> list[SourceBatch]:
        """Cut a poll's records into batches of at most `limit`.

        Nothing comes of records that are before the expected offset, or behind a hole: then `wanted` says where to
        seek. A hole seen twice in a row, with a seek between, belongs to the log and is let through.
        """
        if self.wanted is not None:
            return []
        expected = records[0].offset if self.expected is None else self.expected
        if records[0].offset < expected:
            records = [record for record in records if record.offset >= expected]
        if not records or self._is_unproven_hole(expected, records[0].offset):
            return []
        batches = []
        for first in range(0, len(records), limit):
            chunk = records[first : first + limit]
            end = chunk[-1].offset + 1
            batches.append(SourceBatch(partition, expected, end, self.seek, list(chunk)))
            expected = end
        self.expected = expected
        return batches

    def _is_unproven_hole(self, expected: int, first: int) -> bool:
        hole = (expected, first)
        if first == expected or hole == self._hole:
            self._hole = None
            return False
        self._hole = hole
        self.want(expected)
        return True
