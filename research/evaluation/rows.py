"""What is evaluated, as plain rows: minutes that came, judgements that were known, requests that were paid."""

from __future__ import annotations

from typing import Final, NamedTuple

RULES: Final = "rules"
"""`RegimeForecast.forecaster` of the rules; of a model its name."""


class Minute(NamedTuple):
    """What an instrument did over (mark + 1 s, mark + 60 s] of received time; null where it cannot be said.

    Attributes:
        instrument: Whose; any name, the same in forecasts.
        mark_ns: The whole minute it begins at, ns UTC.
        realised_variance: Sum of squared log returns of previous-tick mids a second apart.
        return_bps: 10⁴ ln(last mid / first mid).
    """

    instrument: str
    mark_ns: int
    realised_variance: float | None
    return_bps: float | None


class RegimeForecast(NamedTuple):
    """One judgement.

    Attributes:
        instrument: Whose regime.
        decided_ns: When it could first be known, ns UTC.
        forecaster: `RULES`, or the model's name.
        label: The regime.
        p_up: P(the mid rises over the coming minute | it changes); null where it was not asked.
        p_volatile: P(the minute's realised variance is above the median of the 60 before); likewise.
        latency_ms: From the close of its window to its publication; null for rules.
        judge: Who judged by which rules or instructions: labels of one are not another's.
    """

    instrument: str
    decided_ns: int
    forecaster: str
    label: str
    p_up: float | None = None
    p_volatile: float | None = None
    latency_ms: float | None = None
    judge: str = ""


class Call(NamedTuple):
    """One request to a model: when it left, and what it cost; null where that is not known."""

    model: str
    started_ns: int
    cost_usd: float | None
