"""`regimes`: one row a judgement of a window: the rules' of every window, the language model's where it answered."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import RegimeEvent
from schemas.topics import REGIMES as TOPIC
from sinks.contract import Row, Table, flag, integer, long_text, nullable, number, text, time


def rows(record: RegimeEvent, position: Position) -> list[Row]:
    """One row. The identity is the window's: the record of the books' log that closed it, and who judged."""
    del position
    row = (
        record.venue,
        record.symbol,
        record.feed_source.value,
        record.source.value,
        record.label.value,
        record.confidence,
        record.sentence,
        record.window_start_ns,
        record.window_end_ns,
        record.rule_set,
        record.direction,
        record.volatility,
        record.change,
        record.events,
        record.usable_events,
        record.whole,
        record.mid,
        record.return_bps,
        record.imbalance,
        record.order_flow,
        record.depth,
        record.spread_bps,
        record.realised_variance,
        record.model,
        record.prompt_version,
        record.prompt_hash,
        record.latency_ms,
        record.input_tokens,
        record.output_tokens,
        record.cost_usd,
        record.source_log,
        record.source_partition,
        record.source_offset,
    )
    return [row]


TABLE: Final = Table(
    "regimes",
    TOPIC,
    RegimeEvent,
    (
        text("venue"),
        text("symbol"),
        text("feed_source"),
        text("source"),
        text("label"),
        number("confidence"),
        long_text("sentence"),
        time("window_start"),
        time("window_end"),
        text("rule_set"),
        nullable(number("direction")),
        nullable(number("volatility")),
        nullable(number("change")),
        integer("events"),
        integer("usable_events"),
        flag("whole"),
        nullable(number("mid")),
        nullable(number("return_bps")),
        nullable(number("imbalance")),
        nullable(number("order_flow")),
        nullable(number("depth")),
        nullable(number("spread_bps")),
        nullable(number("realised_variance")),
        text("model"),
        text("prompt_version"),
        text("prompt_hash"),
        nullable(number("latency_ms")),
        nullable(integer("input_tokens")),
        nullable(integer("output_tokens")),
        nullable(number("cost_usd")),
    ),
    rows,
    stream_column="source",
)
