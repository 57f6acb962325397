"""What a model is worth, as a rollout hears of it."""

from __future__ import annotations

from msgspec.structs import replace

from processors.rollout.worth import FRESH_NS, HeardVerdicts, newest_by_model, verdict_of
from schemas.evaluations import RegimeEval, RegimeWorth
from tests.schemas.examples import EXAMPLES, load

BETTER = load(EXAMPLES / "regime-eval/v1/better.json")
assert isinstance(BETTER, RegimeEval)


def test_a_verdict_holds_the_word_the_evidence_and_the_marks() -> None:
    found = verdict_of(BETTER)
    assert (found.worth, found.e_better, found.e_worse, found.marks) == (RegimeWorth.BETTER, 23.5, 0.0125, 820)


def test_of_each_model_the_newest_mark_counts_and_of_one_mark_the_later_record() -> None:
    older = replace(BETTER, mark_ns=BETTER.mark_ns - 60, marks=819)
    again = replace(BETTER, marks=821)
    other = replace(older, model="other")
    assert newest_by_model([BETTER, older, other, again]) == {BETTER.model: again, "other": other}
    assert newest_by_model([]) == {}


def test_a_verdict_holds_as_long_as_somebody_judges() -> None:
    heard = HeardVerdicts()
    assert heard.on(BETTER.model, BETTER.mark_ns) is None

    heard.take([BETTER])
    heard.take([replace(BETTER, mark_ns=BETTER.mark_ns - 60, marks=819)])

    assert heard.on(BETTER.model, BETTER.mark_ns + FRESH_NS) == verdict_of(BETTER)
    assert heard.on(BETTER.model, BETTER.mark_ns + FRESH_NS + 1) is None
    assert heard.on("other", BETTER.mark_ns) is None
