"""The chat completion in the body of an answer, wherever endpoints put it: bare, in a list, in a field, in a stream.

Some relays stream whatever is asked for, some send signs of life before the answer. Pure.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from processors.llm.contents import called_text, content_text
from processors.llm.dialects import as_completion
from processors.llm.error_places import NUMBERED, says_something

INSIDE: Final = ("data", "result", "response", "output", "body")
"""Fields in which gateways put the completion, or its text, beside fields of their own."""
MOST_WRAPPED: Final = 4
"""Layers that are taken off."""
STREAMED: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
"""How lines of a stream of events begin."""
THOUGHT: Final = ("reasoning_content", "reasoning", "thinking")
HALF_PAIR: Final = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\{1,8}u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""Half of a sign outside the ASCII, as is left where a text is cut in the middle of one; whole ones are the group."""
UNKNOWN_SIGN: Final = rb"\ufffd"


def read_body(body: bytes) -> Any:  # noqa: ANN401 (any JSON)
    """Decode a body, down to the completion where it holds one.

    Raises:
        msgspec.MsgspecError: No JSON.
        UnicodeDecodeError: No text.
        RecursionError: It nests without end.
    """
    text = body.removeprefix(BOM_UTF8).strip()
    if text.startswith(STREAMED):
        return _inside(_joined([_decoded(line) for line in _payloads(text)]))
    lines = list(_payloads(text))
    try:
        return _inside(_decoded(text))
    except msgspec.MsgspecError:
        if len(lines) < 2:
            raise
        return _inside(_joined([_decoded(line) for line in lines]))


def _decoded(text: bytes) -> Any:  # noqa: ANN401 (any JSON)
    if rb"\u" in text:
        text = HALF_PAIR.sub(lambda found: found[1] or UNKNOWN_SIGN, text)
    return msgspec.json.decode(text)


def _payloads(text: bytes) -> Iterator[bytes]:
    """The JSON texts of a stream: behind `data:`, or bare behind signs of life."""
    for line in text.splitlines():
        payload = line.removeprefix(b"data:").strip()
        if payload.startswith((b"{", b"[")) and not payload.startswith(b"[DONE"):
            yield payload


def _inside(decoded: Any, layers: int = MOST_WRAPPED) -> Any:  # noqa: ANN401 (any JSON)
    """What is in the layers around an answer or an error; as it is where neither is found."""
    decoded = _unpacked(decoded)
    if not isinstance(decoded, Mapping) or layers == 0 or _is_answer(decoded):
        return decoded
    found = as_completion(decoded)
    if found is not decoded:
        return found
    inner = (_inside(decoded.get(name), layers - 1) for name in INSIDE)
    first = next((each for each in inner if isinstance(each, Mapping) and _is_answer(each)), None)
    return decoded if first is None else {**_told_outside(decoded), **first}


def _is_answer(body: Mapping[str, Any]) -> bool:
    return bool(body.get("choices")) or says_something(body.get("error"))


def _told_outside(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a layer says of what is in it: its status, what it took."""
    return {name: value for name, value in body.items() if name == "usage" or name.lower() in NUMBERED}


def _unpacked(decoded: Any) -> Any:  # noqa: ANN401 (any JSON)
    """What is in a list of one, or in a text that is JSON itself."""
    if isinstance(decoded, list) and len(decoded) == 1:
        decoded = decoded[0]
    if not isinstance(decoded, str) or decoded.lstrip()[:1] not in ("{", "["):
        return decoded
    try:
        return msgspec.json.decode(decoded)
    except msgspec.MsgspecError:
        return decoded


def _joined(parts: list[Any]) -> Any:  # noqa: ANN401 (any JSON)
    """The parts of a stream as one completion; the first that holds no choices, where it is an error."""
    if len(parts) == 1:
        return parts[0]
    chunks = [part if _has_choice(part) else as_completion(part) for part in parts if isinstance(part, Mapping)]
    error = next((part for part in chunks if part.get("error") or part.get("type") == "error"), None)
    if error is not None:
        return error
    choices = [part["choices"][0] for part in chunks if _has_choice(part)]
    usage = [part["usage"] for part in chunks if part.get("usage")]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    message = _message([_delta(choice) for choice in choices])
    choice = {"message": message, "finish_reason": reasons[-1] if reasons else None}
    return {"choices": [choice] if choices else [], "usage": usage[-1] if usage else None}


def _has_choice(part: Mapping[str, Any]) -> bool:
    choices = part.get("choices")
    return isinstance(choices, list) and bool(choices) and isinstance(choices[0], Mapping)


def _delta(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    delta = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
    return delta if isinstance(delta, Mapping) else {}


def _message(deltas: list[Mapping[str, Any]]) -> dict[str, str | None]:
    """What all parts of a message say, field by field; a call's where there is no answer."""
    content = "".join(map(_part, deltas)) or "".join(map(called_text, deltas))
    return {"content": content or None} | {name: _written(deltas, name) for name in THOUGHT}


def _part(delta: Mapping[str, Any]) -> str:
    try:
        return content_text(delta.get("content"))
    except TypeError:
        return ""


def _written(deltas: Iterable[Mapping[str, Any]], name: str) -> str | None:
    """What all parts of one field say; null where none says anything."""
    texts = [delta.get(name) for delta in deltas]
    return "".join(text for text in texts if isinstance(text, str)) or None
