"""Tables that are followed give, look by look, all that the tables hold."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import cast

from research.evaluation.rows import RULES, Minute, RegimeForecast
from research.followed_tables import LATE_MARKS, FollowedTables
from research.regime_tables import JudgedInstrument, RegimeTables
from schemas.units import NS_PER_SECOND

MINUTE_NS = 60 * NS_PER_SECOND
ONE, TWO, LATER = (JudgedInstrument("v", symbol, "live") for symbol in ("ONE", "TWO", "LATER"))


class GrowingTables:
    """Tables of which only what came before `until_ns` is stored yet, as `RegimeTables` gives it."""

    def __init__(self, minutes: dict[JudgedInstrument, list[Minute]], forecasts: list[RegimeForecast]) -> None:
        self.until_ns = 0
        self.whole_reads: list[JudgedInstrument] = []
        self._minutes, self._forecasts = minutes, forecasts

    def instruments(self) -> list[JudgedInstrument]:
        return [one for one in self._minutes if self._stored(one)]

    def minutes(self, instrument: JudgedInstrument) -> Iterator[Minute]:
        self.whole_reads.append(instrument)
        yield from self._stored(instrument)

    def minutes_since(self, since_ns: int) -> Iterator[tuple[JudgedInstrument, Minute]]:
        """The first one behind a silence is called broken, as events up to then are not read."""
        for one in self._minutes:
            rows = self._stored(one)
            before = max((row.mark_ns for row in rows if row.mark_ns <= since_ns), default=since_ns)
            is_connected = before == since_ns
            for row in (row for row in rows if row.mark_ns > since_ns):
                yield one, row if is_connected else Minute(row.instrument, row.mark_ns, None, None)
                is_connected = True

    def forecasts(self, instrument: JudgedInstrument) -> Iterator[RegimeForecast]:
        return (row for row in self.forecasts_since(-1) if row.instrument == str(instrument))

    def forecasts_since(self, since_ns: int) -> Iterator[RegimeForecast]:
        return (row for row in self._forecasts if since_ns < row.decided_ns < self.until_ns)

    def _stored(self, instrument: JudgedInstrument) -> list[Minute]:
        return [row for row in self._minutes[instrument] if row.mark_ns + MINUTE_NS < self.until_ns]


def test_look_by_look_all_rows_come_also_of_who_was_silent_or_is_new() -> None:
    silent, begins = range(60, 60 + 5 * LATE_MARKS), 40
    marks = {ONE: range(1, 200), TWO: [k for k in range(1, 200) if k not in silent], LATER: range(begins, 200)}
    minutes = {one: [Minute(str(one), k * MINUTE_NS, float(k), 1.0) for k in found] for one, found in marks.items()}
    forecasts = [
        RegimeForecast(row.instrument, row.mark_ns - 1, who, "BALANCED")
        for rows in minutes.values()
        for row in rows
        for who in (RULES, "m")
    ]
    tables, chance = GrowingTables(minutes, forecasts), random.Random(8)
    followed = FollowedTables(cast(RegimeTables, tables))
    while tables.until_ns < 202 * MINUTE_NS:
        tables.until_ns += chance.randrange(1, 8) * MINUTE_NS // 2
        followed.look()
        stored = [row for one in tables.instruments() for row in tables._stored(one)]
        assert sorted(followed.rows.minutes) == sorted(stored)
        known = {row for row in forecasts if row.decided_ns < tables.until_ns} if stored else set()
        assert set(followed.rows.forecasts) >= {
            row for row in known if row.instrument in {m.instrument for m in stored}
        }
    assert sorted(tables.whole_reads) == sorted([ONE, TWO, TWO, LATER]), "whole is read once, and after a long silence"
