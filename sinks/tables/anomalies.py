"""`anomalies`: one row for the beginning and one for the end of each episode."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import AnomalyEvent
from schemas.topics import ANOMALIES as TOPIC
from sinks.contract import Row, Table, text
from sinks.derived import derived

FIELDS: Final = derived(
    AnomalyEvent,
    renamed={"received_ns": "received_at", "decided_ns": "decided_at"},
    left_out=("source_log", "source_partition", "source_offset"),
)


def rows(record: AnomalyEvent, position: Position) -> list[Row]:
    """One row. The identity is the step's: the record of the books' log behind it, its kind and number."""
    del position
    place = (record.source_log, record.source_partition, record.source_offset)
    return [(*FIELDS.values(record), record.stream, *place)]


TABLE: Final = Table("anomalies", TOPIC, AnomalyEvent, (*FIELDS.columns, text("stream")), rows, stream_column="stream")
