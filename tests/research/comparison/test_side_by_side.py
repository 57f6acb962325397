"""The table of models: each figure by hand, and the verdict that the evaluation gives."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from processors.llm.beside import arms_of
from processors.llm.pricing import Prices
from processors.regimes.prompt import build_prompt
from processors.regimes.shown import shown
from processors.settings import RegimeSettings
from research.answer_store import AnswerStore
from research.asked_models import ModelToAsk, ask_models, questions_of
from research.comparison.answers import ModelAnswer, forecast_of
from research.comparison.estimate import ANSWER_TOKENS, estimated
from research.comparison.named import named_models, read_prices
from research.comparison.table import CameTrue, ComparedModel, ModelComparison, side_by_side
from research.evaluation.evaluate import evaluate
from research.evaluation.marks import marks_of
from schemas.errors import FatalError, UsageError
from schemas.messages import CallOutcome
from schemas.units import NS_PER_SECOND
from tests.research.comparison.made import ENDPOINT, answered, askable, by_rules, closed_windows, minutes

CLOSED = closed_windows()
MINUTES = minutes()
WINDOWS = askable(CLOSED)
CAME = CameTrue(MINUTES, by_rules(CLOSED))


def compared(**models: list[ModelAnswer]) -> ModelComparison:
    asked = [ComparedModel(name, ENDPOINT, answers, replayed=0) for name, answers in models.items()]
    return side_by_side(CAME, WINDOWS, len(WINDOWS), asked, seed=1)


def seer(knows: float) -> list[ModelAnswer]:
    """Answers that know what comes, so surely."""
    marks, found = marks_of(MINUTES), []
    rows = {int(mark): row for row, mark in enumerate(marks.times_ns)}
    for window in WINDOWS:
        row = rows.get(-(-window.closed.window.end_ns // (60 * NS_PER_SECOND)) * 60 * NS_PER_SECOND, -1)
        came = {name: marks.targets[name][row, 0] if row >= 0 else math.nan for name in ("up", "volatile")}
        p = {f"p_{name}": 0.5 if math.isnan(value) else 0.5 + (value - 0.5) * knows for name, value in came.items()}
        found.append(answered(window, "seer", **p))  # type: ignore[arg-type] # two numbers
    return found


def test_a_row_counts_answers_failures_requests_tokens_times_and_cost() -> None:
    bad = [CallOutcome.TIMEOUT, CallOutcome.INVALID, CallOutcome.TIMEOUT]
    answers = [answered(window, tries=2, unfaithful=number % 2 == 0) for number, window in enumerate(WINDOWS)]
    answers[:3] = [answered(window, outcome=outcome) for window, outcome in zip(WINDOWS, bad, strict=False)]
    answers[3] = msgspec.structs.replace(answers[3], calls=[], event=None)
    [row] = compared(m=answers).models
    asked, valid = len(WINDOWS), len(WINDOWS) - 4
    assert (row.questions, row.valid, row.requests) == (asked, valid, 3 + 2 * valid)
    assert row.failures == {"invalid": 1, "not_asked": 1, "timeout": 2}
    assert row.latency is not None
    assert (row.latency.answers, row.latency.p50_ms, row.latency.p99_ms) == (valid, 300.0, 300.0)
    paid = valid + 3
    assert (row.input_tokens, row.cached_tokens, row.output_tokens) == (600 * paid, 500 * paid, 40 * paid)
    assert row.requests_without_cost == valid
    assert row.cost_usd == pytest.approx(0.001 * paid)
    assert row.usd_per_1000_questions == pytest.approx(1_000 * 0.001 * paid / asked)
    assert row.unfaithful_share == sum(number % 2 == 0 for number in range(4, asked)) / valid


def test_brier_scores_and_the_verdict_are_those_of_the_evaluation() -> None:
    """A model that answers each minute is worth what `obflow evaluate regimes` says of the same rows."""
    answers = seer(knows=0.3)
    [row] = compared(seer=answers).models
    rows = [*by_rules(CLOSED)]
    for window, answer in zip(WINDOWS, answers, strict=True):
        forecast = forecast_of(answer, window.closed.received_ns)
        assert forecast is not None
        rows.append(forecast)
    report = evaluate(MINUTES, rows, model="seer")
    known = {each.target: each for each in report.comparisons[0].targets}
    for each in row.brier:
        assert each.gain is not None
        assert each.rules is not None
        assert each.model is not None
        assert each.gain == pytest.approx(each.rules - each.model)
        assert each.gain > 0.0
        assert each.marks <= known[each.target].marks  # there the minutes that it missed count as well
    assert (row.verdict, "fewer than 200 show nothing" in row.sentence) == ("not shown", True)


def test_agreement_is_told_with_the_rules_and_between_models() -> None:
    answers = [answered(window, "a") for window in WINDOWS]
    found = compared(a=answers, b=answers, c=[answered(one, "c", CallOutcome.INVALID) for one in WINDOWS])
    assert [kappa.models for kappa in found.kappas] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert {kappa.kappa for kappa in found.kappas} == {None}, "who says one thing alone cannot agree beyond chance"
    marks = [kappa.marks for kappa in found.kappas]
    assert marks[0] > 50
    assert marks[1:] == [0, 0]
    assert found.models[0].kappa_with_rules == pytest.approx(0.0)
    assert (found.models[2].verdict, found.models[2].brier, found.models[2].latency) == ("not shown", [], None)
    assert found.models[2].unfaithful_share is None
    assert "no answer of a language model named c" in found.models[2].sentence


def test_without_a_window_there_is_a_table_that_says_so_in_finite_numbers() -> None:
    nothing = side_by_side(CameTrue([], []), [], 0, [ComparedModel("m", ENDPOINT, [], 0)], seed=1)
    [row] = nothing.models
    assert (row.questions, row.cost_usd, row.usd_per_1000_questions, nothing.labels) == (0, None, None, {})
    for found in (nothing, compared(m=[answered(window) for window in WINDOWS])):
        assert "NaN" not in json.dumps(msgspec.to_builtins(found), allow_nan=False)
    assert np.isfinite(CAME.said["up"]).all()


def test_cost_is_estimated_by_kept_answers_else_by_length_and_of_nothing_it_is_none() -> None:
    prompts = [build_prompt(one.instrument, shown(one.closed), "en") for one in WINDOWS[:10]]
    prices = Prices(1.0, 2.0)
    by_length = estimated("m", prompts, [], prices)
    characters = sum(len(one.system) + len(one.user) for one in prompts)
    assert (by_length.input_tokens, by_length.output_tokens) == (-(-characters // 4), 10 * ANSWER_TOKENS)
    by_answers = estimated("m", prompts, [answered(one) for one in WINDOWS[10:20]], prices)
    assert (by_answers.input_tokens, by_answers.output_tokens) == (6_000, 400)
    assert by_answers.usd == pytest.approx((6_000 + 2 * 400) / 1e6)
    assert estimated("m", prompts, [], Prices(None, None)).usd is None
    assert estimated("m", [], [], Prices(None, None)).usd == 0.0


def test_answers_are_kept_a_file_a_model_and_a_cut_line_is_asked_again(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers", ENDPOINT, "maker/model")
    outcomes = (CallOutcome.OK, CallOutcome.TIMEOUT)
    found = [answered(one, "maker/model", outcome) for one, outcome in zip(WINDOWS, outcomes, strict=False)]
    prompt = build_prompt(WINDOWS[0].instrument, shown(WINDOWS[0].closed), "en")
    for answer in found:
        store.keep(answer, prompt)
    assert AnswerStore(tmp_path / "answers", ENDPOINT, "other").kept == {}
    [file] = (tmp_path / "answers").glob("*.jsonl")
    [instructions] = (tmp_path / "answers").glob("*.txt")
    assert instructions.read_text("utf-8") == prompt.system
    file.write_bytes(file.read_bytes() + b'{"key":"cut')
    again = AnswerStore(tmp_path / "answers", ENDPOINT, "maker/model")
    assert list(again.kept.values()) == found
    again.forget_failures()
    assert list(again.kept.values()) == found[:1]
    assert file.read_bytes().endswith(b"}\n")


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    prompt = build_prompt(WINDOWS[0].instrument, shown(WINDOWS[0].closed), "en")
    store = AnswerStore(tmp_path, ENDPOINT, "m")
    store.keep(answered(WINDOWS[0]), prompt)
    [file] = tmp_path.glob("*.jsonl")
    file.unlink()
    file.symlink_to("/dev/full")
    with pytest.raises(FatalError, match=r"an answer cannot be kept in .* \(No space left on device\)"):
        store.keep(answered(WINDOWS[0]), prompt)


@pytest.mark.advice("name another folder by --answers")
def test_a_folder_that_holds_something_else_is_told_and_another_one_serves(tmp_path: Path) -> None:
    kept = AnswerStore(tmp_path, ENDPOINT, "m")
    (tmp_path / "file").write_text("no folder")
    answer = answered(WINDOWS[0])
    kept.keep(answer, build_prompt(WINDOWS[0].instrument, shown(WINDOWS[0].closed), "en"))
    [file] = tmp_path.glob("*.jsonl")
    file.write_text("{}\n")
    for folder in (tmp_path, tmp_path / "file"):
        for _ in range(2):
            with pytest.raises(UsageError) as refused:
                AnswerStore(folder, ENDPOINT, "m")
            assert refused.value.next_step == "name another folder by --answers"
    assert AnswerStore(tmp_path / "another", ENDPOINT, "m").kept == {}


@pytest.mark.advice("name another folder by --answers")
@pytest.mark.skipif(not Path("/proc/version").exists(), reason="nothing that even root may only read (no /proc)")
@pytest.mark.parametrize("what", ["folder", "file"])
async def test_where_answers_can_only_be_read_no_model_is_asked(tmp_path: Path, what: str) -> None:
    settings = RegimeSettings.model_validate({"base_url": ENDPOINT, "model": "m"})
    [arm] = arms_of(settings)
    questions = questions_of(WINDOWS[:1], arm, settings.language)
    folder = Path("/proc/self/fdinfo") if what == "folder" else tmp_path / "kept"
    store = AnswerStore(folder, ENDPOINT, "m")
    if what == "file":
        store.keep(answered(WINDOWS[1]), questions[0].prompt)
        [file] = folder.glob("*.jsonl")
        file.unlink()
        file.symlink_to("/proc/version")
    for _ in range(2):
        with pytest.raises(UsageError, match="cannot hold answers") as refused:
            await ask_models([ModelToAsk(arm, questions, store)], settings, asyncio.Event())
        assert refused.value.next_step == "name another folder by --answers"
    AnswerStore(tmp_path / "another", ENDPOINT, "m").require_writable()
    assert list((tmp_path / "another").iterdir()) == []


@pytest.mark.advice("name some, as --models small-model,large-model")
@pytest.mark.advice("write it as --price small-model=0.15,0.6")
def test_models_and_prices_are_read_as_they_are_typed() -> None:
    assert named_models("small-model,large-model") == ["small-model", "large-model"]
    assert named_models(" a, ,b ,a") == ["a", "b"]
    assert read_prices(["small-model=0.15,0.6"]) == {"small-model": Prices(0.15, 0.6)}
    assert read_prices(["a=b=1,2,0.5"]) == {"a=b": Prices(1.0, 2.0, 0.5)}
    with pytest.raises(UsageError, match="names no model") as refused:
        named_models(" ,")
    assert refused.value.next_step == "name some, as --models small-model,large-model"
    for text in ("m", "m=1", "m=1,x", "=1,2", "m=-1,2", "m=nan,1", "m=1,2,3,4"):
        with pytest.raises(UsageError) as wrong:
            read_prices([text])
        assert wrong.value.next_step == "write it as --price small-model=0.15,0.6"
