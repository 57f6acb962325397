"""What a language model's regimes are worth, as it was known at a mark: the record of `regime-eval.v1`."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from schemas.bounds import Count, Few, Finite, Label, Text, TimeNs, Weight


class RegimeWorth(StrEnum):
    """The model against the rules."""

    BETTER = "better"
    WORSE = "worse"
    NOT_SHOWN = "not shown"
    """Neither; it does not mean that they are equal."""


class RegimeEval(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one model after the newest mark (`regime-eval.v1`): what `obflow evaluate regimes` says there.

    Attributes:
        model: Who is judged; the record's key.
        forecaster: By which of its forecasts: `model-p`, the probabilities it gave, or `model-label`.
        protocol: Digest of the protocol; what was counted under another one does not count.
        mark_ns: The newest mark, ns UTC.
        decided_ns: When this was known, ns UTC.
        instruments: How many have marks.
        marks: Marks scored.
        verdict: What is shown.
        e_better, e_worse: Evidence of both targets together.
        shown_at_ns: The mark at which the verdict was first shown; null where nothing is.
        volatile_marks, up_marks: Marks scored of each target.
        volatile_gain, up_gain: By how much the model's Brier score is lower than the rules', in the mean over marks.
        volatile_low, volatile_high, up_low, up_high: 95 % interval of that; null below 20 marks.
        sentence: The verdict in words.
    """

    model: Label
    forecaster: Label
    protocol: Label
    mark_ns: TimeNs
    decided_ns: TimeNs
    instruments: Few
    marks: Count
    verdict: RegimeWorth
    e_better: Weight
    e_worse: Weight
    shown_at_ns: TimeNs | None
    volatile_marks: Count
    volatile_gain: Finite | None
    volatile_low: Finite | None
    volatile_high: Finite | None
    up_marks: Count
    up_gain: Finite | None
    up_low: Finite | None
    up_high: Finite | None
    sentence: Text
