"""An answer is read out of whatever its endpoint makes of it, and an error for what it is; nothing else is either."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.llm.completion import read_answer
from processors.regimes.verdict import MAX_SUMMARY
from schemas.messages import CallOutcome, Regime
from tests.processors.llm.answer_shapes import ANSWER, GOOD, NOT_FIT, bytes_of, chat, lines, stream


@pytest.mark.case("answer-wrapped")
@pytest.mark.parametrize("name", GOOD)
def test_an_answer_is_found_in_whatever_an_endpoint_makes_of_it(name: str) -> None:
    found = read_answer(bytes_of(GOOD[name]))
    assert (found.outcome, found.detail) == (CallOutcome.OK, "")
    assert found.verdict is not None
    assert (found.verdict.label, found.verdict.p_up) == (Regime.VOLATILE, 0.25)
    assert len(found.verdict.summary) <= MAX_SUMMARY


@pytest.mark.case("answer-wrapped")
@pytest.mark.parametrize("name", GOOD)
def test_in_each_of_them_a_probability_beyond_its_bounds_is_none(name: str) -> None:
    found = read_answer(bytes_of(GOOD[name]).replace(b"0.25", b"2.25"))
    assert (found.outcome, found.verdict) == (CallOutcome.INVALID, None)


@pytest.mark.case("error-in-answer")
@pytest.mark.parametrize("name", NOT_FIT)
def test_what_holds_no_answer_is_what_it_is(name: str) -> None:
    outcome, body = NOT_FIT[name]
    found = read_answer(bytes_of(body))
    assert found.outcome is outcome, found.detail
    assert (found.verdict, found.is_exhausted) == (None, False)
    assert found.detail


COUNTED: dict[str, dict[str, Any]] = {
    "prompt": {**chat(ANSWER), "usage": {"prompt_tokens": 601, "completion_tokens": 40}},
    "as text": {**chat(ANSWER), "usage": {"prompt_tokens": "601", "completion_tokens": "40"}},
    "outside": {"data": chat(ANSWER), "usage": {"prompt_tokens": 601, "completion_tokens": 40}},
    "responses": {
        "output": [{"type": "message", "content": [{"type": "output_text", "text": ANSWER}]}],
        "usage": {"input_tokens": 601, "output_tokens": 40, "output_tokens_details": {"reasoning_tokens": 8}},
    },
    "candidates": {
        "candidates": [{"content": {"parts": [{"text": ANSWER}]}}],
        "usageMetadata": {"promptTokenCount": 601, "candidatesTokenCount": 32, "thoughtsTokenCount": 8},
    },
    "a chat's own": {"message": {"content": ANSWER}, "prompt_eval_count": 601, "eval_count": 40},
}


@pytest.mark.parametrize("body", COUNTED.values(), ids=COUNTED)
def test_what_an_answer_took_is_read_by_whatever_names_it_has(body: dict[str, Any]) -> None:
    found = read_answer(json.dumps(body).encode())
    assert (found.outcome, found.tokens.input, found.tokens.output) == (CallOutcome.OK, 601, 40)
    assert found.tokens.reasoning in (None, 8)


@pytest.mark.case("error-in-answer")
@pytest.mark.parametrize(
    "body",
    [
        {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."},
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
        {"statusCode": 402, "body": json.dumps({"error": {"message": "no"}})},
        {"data": {"error": {"code": "insufficient_quota"}}},
    ],
    ids=str,
)
def test_an_account_at_its_end_is_known_wherever_it_is_told(body: dict[str, Any]) -> None:
    found = read_answer(json.dumps(body).encode())
    assert (found.outcome, found.is_exhausted) == (CallOutcome.RATE_LIMITED, True)


@pytest.mark.parametrize("cut", ["\\ud83d", "\\ude00", "\\\\ud83d"])
def test_half_a_sign_is_one_that_is_not_known_and_a_whole_one_stays(cut: str) -> None:
    text = json.dumps(chat(ANSWER)).replace("The move may be", f"\\ud83d\\ude00 {cut} may be")
    found = read_answer(text.encode())
    assert found.verdict is not None
    assert found.verdict.risk == "\U0001f600 \ufffd may be over."


NAMES = (
    *("choices", "message", "delta", "content", "text", "error", "code", "status", "body", "data", "result", "output"),
    *("parts", "candidates", "promptFeedback", "blockReason", "usage", "usageMetadata", "type", "thought", "response"),
    *("tool_calls", "function", "arguments", "input", "reasoning_content", "errors", "statusCode", "label", "items"),
)
LEAVES = st.sampled_from([None, True, 0, 429, 1e308, "", "x", "error", "429", ANSWER[:30], "[]", '{"choices": 1}'])
BODIES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
)


@given(st.lists(BODIES, min_size=1, max_size=3))
def test_no_body_of_known_names_in_unknown_places_is_an_error_of_ours(bodies: list[object]) -> None:
    for text in (json.dumps(bodies[0]).encode(), stream(*bodies), lines(*bodies)):
        found = read_answer(text)
        assert found.verdict is None
        assert found.outcome in CallOutcome
