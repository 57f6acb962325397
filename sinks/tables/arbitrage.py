"""`arbitrage`: one row a step of an episode: it opened, its profit rose, it closed."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import ArbitrageEvent
from schemas.topics import ARBITRAGE as TOPIC
from sinks.contract import Row, Table, text
from sinks.derived import derived

FIELDS: Final = derived(
    ArbitrageEvent,
    renamed={"received_ns": "received_at", "decided_ns": "decided_at", "opened_ns": "opened_at"},
    left_out=("source_log", "source_partition", "source_offset"),
)


def rows(record: ArbitrageEvent, position: Position) -> list[Row]:
    """One row. The identity is the step's: the quote that made it, and the pair."""
    del position
    place = (record.source_log, record.source_partition, record.source_offset)
    return [(*FIELDS.values(record), record.stream, *place)]


TABLE: Final = Table(
    "arbitrage", TOPIC, ArbitrageEvent, (*FIELDS.columns, text("stream")), rows, stream_column="stream"
)
