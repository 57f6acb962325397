"""Finds the answer's JSON object in what a model wrote: in fences, between words, behind its thinking.

Many compatible endpoints pass over the wish for bare JSON. Only the wrapping is taken off here; what was in it is
judged as strictly as a bare answer.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Any, Final, NamedTuple

NAMES: Final = (
    r"(?:(?:ant|inner_)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|monologue)|rationale|reflect|reflection"
    r"|scratchpad|scratch|internal|chain_of_thought|cot|plan|planning|draft)"
    r"(?:_(?:process|content|text|trace|steps?|block|log|fast|faster|budget))?"
)
"""What models and prompts call the part that comes before an answer."""
HEADING: Final = r"\n[#*_ ]{0,8}"
"""How a line begins that stands over an answer and below something else."""
ANSWER: Final = r"(?:(?:my |the )?(?:final|revised|corrected) )?(?:answer|response|verdict|judg(?:e)?ment|output)"
THOUGHT: Final = re.compile(
    rf"<\|?\s?/\s?(?:\w{{1,20}}[:_])?{NAMES}\s?\|?>|\[/{NAMES}\]|◁/think▷|<\|end_(?:of_)?{NAMES}\|>"
    r"|<\|channel\|>\s?(?:final|commentary)\b[^{}]{0,60}?<\|message\|>|<channel\|>|<unused95>|<\|inner_suffix\|>"
    r"|</details>|(?:assistant(?:final|commentary)(?:json)?|\bhere(?: is|'s) my (?:response|answer)\b:?)"
    r"(?=\s{0,9}[{`])"
    rf"|{HEADING}{ANSWER}[:*_ ]{{0,8}}(?=\s{{0,9}}[{{`])",
    re.IGNORECASE,
)
"""The end of what some models write before they answer; templates that begin it themselves leave its beginning out."""
THINKS: Final = re.compile(
    rf"<\|?\s?(?:\w{{1,20}}[:_])?{NAMES}(?:\s[^<>]{{0,80}})?\|?>|\[{NAMES}\]|◁think▷"
    rf"|<\|(?:begin|start)_(?:of_)?{NAMES}\|>|<\|channel\|>\s?analysis|<\|channel>\s?thought|<unused94>"
    r"|<\|inner_prefix\|>|<details\s[^<>]{0,60}\breasoning\b[^<>]{0,80}>",
    re.IGNORECASE,
)
"""Its beginning."""
ANSWERS: Final = "label"
"""A field that every answer has. An object without it is an example or what stands around the answer."""
FENCE: Final = "```"
CITED: Final = re.compile(r"^>[^\n]*\n?", re.MULTILINE)
"""Lines in which some relays cite a model's thinking."""
CONTROL: Final = re.compile(r"[\x00-\x1f]")
"""Line breaks and the like, which models write into sentences as they are; JSON has none there."""
DECODER: Final = json.JSONDecoder(strict=False)
MOST_TRIED: Final = 32
"""Opening braces that are tried: a text with more is no answer, and each may be read to its end."""


class Wrapping(StrEnum):
    """What stood around an object."""

    NONE = ""
    FENCE = "fence"
    THINKING = "thinking"
    WORDS = "words"
    QUOTED = "quoted"
    PARTS = "parts"
    CALL = "call"


class WrittenObject(NamedTuple):
    """An object as it was written, and what stood around it."""

    text: str
    wrapping: Wrapping


def first_object(text: str) -> WrittenObject | None:
    """Find the first JSON object in a text that has a label, else the first of all; None where there is none.

    Args:
        text: What the model wrote. Thinking is passed over: it may hold drafts.
    """
    if quoted := _quoted(text):
        found = first_object(quoted)
        return None if found is None else found._replace(wrapping=Wrapping.QUOTED)
    ends = [found.end() for found in THOUGHT.finditer(text)]
    begin = THINKS.search(text)
    after, before = text[ends[-1] :] if ends else "", text[: begin.start()] if begin else ""
    if ends or begin:
        found = _first(after) or _first(before)
        return None if found is None else found._replace(wrapping=Wrapping.THINKING)
    return _first(CITED.sub("", text)) or _first(text)


def begins_to_think(text: str) -> bool:
    """Whether a text begins with thinking that never ends."""
    return THINKS.match(text.lstrip()[:24]) is not None and THOUGHT.search(text) is None


def _quoted(text: str) -> str:
    """What stands in a text that is one JSON text itself; empty where it is none, or holds another such text."""
    bare = text.strip()
    if bare[:1] != '"':
        return ""
    try:
        found = json.loads(bare)
    except (ValueError, RecursionError):
        return ""
    return found if isinstance(found, str) and found.lstrip()[:1] != '"' else ""


def _first(said: str) -> WrittenObject | None:
    start, first = said.find("{"), None
    for _ in range(MOST_TRIED):
        if start < 0:
            break
        found, end = _object_at(said, start)
        if found is not None:
            written = WrittenObject(CONTROL.sub(" ", said[start:end]), _wrapping(said[:start] + said[end:]))
            if isinstance(found.get(ANSWERS), str):
                return written
            if inner := _told_in(found):
                return inner
            first = first or written
        start = said.find("{", start + 1)
    return first


def _told_in(found: dict[str, Any]) -> WrittenObject | None:
    """The answer in an object whose field holds it as text: JSON written twice."""
    for text in found.values():
        start = text.find("{") if isinstance(text, str) else -1
        if start >= 0:
            inner, end = _object_at(text, start)
            if inner is not None and isinstance(inner.get(ANSWERS), str):
                return WrittenObject(CONTROL.sub(" ", text[start:end]), Wrapping.QUOTED)
    return None


def _object_at(text: str, start: int) -> tuple[dict[str, Any] | None, int]:
    try:
        found, end = DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
    return (found, end) if isinstance(found, dict) else (None, start)


def _wrapping(around: str) -> Wrapping:
    if FENCE in around:
        return Wrapping.FENCE
    return Wrapping.WORDS if around.strip() else Wrapping.NONE
