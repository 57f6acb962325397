"""Doctor says of each arm what its last requests show."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from processors.llm.abilities import answers_finding
from schemas.messages import CallOutcome, LlmCall
from tests.schemas.examples import EXAMPLES, load

OK = load(EXAMPLES / "llm-calls/v5/ok.json")
assert isinstance(OK, LlmCall)


def call(arm: str, **changes: Any) -> LlmCall:
    nothing = {"input_tokens": None, "output_tokens": None, "cached_tokens": None, "reasoning_tokens": None}
    return replace(OK, arm=arm, **{**nothing, **changes})


def test_each_arm_is_told_by_its_own_requests() -> None:
    calls = [
        call("blue", input_tokens=1, output_tokens=1),
        call("blue", outcome=CallOutcome.TIMEOUT),
        call("blue", outcome=CallOutcome.ABANDONED),
        call("green", outcome=CallOutcome.REFUSED, status=400, started_ns=1, detail="older"),
        call("green", outcome=CallOutcome.REFUSED, status=422, started_ns=2, detail="no json_schema here" + "x" * 500),
        call("green", cached_tokens=3, reasoning_tokens=4),
    ]
    blue, green = (answers_finding(arm, calls) for arm in ("blue", "green"))

    assert (blue.name, blue.ok, blue.remedy) == ("model answers blue", True, "")
    assert blue.detail == (
        "1 of its last 2 requests brought a valid one; it tells usage; nothing that was asked for was refused"
    )
    assert green.detail.startswith(
        "1 of its last 3 requests brought a valid one; it tells what it had kept, what it thought; "
        "refused, and asked for less since: no json_schema here"
    )
    assert len(green.detail) < 300


def test_what_was_never_asked_is_not_called_bad() -> None:
    assert answers_finding("green", [call("green", outcome=CallOutcome.NOT_ASKED)]).detail == "not asked yet"
    assert answers_finding("blue", [call("blue")]).detail.startswith("1 of its last 1 requests brought a valid one; it")
    assert "it tells nothing of usage" in answers_finding("blue", [call("blue")]).detail
