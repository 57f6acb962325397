"""`regimes`: one row a judgement of a window: the rules' of every window, each arm's of the model where it answered."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import RegimeEvent
from schemas.topics import REGIMES as TOPIC
from sinks.contract import Row, Table, text
from sinks.derived import derived

FIELDS: Final = derived(
    RegimeEvent,
    renamed={"decided_ns": "decided_at"},
    long=("sentence", "observations", "risk", "summary"),
    left_out=("source_log", "source_partition", "source_offset"),
)


def rows(record: RegimeEvent, position: Position) -> list[Row]:
    """One row. The identity is the window's: the record of the books' log that closed it, and who judged."""
    del position
    place = (record.source_log, record.source_partition, record.source_offset)
    return [(*FIELDS.values(record), record.stream, *place)]


TABLE: Final = Table("regimes", TOPIC, RegimeEvent, (*FIELDS.columns, text("stream")), rows, stream_column="stream")
