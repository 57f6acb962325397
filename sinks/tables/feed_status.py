"""`feed_status`: one row a change of a feed. Heartbeats say that nothing changed and are not stored."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import FeedStatus
from schemas.topics import FEED_STATUS as TOPIC
from sinks.contract import Row, Table
from sinks.derived import derived

FIELDS: Final = derived(FeedStatus, renamed={"received_ns": "received_at"}, long=("detail",), left_out=("heartbeat",))


def rows(record: FeedStatus, position: Position) -> list[Row]:
    """One row for a change, none for a heartbeat."""
    return [] if record.heartbeat else [(*FIELDS.values(record), *position)]


TABLE: Final = Table("feed_status", TOPIC, FeedStatus, FIELDS.columns, rows)
