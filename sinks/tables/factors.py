"""`factors`: one row a factor event, values bit for bit as the processor computed them."""

from __future__ import annotations

from math import isfinite
from typing import Final

from schemas.errors import ImpossibleRecord
from schemas.factors import FACTOR_NAMES
from schemas.messages import FactorEvent, FactorRecord
from schemas.topics import FACTORS as TOPIC
from sinks.contract import INSTRUMENT_COLUMNS, Position, Row, Table, integer, nullable, number, text, time


def rows(record: FactorRecord, position: Position) -> list[Row]:
    """One row an event. The identity is the event's: where its record lies in the books' log.

    Raises:
        ImpossibleRecord: A factor is NaN or infinite; "no value" is null.
    """
    del position
    if any(event.source_offset < 0 for event in record.events):
        raise ImpossibleRecord("an event has an offset below 0", venue=record.venue, symbol=record.symbol)
    head = (record.venue, record.symbol, record.source.value)
    return [_row(head, record, event) for event in record.events]


def _row(head: tuple[str, ...], record: FactorRecord, event: FactorEvent) -> Row:
    _check_finite(record, event)
    return (
        *head,
        event.sequence,
        event.received_ns,
        event.exchange_ns,
        event.status.value,
        record.factor_set,
        *event.values,
        record.source_log,
        record.source_partition,
        event.source_offset,
    )


def _check_finite(record: FactorRecord, event: FactorEvent) -> None:
    # A sum is not finite if any term is not; only then are the terms looked at one by one.
    if isfinite(sum(filter(None, event.values))):
        return
    bad = [name for name, value in zip(FACTOR_NAMES, event.values, strict=True) if value and not isfinite(value)]
    if bad:
        raise ImpossibleRecord(
            f"factor {bad[0]} is not finite", venue=record.venue, symbol=record.symbol, sequence=event.sequence
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
        text("status"),
        text("factor_set"),
        *(nullable(number(name)) for name in FACTOR_NAMES),
    ),
    rows,
)
