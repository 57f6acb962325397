"""A comparison of models as a person reads it: a column a model, then the sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from obflow.terminal import console, say
from research.comparison.estimate import CostEstimate
from research.comparison.table import BrierRow, ModelComparison, ModelRow
from research.evaluation.blocks import Interval
from research.show import cell, table

Told = Callable[[ModelRow], str]


def show_estimates(estimates: Sequence[CostEstimate]) -> None:
    """Print what is to be asked, and what that is likely to cost."""
    rows = [
        (
            *(one.model, f"{one.to_ask:,}", f"{one.input_tokens:,}", f"{one.output_tokens:,}"),
            cell(None) if one.usd is None else f"{one.usd:.4f}",
        )
        for one in estimates
    ]
    columns = ("model", "questions to ask", "tokens in", "tokens out", "USD")
    console().print(table("estimated, before anything is asked", columns, rows))


def show_comparison(found: ModelComparison) -> None:
    """Print the table, and whether each model beats the rules."""
    labels = ", ".join(f"{label} {count:,}" for label, count in found.labels.items())
    asked = sum(found.labels.values())
    say(f"{asked:,} of {found.askable:,} windows by seed {found.seed}: {labels or 'none'}")
    say(f"protocol {found.protocol_digest}; answers in time are taken as known when their window closed")
    outcomes = sorted({outcome for row in found.models for outcome in row.failures})
    lines = [*ROWS, *((f"failed: {outcome}", _failed(outcome)) for outcome in outcomes), *COSTS, *_brier(found)]
    rows = [(name, *map(told, found.models)) for name, told in lines]
    console().print(table("models side by side", ("", *(row.model for row in found.models)), rows))
    for kappa in found.kappas:
        say(f"{' and '.join(kappa.models)}: kappa {_figure(kappa.kappa)} on {kappa.marks:,} marks")
    for row in found.models:
        say(row.sentence)


def _failed(outcome: str) -> Told:
    return lambda row: f"{row.failures.get(outcome, 0):,}"


def _time(name: str) -> Told:
    return lambda row: cell(None) if row.latency is None else f"{getattr(row.latency, name):,.0f}"


def _count(value: int | None) -> str:
    return cell(None) if value is None else f"{value:,}"


def _figure(value: float | None) -> str:
    return cell(None) if value is None else f"{value:.4g}"


ROWS: Final[Sequence[tuple[str, Told]]] = (
    ("questions", lambda row: f"{row.questions:,}"),
    ("not asked again", lambda row: f"{row.replayed:,}"),
    ("valid answers", lambda row: f"{row.valid:,}"),
)
COSTS: Final[Sequence[tuple[str, Told]]] = (
    ("latency p50, ms", _time("p50_ms")),
    ("latency p95, ms", _time("p95_ms")),
    ("latency p99, ms", _time("p99_ms")),
    ("tokens in", lambda row: _count(row.input_tokens)),
    ("of them cached", lambda row: _count(row.cached_tokens)),
    ("tokens out", lambda row: _count(row.output_tokens)),
    ("USD of 1,000 questions", lambda row: _figure(row.usd_per_1000_questions)),
    ("requests without a cost", lambda row: f"{row.requests_without_cost:,}"),
    ("unfaithful share", lambda row: _figure(row.unfaithful_share)),
    ("kappa with the rules", lambda row: _figure(row.kappa_with_rules)),
)


def _brier(found: ModelComparison) -> list[tuple[str, Told]]:
    targets = dict.fromkeys(each.target for row in found.models for each in row.brier)
    lines: list[tuple[str, Told]] = []
    for target in targets:
        lines += [
            (f"{target}: marks scored", _of(target, lambda each: f"{each.marks:,}")),
            (f"{target}: Brier score of the rules", _of(target, lambda each: _figure(each.rules))),
            (f"{target}: Brier score", _of(target, lambda each: _figure(each.model))),
            (f"{target}: lower by", _of(target, lambda each: _figure(each.gain))),
            (f"{target}: 95 % of that", _of(target, lambda each: _range(each.interval))),
        ]
    return lines


def _of(target: str, told: Callable[[BrierRow], str]) -> Told:
    return lambda row: next((told(each) for each in row.brier if each.target == target), cell(None))


def _range(interval: Interval | None) -> str:
    return cell(None) if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"
