"""How wide the columns of a table are drawn, so that figures stay whole where a terminal is narrow. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LONGEST_WHOLE: Final = 36
"""A longer word is broken."""
BROKEN: Final = 4
"""Least width of words that are broken where nothing else helps."""


def widths(headings: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Width of each column: all it wants where there is room for it, else sentences and headings wrap.

    Headings are broken before words, and words before figures and what the first column tells apart.

    Args:
        headings: Of the columns.
        rows: Cells, as they are printed.
        room: Of the terminal, for all columns together.

    Returns:
        None where not even the figures have room.
    """
    columns = [[row[place] for row in rows] for place in range(len(headings))]
    words = [_longest_word(values) for values in columns]
    whole = [max(word, _longest_word([heading])) for word, heading in zip(words, headings, strict=True)]
    broken = [
        word if place == 0 or _are_figures(columns[place]) else min(word, BROKEN) for place, word in enumerate(words)
    ]
    wanted = [max(map(len, (heading, *values))) for heading, values in zip(headings, columns, strict=True)]
    fitting = next((least for least in (whole, words, broken) if sum(least) <= room), None)
    return None if fitting is None else _narrowed(wanted, fitting, room)


def _narrowed(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Take from whoever has most to spare, until all have room."""
    found = list(wanted)
    while sum(found) > room:
        spare = [width - low for width, low in zip(found, least, strict=True)]
        found[spare.index(max(spare))] -= 1
    return found


def _longest_word(texts: Sequence[str]) -> int:
    return min(LONGEST_WHOLE, max((len(word) for text in texts for word in text.split()), default=1))


def _are_figures(texts: Sequence[str]) -> bool:
    return not any(letter.isalpha() for text in texts for letter in text)
