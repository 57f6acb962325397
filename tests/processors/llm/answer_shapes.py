"""Bodies with status 200, as endpoints of many makes give them: what they are called, what they hold, what they are.

Shapes are those of public documents and reports; names and numbers are ours. A good one holds `ANSWER`, and many a
draft of another label before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from schemas.messages import CallOutcome

VERDICT: Final[dict[str, Any]] = {
    "label": "VOLATILE",
    "p_up": 0.25,
    "p_volatile": 0.75,
    "observations": ["The volatility lies above what it was.", "The spread has not changed."],
    "risk": "The move may be over.",
    "summary": "The price moves more than it did.",
}
ANSWER: Final = json.dumps(VERDICT)
DRAFT: Final = json.dumps({**VERDICT, "label": "BALANCED"})


def chat(content: object, finish: str = "stop", **message: object) -> dict[str, Any]:
    """A completion whose message says this."""
    said = {"role": "assistant", "content": content, **message}
    return {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": said, "finish_reason": finish}]}


def pieces(text: str) -> Iterator[str]:
    """A text in pieces, as a stream brings it."""
    return (text[start : start + 20] for start in range(0, len(text), 20))


def stream(*chunks: object) -> bytes:
    """A stream of events."""
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def lines(*chunks: object) -> bytes:
    """One JSON text a line."""
    return b"\n".join(json.dumps(chunk).encode() for chunk in chunks)


MESSAGE: Final = {"type": "message", "content": [{"type": "output_text", "text": ANSWER}]}
PARTS: Final = {"parts": [{"text": DRAFT, "thought": True}, {"text": ANSWER}]}
INTERFACES: Final[dict[str, Any]] = {
    "OpenAI's responses": {"object": "response", "output": [{"type": "reasoning", "summary": []}, MESSAGE]},
    "OpenAI's responses, a call": {
        "object": "response",
        "output": [{"type": "function_call", "name": "regime", "arguments": ANSWER}],
    },
    "OpenAI's responses, the text alone": {"object": "response", "output_text": ANSWER},
    "Anthropic's messages": {
        "type": "message",
        "content": [{"type": "thinking", "thinking": DRAFT}, {"type": "text", "text": ANSWER}],
        "stop_reason": "end_turn",
    },
    "Gemini's candidates": {"candidates": [{"content": PARTS, "finishReason": "STOP"}]},
    "Ollama's chat": {"message": {"content": ANSWER}, "done": True, "done_reason": "stop"},
    "Ollama's generation": {"response": ANSWER, "done": True, "done_reason": "stop"},
    "Ollama's chat, line by line": lines(*({"message": {"content": each}} for each in pieces(ANSWER)), {"done": True}),
    "llama.cpp's completion": {"content": ANSWER, "stop": True},
    "text generation": [{"generated_text": ANSWER}],
    "Workers": {"result": {"response": ANSWER}, "success": True, "errors": []},
    "Workers, as an object": {"result": {"response": VERDICT}, "success": True, "errors": []},
    "DashScope": {"output": {"choices": [{"finish_reason": "stop", "message": {"content": ANSWER}}]}, "usage": {}},
    "DashScope, its text": {"output": {"text": ANSWER, "finish_reason": "stop"}},
    "the answer with nothing around it": VERDICT,
}
RELAYED: Final[dict[str, Any]] = {
    "a gateway that passes the body as text": {"statusCode": 200, "body": json.dumps(chat(ANSWER))},
    "written twice": json.dumps(chat(ANSWER)),
    "with a code and data as text": {"code": 0, "msg": "ok", "data": json.dumps(chat(ANSWER))},
    "in two layers": {"success": True, "result": {"data": chat(ANSWER)}},
    "beside an error that is none": {**chat(ANSWER), "error": {"code": 0, "message": "success"}},
    "a first choice that says nothing": {"choices": [*chat("")["choices"], *chat(ANSWER)["choices"]]},
    "a message of null beside its delta": {"choices": [{"message": None, "delta": {"content": ANSWER}}]},
    "a stream of lists of parts": stream(
        *({"choices": [{"delta": {"content": [{"type": "text", "text": each}]}}]} for each in pieces(ANSWER))
    ),
    "a stream of a call": stream(
        *(
            {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": each}}]}}]}
            for each in pieces(ANSWER)
        )
    ),
    "a stream of texts": stream(*({"choices": [{"text": each}]} for each in pieces(ANSWER))),
    "half a sign before it": json.dumps(chat("\ud83d " + ANSWER)),
    "half a sign in it": json.dumps(chat(ANSWER.replace("price", "\\ud83d price"))),
    "behind a byte order mark": b"\xef\xbb\xbf" + json.dumps(chat("\ufeff" + ANSWER)).encode(),
    "behind empty lines": b"\n\n \n" + json.dumps(chat(ANSWER)).encode(),
}
CONTENTS: Final[dict[str, Any]] = {
    "a list of the object": chat([VERDICT]),
    "a part of JSON": chat([{"type": "json", "json": VERDICT}]),
    "a part of JSON put out": chat([{"type": "output_json", "output_json": VERDICT}]),
    "a part of another name": chat([{"type": "message", "text": ANSWER}]),
    "a part's content": chat([{"type": "text", "content": ANSWER}]),
    "a call without its function": chat(None, tool_calls=[{"name": "regime", "arguments": VERDICT}]),
    "a part that is a call": chat([{"type": "tool_use", "name": "regime", "input": VERDICT}]),
    "parts put out": chat([{"type": "output_text", "text": ANSWER}]),
    "a part marked as thought": chat([{"text": DRAFT, "thought": True}, {"text": ANSWER}]),
    "a part of reasoning": chat([{"type": "reasoning", "text": DRAFT}, {"type": "text", "text": ANSWER}]),
    "the schema's echo": chat(json.dumps({"type": "object", "properties": VERDICT})),
    "a fence in a field": chat(json.dumps({"answer": f"```json\n{ANSWER}\n```"})),
    "words in a field": chat(json.dumps({"response": f"Here it is: {ANSWER}"})),
    "nested": chat(json.dumps({"result": {"regime": VERDICT}})),
    "a box around it": chat(f"<|begin_of_box|>{ANSWER}<|end_of_box|>"),
    "unknown fields": chat(json.dumps({"confidence": 7, **VERDICT, "extra": {"a": [1]}})),
    "a sentence beyond its length": chat(json.dumps({**VERDICT, "summary": "The price moves. " * 60})),
    "empty content, the answer in the thinking": chat("\n\n", reasoning_content=f"It moves. {ANSWER}"),
}
THOUGHT: Final[dict[str, Any]] = {
    "inline thinking": chat(f"<think>\nPerhaps {DRAFT}?\n</think>\n\n{ANSWER}"),
    "a process of thought": chat(f"<thought_process>Perhaps {DRAFT}</thought_process>{ANSWER}"),
    "a tag of Claude's": chat(f"<antThinking>Perhaps {DRAFT}</antThinking>\n{ANSWER}"),
    "a front end's details": chat(
        f'<details type="reasoning" done="true" duration="3">\n<summary>So</summary>\n{DRAFT}\n</details>\n{ANSWER}'
    ),
    "an inner part": chat(f"<|inner_prefix|>Perhaps {DRAFT}<|inner_suffix|>{ANSWER}"),
    "headings": chat(f"### Reasoning\nPerhaps {DRAFT}\n\n### Final answer\n```json\n{ANSWER}\n```"),
    "bold headings": chat(f"**Thinking:**\nPerhaps {DRAFT}\n\n**Answer:**\n{ANSWER}"),
    "reasoning beside it": chat(ANSWER, reasoning_content=f"Perhaps {DRAFT}"),
}
GOOD: Final = {**INTERFACES, **RELAYED, **CONTENTS, **THOUGHT}
"""Bodies that hold the answer."""

INVALID, GARBAGE, TRUNCATED = CallOutcome.INVALID, CallOutcome.GARBAGE, CallOutcome.TRUNCATED
UNFIT: Final[dict[str, tuple[CallOutcome, Any]]] = {
    "no number": (INVALID, chat(ANSWER.replace("0.25", "NaN"))),
    "a number without end": (INVALID, chat(ANSWER.replace("0.25", "1e999"))),
    "a number as text": (INVALID, chat(ANSWER.replace("0.25", '"0.25"'))),
    "a percentage": (INVALID, chat(ANSWER.replace("0.25", "25"))),
    "a label in small letters": (INVALID, chat(ANSWER.replace("VOLATILE", "volatile"))),
    "a label of its own": (INVALID, chat(ANSWER.replace("VOLATILE", "SIDEWAYS"))),
    "a comma too much": (INVALID, chat(ANSWER[:-1] + ",}")),
    "single quotes": (INVALID, chat(str(VERDICT))),
    "a comment": (INVALID, chat(ANSWER.replace("{", "{ // mine\n"))),
    "no observations": (INVALID, chat(json.dumps({**VERDICT, "observations": []}))),
    "a field that is missing": (INVALID, chat(json.dumps({k: v for k, v in VERDICT.items() if k != "risk"}))),
    "half an answer": (INVALID, chat(ANSWER[:60])),
    "half an answer of a stream": (INVALID, stream({"choices": [{"delta": {"content": ANSWER[:60]}}]})),
    "prose": (INVALID, chat("The market looks rather volatile to me.")),
    "a refusal": (INVALID, chat(None, refusal="I cannot judge markets.")),
    "nothing, by its filter": (INVALID, chat("", "content_filter")),
    "a draft and no end of the thinking": (INVALID, chat(f"<think>Perhaps {DRAFT}")),
    "a blocked question": (INVALID, {"promptFeedback": {"blockReason": "SAFETY"}}),
    "cut": (TRUNCATED, chat(ANSWER[:60], "length")),
    "cut while it thinks": (TRUNCATED, chat(None, "length", reasoning_content="hm " * 99)),
    "cut responses": (
        TRUNCATED,
        {
            "object": "response",
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": [{"type": "reasoning"}],
        },
    ),
    "cut messages": (TRUNCATED, {"type": "message", "content": [{"text": ANSWER[:60]}], "stop_reason": "max_tokens"}),
    "cut candidates": (TRUNCATED, {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}),
    "nothing at all": (GARBAGE, b""),
    "null": (GARBAGE, None),
    "a page": (GARBAGE, b"<!doctype html><html><body>Please log in</body></html>"),
    "half a body": (GARBAGE, json.dumps(chat(ANSWER)).encode()[:-40]),
    "a queue": (GARBAGE, {"id": "x", "status": "queued"}),
}
"""Bodies that hold none, and what they are."""

LIMITED, FAILED, REFUSED = CallOutcome.RATE_LIMITED, CallOutcome.SERVER_ERROR, CallOutcome.REFUSED
FILTERED: Final = "Input data may contain inappropriate content."
ERRORS: Final[dict[str, tuple[CallOutcome, Any]]] = {
    "beside no choices": (LIMITED, {"choices": None, "error": {"message": "Provider returned error", "code": 429}}),
    "in a message": (LIMITED, chat("", error={"message": "slow", "code": 429})),
    "in a choice": (
        FAILED,
        {"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": {"code": 502}}]},
    ),
    "in data": (LIMITED, {"code": 1, "data": {"error": {"message": "slow", "code": 429}}}),
    "in a gateway's body": (LIMITED, {"statusCode": 429, "body": json.dumps({"error": {"message": "slow"}})}),
    "by a gateway's number": (FAILED, {"statusCode": 503, "message": "wait"}),
    "in a list": (LIMITED, [{"error": [{"code": 429, "message": "slow"}]}]),
    "by a code in words": (
        LIMITED,
        {"code": "Throttling.RateQuota", "message": "Requests exceeded", "id": "1"},
    ),
    "in a sentence that is JSON": (
        LIMITED,
        {"error": {"message": json.dumps({"error": {"code": 429}}), "code": "", "type": "upstream_error"}},
    ),
    "as a problem": (LIMITED, {"type": "about:blank", "title": "Too Many Requests", "status": 429}),
    "with capitals": (LIMITED, {"ResponseMetadata": {"Error": {"CodeN": 1, "Code": "429", "Message": "slow"}}}),
    "in a response": (
        LIMITED,
        {"Response": {"Error": {"Code": "LimitExceeded", "Message": "Too many"}}},
    ),
    "as a reason to finish": (FAILED, chat(ANSWER[:60], "network_error")),
    "as another": (FAILED, chat("", "insufficient_system_resource")),
    "as a fault": (LIMITED, {"fault": {"faultstring": "Rate limit violation", "detail": {"errorcode": "policies"}}}),
    "beside a text": (LIMITED, {"detail": "Too many requests", "response": "Please try again."}),
    "beside a content": (FAILED, {"code": 503, "content": "wait"}),
    "as a status": (LIMITED, {"status": "error", "reason": "too many requests"}),
    "of a base": (LIMITED, {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}),
    "of Workers": (
        LIMITED,
        {"result": None, "success": False, "errors": [{"code": 3040, "message": "Capacity temporarily exceeded."}]},
    ),
    "of responses": (
        FAILED,
        {"object": "response", "status": "failed", "error": {"code": "server_error", "message": "x"}},
    ),
    "half way through a stream": (
        FAILED,
        stream({"choices": [{"delta": {"content": ANSWER[:60]}}]}, {"error": {"message": "lost", "code": 502}}),
    ),
    "of a filter": (REFUSED, {"error": {"code": 400, "message": FILTERED}}),
    "a page in it": (FAILED, {"error": "<html>502 Bad Gateway</html>"}),
    "an unsuccessful one": (FAILED, {"success": False, "code": 503}),
}
"""Errors, and what they mean. None says how long to wait, or that a key or an account is at its end."""
NOT_FIT: Final = {**UNFIT, **{f"error {name}": each for name, each in ERRORS.items()}}


def bytes_of(body: object) -> bytes:
    """A body as it goes over the line."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
