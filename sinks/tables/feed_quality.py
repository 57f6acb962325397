"""`feed_quality`: one row a minute of a feed: counts and sketches of latencies, which add up over any rows."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import FeedQuality
from schemas.topics import FEED_QUALITY as TOPIC
from sinks.contract import Row, Table
from sinks.derived import derived

FIELDS: Final = derived(
    FeedQuality,
    renamed={
        "began_ns": "began_at",
        "received_ns": "received_at",
        "clock_low_ns": "clock_low_ns",
        "clock_high_ns": "clock_high_ns",
    },
)


def rows(record: FeedQuality, position: Position) -> list[Row]:
    """One row."""
    return [(*FIELDS.values(record), *position)]


TABLE: Final = Table("feed_quality", TOPIC, FeedQuality, FIELDS.columns, rows)
