"""What an endpoint takes is read off its last answer, an arm and model."""

from __future__ import annotations

import msgspec
import pytest

from processors.llm.capabilities import capability_findings
from schemas.messages import CallOutcome, LlmCall
from tests.schemas.examples import EXAMPLES, load

ROW = load(EXAMPLES / "llm-calls/v6/ok.json")
assert isinstance(ROW, LlmCall)


def row(**fields: object) -> LlmCall:
    return msgspec.structs.replace(ROW, **{"arm": "blue", "reasoning_tokens": None} | fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"shape": "schema temperature max_completion_tokens"},
            "small-model (blue) takes a JSON schema, temperature 0, its limit as max_completion_tokens; "
            "it tells tokens, kept input",
        ),
        (
            {"shape": "none", "input_tokens": None, "cached_tokens": None},
            "small-model (blue) takes no form of the answer, no temperature, no limit of an answer; "
            "it tells nothing of its tokens",
        ),
        (
            {"shape": "object max_tokens", "reasoning_tokens": 900, "outcome": CallOutcome.TRUNCATED},
            "small-model (blue) takes a JSON object, no schema, no temperature, its limit as max_tokens; "
            "it tells tokens, kept input, thinking",
        ),
        (
            {"shape": "object temperature one-message streamed max_tokens"},
            "small-model (blue) takes a JSON object, no schema, temperature 0, its limit as max_tokens, "
            "the instructions in the question's own message, streams alone; it tells tokens, kept input",
        ),
    ],
)
def test_each_capability_is_told_in_words(fields: dict[str, object], sentence: str) -> None:
    assert [check.detail for check in capability_findings([row(**fields)])] == [sentence]


def test_the_last_answer_of_each_arm_counts() -> None:
    rows = [row(shape="schema"), row(shape="none"), row(arm="green", model="other", shape="object")]
    assert [check.detail.split(",")[0] for check in capability_findings(rows)] == [
        "small-model (blue) takes no form of the answer",
        "other (green) takes a JSON object",
    ]


def test_a_refusal_a_failure_and_a_row_of_an_older_version_say_nothing() -> None:
    outcomes = (CallOutcome.REFUSED, CallOutcome.TIMEOUT, CallOutcome.SERVER_ERROR, CallOutcome.NOT_ASKED)
    assert capability_findings([*(row(outcome=outcome) for outcome in outcomes), row(shape="")]) == []
