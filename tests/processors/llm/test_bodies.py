"""A completion is found wherever endpoints put it, and read as strictly there as anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.llm.completion import read_answer
from schemas.messages import CallOutcome

VERDICT = {
    "label": "VOLATILE",
    "p_up": 0.25,
    "p_volatile": 0.75,
    "observations": ["The spread has not changed."],
    "risk": "It may end.",
    "summary": "Calm.",
}
TEXT = json.dumps(VERDICT)
USAGE = {"prompt_tokens": 612, "completion_tokens": 41}


def completion(message: Any = None, **choice: Any) -> dict[str, Any]:
    told = {"message": message} if message is not None else {}
    return {"choices": [{**told, "finish_reason": "stop", **choice}], "usage": USAGE}


def event(delta: dict[str, object], **fields: object) -> str:
    return "data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": None}], **fields})


WHOLE = completion({"content": TEXT})
EVENTS = [
    ": hello",
    event({"role": "assistant", "reasoning_content": '{"label": "UNKNOWN"}'}),
    event({"content": TEXT[:40]}),
    event({"content": TEXT[40:]}),
    "data: " + json.dumps({"choices": [], "usage": USAGE}),
    "data: [DONE]",
]
BODIES = {
    "a list of one": json.dumps([WHOLE]),
    "in the field data": json.dumps({"code": 0, "msg": "success", "data": WHOLE}),
    "in the field result": json.dumps({"success": True, "errors": [], "result": WHOLE}),
    "as an older completion": json.dumps(completion(text=TEXT)),
    "as a part of a stream": json.dumps(completion(delta={"content": TEXT})),
    "already parsed": json.dumps(completion({"content": None, "parsed": VERDICT})),
    "behind signs of life": f": PROCESSING\n\n: PROCESSING\n\n{json.dumps(WHOLE)}",
    "behind empty lines": f"\n\n  {json.dumps(WHOLE)}\n",
    "as a stream": "\n\n".join(EVENTS),
    "as a stream with returns": "\r\n".join(EVENTS),
    "as a stream of one": f"data: {json.dumps(WHOLE)}\n\ndata: [DONE]\n\n",
    "beside an error with nothing in it": json.dumps({**WHOLE, "error": {"message": "", "type": "", "code": None}}),
}


@pytest.mark.case("answer-wrapped")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_completion_is_found_wherever_it_stands(body: str) -> None:
    found = read_answer(body.encode())
    assert found.outcome is CallOutcome.OK, found.detail
    assert found.verdict is not None
    assert (found.verdict.summary, found.tokens.input, found.tokens.output) == ("Calm.", 612, 41)


@pytest.mark.case("answer-wrapped")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_wherever_it_stands_a_label_that_nobody_knows_is_none(body: str) -> None:
    assert read_answer(body.replace("VOLATILE", "SIDEWAYS").encode()).outcome is CallOutcome.INVALID


STREAMED = {
    'data: {"error": {"message": "Slow down", "code": 429}}\n\n': (CallOutcome.RATE_LIMITED, 429),
    'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n': (CallOutcome.RATE_LIMITED, 200),
    f'{EVENTS[2]}\n\ndata: {{"error": {{"message": "upstream died"}}}}\n\n': (CallOutcome.SERVER_ERROR, 200),
    "data: [DONE]\n\n": (CallOutcome.GARBAGE, 200),
    f"{EVENTS[2]}\n\n": (CallOutcome.INVALID, 200),
    "data: {half": (CallOutcome.GARBAGE, 200),
    ": nothing but signs of life": (CallOutcome.GARBAGE, 200),
}


@pytest.mark.case("error-in-answer")
@pytest.mark.parametrize(("body", "expected"), STREAMED.items(), ids=lambda value: str(value)[:30])
def test_what_a_stream_says_is_judged_like_a_whole_answer(body: str, expected: tuple[CallOutcome, int]) -> None:
    found = read_answer(body.encode())
    assert (found.outcome, found.status or 200) == expected


@given(st.lists(st.sampled_from([*EVENTS, "data:", "event: x", "{}", "data: 1", "data: []", 'data: {"choices": [1]}'])))
def test_no_order_of_a_streams_lines_is_an_error_of_ours(lines: list[str]) -> None:
    assert read_answer("\n".join([":", *lines]).encode()).outcome in CallOutcome
