"""`trades`: one row a public trade, with price, size and side for people and the integers they come from."""

from __future__ import annotations

from typing import Final

from orderbook.grid import Grid
from schemas.logs import Position
from schemas.messages import TradeRecord
from schemas.topics import TRADES as TOPIC
from sinks.contract import INSTRUMENT_COLUMNS, Row, Table, integer, long_text, nullable, number, text, time


def rows(record: TradeRecord, position: Position) -> list[Row]:
    """One row. Price and size are each one correctly rounded division of the integers by the grid."""
    grid = Grid.of(record.tick_size, record.lot_size, record.contract_value, record.contract_kind)
    row = (
        record.venue,
        record.symbol,
        record.source.value,
        record.trade_id,
        record.received_ns,
        record.exchange_ns,
        "buy" if record.size_lots > 0 else "sell",
        grid.price(record.price_ticks),
        grid.size(abs(record.size_lots)),
        record.price_ticks,
        record.size_lots,
        record.tick_size,
        record.lot_size,
        record.contract_value,
        record.contract_kind.value,
        record.run,
        *position,
    )
    return [row]


TABLE: Final = Table(
    "trades",
    TOPIC,
    TradeRecord,
    (
        *INSTRUMENT_COLUMNS,
        long_text("trade_id"),
        time("received_at"),
        nullable(time("exchange_at")),
        text("side"),
        number("price"),
        number("size"),
        integer("price_ticks"),
        integer("size_lots"),
        text("tick_size"),
        text("lot_size"),
        text("contract_value"),
        text("contract_kind"),
        text("run"),
    ),
    rows,
)
