"""`llm_calls`: one row a request to the language model, with its outcome, latency and cost."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import LlmCall
from schemas.topics import LLM_CALLS as TOPIC
from sinks.contract import Row, Table
from sinks.derived import derived

FIELDS: Final = derived(
    LlmCall,
    renamed={"started_ns": "started_at", "decided_ns": "decided_at"},
    long=("call_id", "request_hash", "detail", "response"),
)


def rows(record: LlmCall, position: Position) -> list[Row]:
    """One row. A request is made once and never repeated in a replay, so where its record lies identifies it."""
    return [(*FIELDS.values(record), *position)]


TABLE: Final = Table("llm_calls", TOPIC, LlmCall, FIELDS.columns, rows)
