"""What an endpoint was found to take and to tell, by the rows of its answers: `obflow doctor` shows it of each arm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from obflow.findings import Check
from processors.llm.calls import ANSWERED
from processors.llm.shapes import ONE_MESSAGE, STREAMED
from schemas.messages import LlmCall

NAME: Final = "model takes"
FORMS: Final = {"schema": "a JSON schema", "object": "a JSON object, no schema", "none": "no form of the answer"}
TEMPERATURE: Final = "temperature"
MESSAGES: Final = {ONE_MESSAGE: "the instructions in the question's own message", STREAMED: "streams alone"}


def capability_findings(calls: Iterable[LlmCall]) -> list[Check]:
    """Say of each arm and model what its last answer shows; nothing is to be mended.

    Args:
        calls: Rows, the oldest first; those of an older version say nothing.
    """
    last = {(call.arm, call.endpoint, call.model): call for call in calls if call.shape and call.outcome in ANSWERED}
    return [Check(NAME, True, _sentence(call)) for _, call in sorted(last.items())]


def _sentence(call: LlmCall) -> str:
    form, *others = call.shape.split()
    limit = " ".join(name for name in others if name not in (TEMPERATURE, *MESSAGES))
    takes = (
        FORMS.get(form, form),
        "temperature 0" if TEMPERATURE in others else "no temperature",
        f"its limit as {limit}" if limit else "no limit of an answer",
        *(said for name, said in MESSAGES.items() if name in others),
    )
    told = {"tokens": call.input_tokens, "kept input": call.cached_tokens, "thinking": call.reasoning_tokens}
    tells = [name for name, count in told.items() if count is not None]
    return f"{call.model} ({call.arm}) takes {', '.join(takes)}; it tells {', '.join(tells) or 'nothing of its tokens'}"
