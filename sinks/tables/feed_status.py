"""`feed_status`: one row a change of a feed. Heartbeats say that nothing changed and are not stored."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import FeedStatus
from schemas.topics import FEED_STATUS as TOPIC
from sinks.contract import INSTRUMENT_COLUMNS, Row, Table, integer, long_text, nullable, text, time


def rows(record: FeedStatus, position: Position) -> list[Row]:
    """One row for a change, none for a heartbeat."""
    if record.heartbeat:
        return []
    row = (
        record.venue,
        record.symbol,
        record.source.value,
        record.state.value,
        None if record.reason is None else record.reason.value,
        record.epoch,
        record.sequence,
        record.received_ns,
        record.detail,
        *position,
    )
    return [row]


TABLE: Final = Table(
    "feed_status",
    TOPIC,
    FeedStatus,
    (
        *INSTRUMENT_COLUMNS,
        text("state"),
        nullable(text("reason")),
        integer("epoch"),
        nullable(integer("sequence")),
        time("received_at"),
        long_text("detail"),
    ),
    rows,
)
