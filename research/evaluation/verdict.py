"""The model against the rules: what is shown, and in a sentence what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from research.evaluation.blocks import mean_interval
from research.evaluation.evidence import Gains, finite_e, first_shown, gains, log_evidence, together
from research.evaluation.marks import TARGETS, Flags, Floats, Marks, Numbers
from research.evaluation.protocol import EVIDENCE, EXPECTED_MARKS, LEAST_MARKS, MARK_S
from research.evaluation.report import Comparison, TargetGain, Word

DAY_MARKS: Final = 86_400 // MARK_S
WORDS: Final[tuple[Word, Word]] = ("better", "worse")


def compare(
    marks: Marks, forecaster: str, rules: Mapping[str, Floats], model: Mapping[str, Floats], counted: Flags, seed: int
) -> Comparison:
    """Hold a model's probabilities against the rules'.

    Args:
        marks: What came.
        forecaster: How the model's are called.
        rules: The rules' probabilities by name of the target.
        model: The model's.
        counted: Which marks of which instruments count.
        seed: Of the intervals.
    """
    found = {name: gains(rules[name], model[name], np.where(counted, marks.targets[name], np.nan)) for name in TARGETS}
    scored = np.any([np.isfinite(each.gain) for each in found.values()], axis=0)
    logs = [together([log_evidence(sign * each.gain, each.most) for each in found.values()]) for sign in (1.0, -1.0)]
    verdict, at = _shown_last(logs, np.cumsum(scored))
    return Comparison(
        forecaster=forecaster,
        verdict=verdict,
        marks=int(scored.sum()),
        e_better=_last(logs[0]),
        e_worse=_last(logs[1]),
        shown_at_ns=int(marks.times_ns[at]) if at >= 0 else None,
        targets=[_target(name, each, seed) for name, each in found.items()],
    )


def _shown_last(logs: list[Floats], scored: Numbers) -> tuple[Word, int]:
    at = [int(first_shown(log_e, scored)) if len(log_e) else -1 for log_e in logs]
    last = max(at)
    return (WORDS[at.index(last)], last) if last >= 0 else ("not shown", -1)


def _target(name: str, found: Gains, seed: int) -> TargetGain:
    known = found.gain[np.isfinite(found.gain)]
    return TargetGain(
        target=name,
        marks=len(known),
        gain=float(known.mean()) if len(known) else None,
        interval=mean_interval(known, seed),
        e_better=_last(log_evidence(found.gain, found.most)),
        e_worse=_last(log_evidence(-found.gain, found.most)),
    )


def _last(log_e: Floats) -> float:
    return finite_e(float(log_e[-1])) if len(log_e) else 1.0


def sentence(model: str, found: Comparison | None, marks: Marks) -> str:
    """Say whether the model beats the rules; where that is not shown, why, and how many marks it takes."""
    if found is None:
        return (
            f"Not shown: no answer of a language model{f' named {model}' if model else ''} is among these rows, so "
            f"there is nothing to compare with the rules; {_counted(len(marks.times_ns))} looked at. {_expected()}"
        )
    if found.verdict != "not shown":
        return (
            f"The model {model} is {found.verdict} than the rules: shown after {_counted(found.marks)} scored, "
            f"{'; '.join(map(_gain, found.targets))}."
        )
    return f"Not shown whether the model {model} beats the rules: {_why(found)}. {_expected()}"


def _why(found: Comparison) -> str:
    reached = f"{_counted(found.marks)} scored"
    if found.marks < LEAST_MARKS:
        return f"{reached}, and fewer than {LEAST_MARKS} show nothing"
    return (
        f"after {reached} the evidence is {found.e_better:.3g} for better and {found.e_worse:.3g} for worse, and "
        f"{EVIDENCE:g} is asked"
    )


def _expected() -> str:
    return (
        f"A model right in 0.60 of its labels needs about {EXPECTED_MARKS:,} marks, {EXPECTED_MARKS / DAY_MARKS:.1f} "
        "days, to be shown better than rules right in 0.55."
    )


def _gain(found: TargetGain) -> str:
    if found.gain is None:
        return f"{found.target}: no mark scored"
    interval = f", 95 % {found.interval[0]:+.4f} to {found.interval[1]:+.4f}" if found.interval else ""
    return f"{found.target}: Brier score lower by {found.gain:+.4f}{interval}"


def _counted(marks: int) -> str:
    return f"{marks:,} mark{'' if marks == 1 else 's'}"
