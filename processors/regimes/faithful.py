"""Whether a text rests on what was shown: each number in it has to be one of those, to a unit of its third digit."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from math import floor, log10
from typing import Final

NUMBER: Final = re.compile(
    r"(?<![A-Za-z0-9_])(?<![A-Za-z0-9_]\.)"  # not the digit of a name, as of obi_l1
    r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?:\s?%)?"
)
"""A number without its sign, which may be said in words."""
SLACK: Final = 1.0 + 1e-9
"""Against the rounding of the comparison itself."""


def unshown_numbers(texts: Iterable[str], shown: Iterable[float]) -> list[str]:
    """The numbers in texts that are none of those shown, as they stand.

    Args:
        texts: What somebody said.
        shown: What they were shown. A percentage stands for the share, and a sign may be left out.
    """
    known = {abs(value) for value in shown}
    return [
        found
        for text in texts
        for found in NUMBER.findall(unicodedata.normalize("NFKC", text))
        if not any(_is_near(value, one) for value in _readings(found) for one in known)
    ]


def _readings(text: str) -> Iterator[float]:
    """What a number may mean: a comma separates thousands, or is where others write a point."""
    bare = text.rstrip("% ")
    for plain in {bare.replace(",", ""), bare.replace(",", ".")} if bare.count(",") == 1 else {bare.replace(",", "")}:
        if plain.count(".") <= 1:
            value = float(plain)
            yield value
            if text.endswith("%"):
                yield value / 100.0


def _is_near(said: float, known: float) -> bool:
    if known == 0.0:
        return said == 0.0
    return abs(said - known) <= 10.0 ** (floor(log10(known)) - 2) * SLACK
