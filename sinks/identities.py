"""Drops what is stored already: a processor that restarts sends events again, in new records.

Per stream (instrument, source log, source partition) events are stored in source order and identities rise, so one
number tells stored from new. It holds as long as a failed send ends the worker: no later event may leave before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sinks.blocks import BlockRows, Rows
from sinks.contract import Row, Stream, Table


class Sorted(NamedTuple):
    """A record's rows, sorted.

    Attributes:
        new: Rows to store.
        repeated: Rows whose identity is not higher than the highest one stored.
    """

    new: Rows
    repeated: Rows


class Identities:
    """The highest stored offset of every stream of one table.

    Args:
        table: An identified table; of any other, every row is new.
        stored: Highest offsets as read back from the table.
    """

    def __init__(self, table: Table[Any], stored: Mapping[Stream, int]) -> None:
        self._table = table
        self._highest = dict(stored)

    def sort(self, rows: Rows) -> Sorted:
        """Sort one record's rows, which are of one stream, and remember the new ones."""
        if not rows or not self._table.identified:
            return Sorted(rows, [])
        if isinstance(rows, BlockRows):
            return self._cut(rows)
        stream = self._table.stream(rows[0])
        highest = self._highest.get(stream, -1)
        new: list[Row] = []
        repeated: list[Row] = []
        for row in rows:
            offset = self._table.source_offset(row)
            if offset > highest:
                highest = offset
                new.append(row)
            else:
                repeated.append(row)
        self._highest[stream] = highest
        return Sorted(new, repeated)

    def _cut(self, rows: BlockRows) -> Sorted:
        """Sort rows whose identities are known to rise."""
        stream = rows.stream
        highest = self._highest.get(stream, -1)
        known = rows.count_up_to(highest)
        self._highest[stream] = max(highest, rows.last_offset)
        return Sorted(rows[known:], rows[:known])

    def note(self, rows: Rows) -> None:
        """Remember rows that were judged one by one, without ever lowering what is known."""
        if rows and self._table.identified:
            stream = self._table.stream(rows[0])
            offsets = map(self._table.source_offset, rows)
            self._highest[stream] = max(self._highest.get(stream, -1), *offsets)
