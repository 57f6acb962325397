"""What is published of books: when a spread became wide and ceased to be, and orders that came and went."""

from __future__ import annotations

from typing import Any

from orderbook.grid import Grid
from processors.anomalies.near import OpenTop
from processors.anomalies.orders import GoneOrder
from processors.anomalies.spread import SpreadStep
from schemas.messages import AnomalyAction, AnomalyEvent, AnomalyKind, AnomalyReason, L2Record
from schemas.units import MS_PER_SECOND, NS_PER_MS

Place = tuple[str, int, int]
"""Log, partition and offset of a record."""


def spread_event(record: L2Record, place: Place, top: OpenTop | None, step: SpreadStep, version: str) -> AnomalyEvent:
    """Make the record of a wide spread that begins or ends.

    Args:
        record: The record that made the step.
        place: Where it lies.
        top: Of the book behind it; null where there is none.
        step: The step.
        version: Of the anomalies, as `version_of` gives it.
    """
    episode, is_close = step.episode, step.reason is not AnomalyReason.BEGAN
    return AnomalyEvent(
        **_head(record, place, version),
        kind=AnomalyKind.WIDE_SPREAD,
        action=AnomalyAction.CLOSE if is_close else AnomalyAction.OPEN,
        reason=step.reason,
        first_offset=episode.first_offset,
        opened_offset=episode.opened_offset if is_close else None,
        lasted_ms=max(0, record.received_ns - episode.opened_ns) / NS_PER_MS if is_close else None,
        x=None if step.spread_ticks is None else float(step.spread_ticks),
        baseline=step.baseline,
        **(_prices(grid_of(record), top) if top else {}),
    )


def order_event(record: L2Record, place: Place, gone: GoneOrder, step: int, version: str) -> AnomalyEvent:
    """Make the record of a large order that came and went: of its end, since only then is there a pattern.

    Args:
        record: The record that showed it gone.
        place: Where it lies.
        gone: It.
        step: Number among those that this record shows gone.
        version: As above.
    """
    order, tick, grid = gone.order, gone.order.tick, grid_of(record)
    return AnomalyEvent(
        **_head(record, place, version),
        kind=AnomalyKind.SPOOFING_LIKE,
        action=AnomalyAction.CLOSE,
        reason=AnomalyReason.ENDED,
        first_offset=order.opened_offset,
        step=step,
        side=order.side,
        opened_offset=order.opened_offset,
        lasted_ms=gone.life_s * MS_PER_SECOND,
        score=gone.score,
        move_bps=gone.move_bps,
        price=grid.price(tick),
        base_size=grid.base_size(tick, order.base_lots),
        added_size=grid.base_size(tick, order.added_lots),
        removed_size=grid.base_size(tick, gone.removed_lots),
        traded_size=grid.base_size(tick, order.traded_lots),
        flow_with=grid.base_size(tick, order.with_lots),
        flow_against=grid.base_size(tick, order.against_lots),
        side_share=order.side_share,
        life_s=gone.life_s,
        **_prices(grid, gone.top),
    )


def _head(record: L2Record, place: Place, version: str) -> dict[str, Any]:
    return {
        "venue": record.venue,
        "symbol": record.symbol,
        "feed_source": record.source,
        "received_ns": record.received_ns,
        "decided_ns": record.received_ns,
        "anomaly_set": version,
        "source_log": place[0],
        "source_partition": place[1],
        "source_offset": place[2],
        "run": record.run,
    }


def grid_of(record: L2Record) -> Grid:
    """The grid that a record names; that of the book, where the record changed it."""
    return Grid.of(record.tick_size, record.lot_size, record.contract_value, record.contract_kind)


def _prices(grid: Grid, top: OpenTop) -> dict[str, Any]:
    return {"mid": grid.mid(top.bid, top.ask), "spread_bps": top.spread_bps}
