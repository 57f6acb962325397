"""What the evaluation says: the fields of `obflow evaluate regimes --json`."""

from __future__ import annotations

from typing import Literal

import msgspec

from research.evaluation.blocks import Interval
from research.evaluation.described import Agreement, ByLabel, Cost, Latency, Tenth

Word = Literal["better", "worse", "not shown"]


class Score(msgspec.Struct, frozen=True):
    """Brier score of a forecaster: mean of (p - y)^2 over marks of instruments; null without one."""

    forecaster: str
    target: str
    marks: int
    brier: float | None


class TargetGain(msgspec.Struct, frozen=True):
    """How much lower the model's Brier score is than the rules' on one target.

    Attributes:
        target: Its name.
        marks: Marks scored.
        gain: Mean of D over marks; null without one.
        interval: Its 95 % interval; null below 20 marks.
        e_better, e_worse: Evidence of this target alone.
    """

    target: str
    marks: int
    gain: float | None
    interval: Interval | None
    e_better: float
    e_worse: float


class Comparison(msgspec.Struct, frozen=True):
    """One of the model's forecasters against the rules.

    Attributes:
        forecaster: `model-label` or `model-p`.
        verdict: What is shown.
        marks: Marks at which at least one target was scored.
        e_better, e_worse: Evidence of both targets together, at the last mark.
        shown_at_ns: The mark at which the verdict was first shown; null where nothing is.
        targets: Each by itself.
    """

    forecaster: str
    verdict: Word
    marks: int
    e_better: float
    e_worse: float
    shown_at_ns: int | None
    targets: list[TargetGain]


class Report(msgspec.Struct, frozen=True):
    """What a model is worth.

    Attributes:
        protocol, protocol_digest: Fixed before looking.
        seed: Of the intervals.
        verdict, sentence: The answer.
        model: Who was judged; null where no model answered. `other_models` answered too.
        instruments: Whose marks.
        marks: Marks there are; first_ns, last_ns: of the first and the last.
        judges: Versions of rules and instructions seen, by forecaster.
        comparisons: Against the rules: the one that the verdict is of is first.
        scores, agreement, by_label, reliability, cost, latency: Beside it.
    """

    protocol: tuple[str, ...]
    protocol_digest: str
    seed: int
    verdict: Word
    sentence: str
    model: str | None
    other_models: list[str]
    instruments: list[str]
    marks: int
    first_ns: int | None
    last_ns: int | None
    judges: dict[str, list[str]]
    comparisons: list[Comparison]
    scores: list[Score]
    agreement: Agreement | None
    by_label: list[ByLabel]
    reliability: list[Tenth]
    cost: Cost | None
    latency: Latency | None
