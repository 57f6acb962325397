"""What is published of an episode: when it began or ended, and the numbers to look it up by."""

from __future__ import annotations

from processors.anomalies.episodes import AnomalyStep
from schemas.factors import FACTOR_INDEX
from schemas.messages import AnomalyAction, AnomalyEvent, AnomalyKind, AnomalyReason, FactorRecord
from schemas.units import NS_PER_MS

MID, SPREAD_BPS = FACTOR_INDEX["mid"], FACTOR_INDEX["spread_bps"]


def anomaly_event(record: FactorRecord, step: AnomalyStep, version: str) -> AnomalyEvent:
    """Make the record of a step.

    Args:
        record: Holds the event that made the step.
        step: It.
        version: Of the anomalies, as `version_of` gives it.
    """
    event, episode, is_close = step.event, step.episode, step.reason is not AnomalyReason.BEGAN
    is_shift = step.kind is AnomalyKind.LIQUIDITY_SHIFT
    return AnomalyEvent(
        venue=record.venue,
        symbol=record.symbol,
        feed_source=record.source,
        kind=step.kind,
        action=AnomalyAction.CLOSE if is_close else AnomalyAction.OPEN,
        reason=step.reason,
        side=episode.side,
        received_ns=event.received_ns,
        decided_ns=event.decided_ns,
        anomaly_set=version,
        source_log=record.source_log,
        source_partition=record.source_partition,
        source_offset=event.source_offset,
        first_offset=episode.first_offset,
        opened_offset=episode.opened_offset if is_close else None,
        lasted_ms=(event.received_ns - episode.opened_ns) / NS_PER_MS if is_close else None,
        mid=event.values[MID],
        spread_bps=event.values[SPREAD_BPS],
        recovery_s=episode.recovery_s if is_close else None,
        is_censored=episode.recovery_s is None if is_close and is_shift else None,
        run=record.run,
        **step.evidence,
    )
