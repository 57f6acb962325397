"""`quotes`: one row a quote: the best prices and sizes, and how many levels were told."""

from __future__ import annotations

from typing import Final

from orderbook.grid import Grid
from schemas.logs import Position
from schemas.messages import QuoteRecord
from schemas.topics import QUOTES as TOPIC
from sinks.contract import Row, Table, integer, nullable, number
from sinks.derived import derived

LEVELS: Final = ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
FIELDS: Final = derived(
    QuoteRecord,
    renamed={"received_ns": "received_at", "decided_ns": "decided_at"},
    left_out=(*LEVELS, "source_log", "source_partition", "source_offset"),
)
BEST: Final = tuple(nullable(number(name)) for name in ("best_bid", "best_bid_size", "best_ask", "best_ask_size"))


def rows(record: QuoteRecord, position: Position) -> list[Row]:
    """One row. The identity is the quote's: the record of the books' log behind it."""
    del position
    grid = Grid.of(record.tick_size, record.lot_size, record.contract_value, record.contract_kind)
    bid = _best(grid, record.bid_ticks, record.bid_lots)
    ask = _best(grid, record.ask_ticks, record.ask_lots)
    levels = (len(record.bid_ticks), len(record.ask_ticks))
    place = (record.source_log, record.source_partition, record.source_offset)
    return [(*FIELDS.values(record), *bid, *ask, *levels, *place)]


def _best(grid: Grid, ticks: list[int], lots: list[int]) -> tuple[float | None, float | None]:
    return (grid.price(ticks[0]), grid.size(lots[0])) if ticks else (None, None)


TABLE: Final = Table(
    "quotes",
    TOPIC,
    QuoteRecord,
    (*FIELDS.columns, *BEST, integer("bid_levels"), integer("ask_levels")),
    rows,
)
