"""What stages make of the two recordings, whose books are counted as whole: so the measured figures were taken.

With the range that their only snapshot knew, as `obflow factors` reads them today, books turn INVALID where the price
left it and every memory starts afresh: other events, other figures. They are in the tests, too, and say so.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from obflow.settings import Settings
from processors.contract import Batch, Emitted
from processors.factors import engine_named
from processors.settings import ProcessorSettings
from processors.stages import STAGES, stage_of
from producers.exchanges import EXCHANGES
from research.replay import FactorReplay, open_replay
from schemas.codec import decode
from schemas.messages import FactorEvent, FactorRecord, Source
from tests.processors.feed import ENGINE
from tests.processors.recorded import path_of, read_records

PIECE = 200


@cache
def whole_book_events(recordings: Path, venue: str) -> tuple[FactorEvent, ...]:
    """The factor events of a recording whose books count as whole."""
    records = list(read_records(path_of(recordings, venue), venue))
    return tuple(ENGINE.step(ENGINE.fresh(), range(len(records)), ENGINE.rows(records)).events())


@cache
def known_range_events(recordings: Path, venue: str) -> tuple[FactorEvent, ...]:
    """The factor events that `obflow factors` gives of a recording."""
    replay = open_replay(path_of(recordings, venue), EXCHANGES[venue], Settings())
    engine = engine_named("reference")(ProcessorSettings().thin_notional)
    return tuple(item.event for item in FactorReplay(replay, engine))


def factor_records(venue: str, events: tuple[FactorEvent, ...]) -> list[FactorRecord]:
    """Events as records that pack some of them each."""
    pieces = [list(events[first : first + PIECE]) for first in range(0, len(events), PIECE)]
    return [FactorRecord(venue, "BTCUSDT", Source.REPLAY, "a2", "recorded", 0, piece) for piece in pieces]


def run_stage(name: str, records: list[Any]) -> Emitted:
    """What a stage makes of records of one key, with the settings' defaults."""
    stage = stage_of(STAGES[name], lambda section: getattr(Settings(), section))
    state = stage.fresh("key")
    offsets = list(range(len(records)))
    return stage.step(state, Batch("key", "aaaaaaaa", 0, offsets, records, 0.0))


def emitted(found: Emitted) -> list[Any]:
    """The records that were emitted, decoded."""
    return [decode(emit.value) for emit in found.records]


def counts_of(found: Emitted) -> dict[str, int]:
    """What was counted, by the label's value."""
    return {count.value: int(count.number) for count in found.counts}
