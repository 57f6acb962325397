"""The whole evaluation: rows in, a report out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from research.evaluation import described, protocol
from research.evaluation.forecasters import InForce, as_given, base_rate, by_label, known_at
from research.evaluation.marks import TARGETS, Flags, Floats, Marks, marks_of
from research.evaluation.report import Comparison, Report, Score
from research.evaluation.rows import RULES, Call, Minute, RegimeForecast
from research.evaluation.verdict import compare, sentence

BASE: Final = "base"
BY_LABEL: Final = "model-label"
AS_GIVEN: Final = "model-p"


class JudgedModel(NamedTuple):
    """The model that is judged: its name, empty where none answered, its rows, and what it had said at each mark."""

    name: str
    rows: Sequence[RegimeForecast]
    known: InForce


class Standing(NamedTuple):
    """A model against the rules, after the last mark.

    Attributes:
        marks: What came.
        rules, judged: What was known at each of them.
        counted: Which marks of which instruments count.
        said: Probabilities, by forecaster and target.
        comparisons: The one that the verdict is of is first; none where no model answered.
    """

    marks: Marks
    rules: InForce
    judged: JudgedModel
    counted: Flags
    said: dict[str, dict[str, Floats]]
    comparisons: list[Comparison]

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        return sentence(self.judged.name, self.comparisons[0] if self.comparisons else None, self.marks)


def stand(minutes: Sequence[Minute], forecasts: Sequence[RegimeForecast], model: str, seed: int) -> Standing:
    """Hold a model against the rules. Arguments as of `evaluate`."""
    marks = marks_of(minutes)
    rules = known_at(marks, [row for row in forecasts if row.forecaster == RULES])
    judged = _judged(marks, forecasts, model)
    counted = judged.known.counted if judged.rows else np.ones(judged.known.counted.shape, dtype=np.bool_)
    said = probabilities(marks, rules, judged)
    comparisons = [
        compare(marks, name, said[RULES], said[name], counted, seed) for name in (AS_GIVEN, BY_LABEL) if name in said
    ]
    return Standing(marks, rules, judged, counted, said, comparisons)


def evaluate(
    minutes: Sequence[Minute],
    forecasts: Sequence[RegimeForecast],
    calls: Sequence[Call] = (),
    model: str = "",
    seed: int = 1,
) -> Report:
    """Judge a model against the rules.

    Args:
        minutes: What came.
        forecasts: The rules' judgements and those of models.
        calls: Requests to models.
        model: Which one; that of the newest answer where none is named.
        seed: Of the intervals.
    """
    standing = stand(minutes, forecasts, model, seed)
    marks, rules, judged, counted, said, comparisons = standing
    first = comparisons[0] if comparisons else None
    return Report(
        protocol=protocol.LINES,
        protocol_digest=protocol.digest(),
        seed=seed,
        verdict=first.verdict if first else "not shown",
        sentence=standing.sentence,
        model=judged.name if judged.rows else None,
        other_models=sorted({row.forecaster for row in forecasts} - {RULES, judged.name}),
        instruments=list(marks.instruments),
        marks=len(marks.times_ns),
        first_ns=int(marks.times_ns[0]) if len(marks.times_ns) else None,
        last_ns=int(marks.times_ns[-1]) if len(marks.times_ns) else None,
        judges=_judges(forecasts),
        comparisons=comparisons,
        scores=_scores(marks, said, counted),
        agreement=described.agreement(rules, judged.known) if judged.rows else None,
        by_label=[
            *described.by_label_after(marks, RULES, rules, counted, seed),
            *described.by_label_after(marks, judged.name, judged.known, counted, seed),
        ],
        reliability=_reliability(marks, said, first, counted),
        cost=_cost(calls, judged, counted),
        latency=described.latency([row.latency_ms for row in judged.rows]),
    )


def _judged(marks: Marks, forecasts: Sequence[RegimeForecast], model: str) -> JudgedModel:
    answers = [row for row in forecasts if row.forecaster != RULES]
    if not model and answers:
        model = max(answers, key=lambda row: row.decided_ns).forecaster
    rows = [row for row in answers if row.forecaster == model]
    return JudgedModel(model, rows, known_at(marks, rows))


def probabilities(marks: Marks, rules: InForce, judged: JudgedModel) -> dict[str, dict[str, Floats]]:
    """Each forecaster's probabilities by target; of the model where it answered, `model-p` where it gave some."""
    came, known = marks.targets, judged.known
    said = {
        BASE: {name: base_rate(came[name]) for name in TARGETS},
        RULES: {name: by_label(rules.keys, came[name]) for name in TARGETS},
    }
    if judged.rows:
        said[BY_LABEL] = {name: by_label(known.keys, came[name]) for name in TARGETS}
    if any(np.isfinite(p).any() for p in known.p.values()):
        said[AS_GIVEN] = {name: as_given(known.p[name], came[name]) for name in TARGETS}
    return said


def _scores(marks: Marks, said: dict[str, dict[str, Floats]], counted: Flags) -> list[Score]:
    found = []
    for forecaster, by_target in said.items():
        for target, p in by_target.items():
            here = counted & np.isfinite(marks.targets[target])
            errors = (p - marks.targets[target])[here] ** 2
            found.append(Score(forecaster, target, len(errors), float(errors.mean()) if len(errors) else None))
    return found


def _reliability(
    marks: Marks, said: dict[str, dict[str, Floats]], first: Comparison | None, counted: Flags
) -> list[described.Tenth]:
    shown = [RULES, *([first.forecaster] if first else [])]
    return [
        row
        for who in shown
        for target in TARGETS
        for row in described.reliability(who, target, said[who][target], marks.targets[target], counted)
    ]


def _cost(calls: Sequence[Call], judged: JudgedModel, counted: Flags) -> described.Cost | None:
    mine = [call for call in calls if call.model == judged.name]
    return described.cost(mine, int(counted.any(axis=1).sum())) if judged.rows or mine else None


def _judges(forecasts: Sequence[RegimeForecast]) -> dict[str, list[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in forecasts:
        found[row.forecaster].add(row.judge)
    return {name: sorted(judges) for name, judges in sorted(found.items())}
