"""What is asked of the language model, word for word, by version.

The instructions are a file a version; its hash goes into every event, and a changed text without a new version fails a
test. They are the same for every question, so that an endpoint may keep them. Symbols reach the user message only when
they match an allow-list; everything else in it is a number, a label or the name of a language.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib import resources
from typing import NamedTuple

import msgspec

from processors.regimes.shown import ShownNumbers
from schemas.errors import UnknownSymbol
from schemas.messages import InstrumentKey

PROMPT_VERSION = "v3"
ALLOWED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,31}")


class Prompt(NamedTuple):
    """A question, ready to send.

    Attributes:
        system: The instructions, the same for every question of a version.
        user: The windows' numbers as one JSON object.
        version: Version of the instructions.
        hash: First 16 hexadecimal characters of the SHA-256 of `system`.
    """

    system: str
    user: str
    version: str
    hash: str


@cache
def instructions(version: str = PROMPT_VERSION) -> str:
    """The system message of a version."""
    return (resources.files("processors.regimes") / "prompts" / f"{version}.txt").read_text(encoding="utf-8")


def instructions_hash(text: str) -> str:
    """The hash that stands in events and tables."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def build_prompt(instrument: InstrumentKey, found: ShownNumbers, language: str) -> Prompt:
    """The question about one closed window.

    Raises:
        UnknownSymbol: the venue or symbol is not a plain name; it must not reach a prompt.
    """
    names = {"venue": _plain_name(instrument.venue), "symbol": _plain_name(instrument.symbol)}
    fields = {**names, "language": language, **msgspec.to_builtins(found)}
    user = json.dumps(fields, separators=(",", ":"), allow_nan=False)
    system = instructions()
    return Prompt(system, user, PROMPT_VERSION, instructions_hash(system))


def is_plain_name(name: str) -> bool:
    """Whether a venue or symbol may stand in a prompt."""
    return ALLOWED_NAME.fullmatch(name) is not None


def _plain_name(name: str) -> str:
    if not is_plain_name(name):
        raise UnknownSymbol("a name with unusual characters must not reach a prompt", name=name[:64])
    return name
