"""Reads factor records for stages that remember what they read: nothing beyond all measure may enter a memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.codec import decode_as
from schemas.errors import ImpossibleRecord
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorRecord
from schemas.units import NS_PER_SECOND

LEAST, LARGEST = 1e-100, 1e100
LATEST_NS: Final = 2**63 - 1 - 3600 * NS_PER_SECOND
"""Latest time that all that is added to it still fits a record."""


def read_factors(payload: bytes, used: Iterable[str]) -> FactorRecord:
    """Decode a record and hold the factors that are used against what a book can have.

    A number beyond all measure would never leave a mean, and one below it has no square.

    Raises:
        DecodeError: It is no factor record.
        ImpossibleRecord: It holds a factor or a time that no book has.
    """
    record, indexes = decode_as(FactorRecord, payload), [FACTOR_INDEX[name] for name in used]
    for event in record.events:
        if not 0 <= event.received_ns <= LATEST_NS:
            raise ImpossibleRecord("a received time that no book has", received_ns=event.received_ns)
        sizes = (abs(event.values[index] or 0.0) for index in indexes)
        if not all(size == 0.0 or LEAST <= size <= LARGEST for size in sizes):
            raise ImpossibleRecord("a factor that no book has", source_offset=event.source_offset)
    return record
