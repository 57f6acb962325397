"""Judgements of regimes in the records' form as forecasts."""

from __future__ import annotations

from research.evaluation.rows import RULES, RegimeForecast
from schemas.messages import RegimeEvent, RegimeSource


def forecast_of(instrument: str, event: RegimeEvent) -> RegimeForecast | None:
    """The forecast that a judgement is; None where it does not say when it was decided, as in records of version 1.

    Probabilities are taken where the record's version has them.
    """
    if event.decided_ns is None:
        return None
    by_rules = event.source is RegimeSource.RULE
    return RegimeForecast(
        instrument=instrument,
        decided_ns=event.decided_ns,
        forecaster=RULES if by_rules else event.model,
        label=event.label.value,
        p_up=getattr(event, "p_up", None),
        p_volatile=getattr(event, "p_volatile", None),
        latency_ms=event.latency_ms,
        judge=event.rule_set if by_rules else event.prompt_version,
    )
