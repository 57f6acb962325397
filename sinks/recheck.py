"""Compares what is sent again with what is stored: a replay must be the same to the bit.

At most one query a second; what is not looked at is counted, never taken for equal.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

import msgspec

from sinks.blocks import Rows
from sinks.contract import Row, Table
from sinks.resume import stored_rows
from sinks.store import Store

INTERVAL_SECONDS: Final = 1.0


class RecheckResult(NamedTuple):
    """What a look at repeated rows found.

    Attributes:
        equal: Rows that the table holds to the bit.
        different: Source offsets of rows that it holds otherwise.
        unchecked: Rows not looked at, or not in the table yet.
    """

    equal: int
    different: list[int]
    unchecked: int


class Recheck:
    """Looks at the repeated rows of one table, now and then.

    Args:
        store: Where the rows are.
        table: Their table.
    """

    def __init__(self, store: Store, table: Table[Any]) -> None:
        self._store = store
        self._table = table
        self._next_s = 0.0

    def look(self, repeated: Rows, now_s: float) -> RecheckResult:
        """Compare repeated rows of one record with the stored ones, unless it was done less than a second ago.

        Args:
            repeated: Rows of one stream.
            now_s: Monotonic time, seconds.
        """
        if now_s < self._next_s:
            return RecheckResult(0, [], len(repeated))
        self._next_s = now_s + INTERVAL_SECONDS
        stored = stored_rows(self._store, self._table, repeated)
        return compare(self._table, repeated, stored)


def compare(table: Table[Any], repeated: Rows, stored: dict[int, Row]) -> RecheckResult:
    """Compare rows with those stored under the same identity."""
    equal = unchecked = 0
    different = []
    for row in repeated:
        offset = table.source_offset(row)
        if offset not in stored:
            unchecked += 1
        elif row_digest(row) == row_digest(stored[offset]):
            equal += 1
        else:
            different.append(offset)
    return RecheckResult(equal, different, unchecked)


def row_digest(row: Row) -> bytes:
    """SHA-256 of a row's values: floats by their bits, so that -0.0 is not 0.0."""
    return hashlib.sha256(msgspec.msgpack.encode(row)).digest()
