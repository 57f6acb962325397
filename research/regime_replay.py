"""What a recording says of regimes: its minutes, and the rules' judgements, replayed in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from processors.contract import Batch, Stage
from research.evaluation.minutes import Minutes
from research.evaluation.rows import Minute, RegimeForecast
from research.judged import forecast_of
from research.replay import InstrumentEvent
from schemas.codec import decode_as
from schemas.factors import FACTOR_SET
from schemas.messages import FactorRecord, RegimeEvent, Source

LOG: Final = "recorded"
"""The log that a recording's records are of."""


class Replayed(NamedTuple):
    """What a recording gives to be evaluated. No model is asked in a replay."""

    minutes: list[Minute]
    forecasts: list[RegimeForecast]


def replay_regimes(events: Iterable[InstrumentEvent], stage: Stage[Any, Any]) -> Replayed:
    """Take the factor events of a recording through the regimes' own stage.

    Args:
        events: In source order, instrument by instrument.
        stage: The regimes'.
    """
    minutes: dict[str, Minutes] = {}
    states: dict[str, Any] = {}
    forecasts: list[RegimeForecast] = []
    for item in events:
        key = f"{item.instrument.venue}:{item.instrument.symbol}"
        minutes.setdefault(key, Minutes(key)).take(item.event)
        state = states.setdefault(key, None) or stage.fresh(key)
        states[key] = state
        forecasts += _judged(stage, state, key, item)
    return Replayed([minute for each in minutes.values() for minute in each.over()], forecasts)


def _judged(stage: Stage[Any, Any], state: Any, key: str, item: InstrumentEvent) -> Iterator[RegimeForecast]:  # noqa: ANN401 (a stage's own)
    record = FactorRecord(*item.instrument, Source.REPLAY, FACTOR_SET, LOG, 0, [item.event])
    emitted = stage.step(state, Batch(key, LOG, 0, [item.event.source_offset], [record], 0.0))
    for emit in emitted.records:
        if forecast := forecast_of(key, decode_as(RegimeEvent, emit.value)):
            yield forecast
