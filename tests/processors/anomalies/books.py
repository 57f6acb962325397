"""Books by hand for tests of levels: what a stage keeps of them, and the steps it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from obflow.settings import Settings
from processors.anomalies.levels import LevelState, LevelStep, take_record
from processors.anomalies.orders import GoneOrder
from processors.anomalies.thresholds import LevelThresholds, level_thresholds
from schemas.messages import L2Record

SETTINGS = level_thresholds(Settings().levels)
EVERY_SCORE = msgspec.structs.replace(SETTINGS, order_score=0.0)
"""Tells every order that was scored, not those alone that are published."""


class FoundSteps(NamedTuple):
    """What records gave: steps, each with its record's offset, and what was counted."""

    steps: list[tuple[int, LevelStep]]
    counts: Counter[str]
    state: LevelState

    @property
    def gone(self) -> list[GoneOrder]:
        """The orders among the steps."""
        return [step for _, step in self.steps if isinstance(step, GoneOrder)]


def found_steps(records: Iterable[L2Record], settings: LevelThresholds = SETTINGS) -> FoundSteps:
    """Take records to a fresh state."""
    state, counts, steps = LevelState(), Counter[str](), list[tuple[int, LevelStep]]()
    for offset, record in enumerate(records):
        steps += [(offset, step) for step in take_record(state, record, offset, settings, counts)]
    return FoundSteps(steps, counts, state)


def traded(record: L2Record, *trades: tuple[int, int]) -> L2Record:
    """A record with these trades, ticks and signed lots."""
    ticks, lots = [tick for tick, _ in trades], [signed for _, signed in trades]
    return msgspec.structs.replace(record, trade_ticks=ticks, trade_lots=lots)
