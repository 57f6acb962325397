"""`llm_calls`: one row a request to the language model, with its outcome, latency and cost."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import LlmCall
from schemas.topics import LLM_CALLS as TOPIC
from sinks.contract import Row, Table, integer, long_text, nullable, number, text, time


def rows(record: LlmCall, position: Position) -> list[Row]:
    """One row. A request is made once and never repeated in a replay, so where its record lies identifies it."""
    row = (
        record.venue,
        record.symbol,
        record.feed_source.value,
        record.call_id,
        record.attempt,
        record.window_end_ns,
        record.started_ns,
        record.outcome.value,
        record.endpoint,
        record.model,
        record.prompt_version,
        record.prompt_hash,
        record.request_hash,
        record.latency_ms,
        record.status,
        record.input_tokens,
        record.output_tokens,
        record.cost_usd,
        record.detail,
        record.response,
        *position,
    )
    return [row]


TABLE: Final = Table(
    "llm_calls",
    TOPIC,
    LlmCall,
    (
        text("venue"),
        text("symbol"),
        text("feed_source"),
        long_text("call_id"),
        integer("attempt"),
        time("window_end"),
        time("started_at"),
        text("outcome"),
        text("endpoint"),
        text("model"),
        text("prompt_version"),
        text("prompt_hash"),
        long_text("request_hash"),
        number("latency_ms"),
        nullable(integer("status")),
        nullable(integer("input_tokens")),
        nullable(integer("output_tokens")),
        nullable(number("cost_usd")),
        long_text("detail"),
        long_text("response"),
    ),
    rows,
)
