"""`factors`: one row a factor event, values bit for bit as the processor computed them."""

from __future__ import annotations

from typing import Final

from schemas.factors import FACTOR_NAMES
from schemas.logs import Position
from schemas.messages import FactorEvent, FactorRecord
from schemas.topics import FACTORS as TOPIC
from sinks.contract import INSTRUMENT_COLUMNS, Row, Table, integer, nullable, number, text, time


def rows(record: FactorRecord, position: Position) -> list[Row]:
    """One row an event. The identity is the event's: where its record lies in the books' log."""
    del position
    head = (record.venue, record.symbol, record.source.value)
    return [_row(head, record, event) for event in record.events]


def _row(head: tuple[str, ...], record: FactorRecord, event: FactorEvent) -> Row:
    return (
        *head,
        event.sequence,
        event.received_ns,
        event.exchange_ns,
        event.decided_ns,
        event.status.value,
        record.factor_set,
        record.run,
        *event.values,
        record.source_log,
        record.source_partition,
        event.source_offset,
    )


TABLE: Final = Table(
    "factors",
    TOPIC,
    FactorRecord,
    (
        *INSTRUMENT_COLUMNS,
        integer("sequence"),
        time("received_at"),
        nullable(time("exchange_at")),
        time("decided_at"),
        text("status"),
        text("factor_set"),
        text("run"),
        *(nullable(number(name)) for name in FACTOR_NAMES),
    ),
    rows,
)
