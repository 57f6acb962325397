"""What is described beside the verdict and not tested: agreement, outcomes by label, reliability, cost, latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from research.evaluation.blocks import Interval, ratio_interval
from research.evaluation.forecasters import NONE, InForce
from research.evaluation.marks import Flags, Floats, Marks
from research.evaluation.rows import Call

TENTHS: Final = 10


class Agreement(msgspec.Struct, frozen=True):
    """The rules' and the model's labels on the same marks.

    Attributes:
        marks: Marks of instruments at which both had one.
        confusion: By the rules' label, by the model's, how many.
        kappa: Cohen's (1960): 1 is the same always, 0 what chance gives; null where both said one thing alone.
    """

    marks: int
    confusion: dict[str, dict[str, int]]
    kappa: float | None


class ByLabel(msgspec.Struct, frozen=True):
    """What the minute after a label did, in the mean, with a 95 % interval by blocks.

    Attributes:
        forecaster, label: Who said what.
        marks: Marks of instruments with that label and a known minute.
        variance_bps2: Mean realised variance, squared bps.
        return_bps: Mean return.
    """

    forecaster: str
    label: str
    marks: int
    variance_bps2: float
    variance_interval: Interval | None
    return_bps: float
    return_interval: Interval | None


class Tenth(msgspec.Struct, frozen=True):
    """Forecasts whose probability lies in one tenth: how many, their mean, and how often it came."""

    forecaster: str
    target: str
    low: float
    marks: int
    mean_p: float
    frequency: float


class Cost(msgspec.Struct, frozen=True):
    """What the model's requests cost; null where no request has a price."""

    calls: int
    calls_without_cost: int
    cost_usd: float | None
    usd_per_mark: float | None


class Latency(msgspec.Struct, frozen=True):
    """From the close of a window to the answer about it, ms."""

    answers: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


def agreement(rules: InForce, model: InForce) -> Agreement:
    """Count who said what on the same marks."""
    both = (rules.labels != NONE) & (model.labels != NONE)
    pairs = [(rules.names[a], model.names[b]) for a, b in zip(rules.labels[both], model.labels[both], strict=True)]
    names = sorted({name for pair in pairs for name in pair})
    counts = np.zeros((len(names), len(names)))
    for a, b in pairs:
        counts[names.index(a), names.index(b)] += 1
    confusion = {
        name: {other: int(counts[row, column]) for column, other in enumerate(names)} for row, name in enumerate(names)
    }
    return Agreement(len(pairs), confusion, _kappa(counts))


def _kappa(counts: Floats) -> float | None:
    total = counts.sum()
    if not total:
        return None
    agreed = np.trace(counts) / total
    by_chance = float((counts.sum(axis=0) * counts.sum(axis=1)).sum() / total**2)
    return float((agreed - by_chance) / (1.0 - by_chance)) if by_chance < 1.0 else None


def by_label_after(marks: Marks, forecaster: str, known: InForce, counted: Flags, seed: int) -> list[ByLabel]:
    """What came after each label; blocks are of marks, so instruments that move together are drawn together."""
    found = []
    for code, label in enumerate(known.names):
        here = (known.labels == code) & counted & np.isfinite(marks.variance)
        if not here.any():
            continue
        means = []
        for values in (marks.variance * 1e8, marks.return_bps):
            totals, counts = np.where(here, values, 0.0).sum(axis=1), here.sum(axis=1).astype(np.float64)
            means += [float(totals.sum() / counts.sum()), ratio_interval(totals, counts, seed)]
        found.append(ByLabel(forecaster, label, int(here.sum()), *means))  # type: ignore[arg-type]
    return found


def reliability(forecaster: str, target: str, p: Floats, outcomes: Floats, counted: Flags) -> list[Tenth]:
    """How often it came where the forecaster said so many tenths; a tenth without a forecast has no row."""
    here = counted & np.isfinite(outcomes)
    said, came = p[here], outcomes[here]
    tenth = np.minimum((said * TENTHS).astype(np.int64), TENTHS - 1)
    return [
        Tenth(
            forecaster,
            target,
            number / TENTHS,
            int((tenth == number).sum()),
            float(said[tenth == number].mean()),
            float(came[tenth == number].mean()),
        )
        for number in np.unique(tenth).tolist()
    ]


def cost(calls: Sequence[Call], marks: int) -> Cost:
    """Add up what requests cost, over so many marks."""
    priced = [call.cost_usd for call in calls if call.cost_usd is not None]
    total = sum(priced) if priced else None
    return Cost(len(calls), len(calls) - len(priced), total, total / marks if total is not None and marks else None)


def latency(answers_ms: Sequence[float | None]) -> Latency | None:
    """Quantiles of the answers' times; null without an answer that says its own."""
    known = [value for value in answers_ms if value is not None]
    if not known:
        return None
    return Latency(len(known), *(float(value) for value in np.quantile(known, (0.5, 0.95, 0.99))))
