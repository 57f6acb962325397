"""Models side by side: one row each of what came of the same questions, and whether it beats the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np

from research.comparison.answers import ModelAnswer, forecast_of
from research.comparison.windows import AskableWindow
from research.evaluation import protocol
from research.evaluation.blocks import Interval
from research.evaluation.described import Latency, agreement, latency
from research.evaluation.evaluate import AS_GIVEN
from research.evaluation.forecasters import NONE, InForce, as_given, by_label, known_at
from research.evaluation.marks import TARGETS, Flags, Floats, Marks, marks_of
from research.evaluation.report import Comparison, Word
from research.evaluation.rows import Minute, RegimeForecast
from research.evaluation.verdict import compare, sentence
from schemas.messages import CallOutcome


class BrierRow(msgspec.Struct, frozen=True):
    """One target, on the marks of the model's valid answers.

    Attributes:
        target: Its name.
        marks: Marks scored.
        rules, model: Brier scores; null without one.
        gain, interval: By how much the model's is lower, in the mean over marks, and its 95 % interval; null below 20.
    """

    target: str
    marks: int
    rules: float | None
    model: float | None
    gain: float | None
    interval: Interval | None


class ModelRow(msgspec.Struct, frozen=True):
    """What came of the questions to one model.

    Attributes:
        model, endpoint: Who was asked.
        questions: How many; `replayed` of them were kept from an earlier run and not asked again.
        valid: Answers that are judgements, in time.
        failures: Questions without one, by the outcome of their last request.
        requests: All tries together.
        latency: Of valid answers, all tries together.
        input_tokens, cached_tokens, output_tokens: Of all requests, as reported; null where none said.
        cost_usd, usd_per_1000_questions: Of the requests that have a cost; null without one.
        requests_without_cost: Those that have none.
        unfaithful_share: Of valid answers, those with a number that was not shown; null without one.
        kappa_with_rules: Cohen's, on the same marks; null where both said one thing alone.
        brier: Of both targets.
        verdict, sentence: Whether it beats the rules.
    """

    model: str
    endpoint: str
    questions: int
    replayed: int
    valid: int
    failures: dict[str, int]
    requests: int
    latency: Latency | None
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    usd_per_1000_questions: float | None
    requests_without_cost: int
    unfaithful_share: float | None
    kappa_with_rules: float | None
    brier: list[BrierRow]
    verdict: Word
    sentence: str


class Kappa(msgspec.Struct, frozen=True):
    """How two models agree beyond chance, on the marks at which both answered."""

    models: tuple[str, str]
    marks: int
    kappa: float | None


class ModelComparison(msgspec.Struct, frozen=True):
    """Models side by side.

    Attributes:
        protocol_digest: Of how answers are scored.
        seed: Of the choice and of the intervals.
        askable: Windows that there were to choose from.
        labels: How many were asked about, by the rules' label.
        models: A row each.
        kappas: Of each two.
    """

    protocol_digest: str
    seed: int
    askable: int
    labels: dict[str, int]
    models: list[ModelRow]
    kappas: list[Kappa]


class ComparedModel(msgspec.Struct, frozen=True):
    """A model's answers, one a chosen window and in their order, and how many of them were not asked again."""

    model: str
    endpoint: str
    answers: list[ModelAnswer]
    replayed: int


class CameTrue:
    """What came after each mark, and what the rules had said of it.

    Args:
        minutes: Of every instrument.
        forecasts: The rules'.
    """

    def __init__(self, minutes: Sequence[Minute], forecasts: Sequence[RegimeForecast]) -> None:
        self.marks: Marks = marks_of(minutes)
        self.rules: InForce = known_at(self.marks, forecasts)
        self.said: dict[str, Floats] = {name: by_label(self.rules.keys, self.marks.targets[name]) for name in TARGETS}


def side_by_side(
    came: CameTrue, windows: Sequence[AskableWindow], askable: int, models: Sequence[ComparedModel], seed: int
) -> ModelComparison:
    """Make the table.

    Args:
        came: What came, and the rules' forecasts.
        windows: Those that were chosen.
        askable: How many there were to choose from.
        models: Each model's answers.
        seed: Of the intervals.
    """
    known = {each.model: _known(came, windows, each) for each in models}
    return ModelComparison(
        protocol_digest=protocol.digest(),
        seed=seed,
        askable=askable,
        labels=dict(sorted(Counter(one.closed.verdict.label.value for one in windows).items())),
        models=[_row(came, each, known[each.model], seed) for each in models],
        kappas=[_kappa(a, b, known) for a, b in combinations(known, 2)],
    )


def _known(came: CameTrue, windows: Sequence[AskableWindow], model: ComparedModel) -> InForce:
    pairs = zip(windows, model.answers, strict=True)
    found = (forecast_of(answer, window.closed.received_ns) for window, answer in pairs)
    return known_at(came.marks, [row for row in found if row is not None])


def _row(came: CameTrue, model: ComparedModel, known: InForce, seed: int) -> ModelRow:
    answers = model.answers
    valid = [one for one in answers if one.outcome is CallOutcome.OK]
    calls = [call for one in answers for call in one.calls]
    costs = [call.cost_usd for call in calls if call.cost_usd is not None]
    spent = sum(costs) if costs else None
    compared = _against_rules(came, known, seed) if valid else None
    return ModelRow(
        model=model.model,
        endpoint=model.endpoint,
        questions=len(answers),
        replayed=model.replayed,
        valid=len(valid),
        failures=dict(sorted(Counter(one.outcome.value for one in answers if one not in valid).items())),
        requests=len(calls),
        latency=latency([one.latency_ms for one in valid]),
        input_tokens=_total(call.input_tokens for call in calls),
        cached_tokens=_total(call.cached_tokens for call in calls),
        output_tokens=_total(call.output_tokens for call in calls),
        cost_usd=spent,
        usd_per_1000_questions=None if spent is None else 1_000 * spent / len(answers),
        requests_without_cost=len(calls) - len(costs),
        unfaithful_share=sum(_is_unfaithful(one) for one in valid) / len(valid) if valid else None,
        kappa_with_rules=agreement(came.rules, known).kappa,
        brier=_brier(came, known, compared) if compared else [],
        verdict=compared.verdict if compared else "not shown",
        sentence=sentence(model.model, compared, came.marks),
    )


def _against_rules(came: CameTrue, known: InForce, seed: int) -> Comparison:
    return compare(came.marks, AS_GIVEN, came.said, _said(came, known), known.labels != NONE, seed)


def _said(came: CameTrue, known: InForce) -> dict[str, Floats]:
    return {name: as_given(known.p[name], came.marks.targets[name]) for name in TARGETS}


def _brier(came: CameTrue, known: InForce, compared: Comparison) -> list[BrierRow]:
    said, answered = _said(came, known), known.labels != NONE
    return [
        BrierRow(
            target=each.target,
            marks=each.marks,
            rules=_score(came.said[each.target], came.marks.targets[each.target], answered),
            model=_score(said[each.target], came.marks.targets[each.target], answered),
            gain=each.gain,
            interval=each.interval,
        )
        for each in compared.targets
    ]


def _score(p: Floats, outcomes: Floats, answered: Flags) -> float | None:
    here = answered & np.isfinite(outcomes)
    return float(((p - outcomes)[here] ** 2).mean()) if here.any() else None


def _kappa(a: str, b: str, known: Mapping[str, InForce]) -> Kappa:
    found = agreement(known[a], known[b])
    return Kappa((a, b), found.marks, found.kappa)


def _total(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _is_unfaithful(answer: ModelAnswer) -> bool:
    return answer.event is not None and bool(answer.event.unfaithful)
