"""What endpoints of many makes really give, each by a server that answers as they do, and what comes of it.

Shapes are those that public reports and documents show of vLLM, Ollama, llama.cpp, LM Studio, DeepSeek, OpenRouter,
Azure, Gemini's compatible endpoint and others. Names and numbers are ours.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from processors.llm import retries
from processors.regimes.questions import is_due
from processors.rollout.endings import MAX_TRIES
from schemas.messages import CallOutcome, InstrumentKey, LlmCall, Regime
from tests.integration.asking import WINDOWS, office
from tests.integration.llm_server import VERDICT, llm_server
from tests.support.patience import patient

pytestmark = pytest.mark.integration

ANSWER = json.dumps(VERDICT)
DRAFT = json.dumps({**VERDICT, "label": "BALANCED"})
PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]}, {"type": "text", "text": ANSWER}]
FINAL = "<|end|><|start|>assistant<|channel|>final"
THINKING: dict[str, dict[str, Any]] = {
    "vLLM, no beginning of its tag": {"content": f"Perhaps {DRAFT}?\n</think>\n\n{ANSWER}"},
    "vLLM, channels as they are": {
        "content": f"<|channel|>analysis<|message|>{DRAFT}{FINAL}<|message|>{ANSWER}<|return|>"
    },
    "TensorRT, channels with a constraint": {
        "content": f"<|channel|>analysis<|message|>{DRAFT}{FINAL} <|constrain|>json<|message|>{ANSWER}"
    },
    "a relay that strips special tokens": {"content": f"analysisPerhaps {DRAFT}.assistantfinal{ANSWER}"},
    "llama.cpp, beside it": {"content": ANSWER, "reasoning_content": f"Perhaps {DRAFT}"},
    "Ollama, beside it": {"content": ANSWER, "thinking": f"Perhaps {DRAFT}"},
    "DeepSeek, the answer with the thinking": {"content": "", "reasoning_content": f"It moves. {ANSWER}"},
    "OpenRouter, details": {
        "content": ANSWER,
        "reasoning": None,
        "reasoning_details": [{"type": "reasoning.encrypted"}],
    },
    "Gemma, channels of its own": {"content": f"<|channel>thought\nPerhaps {DRAFT}\n<channel|>{ANSWER}"},
    "Command, responses of its own": {
        "content": f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>"
    },
    "Mistral, as parts": {"content": PARTS},
    "Granite, in words": {"content": f"Here is my thought process: {DRAFT}\n\nHere is my response:\n{ANSWER}"},
}
WRAPPED: dict[str, dict[str, Any]] = {
    "LM Studio, fenced": {"content": f"```json\n{ANSWER}\n```"},
    "Ollama, its word before it": {"content": f"json\n{ANSWER}\n\nThis JSON object contains the judgement."},
    "llama.cpp, line breaks in a sentence": {"content": ANSWER.replace("The move may", "The move\nmay")},
    "vLLM, a call written as text": {
        "content": f'<tool_call>{{"name": "regime", "arguments": {ANSWER}}}</tool_call>',
        "tool_calls": [],
    },
    "Azure, a call": {"content": None, "tool_calls": [{"type": "function", "function": {"arguments": ANSWER}}]},
    "OpenRouter, the schema's name around it": {"content": json.dumps({"regime": VERDICT})},
    "a relay, written twice": {"content": json.dumps({"answer": ANSWER})},
    "Assistants, texts with a value": {"content": [{"type": "text", "text": {"value": ANSWER, "annotations": []}}]},
    "Gemini, in a list": {"content": f"[{ANSWER}]"},
}


@pytest.mark.parametrize("kind", [pytest.param(THINKING, marks=pytest.mark.case("answer-thinking")), WRAPPED])
@pytest.mark.case("answer-wrapped")
async def test_a_right_answer_counts_however_an_endpoint_gives_it(kind: dict[str, dict[str, Any]]) -> None:
    with llm_server("sends") as server:
        async with office(server) as found:
            for window, (name, message) in enumerate(kind.items()):
                choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
                server.sends = (200, {}, {"id": "1", "object": "chat.completion", "choices": [choice]})
                found.ask(window)
                assert (await found.calls_made(window + 1))[-1] is CallOutcome.OK, name
                assert found.events[-1].label is Regime.VOLATILE, name
    assert len(found.events) == len(kind)


def _wants(word: str, status: int, said: object) -> Any:
    """Refuses requests in which a word stands."""
    return lambda body: (status, said) if word in json.dumps(body) else None


UNSUPPORTED = {"type": "invalid_request_error", "code": "unsupported_value", "param": "temperature"}
LACKING: dict[str, list[tuple[str, int, object]]] = {
    "OpenAI, a model that thinks": [
        ("temperature", 400, {"error": {"message": "'temperature' does not support 0 with this model.", **UNSUPPORTED}})
    ],
    "Azure, an older version": [
        (
            "json_schema",
            400,
            {"error": {"message": "response_format value as json_schema is enabled only for later api"}},
        ),
        ("max_completion_tokens", 400, {"error": {"message": "Unrecognized request argument: max_completion_tokens"}}),
    ],
    "vLLM, extras forbidden": [
        (
            "max_completion_tokens",
            400,
            {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens')}]"},
        )
    ],
    "DeepSeek": [("json_schema", 400, {"error": {"message": "This response_format type is unavailable now"}})],
    "Gemini": [
        ("additionalProperties", 400, [{"error": {"code": 400, "message": 'Unknown name "additional_properties"'}}])
    ],
    "LM Studio, an older model": [
        ("json_schema", 400, {"error": "failed to compile the grammar of json_schema"}),
        ("json_object", 400, {"error": "'response_format.type' must be 'json_schema' or 'text'"}),
    ],
    "OpenRouter, no provider that can": [
        ("json_schema", 404, {"error": {"message": "No endpoints found that can handle the requested parameters."}})
    ],
    "a relay with status 200": [
        ("json_schema", 200, {"error": {"message": "json_schema is not supported", "type": "invalid_request_error"}})
    ],
}


@pytest.mark.parametrize("name", LACKING)
@pytest.mark.case("schema-keywords")
async def test_what_an_endpoint_will_not_take_is_found_out_with_one_question(name: str) -> None:
    refusals = [_wants(*each) for each in LACKING[name]]
    with llm_server("good") as server:
        server.finds = lambda body: next((refusal for each in refusals if (refusal := each(body))), None)
        async with office(server, deadline_s=patient(5.0)) as found:
            found.ask(0)
            await found.until(lambda: bool(found.events))
            first = len(found.calls)
            found.ask(1)
            await found.calls_made(first + 1)
    assert first == len(refusals) + 1, "one thing less for each that it lacks"
    assert server.asked[-1].body.keys() >= {"model", "messages"} | ({"temperature"} if "OpenAI" not in name else set())


@pytest.mark.parametrize("word", ["json_schema", "response_format", "temperature", "max_completion_tokens"])
@pytest.mark.case("schema-keywords")
async def test_what_an_endpoint_fails_at_is_found_out_before_it_is_left_alone(word: str) -> None:
    """With 500 and not a word of what ails it."""
    with llm_server("good") as server:
        server.fails_at = f'"{word}"'
        async with office(server, deadline_s=patient(8.0)) as found:
            for window in range(4):
                found.ask(window)
                await found.until(lambda: has_ended(found.calls, window), 8.0)  # noqa: B023 (called here)
            before = len(found.calls)
            found.ask(5)
            await found.calls_made(before + 1)
    assert len(found.events) >= 4, "of five questions the first alone may have found nothing"
    assert f'"{word}"' not in json.dumps(server.asked[-1].body)
    assert {call.outcome for call in found.calls} == {CallOutcome.OK, CallOutcome.SERVER_ERROR}
    assert not found.count("obflow_llm_questions_dropped_total", reason="breaker")


@pytest.mark.case("schema-keywords")
async def test_a_schema_holds_no_keyword_that_any_strict_endpoint_refuses() -> None:
    with llm_server("good") as server:
        async with office(server) as found:
            found.ask(0)
            await found.calls_made(1)
    [asked] = server.asked
    words = set(_keys(asked.body["response_format"]["json_schema"]["schema"]))
    fields = set(VERDICT)
    assert words - fields == {"type", "properties", "enum", "items", "required", "additionalProperties"}


def has_ended(calls: list[LlmCall], window: int) -> bool:
    """Whether the question about a window has an answer, or was tried as often as one is."""
    own = [call for call in calls if call.window_end_ns == WINDOWS[window].window.end_ns]
    return len(own) == MAX_TRIES or any(call.outcome is CallOutcome.OK for call in own)


def _keys(value: object) -> list[str]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*(value if isinstance(value, dict) else ()), *(key for each in inside for key in _keys(each))]


QUOTA = "You exceeded your current quota, please check your plan and billing details."
RETRY_INFO = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]
FILTERED = {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}
UPSTREAM = {"raw": "is temporarily rate-limited upstream. Please retry shortly", "provider_name": "other"}
EXHAUSTED = {"code": 429, "message": QUOTA, "status": "RESOURCE_EXHAUSTED", "details": RETRY_INFO}
LOST = {"code": 502, "message": "Network connection lost."}
LIMITED, FAILED, REFUSED = CallOutcome.RATE_LIMITED, CallOutcome.SERVER_ERROR, CallOutcome.REFUSED
ERRORS: dict[str, tuple[CallOutcome, int, object]] = {
    "OpenRouter, its provider's": (
        LIMITED,
        200,
        {"error": {"message": "Provider returned error", "code": 429, "metadata": UPSTREAM}},
    ),
    "OpenRouter, in a choice": (
        FAILED,
        200,
        {"choices": [{"finish_reason": "error", "message": {"content": ""}, "error": LOST}]},
    ),
    "Gemini, in a list": (LIMITED, 429, [{"error": EXHAUSTED}]),
    "Azure, in words": (LIMITED, 429, {"error": {"code": "429", "message": "Please retry after 6 seconds."}}),
    "Azure, its filter": (REFUSED, 400, {"error": FILTERED}),
    "DeepSeek, no model": (REFUSED, 400, {"error": {"message": "Model Not Exist"}}),
    "Ollama, no model": (REFUSED, 404, {"error": {"message": "model 'm' not found", "type": "not_found_error"}}),
    "LM Studio, no such address": (REFUSED, 200, {"error": "Unexpected endpoint or method. (POST /chat)"}),
    "llama.cpp, still loading": (FAILED, 503, {"error": {"code": 503, "message": "Loading model"}}),
    "vLLM, a time that is up": (FAILED, 408, {"object": "error", "message": "timeout", "code": 408}),
    "a relay, its moderation": (REFUSED, 403, {"error": {"code": 403, "message": "Your input was flagged"}}),
    "a relay of Claude": (FAILED, 529, {"type": "error", "error": {"type": "overloaded_error"}}),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.case("error-in-answer")
async def test_an_error_is_what_it_is_wherever_an_endpoint_puts_it(name: str) -> None:
    outcome, status, body = ERRORS[name]
    with llm_server("sends") as server:
        server.sends = (status, {}, body)
        async with office(server, deadline_s=patient(0.4)) as found:
            found.ask()
            await found.until(lambda: bool(found.calls))
            await found.calls_made(1)
    assert found.calls[0].outcome is outcome
    assert found.events == []


@pytest.mark.case("error-in-answer")
async def test_an_account_with_nothing_left_is_told_once_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(retries.log, "warning", lambda event, **_: told.append(event))
    bodies = [
        (402, {"error": {"message": "Insufficient Balance", "type": "unknown_error"}}),
        (200, {"choices": None, "error": {"code": "1113", "message": "您的账户已欠费，请充值后重试"}}),
        (403, {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier of the model has been exhausted."}),
        (429, {"error": {"message": QUOTA, "type": "insufficient_quota", "code": "insufficient_quota"}}),
    ]
    for status, body in bodies:
        with llm_server("sends") as server:
            server.sends = (status, {}, body)
            async with office(server) as found:
                found.ask()
                assert await found.calls_made(1) == [CallOutcome.RATE_LIMITED]
                found.ask(1)
                await found.calls_made(1)
    assert told == ["llm_account_exhausted"] * len(bodies)


DUE = next(number for number, closed in enumerate(WINDOWS) if is_due(closed) and closed.window.usable_events)
NAMES = ("币安人生USDT", "BTC\u200bUSDT", "ВТСUSDT", "USD₮", "BTC USDT", "BTC\u202eUSDT", "A" * 40)


@pytest.mark.case("symbols-not-asked")
async def test_each_name_that_is_not_plain_is_told_once_and_its_twin_is_asked_about() -> None:
    with llm_server("good") as server:
        async with office(server) as found:
            for name in (*NAMES, "BTCUSDT", *NAMES):
                key = InstrumentKey("binance-futures", name)
                if found.asker.wants(str(key), WINDOWS[DUE]):
                    found.ask(DUE, key)
            await found.calls_made(len(NAMES) + 1)
    told = [call.symbol for call in found.calls if call.outcome is CallOutcome.NOT_ASKED]
    assert told == list(NAMES)
    assert [asked.symbol for asked in server.asked] == ["BTCUSDT"]
    assert found.count("obflow_llm_unasked_instruments", reason="name") == len(NAMES)
