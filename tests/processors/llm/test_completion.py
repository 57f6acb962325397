"""Bodies and statuses of an endpoint, judged without one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.llm.completion import read_answer, read_error
from processors.regimes.unwrap import Wrapping
from schemas.messages import CallOutcome, Regime

VERDICT = '{"label": "BALANCED", "p_up": 1, "p_volatile": 0, "observations": ["o"], "risk": "r", "summary": "s"}'


def body(content: object = VERDICT, **fields: object) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}}], **fields}).encode()


def test_a_bare_completion_is_enough() -> None:
    answer = read_answer(body())
    assert answer.outcome is CallOutcome.OK
    assert answer.verdict is not None
    assert answer.verdict.label is Regime.BALANCED
    assert (answer.tokens.input, answer.tokens.output) == (None, None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": {}}',
        b'{"choices": [{"message": {"content": [7]}}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"x": ' + b"[" * 100_000,
        b"<html>",
        body()[:-1],
    ],
)
def test_what_is_no_completion_is_garbage(data: bytes) -> None:
    answer = read_answer(data)
    assert answer.outcome is CallOutcome.GARBAGE
    assert answer.verdict is None


@pytest.mark.parametrize("message", [None, "text", 7, []])
def test_a_choice_without_a_message_is_garbage_that_is_paid_for(message: object) -> None:
    choice = {"message": message, "finish_reason": "content_filter"}
    answer = read_answer(json.dumps({"choices": [choice], "usage": USAGE}).encode())
    assert (answer.outcome, answer.tokens.input) == (CallOutcome.GARBAGE, 601)


PUT_IN: dict[str, tuple[dict[str, object], Wrapping]] = {
    "parts": ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": VERDICT}]}, Wrapping.PARTS),
    "bare parts": ({"content": [VERDICT]}, Wrapping.PARTS),
    "fence in a part": ({"content": [{"text": f"```\n{VERDICT}\n```"}]}, Wrapping.FENCE),
    "an object": ({"content": json.loads(VERDICT)}, Wrapping.NONE),
    "one part": ({"content": {"type": "text", "text": VERDICT}}, Wrapping.NONE),
    "a tool's call": ({"content": None, "tool_calls": [{"function": {"arguments": VERDICT}}]}, Wrapping.CALL),
    "a call by objects": (
        {"content": "", "tool_calls": [{"function": {"arguments": json.loads(VERDICT)}}]},
        Wrapping.CALL,
    ),
    "a call as it was once": ({"function_call": {"name": "regime", "arguments": VERDICT}}, Wrapping.CALL),
    "beside other thinking": ({"content": VERDICT, "reasoning": {"effort": "low"}}, Wrapping.NONE),
    "beside listed thinking": ({"content": VERDICT, "reasoning_content": ["hm", 7], "refusal": {}}, Wrapping.NONE),
    "in listed thinking": ({"content": "", "reasoning_details": [{"text": f"So {VERDICT}"}]}, Wrapping.THINKING),
}
"""Messages of the same answer, and what it was put in."""


@pytest.mark.parametrize(("message", "wrapping"), PUT_IN.values(), ids=PUT_IN)
def test_an_answer_is_read_whatever_it_was_put_in(message: dict[str, object], wrapping: Wrapping) -> None:
    answer = read_answer(b"\xef\xbb\xbf" + json.dumps({"choices": [{"message": message}]}).encode())
    assert (answer.outcome, answer.detail, answer.wrapping) == (CallOutcome.OK, "", wrapping)
    assert answer.verdict == read_answer(body()).verdict


@pytest.mark.parametrize(
    "message",
    [{"content": None, "reasoning_content": "x"}, {"content": "", "thinking": "x"}, {"reasoning_details": ["x"]}, {}],
    ids=str,
)
@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_a_limit_is_told_whatever_it_is_called_and_names_the_thinking(message: dict[str, object], reason: str) -> None:
    usage = {**USAGE, "completion_tokens_details": {"reasoning_tokens": USAGE["completion_tokens"]}}
    choice = {"message": message, "finish_reason": reason}
    answer = read_answer(json.dumps({"choices": [choice], "usage": usage}).encode())
    assert answer.outcome is CallOutcome.TRUNCATED
    assert "regimes.answer_tokens" in answer.detail
    assert answer.detail.endswith("most of them on thinking")


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: body(text)))
def test_no_body_is_an_error_or_a_verdict_by_chance(data: bytes) -> None:
    assert read_answer(data).verdict is None


@pytest.mark.parametrize("nested", ["[" * 100_000, '{"label":' * 50_000])
def test_a_verdict_that_nests_without_end_is_invalid(nested: str) -> None:
    assert read_answer(body(nested)).outcome is CallOutcome.INVALID


USAGE = {"prompt_tokens": 601, "completion_tokens": 40}


@pytest.mark.parametrize(
    "data",
    [
        {"choices": [], "usage": USAGE},
        {"choices": None, "usage": USAGE},
        {"usage": USAGE},
        {"choices": [{"finish_reason": "content_filter"}], "usage": USAGE},
    ],
)
def test_what_an_answer_took_is_known_even_where_it_is_no_completion(data: dict[str, object]) -> None:
    answer = read_answer(json.dumps(data).encode())
    assert answer.outcome is CallOutcome.GARBAGE
    assert (answer.tokens.input, answer.tokens.output) == (601, 40)


@pytest.mark.parametrize("usage", ["many", [1], {"prompt_tokens": "many"}, {"prompt_tokens": True}, {}, None])
def test_a_usage_that_is_none_takes_nothing_from_a_verdict(usage: object) -> None:
    answer = read_answer(body(usage=usage))
    assert answer.verdict is not None
    assert (answer.tokens.input, answer.tokens.output) == (None, None)


def test_tokens_written_as_a_float_are_tokens() -> None:
    answer = read_answer(body(usage={"prompt_tokens": 601.0, "completion_tokens": 40.5}))
    assert (answer.tokens.input, answer.tokens.output) == (601, None)


@pytest.mark.parametrize("tokens", [-1, 2**31, 2**63])
def test_a_number_of_tokens_that_can_be_none_is_not_known(tokens: int) -> None:
    assert read_answer(body(usage={"prompt_tokens": tokens, "completion_tokens": 3})).tokens.input is None


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (301, CallOutcome.REFUSED),
        (400, CallOutcome.REFUSED),
        (401, CallOutcome.UNAUTHORIZED),
        (403, CallOutcome.UNAUTHORIZED),
        (404, CallOutcome.REFUSED),
        (429, CallOutcome.RATE_LIMITED),
        (500, CallOutcome.SERVER_ERROR),
        (599, CallOutcome.SERVER_ERROR),
    ],
)
def test_every_status_has_its_outcome(status: int, outcome: CallOutcome) -> None:
    assert read_error(status, "").outcome is outcome


@pytest.mark.parametrize(
    ("header", "seconds", "ignored"),
    [
        ("2", 2.0, ""),
        ("", None, ""),
        ("1e10", None, "retry_after"),
        ("-3", None, "retry_after"),
        ("inf", None, "retry_after"),
        ("99999999", 900.0, ""),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 900.0, ""),
    ],
)
def test_what_a_refusal_says_of_waiting_is_bounded_or_ignored(header: str, seconds: float | None, ignored: str) -> None:
    answer = read_error(429, "", [("Retry-After", header)] if header else [])
    assert (answer.retry_after_s, answer.ignored) == (seconds, ignored)


NOW_S = 1_764_000_000.0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ({"error": {"message": "Provider returned error", "code": 429}, "choices": None}, CallOutcome.RATE_LIMITED),
        ({"error": {"message": "no", "code": "401"}}, CallOutcome.UNAUTHORIZED),
        ({"error": "Rate limit reached"}, CallOutcome.RATE_LIMITED),
        ({"error": {"message": "overloaded", "type": "overloaded_error"}, "type": "error"}, CallOutcome.RATE_LIMITED),
        ({"error": {"type": "invalid_request_error"}}, CallOutcome.REFUSED),
        ({"error": {"message": "boom"}}, CallOutcome.SERVER_ERROR),
        ({"object": "error", "message": "no such key", "code": 503}, CallOutcome.SERVER_ERROR),
        ({"detail": "Too many requests"}, CallOutcome.RATE_LIMITED),
        (
            {"choices": [{"error": {"code": 502, "message": "upstream"}, "message": {"content": ""}}]},
            CallOutcome.SERVER_ERROR,
        ),
    ],
)
def test_an_error_in_a_body_is_read_wherever_it_stands(error: dict[str, object], outcome: CallOutcome) -> None:
    answer = read_answer(json.dumps({**error, "usage": USAGE}).encode())
    assert answer.outcome is outcome
    assert (answer.verdict, answer.is_exhausted, answer.tokens.input) == (None, False, 601)


@pytest.mark.parametrize(
    "error",
    [
        [{"error": {"code": 429, "message": "Resource has been exhausted"}}],
        {"error": {"status": "RESOURCE_EXHAUSTED", "message": "Quota"}},
        {"error": {"error": {"code": 429.0}}},
        {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
        {"code": 1302, "msg": "High concurrency", "success": False},
        {"error_code": 18, "error_msg": "Open api qps request limit reached"},
    ],
    ids=str,
)
def test_a_limit_is_known_in_any_words_that_say_so(error: object) -> None:
    assert read_answer(json.dumps(error).encode()).outcome is CallOutcome.RATE_LIMITED


def test_an_answer_that_ended_in_an_error_is_a_failure_of_the_server() -> None:
    choice = {"message": {"content": '{"label": "BAL'}, "finish_reason": "error"}
    assert read_answer(json.dumps({"choices": [choice]}).encode()).outcome is CallOutcome.SERVER_ERROR


@pytest.mark.parametrize("header", ["0", "0.0", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_a_wait_of_nothing_is_no_leave_to_ask_at_once(header: str) -> None:
    answer = read_error(429, "", [("Retry-After", header)], NOW_S)
    assert (answer.retry_after_s, answer.ignored) == (None, "retry_after")


@pytest.mark.parametrize("error", [None, "", {}, []])
def test_an_empty_error_beside_an_answer_is_none(error: object) -> None:
    assert read_answer(body(error=error)).outcome is CallOutcome.OK


@pytest.mark.parametrize(
    ("status", "text", "is_exhausted"),
    [
        (429, '{"error": {"code": "insufficient_quota"}}', True),
        (402, "Insufficient Balance", True),
        (400, "Your credit balance is too low to access the API", True),
        (429, "You exceeded your current quota, please check your plan", True),
        (429, "You exceeded your current quota. Please retry in 34.07s.", False),
        (429, "Rate limit reached", False),
        (429, '{"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试"}}', True),
        (500, "", False),
    ],
)
def test_an_account_with_nothing_left_is_told_from_a_limit_in_time(status: int, text: str, is_exhausted: bool) -> None:
    assert read_error(status, text, [], NOW_S).is_exhausted is is_exhausted


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after-ms": "3000"}, 3.0),
        ({"Retry-After": "7", "x-ratelimit-reset-requests": "2h"}, 7.0),
        ({"x-ratelimit-reset-requests": "1m30s", "x-ratelimit-reset-tokens": "20ms"}, 90.0),
        ({"X-RateLimit-Reset": str(int(NOW_S * 1e3) + 5_000)}, 5.0),
        ({"anthropic-ratelimit-requests-reset": "2025-11-24T16:00:30Z"}, 30.0),
        ({"ratelimit-reset": "11"}, 11.0),
        ({"x-ratelimit-reset-requests-day": "33.5", "x-ratelimit-reset-tokens-minute": "11.4"}, 33.5),
        ({"anthropic-ratelimit-input-tokens-reset": "2025-11-24T16:00:30Z"}, 30.0),
        ({"anthropic-priority-input-tokens-reset": "soon", "ratelimitbysize-reset": "36"}, 36.0),
        ({"RateLimit": '"minute";r=3;t=5, "day";r=0;t=30'}, 30.0),
        ({"RateLimit": "limit=10, remaining=0, reset=50"}, 50.0),
        ({"RateLimit": "limit=10, remaining=4, reset=50"}, None),
        ({"RateLimit": '"day";r=0;t=' + "9" * 400}, None),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"x-ratelimit-reset-requests": "soon", "x-ratelimit-limit-requests": "60"}, None),
    ],
)
def test_a_limit_tells_its_wait_in_many_headers(headers: dict[str, str], wait_s: float | None) -> None:
    assert read_error(429, "", headers.items(), NOW_S).retry_after_s == (
        None if wait_s is None else pytest.approx(wait_s)
    )


def test_an_answer_where_the_thinking_is_counts_where_there_is_no_other() -> None:
    message = {"content": "", "reasoning_content": f"So I say {VERDICT}"}
    answer = read_answer(json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())
    assert (answer.outcome, answer.wrapping) == (CallOutcome.OK, Wrapping.THINKING)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -2300", "Mon, 01 Jan 1 00:00:00 +2300"])
def test_a_date_at_the_end_of_time_is_no_error(date: str) -> None:
    assert read_error(429, "", [("Retry-After", date)]).outcome is CallOutcome.RATE_LIMITED


@pytest.mark.parametrize(
    ("details", "parts"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 512.0}}, (512, None)),
        ({"prompt_cache_hit_tokens": 512, "prompt_cache_miss_tokens": 89}, (512, None)),
        ({"cached_tokens": 512}, (512, None)),
        ({"completion_tokens_details": {"reasoning_tokens": 40, "audio_tokens": None}}, (None, 40)),
        ({"prompt_tokens_details": {"cached_tokens": 602}}, (None, None)),  # more than the whole
        ({"prompt_tokens_details": {"cached_tokens": -1}}, (None, None)),
        ({"prompt_tokens_details": "many", "completion_tokens_details": []}, (None, None)),
        ({"prompt_tokens_details": None}, (None, None)),
    ],
    ids=str,
)
def test_parts_of_the_tokens_are_read_apart_and_cost_nobody_the_whole(
    details: dict[str, object], parts: tuple[int | None, int | None]
) -> None:
    assert read_answer(body(usage=USAGE | details)).tokens == (601, 40, *parts)
