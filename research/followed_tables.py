"""The tables followed: what is new in them since the last look, so that a look reads minutes and not weeks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from research.evaluation.online import GatheredRows
from research.evaluation.protocol import MARK_S
from research.evaluation.rows import Minute
from research.regime_tables import JudgedInstrument, RegimeTables
from schemas.units import NS_PER_SECOND

LATE_MARKS: Final = 10
"""Rows of so many of the last marks are read again: sinks store partition by partition."""
LATE_ANSWERS_NS: Final = 3600 * NS_PER_SECOND
"""Judgements decided within this time before the newest mark are read again."""


class FollowedTables:
    """What the tables hold of regimes, kept up look by look.

    Args:
        tables: The tables.

    Attributes:
        rows: What has come.
    """

    def __init__(self, tables: RegimeTables) -> None:
        self.rows = GatheredRows()
        self._tables = tables

    def look(self) -> None:
        """Take what is new; the first time, all there is. Errors as of `RegimeTables`."""
        if self.rows.mark_ns < 0:
            self._take_whole(self._tables.instruments())
            return
        newest_ns = self.rows.mark_ns
        found = _by_instrument(self._tables.minutes_since(newest_ns - LATE_MARKS * MARK_S * NS_PER_SECOND))
        for instrument, (first, *later) in found.items():
            if first.mark_ns <= self.rows.newest_ns(str(instrument)):
                self.rows.take(later, ())  # the first one shows that they follow what is known
            else:
                self._take_whole([instrument])
        self.rows.take((), self._tables.forecasts_since(newest_ns - LATE_ANSWERS_NS))

    def _take_whole(self, instruments: Iterable[JudgedInstrument]) -> None:
        """Take all of instruments that are new, or that were silent for longer than is read again."""
        for each in instruments:
            self.rows.take(self._tables.minutes(each), self._tables.forecasts(each))


def _by_instrument(
    minutes: Iterable[tuple[JudgedInstrument, Minute]],
) -> Mapping[JudgedInstrument, list[Minute]]:
    found: defaultdict[JudgedInstrument, list[Minute]] = defaultdict(list)
    for instrument, minute in minutes:
        found[instrument].append(minute)
    return found
