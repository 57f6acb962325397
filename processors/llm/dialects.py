"""Answers of other interfaces than chat completions, as one: relays pass on what the model's own endpoint gave them.

OpenAI's responses, Anthropic's messages, Gemini's candidates, Ollama's, llama.cpp's and others' bare texts. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from processors.llm.contents import ANSWERS
from processors.llm.error_places import spoken_error

BARE: Final = ("response", "generated_text", "output_text", "completion", "content", "text", "output")
"""Fields in which an answer stands without a message around it."""
COUNTS: Final = {
    "prompt_tokens": ("prompt_eval_count", "tokens_evaluated"),
    "completion_tokens": ("eval_count", "tokens_predicted"),
}
"""Numbers of tokens that stand beside such an answer."""


def as_completion(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A body written as a chat completion, where it is an answer of another interface; else as it is."""
    if body.get("choices") or body.get("error"):
        return body
    forms = (_message, _responses, _candidates, _bare, _answer_itself)
    return next((found for form in forms if (found := form(body)) is not None), body)


def _completion(body: Mapping[str, Any], message: Mapping[str, Any], finish: object) -> Mapping[str, Any]:
    usage = {name: body[own] for name, names in COUNTS.items() for own in names if own in body}
    return {"usage": usage or None, **body, "choices": [{"finish_reason": finish, "message": message}]}


def _message(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Ollama's chat: a choice without its list."""
    message = body.get("message")
    if not isinstance(message, Mapping) or "content" not in message:
        return None
    return _completion(body, message, body.get("finish_reason", body.get("done_reason")))


def _responses(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """OpenAI's responses, whose message is one of several items put out."""
    items = body.get("output")
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        return None
    parts = [part for item in items if item.get("type") == "message" for part in item.get("content") or []]
    parts += [item for item in items if item.get("type") == "function_call"]
    why = body.get("incomplete_details")
    finish = why.get("reason") if isinstance(why, Mapping) else body.get("status")
    return _completion(body, {"content": parts}, finish)


def _candidates(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Gemini's candidates; where none may be given it says why the question is blocked."""
    found, blocked = body.get("candidates"), body.get("promptFeedback")
    first = found[0] if isinstance(found, list) and found else None
    if not isinstance(first, Mapping):
        reason = blocked.get("blockReason") if isinstance(blocked, Mapping) else None
        return _completion(body, {"content": None}, reason) if reason else None
    content = first.get("content")
    parts = content.get("parts") if isinstance(content, Mapping) else None
    return _completion(
        {**body, "usage": _counted(body.get("usageMetadata"))}, {"content": parts}, first.get("finishReason")
    )


def _counted(told: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 (any JSON)
    """Gemini's usage, which counts thinking beside the answer, not in it."""
    if not isinstance(told, Mapping):
        return None
    answer, thinking = told.get("candidatesTokenCount"), told.get("thoughtsTokenCount")
    both = [count for count in (answer, thinking) if isinstance(count, int)]
    return {
        "prompt_tokens": told.get("promptTokenCount"),
        "completion_tokens": sum(both) if both else None,
        "prompt_tokens_details": {"cached_tokens": told.get("cachedContentTokenCount")},
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }


def _bare(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A text or an object in a field of its own; Anthropic's messages, whose content is a list of parts.

    Beside what says that something failed, a text is no answer.
    """
    if spoken_error(body) is not None:
        return None
    for name in BARE:
        found = body.get(name)
        is_parts = name == "content" and isinstance(found, list) and bool(found)
        is_answer = isinstance(found, Mapping) and isinstance(found.get(ANSWERS), str)
        if is_parts or is_answer or (isinstance(found, str) and found):
            finish = body.get("finish_reason") or body.get("stop_reason") or body.get("done_reason")
            return _completion(body, {"content": found}, finish)
    return None


def _answer_itself(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The answer's own object, with nothing around it."""
    return {"choices": [{"message": {"content": body}}]} if isinstance(body.get(ANSWERS), str) else None
