"""The chat completion in the body of an answer, wherever endpoints put it: bare, in a list, in a field, in a stream.

Some relays stream whatever is asked for, some send signs of life before the answer. Pure.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

INSIDE: Final = ("data", "result", "response", "output", "body")
"""Fields in which gateways put the completion, beside fields of their own."""
STREAMED: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
"""How lines of a stream of events begin."""
JOINED: Final = ("content", "reasoning_content", "reasoning")


def read_body(body: bytes) -> Any:  # noqa: ANN401 (any JSON)
    """Decode a body, down to the completion where it holds one.

    Raises:
        msgspec.MsgspecError: No JSON.
        UnicodeDecodeError: No text.
        RecursionError: It nests without end.
    """
    text = body.removeprefix(BOM_UTF8).strip()
    if not text.startswith(STREAMED):
        return _inside(msgspec.json.decode(text))
    return _inside(_joined([msgspec.json.decode(line) for line in _payloads(text)]))


def _payloads(text: bytes) -> Iterator[bytes]:
    """The JSON texts of a stream: behind `data:`, or bare behind signs of life."""
    for line in text.splitlines():
        payload = line.removeprefix(b"data:").strip()
        if payload.startswith((b"{", b"[")) and not payload.startswith(b"[DONE"):
            yield payload


def _inside(decoded: Any) -> Any:  # noqa: ANN401 (any JSON)
    if isinstance(decoded, list) and len(decoded) == 1:
        decoded = decoded[0]
    if not isinstance(decoded, Mapping) or decoded.get("choices") or decoded.get("error"):
        return decoded
    if isinstance(decoded.get("message"), Mapping) and "content" in decoded["message"]:  # a choice without its list
        return {**decoded, "choices": [{"finish_reason": decoded.get("done_reason"), **decoded}]}
    inner = (decoded.get(name) for name in INSIDE)
    return next((each for each in inner if isinstance(each, Mapping) and each.get("choices")), decoded)


def _joined(parts: list[Any]) -> Any:  # noqa: ANN401 (any JSON)
    """The parts of a stream as one completion; the first that holds no choices, where it is an error."""
    if len(parts) == 1:
        return parts[0]
    chunks = [part for part in parts if isinstance(part, Mapping)]
    error = next((part for part in chunks if part.get("error") or part.get("type") == "error"), None)
    if error is not None:
        return error
    choices = [part["choices"][0] for part in chunks if _has_choice(part)]
    usage = [part["usage"] for part in chunks if part.get("usage")]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    message = {name: _written(choices, name) for name in JOINED}
    choice = {"message": message, "finish_reason": reasons[-1] if reasons else None}
    return {"choices": [choice] if choices else [], "usage": usage[-1] if usage else None}


def _has_choice(part: Mapping[str, Any]) -> bool:
    choices = part.get("choices")
    return isinstance(choices, list) and bool(choices) and isinstance(choices[0], Mapping)


def _written(choices: Iterable[Mapping[str, Any]], name: str) -> str | None:
    """What all parts of one field say; null where none says anything."""
    deltas = (choice.get("delta") or choice.get("message") for choice in choices)
    texts = [delta.get(name) for delta in deltas if isinstance(delta, Mapping)]
    return "".join(text for text in texts if isinstance(text, str)) or None
