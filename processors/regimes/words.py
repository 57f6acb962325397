"""Sentences for every window without a model: a template a language, filled with the numbers that are shown.

The templates are files, a language each. They say what the label means and which numbers stand behind it, and nothing
that is not shown, so that pages, tables and alerts have words whether or not a model answers.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import NamedTuple

import msgspec

from processors.regimes.shown import Series, ShownNumbers
from schemas.messages import Regime


class Words(NamedTuple):
    """What is said of a window.

    Attributes:
        observations: One to three, each with its numbers.
        risk: What could make it wrong.
        summary: One sentence.
    """

    observations: tuple[str, ...]
    risk: str
    summary: str


class Templates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of one language.

    Attributes:
        imbalance, movement, spread: Observations; one whose number has no value is left out.
        nothing: The observation where all are.
        risk, summary: By label.
    """

    imbalance: str
    movement: str
    spread: str
    nothing: str
    risk: dict[Regime, str]
    summary: dict[Regime, str]


@cache
def templates(language: str) -> Templates:
    """The words of a language: en, zh or vi."""
    text = (resources.files("processors.regimes") / "templates" / f"{language}.json").read_text(encoding="utf-8")
    return msgspec.json.decode(text, type=Templates)


def rule_words(found: ShownNumbers, language: str) -> Words:
    """Say what the rules found of a window.

    Args:
        found: Its numbers, and the label.
        language: en, zh or vi.
    """
    words = templates(language)
    last = {name: _last(getattr(found, name)) for name in ("imbalance", "return_bps", "volatility_bps", "spread_bps")}
    needed = {words.imbalance: ("imbalance",), words.movement: ("return_bps", "volatility_bps")}
    needed[words.spread] = ("spread_bps",)
    said = [one.format(**last) for one, names in needed.items() if all(last[name] is not None for name in names)]
    seconds = {"seconds": found.rule_label_seconds}
    summary = words.summary[found.rule_label].format(**seconds)
    return Words(tuple(said) or (words.nothing,), words.risk[found.rule_label], summary)


def _last(values: Series) -> str | None:
    return None if values[-1] is None else f"{values[-1]:.3g}"
