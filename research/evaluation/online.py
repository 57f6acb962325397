"""The evaluation kept up as minutes and judgements come: the same verdict as over all rows at once, after each mark.

Rows may come in any portions and again: each is kept once. Nothing of a verdict is remembered, so that whoever was
killed and reads the rows anew says the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from research.evaluation.evaluate import Standing, stand
from research.evaluation.protocol import IDLE_S, MARK_S, digest
from research.evaluation.report import Comparison
from research.evaluation.rows import RULES, Minute, RegimeForecast
from schemas.evaluations import RegimeEval, RegimeWorth
from schemas.units import NS_PER_SECOND

SEED: Final = 1
_MARK_NS: Final = MARK_S * NS_PER_SECOND


class GatheredRows:
    """What has come until now, each row once."""

    def __init__(self) -> None:
        self._minutes: dict[tuple[str, int], Minute] = {}
        self._forecasts: dict[tuple[str, str, int], RegimeForecast] = {}
        self._newest_ns: dict[str, int] = {}

    def take(self, minutes: Iterable[Minute], forecasts: Iterable[RegimeForecast]) -> None:
        """Take rows; one of the same place takes that of the older one."""
        for minute in minutes:
            self._minutes[minute.instrument, minute.mark_ns] = minute
            self._newest_ns[minute.instrument] = max(minute.mark_ns, self.newest_ns(minute.instrument))
        for row in forecasts:
            kept = self._forecasts.get(place := _place(row))
            if kept is None or row.decided_ns >= kept.decided_ns:
                self._forecasts[place] = row

    def newest_ns(self, instrument: str) -> int:
        """The newest mark of an instrument; -1 where it has none."""
        return self._newest_ns.get(instrument, -1)

    @property
    def mark_ns(self) -> int:
        """The newest mark of all; -1 where there is none."""
        return max(self._newest_ns.values(), default=-1)

    @property
    def minutes(self) -> list[Minute]:
        """What came."""
        return list(self._minutes.values())

    @property
    def forecasts(self) -> list[RegimeForecast]:
        """What was said; of the rules the newest judgement up to each mark, since no other is in force there."""
        return list(self._forecasts.values())

    def models(self) -> list[str]:
        """Models that are judged now: their newest answer is at most an hour older than the newest mark."""
        since_ns = self.mark_ns - IDLE_S * NS_PER_SECOND
        return sorted({row.forecaster for row in self._forecasts.values() if row.decided_ns >= since_ns} - {RULES})


def verdicts(rows: GatheredRows, decided_ns: int) -> list[RegimeEval]:
    """The verdict on each model after the newest mark; none where there is no mark.

    Args:
        rows: What has come.
        decided_ns: Now, ns UTC.
    """
    if rows.mark_ns < 0:
        return []
    minutes, forecasts = rows.minutes, rows.forecasts
    return [verdict_of(stand(minutes, forecasts, model, SEED), decided_ns) for model in rows.models()]


def verdict_of(standing: Standing, decided_ns: int) -> RegimeEval:
    """The record of a standing in which a model answered."""
    first, *_ = standing.comparisons
    return RegimeEval(
        model=standing.judged.name,
        forecaster=first.forecaster,
        protocol=digest(),
        mark_ns=int(standing.marks.times_ns[-1]),
        decided_ns=decided_ns,
        instruments=len(standing.marks.instruments),
        marks=first.marks,
        verdict=RegimeWorth(first.verdict),
        e_better=first.e_better,
        e_worse=first.e_worse,
        shown_at_ns=first.shown_at_ns,
        **_targets(first),
        sentence=standing.sentence,
    )


def _targets(found: Comparison) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for each in found.targets:
        low, high = each.interval or (None, None)
        of = {"marks": each.marks, "gain": each.gain, "low": low, "high": high}
        fields |= {f"{each.target}_{name}": value for name, value in of.items()}
    return fields


def _place(row: RegimeForecast) -> tuple[str, str, int]:
    """What a row is known by: of the rules, the mark that it is the newest before."""
    at_ns = -(-row.decided_ns // _MARK_NS) if row.forecaster == RULES else row.decided_ns
    return row.instrument, row.forecaster, at_ns
