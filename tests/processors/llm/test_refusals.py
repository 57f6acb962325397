"""What an endpoint means that refuses, in the many ways in which endpoints say it."""

from __future__ import annotations

import json

import pytest

from processors.llm.completion import read_answer, read_error
from processors.llm.refusals import is_lacking
from schemas.messages import CallOutcome

NOTHING_LEFT = [
    (403, {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier of the model has been exhausted."}),
    (403, {"error": {"message": "用户额度不足", "code": "insufficient_user_quota"}}),
    (403, {"error": {"message": "该令牌额度已用尽"}}),
    (403, {"error": {"message": "token quota is not enough", "code": "pre_consume_token_quota_failed"}}),
    (403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}),
    (429, {"error": {"message": "your account has an overdue balance"}}),
    (429, {"error": {"message": "You have reached your monthly spending limit"}}),
    (403, {"code": "no permission", "error": "Your team doesn't have any credits yet. You can purchase those."}),
    (429, {"error": {"message": "Your team has used all available credits", "code": "x"}}),
    (429, {"error": {"message": "Your account org-x is suspended, please check your plan and billing details"}}),
]
BAD_KEYS = [
    (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}),
    (400, {"error": {"code": "invalid_api_key"}}),
    (400, {"error": "Incorrect API key provided: sk***."}),
    (400, {"message": "API key is missing"}),
]


@pytest.mark.case("error-in-answer")
@pytest.mark.parametrize(("status", "body"), NOTHING_LEFT, ids=str)
def test_an_account_with_nothing_left_is_no_refused_key_and_no_rate(status: int, body: object) -> None:
    found = read_error(status, json.dumps(body, ensure_ascii=False))
    assert (found.outcome, found.is_exhausted) == (CallOutcome.RATE_LIMITED, True)


def test_a_wait_that_is_named_beside_it_makes_it_a_limit_in_time() -> None:
    found = read_error(429, json.dumps(NOTHING_LEFT[-1][1]), [("Retry-After", "30")])
    assert (found.is_exhausted, found.retry_after_s) == (False, 30.0)


@pytest.mark.case("error-in-answer")
@pytest.mark.parametrize(("status", "body"), BAD_KEYS, ids=str)
def test_a_key_that_is_refused_with_400_is_refused(status: int, body: object) -> None:
    assert read_error(status, json.dumps(body)).outcome is CallOutcome.UNAUTHORIZED


@pytest.mark.parametrize("said", ["unknown key 'strict'", "Unrecognized request argument: max_completion_tokens", ""])
def test_another_bad_request_is_no_matter_of_the_key(said: str) -> None:
    assert read_error(400, json.dumps({"error": {"message": said}})).outcome is CallOutcome.REFUSED


@pytest.mark.case("error-in-answer")
@pytest.mark.parametrize("said", ["您当前使用该API的并发数过高", "请求频率过高，请稍后再试", "当前服务繁忙"])
def test_a_limit_is_known_in_chinese_too(said: str) -> None:
    body = json.dumps({"code": 1302, "msg": said}, ensure_ascii=False).encode()
    assert read_answer(body).outcome is CallOutcome.RATE_LIMITED


@pytest.mark.parametrize(
    "said", ["max_tokens is too large: 4000. This model supports at most 2048", "max_completion_tokens must be <= 1024"]
)
def test_a_limit_of_tokens_that_is_too_high_is_told_with_its_setting(said: str) -> None:
    assert "regimes.answer_tokens" in read_error(400, json.dumps({"error": {"message": said}})).detail


@pytest.mark.case("error-in-answer")
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, "refused"),
        (403, {"error": {"code": 403, "message": "Your input was flagged by moderation"}}, "refused"),
        (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}, "refused"),
        (404, {"error": {"message": "The model `m` does not exist or you do not have access to it."}}, "refused"),
        (400, {"error": {"message": "small/model is not a valid model ID", "code": 400}}, "refused"),
        (
            400,
            {"error": {"message": "The model `m` has been decommissioned", "code": "x"}},
            "refused",
        ),
        (400, {"error": {"code": "unavailable_model", "message": "Unavailable model: m"}}, "refused"),
        (400, {"message": "The provided model identifier is invalid."}, "refused"),
        (400, {"error": {"message": "No models loaded. Please load a model in the developer page."}}, "refused"),
        (400, {"error": {"message": "the request exceeds the available context size, try increasing it"}}, "refused"),
        (408, {"error": {"message": "Request timeout"}}, "server_error"),
        (424, {"error": "Request failed during generation: Server error", "error_type": "generation"}, "server_error"),
        (499, {"error": {"message": "client closed request"}}, "server_error"),
        (498, {"error": {"message": "Flex tier capacity exceeded"}}, "rate_limited"),
        (429, {"code": "Throttling.AllocationQuota", "message": "Allocated quota exceeded"}, "rate_limited"),
    ],
    ids=str,
)
def test_what_no_other_way_to_ask_would_better_is_not_asked_in_another(status: int, body: object, outcome: str) -> None:
    text = json.dumps(body)
    found = read_error(status, text)
    assert (found.outcome, found.is_exhausted) == (outcome, False)
    assert not (found.outcome is CallOutcome.REFUSED and is_lacking(found.status, text))


@pytest.mark.parametrize("page", ["<!DOCTYPE html><html><title>Just a moment...</title>", "\n<html><center>403"])
def test_a_page_before_an_endpoint_says_nothing_of_the_key(page: str) -> None:
    assert read_error(403, page).outcome is CallOutcome.SERVER_ERROR
    assert read_error(403, '{"error": "<html>"}').outcome is CallOutcome.UNAUTHORIZED


@pytest.mark.case("schema-keywords")
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, {"error": {"message": "json_schema is not supported", "type": "invalid_request_error"}}),
        (200, {"detail": [{"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "not permitted"}]}),
        (404, {"error": {"message": "No endpoints found that can handle the requested parameters.", "code": 404}}),
        (
            400,
            [{"error": {"code": 400, "message": 'Unknown name "additional_properties"', "status": "INVALID_ARGUMENT"}}],
        ),
        (400, {"error": "'response_format.type' must be 'json_schema' or 'text'"}),
    ],
    ids=str,
)
def test_what_another_way_to_ask_may_better_is_known_wherever_it_is_said(status: int, said: object) -> None:
    text = json.dumps(said)
    found = read_answer(text.encode()) if status == 200 else read_error(status, text)
    assert found.outcome is CallOutcome.REFUSED
    assert is_lacking(found.status, found.text)


@pytest.mark.case("error-in-answer")
@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        (
            {
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-requests": "10",
                "x-ratelimit-reset-tokens": "2s",
            },
            2.0,
        ),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360.0),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "9"}, 360.0),
    ],
    ids=str,
)
def test_the_limit_of_which_nothing_is_left_tells_the_wait(headers: dict[str, str], wait_s: float) -> None:
    assert read_error(429, "{}", headers.items()).retry_after_s == wait_s
