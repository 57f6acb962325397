"""What an endpoint means that refuses, in the many ways in which endpoints say it."""

from __future__ import annotations

import json

import pytest

from processors.llm.completion import read_answer, read_error
from schemas.messages import CallOutcome

NOTHING_LEFT = [
    (403, {"error": {"message": "用户额度不足", "code": "insufficient_user_quota"}}),
    (403, {"error": {"message": "该令牌额度已用尽"}}),
    (403, {"error": {"message": "token quota is not enough", "code": "pre_consume_token_quota_failed"}}),
    (403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}),
    (429, {"error": {"message": "your account has an overdue balance"}}),
    (429, {"error": {"message": "You have reached your monthly spending limit"}}),
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
