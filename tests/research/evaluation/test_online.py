"""The evaluation that is kept up says at every mark what the evaluation of all rows says there."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pytest
from msgspec.structs import asdict

from processors.regimes.state import Closed, RegimeState, close_windows
from research.evaluation.evaluate import evaluate
from research.evaluation.minutes import Minutes
from research.evaluation.online import GatheredRows, verdicts
from research.evaluation.protocol import digest
from research.evaluation.report import Report
from research.evaluation.rows import RULES, Minute, RegimeForecast
from schemas.evaluations import RegimeEval, RegimeWorth
from schemas.messages import FactorEvent
from schemas.units import NS_PER_SECOND
from tests.processors.regimes.generated import RULES as RULE_SETTINGS
from tests.processors.regimes.generated import Market, record

MINUTE_NS = 60 * NS_PER_SECOND
MARKS = 90
FEW = 40
"""Enough for a minute to be called volatile."""
Row = Minute | RegimeForecast


def known_ns(row: Row) -> int:
    """When a row can be read: a minute once it is over."""
    return row.mark_ns + MINUTE_NS + 1 if isinstance(row, Minute) else row.decided_ns


def happened(seed: int = 8, marks: int = MARKS) -> list[Row]:
    """Two instruments, rules every twenty seconds, and two models of which one falls silent."""
    chance, rows = random.Random(seed), list[Row]()
    for k in range(1, marks + 1):
        for name in ("A", "B"):
            broke = chance.random() < 0.03
            move = chance.choice([-1.0, 0.0, 1.0, 2.0])
            rows.append(Minute(name, k * MINUTE_NS, *((None, None) if broke else (chance.random(), move))))
            for second in (5, 25, 45):
                label = chance.choice(["BALANCED", "VOLATILE"])
                rows.append(RegimeForecast(name, k * MINUTE_NS - second * NS_PER_SECOND, RULES, label, judge="r2"))
            for model, until in (("m", marks), ("silent", 12)):
                at_ns = k * MINUTE_NS - chance.randrange(20 * NS_PER_SECOND)
                if 5 < k <= until and chance.random() < 0.8:
                    given = (chance.random(), chance.random()) if model == "m" else (None, None)
                    rows.append(RegimeForecast(name, at_ns, model, "VOLATILE", *given, judge="v2"))
    return sorted(rows, key=known_ns)


def offline(rows: Sequence[Row], model: str) -> Report:
    return evaluate(*split(rows), model=model)


def split(rows: Sequence[Row]) -> tuple[list[Minute], list[RegimeForecast]]:
    return [row for row in rows if isinstance(row, Minute)], [row for row in rows if isinstance(row, RegimeForecast)]


def same(verdict: RegimeEval, report: Report) -> None:
    first, *_ = report.comparisons
    assert (verdict.verdict, verdict.sentence) == (report.verdict, report.sentence)
    assert (verdict.model, verdict.forecaster, verdict.protocol) == (report.model, first.forecaster, digest())
    assert (verdict.mark_ns, verdict.instruments) == (report.last_ns, len(report.instruments))
    evidence = (first.marks, first.e_better, first.e_worse, first.shown_at_ns)
    assert (verdict.marks, verdict.e_better, verdict.e_worse, verdict.shown_at_ns) == evidence
    fields = asdict(verdict)
    for each in first.targets:
        told = [fields[f"{each.target}_{name}"] for name in ("marks", "gain", "low", "high")]
        assert told == [each.marks, each.gain, *(each.interval or (None, None))]


@pytest.mark.parametrize("seed", range(20) if os.environ.get("OBFLOW_FUZZ") == "all" else [8])
def test_at_every_mark_it_says_what_is_said_of_all_rows_up_to_there(seed: int) -> None:
    rows, chance, gathered, at, seen_ns = happened(seed, FEW), random.Random(seed), GatheredRows(), 0, -1
    while at < len(rows):
        begun, at = max(0, at - chance.randrange(60)), at + chance.randrange(1, 50)  # some of them again
        gathered.take(*split(rows[begun:at]))
        if gathered.mark_ns <= seen_ns:
            continue
        seen_ns = gathered.mark_ns
        found = verdicts(gathered, decided_ns=7)
        assert [one.model for one in found] == gathered.models()
        for one in found:
            assert one.decided_ns == 7
            same(one, offline(rows[:at], one.model))
    assert seen_ns == FEW * MINUTE_NS


def test_whoever_was_killed_and_reads_all_rows_anew_says_the_same() -> None:
    rows, kept, anew = happened(), GatheredRows(), GatheredRows()
    for at in range(0, len(rows), 17):
        kept.take(*split(rows[at : at + 17]))
    anew.take(*split(rows))
    assert verdicts(kept, 1) == verdicts(anew, 1)
    assert len(verdicts(anew, 1)) == 1


def test_a_model_is_judged_for_an_hour_after_its_last_answer() -> None:
    rows, gathered = happened(), GatheredRows()
    gathered.take(*split([row for row in rows if known_ns(row) <= 40 * MINUTE_NS]))
    assert gathered.models() == ["m", "silent"]
    gathered.take(*split(rows))
    assert gathered.models() == ["m"]


def test_without_a_mark_or_an_answer_nothing_is_said() -> None:
    gathered = GatheredRows()
    assert verdicts(gathered, 1) == []
    gathered.take([Minute("A", MINUTE_NS, 1.0, 1.0)], [RegimeForecast("A", MINUTE_NS, RULES, "BALANCED")])
    assert verdicts(gathered, 1) == []


def test_a_row_that_is_read_again_takes_the_place_of_the_older_one() -> None:
    gathered = GatheredRows()
    gathered.take([Minute("A", MINUTE_NS, None, None)], [RegimeForecast("A", MINUTE_NS - 9, RULES, "BALANCED")])
    gathered.take([Minute("A", MINUTE_NS, 1.0, 1.0)], [RegimeForecast("A", MINUTE_NS, RULES, "VOLATILE")])
    gathered.take([], [RegimeForecast("A", MINUTE_NS - 5, RULES, "BALANCED")])  # older than the one that is kept
    assert gathered.minutes == [Minute("A", MINUTE_NS, 1.0, 1.0)]
    assert [row.label for row in gathered.forecasts] == ["VOLATILE"]


def test_a_model_that_knows_more_is_told_better_with_the_mark_that_showed_it() -> None:
    chance, gathered = random.Random(3), GatheredRows()
    for k in range(1, 601):
        up, at_ns = chance.random() < 0.5, k * MINUTE_NS
        said = [RegimeForecast("A", at_ns, RULES, "BALANCED")]
        said.append(RegimeForecast("A", at_ns, "m", "BALANCED", 0.8 if up else 0.2, 0.5))
        gathered.take([Minute("A", at_ns, chance.random(), 1.0 if up else -1.0)], said)
    [found] = verdicts(gathered, 1)
    assert (found.verdict, found.marks) == (RegimeWorth.BETTER, 600)
    assert found.shown_at_ns is not None
    assert 200 * MINUTE_NS <= found.shown_at_ns <= found.mark_ns
    assert found.e_better >= 20 > found.e_worse


def test_of_a_recording_too_it_says_at_every_mark_what_a_replay_up_to_there_says() -> None:
    """Factor events in portions of any size, as a log gives them, against all events up to there at once."""
    events, chance = Market(3, broken=0.002).events(6_000), random.Random(1)
    kept, state, gathered, at, marks = Minutes("A"), RegimeState(), GatheredRows(), 0, 0
    while at < len(events):
        portion = events[at : at + chance.choice([1, 30, 400, 900])]
        at += len(portion)
        for event in portion:
            kept.take(event)
        gathered.take(kept.over(), judged(close_windows(state, record(portion), RULE_SETTINGS, lambda _: None)))
        if gathered.mark_ns > marks and gathered.models():
            marks = gathered.mark_ns
            [found] = verdicts(gathered, 1)
            same(found, offline(replayed(events[:at]), "m"))
    assert len(gathered.minutes) > 30


def replayed(events: list[FactorEvent]) -> list[Row]:
    whole = Minutes("A")
    for event in events:
        whole.take(event)
    closed = close_windows(RegimeState(), record(events), RULE_SETTINGS, lambda _: None)
    return [*whole.over(), *judged(closed)]


def judged(closed: list[Closed]) -> list[RegimeForecast]:
    """The rules' forecasts, and a model's about each window that ends at second 50."""
    rows = []
    for one in closed:
        at_ns, label = one.received_ns, one.verdict.label.value
        rows.append(RegimeForecast("A", at_ns, RULES, label, judge="r2"))
        if one.window.end_ns // NS_PER_SECOND % 60 == 50:
            p = one.window.events % 11 / 10
            rows.append(RegimeForecast("A", at_ns + NS_PER_SECOND, "m", label, p, 1.0 - p, judge="v2"))
    return rows
