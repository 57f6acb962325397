"""`signals`: one row a step of a signal: it opened, or it closed."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import SignalEvent
from schemas.topics import SIGNALS as TOPIC
from sinks.contract import Row, Table
from sinks.derived import derived

FIELDS: Final = derived(
    SignalEvent,
    renamed={"received_ns": "received_at", "decided_ns": "decided_at"},
    left_out=("source_log", "source_partition", "source_offset"),
)


def rows(record: SignalEvent, position: Position) -> list[Row]:
    """One row. The identity is the step's: the record of the books' log that made it, and the kind of signal."""
    del position
    return [(*FIELDS.values(record), record.source_log, record.source_partition, record.source_offset)]


TABLE: Final = Table("signals", TOPIC, SignalEvent, FIELDS.columns, rows, stream_column="kind")
