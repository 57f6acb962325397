"""The report over made-up rows: what it says of a model that is good, bad, young, or not there."""

from __future__ import annotations

import json
import math
import random

import msgspec
import pytest

from research.evaluation import protocol
from research.evaluation.described import Agreement
from research.evaluation.evaluate import evaluate
from research.evaluation.report import Report
from research.evaluation.rows import RULES, Call, Minute, RegimeForecast

MINUTE_NS = 60 * 10**9
LABELS = ("BEARISH_PRESSURE", "BULLISH_PRESSURE")


def made(marks: int, rules: float, model: float, *, p_right: float | None = None) -> Report:
    """Two instruments; each label is right about the direction with its chance, and so is the model's probability."""
    chance = random.Random(8)
    minutes, forecasts, calls = [], [], []
    for k in range(1, marks + 1):
        for name in ("A", "B"):
            up = chance.random() < 0.5
            minutes.append(Minute(name, k * MINUTE_NS, chance.random(), 1.0 if up else -1.0))
            for who, right in ((RULES, rules), ("m", model)):
                says = up if chance.random() < right else not up
                p = None if who == RULES or p_right is None else 0.5 + (p_right - 0.5) * (1 if says else -1)
                at = k * MINUTE_NS - chance.randrange(10**10)
                forecasts.append(RegimeForecast(name, at, who, LABELS[says], p, None if p is None else 0.5, 900.0))
        calls.append(Call("m", k * MINUTE_NS, 0.002 if k % 2 else None))
    return evaluate(minutes, forecasts, calls)


def test_a_model_that_knows_more_is_better_and_the_sentence_says_by_how_much() -> None:
    found = made(600, rules=0.5, model=0.8)
    assert found.verdict == "better"
    assert found.sentence.startswith("The model m is better than the rules: shown after 600 marks scored")
    [first] = found.comparisons
    assert first.forecaster == "model-label"
    assert first.shown_at_ns is not None
    up = first.targets[1]
    assert up.interval is not None
    assert up.gain is not None
    assert 0.0 < up.interval[0] < up.gain < up.interval[1]


def test_a_model_that_knows_less_is_worse() -> None:
    assert made(600, rules=0.8, model=0.5).verdict == "worse"


def test_probabilities_are_judged_where_there_are_some_and_too_bold_ones_lose() -> None:
    found = made(600, rules=0.6, model=0.6, p_right=0.99)
    assert [each.forecaster for each in found.comparisons] == ["model-p", "model-label"]
    assert found.verdict == "worse"
    [low, high] = [row for row in found.reliability if (row.forecaster, row.target) == ("model-p", "up")]
    assert (low.mean_p, high.mean_p) == pytest.approx((0.01, 0.99))
    assert low.frequency == pytest.approx(0.4, abs=0.1)
    assert high.frequency == pytest.approx(0.6, abs=0.1)


def test_too_few_marks_show_nothing_and_say_how_many_it_takes() -> None:
    found = made(50, rules=0.5, model=0.9)
    assert found.verdict == "not shown"
    assert "50 marks scored, and fewer than 200 show nothing" in found.sentence
    assert "about 3,100 marks, 2.2 days" in found.sentence


def test_no_model_at_all_is_said_as_it_is() -> None:
    rows = [Minute("A", k * MINUTE_NS, 1.0, 1.0) for k in range(5)]
    found = evaluate(rows, [RegimeForecast("A", 0, RULES, "BALANCED")])
    assert (found.verdict, found.model, found.comparisons, found.agreement) == ("not shown", None, [], None)
    assert "no answer of a language model is among these rows" in found.sentence
    assert "5 marks looked at. A model right in 0.60" in found.sentence
    assert {score.forecaster for score in found.scores} == {"base", RULES}
    assert "named x" in evaluate(rows, [], model="x").sentence
    assert evaluate([], []).marks == 0


def test_marks_before_a_models_first_answer_and_long_after_its_last_do_not_count() -> None:
    minutes = [Minute("A", k * MINUTE_NS, 1.0, (-1.0) ** k) for k in range(200)]
    forecasts = [RegimeForecast("A", k * MINUTE_NS, RULES, "BALANCED") for k in range(200)]
    answers = [RegimeForecast("A", k * MINUTE_NS, "m", "VOLATILE") for k in range(50, 60)]
    [found] = evaluate(minutes, forecasts + answers).comparisons
    assert found.targets[1].marks == 10 + 60  # those answered, and an hour of silence, which is its own


def test_agreement_cost_latency_and_labels_are_described() -> None:
    found = made(300, rules=0.9, model=0.9, p_right=0.7)
    agreed = found.agreement
    assert isinstance(agreed, Agreement)
    assert agreed.marks == 600
    assert agreed.kappa == pytest.approx(0.9**2 + 0.1**2 - 0.18, abs=0.1)
    assert found.cost is not None
    assert (found.cost.calls, found.cost.calls_without_cost) == (300, 150)
    assert found.cost.usd_per_mark == pytest.approx(0.001)
    assert found.latency is not None
    assert (found.latency.p50_ms, found.latency.p99_ms) == (900.0, 900.0)
    rises = {row.label: row for row in found.by_label if row.forecaster == "m"}
    assert rises["BULLISH_PRESSURE"].return_bps > 0.0 > rises["BEARISH_PRESSURE"].return_bps


def test_the_newest_model_is_judged_and_the_others_are_named() -> None:
    rows = [Minute("A", k * MINUTE_NS, 1.0, 1.0) for k in range(5)]
    answers = [RegimeForecast("A", 0, "old", "BALANCED"), RegimeForecast("A", 1, "new", "BALANCED")]
    assert (evaluate(rows, answers).model, evaluate(rows, answers).other_models) == ("new", ["old"])
    assert evaluate(rows, answers, model="old").model == "old"


def test_the_same_rows_and_seed_give_the_same_report_in_finite_numbers() -> None:
    found = msgspec.json.encode(made(300, 0.6, 0.7))
    assert found == msgspec.json.encode(made(300, 0.6, 0.7))

    def walk(value: object) -> None:
        assert not isinstance(value, float) or math.isfinite(value)
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(each)

    walk(json.loads(found))


def test_the_protocol_has_a_digest_and_holds_its_numbers() -> None:
    assert protocol.digest() == "c8b1197a100c6741"
    text = "\n".join(protocol.LINES)
    for number in (protocol.LEAST_MARKS, protocol.BLOCK_MARKS, protocol.KNOWN_S, protocol.IDLE_S, *protocol.BETS):
        assert f"{number:g}" in text
