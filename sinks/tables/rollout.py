"""`rollout`: one row a change of how far a language model is rolled out. A request by hand shows in its answer."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.rollouts import RolloutRecord
from schemas.topics import ROLLOUT as TOPIC
from sinks.contract import Row, Table
from sinks.derived import derived

FIELDS: Final = derived(
    RolloutRecord,
    renamed={"since_ns": "stage_since", "decided_ns": "decided_at", "by": "decided_by"},
    long=("reason", "request_id"),
    left_out=("action",),
)


def rows(record: RolloutRecord, position: Position) -> list[Row]:
    """One row for a state, none for a request. A step can be told twice: its place tells the two apart."""
    return [] if record.action is not None else [(*FIELDS.values(record), *position)]


TABLE: Final = Table("rollout", TOPIC, RolloutRecord, FIELDS.columns, rows, owner_columns=())
