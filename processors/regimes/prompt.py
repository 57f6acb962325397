"""What is asked of the language model, word for word, by version.

The instructions are a file a version; its hash goes into every event, and a changed text without a new version fails a
test. Symbols reach the user message only when they match an allow-list; everything else in it is a JSON number.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib import resources
from typing import NamedTuple

from processors.regimes.rules import Scores
from processors.regimes.window import WindowSummary
from schemas.errors import UnknownSymbol
from schemas.messages import InstrumentKey, Regime

PROMPT_VERSION = "v1"
ALLOWED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,31}")


class Prompt(NamedTuple):
    """A question, ready to send.

    Attributes:
        system: The instructions, the same for every question of a version.
        user: The window's numbers as one JSON object.
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


def build_prompt(
    instrument: InstrumentKey, window: WindowSummary, scores: Scores, earlier: tuple[Regime, ...] = ()
) -> Prompt:
    """The question about one closed window.

    Raises:
        UnknownSymbol: the venue or symbol is not a plain name; it must not reach a prompt.
    """
    system = instructions()
    return Prompt(system, _user_message(instrument, window, scores, earlier), PROMPT_VERSION, instructions_hash(system))


def _user_message(instrument: InstrumentKey, window: WindowSummary, scores: Scores, earlier: tuple[Regime, ...]) -> str:
    fields = {
        "venue": _plain_name(instrument.venue),
        "symbol": _plain_name(instrument.symbol),
        "events": window.events,
        "imbalance": _rounded(window.imbalance),
        "direction_score": _rounded(scores.direction),
        "volatility_percentile": _rounded(scores.volatility),
        "change_score": _rounded(scores.change),
        "return_bps": _rounded(window.return_bps),
        "order_flow": _rounded(window.order_flow),
        "depth_quote": _rounded(window.depth),
        "spread_bps": _rounded(window.spread_bps),
        "earlier_labels": [label.value for label in earlier],
    }
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def is_plain_name(name: str) -> bool:
    """Whether a venue or symbol may stand in a prompt."""
    return ALLOWED_NAME.fullmatch(name) is not None


def _plain_name(name: str) -> str:
    if not is_plain_name(name):
        raise UnknownSymbol("a name with unusual characters must not reach a prompt", name=name[:64])
    return name


def _rounded(value: float | None) -> float | None:
    """Six significant digits: enough to judge by, few enough to be the same question twice."""
    return None if value is None else float(f"{value:.6g}")


def changed_materially(asked: Scores | None, now: Scores, asked_label: Regime | None, label: Regime) -> bool:
    """Whether a window differs enough from the last one asked about to be worth a call.

    A new rule label always is; else a score that moved by a quarter of what separates the labels.
    """
    if asked is None or asked_label is not label:
        return True
    return (
        _moved(asked.direction, now.direction, 0.5)
        or _moved(asked.volatility, now.volatility, 0.1)
        or _moved(asked.change, now.change, 1.5)
    )


def _moved(before: float | None, after: float | None, bar: float) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) >= bar
