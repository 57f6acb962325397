"""What is published of a step: what was seen, what a trade of it would cost and bring, and how sure it is."""

from __future__ import annotations

from math import copysign, log
from typing import Final

from processors.derived.fees import FeeTable
from processors.signals.state import SignalStep
from processors.signals.thresholds import SignalThresholds
from schemas.factors import FACTOR_INDEX
from schemas.messages import (
    FactorEvent,
    FactorRecord,
    SignalAction,
    SignalEvent,
    SignalKind,
    SignalReason,
    SignalSide,
)
from schemas.units import NS_PER_MS

MID, SPREAD_BPS = FACTOR_INDEX["mid"], FACTOR_INDEX["spread_bps"]
MOST_Z: Final = 4.0
"""Beyond this a larger z promises no more: a flat stretch makes any z as large as one likes."""


def signal_event(
    record: FactorRecord,
    event: FactorEvent,
    step: SignalStep,
    settings: SignalThresholds,
    fees: FeeTable,
    slope: float | None,
    version: str,
) -> SignalEvent:
    """Make the record of a step.

    Args:
        record: Holds the event.
        event: What made the step.
        step: It.
        settings: Thresholds.
        fees: Of the venues.
        slope: Fitted bps per unit of z at the horizon; null where nothing was fitted.
        version: Of the signals, as `signal_set` gives it.
    """
    opened, is_close = step.opened, step.reason is not SignalReason.ENTERED
    mid = event.values[MID]
    edge, cost = edge_bps(step.measure.z, slope), cost_bps(event, record.venue, fees)
    return SignalEvent(
        venue=record.venue,
        symbol=record.symbol,
        feed_source=record.source,
        kind=step.kind,
        action=SignalAction.CLOSE if is_close else SignalAction.OPEN,
        side=SignalSide.LONG if opened.side > 0 else SignalSide.SHORT,
        reason=step.reason,
        x=step.measure.x,
        z=step.measure.z,
        trend=step.measure.trend,
        mid=mid,
        horizon_ms=settings.horizon_ns / NS_PER_MS,
        edge_bps=edge,
        cost_bps=cost,
        tradable=None if edge is None or cost is None else edge > cost,
        confidence=step.confidence,
        confidence_n=step.judged,
        received_ns=event.received_ns,
        decided_ns=event.decided_ns,
        signal_set=version,
        source_log=record.source_log,
        source_partition=record.source_partition,
        source_offset=event.source_offset,
        opened_offset=opened.offset if is_close else None,
        held_ms=(event.received_ns - opened.received_ns) / NS_PER_MS if is_close else None,
        return_bps=return_bps(opened.side, opened.mid, mid) if is_close else None,
        run=record.run,
    )


def cost_bps(event: FactorEvent, venue: str, fees: FeeTable) -> float | None:
    """What going in and out by taking costs: the spread, and twice the fee. Null without a spread or a fee."""
    spread, fee = event.values[SPREAD_BPS], fees.in_force(venue, event.received_ns)
    return None if spread is None or fee is None else spread + 2.0 * fee.taker_bps


def edge_bps(z: float | None, slope: float | None) -> float | None:
    """What the signal promises over its horizon; null before anything was fitted."""
    return None if z is None or slope is None else slope * min(abs(z), MOST_Z)


def return_bps(side: int, before: float | None, after: float | None) -> float | None:
    """Gross return of the signal, + where the mid moved its way."""
    if before is None or after is None or before <= 0.0 or after <= 0.0:
        return None
    return copysign(1e4, side) * log(after / before)


def slope_of(slopes: dict[tuple[str, str, SignalKind], float], record: FactorRecord, kind: SignalKind) -> float | None:
    """The slope that was fitted for an instrument and kind, if one was."""
    return slopes.get((record.venue, record.symbol, kind))
