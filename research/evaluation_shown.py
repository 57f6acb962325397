"""The evaluation's report as a person reads it: the protocol first, the verdict last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obflow.terminal import console, say
from research.show import cell, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from research.evaluation.blocks import Interval
    from research.evaluation.report import Report


NO_MARKS: Final = "no marks: each takes a whole minute, and the minute after it"


def show(report: Report) -> None:
    """Print the report."""
    say(f"protocol {report.protocol_digest}, fixed before looking:")
    for line in report.protocol:
        say(f"  {line}")
    judges = "; ".join(f"{who} {', '.join(filter(None, each))}" for who, each in report.judges.items())
    counted = f"{report.marks:,} marks of {', '.join(report.instruments)}" if report.marks else NO_MARKS
    say(f"{counted}; judged: {judges or 'nobody'}")
    _scores(report)
    if report.comparisons:
        _against_rules(report)
        _agreement(report)
    _labels(report)
    _reliability(report)
    _money_and_time(report)
    if report.other_models:
        say(f"answers of {', '.join(report.other_models)} too: --model judges them")
    say(report.sentence)


def _scores(report: Report) -> None:
    rows = [(row.forecaster, row.target, f"{row.marks:,}", _figure(row.brier)) for row in report.scores]
    _print("Brier score: 0 is perfect, 0.25 what a coin gives", ("forecaster", "target", "marks", "score"), rows)


def _against_rules(report: Report) -> None:
    rows = []
    for found in report.comparisons:
        for each in found.targets:
            evidence = (f"{each.e_better:.3g}", f"{each.e_worse:.3g}")
            rows.append(
                (found.forecaster, each.target, f"{each.marks:,}", _figure(each.gain), _range(each.interval), *evidence)
            )
        rows.append(
            (found.forecaster, "both", f"{found.marks:,}", "", "", f"{found.e_better:.3g}", f"{found.e_worse:.3g}")
        )
    columns = ("forecaster", "target", "marks", "gain", "95 %", "E better", "E worse")
    _print("against the rules: gain is by how much the Brier score is lower", columns, rows)


def _agreement(report: Report) -> None:
    agreed = report.agreement
    if agreed is None or not agreed.marks:
        return
    rows = [(name, *(f"{count:,}" for count in row.values())) for name, row in agreed.confusion.items()]
    kappa = "none" if agreed.kappa is None else f"{agreed.kappa:.2f}"
    _print(f"the rules' label (rows) and the model's, kappa {kappa}", ("", *agreed.confusion), rows)


def _labels(report: Report) -> None:
    rows = [
        (
            *(row.forecaster, row.label, f"{row.marks:,}", f"{row.variance_bps2:.3f}", _range(row.variance_interval)),
            *(f"{row.return_bps:+.3f}", _range(row.return_interval)),
        )
        for row in report.by_label
    ]
    _print(
        "the minute after a label",
        ("forecaster", "label", "marks", "variance, bps²", "95 %", "return, bps", "95 %"),
        rows,
    )


def _reliability(report: Report) -> None:
    rows = [
        (
            *(row.forecaster, row.target, f"{row.low:.1f} to {row.low + 0.1:.1f}", f"{row.marks:,}"),
            *(f"{row.mean_p:.3f}", f"{row.frequency:.3f}"),
        )
        for row in report.reliability
    ]
    _print(
        "reliability: what was said and how often it came", ("forecaster", "target", "p", "marks", "said", "came"), rows
    )


def _money_and_time(report: Report) -> None:
    if report.cost is not None:
        cost = report.cost
        per_mark = "not known" if cost.usd_per_mark is None else f"{cost.usd_per_mark:.6f} USD"
        say(f"cost of a mark: {per_mark} ({cost.calls:,} requests, {cost.calls_without_cost:,} without a price)")
    if report.latency is not None:
        times = report.latency
        say(f"answers took p50 {times.p50_ms:,.0f} ms, p95 {times.p95_ms:,.0f} ms, p99 {times.p99_ms:,.0f} ms")


def _print(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    if found := list(rows):
        console().print(table(title, columns, found))


def _figure(value: float | None) -> str:
    return cell(value) if value is None else f"{value:.4f}"


def _range(interval: Interval | None) -> str:
    return cell(None) if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"
