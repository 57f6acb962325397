"""`derivatives`: one row a message that told of a derivative: funding, mark and index price, open interest."""

from __future__ import annotations

from typing import Final

from schemas.logs import Position
from schemas.messages import DerivativeRecord
from schemas.topics import DERIVATIVES as TOPIC
from sinks.contract import INSTRUMENT_COLUMNS, Row, Table, integer, nullable, number, text, time


def rows(record: DerivativeRecord, position: Position) -> list[Row]:
    """One row. Each number is the float64 nearest to the decimal that the venue wrote, or null where it told none."""
    row = (
        record.venue,
        record.symbol,
        record.source.value,
        record.received_ns,
        record.exchange_ns,
        _number(record.funding_rate),
        record.next_funding_ns,
        record.funding_interval_s,
        _number(record.mark_price),
        _number(record.index_price),
        _number(record.open_interest),
        record.contract_value,
        record.contract_kind.value,
        record.run,
        *position,
    )
    return [row]


def _number(decimal: str | None) -> float | None:
    return None if decimal is None else float(decimal)


TABLE: Final = Table(
    "derivatives",
    TOPIC,
    DerivativeRecord,
    (
        *INSTRUMENT_COLUMNS,
        time("received_at"),
        nullable(time("exchange_at")),
        nullable(number("funding_rate")),
        nullable(time("next_funding_at")),
        nullable(integer("funding_interval_s")),
        nullable(number("mark_price")),
        nullable(number("index_price")),
        nullable(number("open_interest")),
        text("contract_value"),
        text("contract_kind"),
        text("run"),
    ),
    rows,
)
