"""The text of a message: its content as a string, an object or a list of parts, what it hands to a tool, its thinking.

Pure: nothing here judges what it finds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

THINKING: Final = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Fields of a message in which endpoints put its thinking."""
NO_ANSWER: Final = re.compile(r"think|reason|thought|analysis|tool|image|audio|citation|refusal", re.IGNORECASE)
"""What kinds of parts are called that are no part of an answer."""
TEXTS: Final = ("text", "content", "output_text")
OBJECTS: Final = ("json", "output_json", "parsed", "data")
ANSWERS: Final = "label"
"""A field that every answer has."""


def content_text(content: Any) -> str:  # noqa: ANN401 (any JSON)
    """A content's text: a string, an object, or a list of parts of which those of an answer count. Raises TypeError."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, Mapping):
        return content_text([content]) if isinstance(content.get("text"), str) else written(content)
    if isinstance(content, list) and all(isinstance(part, Mapping | str) for part in content):
        return "".join(map(_part_text, content)) or next(filter(None, map(_handed_over, content)), "")
    raise TypeError("a message's content is neither text nor a list of parts")


def called_text(message: Mapping[str, Any]) -> str:
    """What a model hands to a tool in place of an answer; empty where it calls none."""
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else {"function": message.get("function_call")}
    function = call.get("function", call) if isinstance(call, Mapping) else None
    return _handed_over(function) if isinstance(function, Mapping) else ""


def thinking_text(message: Mapping[str, Any]) -> str:
    """The thinking beside an answer; one in a form that is not known ails no answer."""
    return next(filter(None, (_thought(message.get(name)) for name in THINKING)), "")


def written(found: Mapping[str, Any]) -> str:
    """An object as JSON."""
    return msgspec.json.encode(found).decode()


def _part_text(part: Mapping[str, Any] | str) -> str:
    if isinstance(part, str):
        return part
    if NO_ANSWER.search(str(part.get("type", ""))) or part.get("thought") is True:
        return ""
    if isinstance(part.get(ANSWERS), str):
        return written(part)
    for told in (part.get(name) for name in TEXTS):
        text = told.get("value") if isinstance(told, Mapping) else told
        if isinstance(text, str):
            return text
    return next((written(part[name]) for name in OBJECTS if isinstance(part.get(name), Mapping)), "")


def _handed_over(call: Mapping[str, Any] | str) -> str:
    """What a call hands over, as `arguments` or, a part of a content, as `input`."""
    told = (call.get("arguments") or call.get("input")) if isinstance(call, Mapping) else None
    return told if isinstance(told, str) else written(told) if isinstance(told, Mapping) else ""


def _thought(told: Any) -> str:  # noqa: ANN401 (any JSON)
    if isinstance(told, str):
        return told
    parts = told if isinstance(told, list) else []
    texts = (part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, Mapping | str))
    return "".join(text for text in texts if isinstance(text, str))
