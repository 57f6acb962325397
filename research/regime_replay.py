"""What a recording says of regimes: its minutes, and the rules' judgements, replayed in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from processors.contract import Batch, Emitted, Stage
from processors.regimes.state import Closed
from research.comparison.windows import AskableWindow, is_askable
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
    """What a recording gives to be evaluated, and the windows that a model could be asked about. None is asked here."""

    minutes: list[Minute]
    forecasts: list[RegimeForecast]
    windows: list[AskableWindow]


def replay_regimes(events: Iterable[InstrumentEvent], stage: Stage[Any, Any]) -> Replayed:
    """Take the factor events of a recording through the regimes' own stage.

    Args:
        events: In source order, instrument by instrument.
        stage: The regimes'.
    """
    minutes: dict[str, Minutes] = {}
    states: dict[str, Any] = {}
    forecasts: list[RegimeForecast] = []
    windows: list[AskableWindow] = []
    for item in events:
        key = f"{item.instrument.venue}:{item.instrument.symbol}"
        minutes.setdefault(key, Minutes(key)).take(item.event)
        state = states.setdefault(key, None) or stage.fresh(key)
        states[key] = state
        record = FactorRecord(*item.instrument, Source.REPLAY, FACTOR_SET, LOG, 0, [item.event])
        emitted = stage.step(state, Batch(key, LOG, 0, [item.event.source_offset], [record], 0.0))
        forecasts += _judged(key, emitted)
        if isinstance(emitted.offer, Closed):
            windows.append(AskableWindow(key, item.instrument, emitted.offer))
    over = [minute for each in minutes.values() for minute in each.over()]
    return Replayed(over, forecasts, list(filter(is_askable, windows)))


def _judged(key: str, emitted: Emitted) -> Iterator[RegimeForecast]:
    for emit in emitted.records:
        if forecast := forecast_of(key, decode_as(RegimeEvent, emit.value)):
            yield forecast
