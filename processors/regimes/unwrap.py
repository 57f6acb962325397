"""Finds the answer's JSON object in what a model wrote: in fences, between words, behind its thinking.

Many compatible endpoints pass over the wish for bare JSON. Only the wrapping is taken off here; what was in it is
judged as strictly as a bare answer.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Final, NamedTuple

THOUGHT: Final = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
"""The end of what some models write before they answer; templates that begin it themselves leave its beginning out."""
THINKS: Final = re.compile(r"<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
"""Its beginning."""
FENCE: Final = "```"
MOST_TRIED: Final = 32
"""Opening braces that are tried: a text with more is no answer, and each may be read to its end."""


class Wrapping(StrEnum):
    """What stood around an object."""

    NONE = ""
    FENCE = "fence"
    THINKING = "thinking"
    WORDS = "words"


class WrittenObject(NamedTuple):
    """An object as it was written, and what stood around it."""

    text: str
    wrapping: Wrapping


def first_object(text: str) -> WrittenObject | None:
    """Find the first JSON object in a text; None where there is none.

    Args:
        text: What the model wrote. Thinking is passed over: it may hold drafts.
    """
    ends = [found.end() for found in THOUGHT.finditer(text)]
    begin = THINKS.search(text)
    after, before = text[ends[-1] :] if ends else "", text[: begin.start()] if begin else ""
    if ends or begin:
        found = _first(after) or _first(before)
        return None if found is None else found._replace(wrapping=Wrapping.THINKING)
    return _first(text)


def begins_to_think(text: str) -> bool:
    """Whether a text begins with thinking that never ends."""
    return THINKS.match(text.lstrip()[:12]) is not None and THOUGHT.search(text) is None


def _first(said: str) -> WrittenObject | None:
    start = said.find("{")
    for _ in range(MOST_TRIED):
        if start < 0:
            return None
        end = _end_of_object(said, start)
        if end is not None:
            return WrittenObject(said[start:end], _wrapping(said[:start] + said[end:]))
        start = said.find("{", start + 1)
    return None


def _end_of_object(text: str, start: int) -> int | None:
    try:
        found, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return end if isinstance(found, dict) else None


def _wrapping(around: str) -> Wrapping:
    if FENCE in around:
        return Wrapping.FENCE
    return Wrapping.WORDS if around.strip() else Wrapping.NONE
