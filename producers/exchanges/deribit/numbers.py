"""Numbers of Deribit: JSON numbers, read as floats and written again in the fewest digits that give the same float.

Those are the venue's own: none of its numbers has more than the 15 digits that a float keeps.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from orderbook.decimals import CACHED_TEXTS


@lru_cache(maxsize=CACHED_TEXTS)
def text_of(number: float) -> str:
    """Write a number as a plain decimal: the fewest digits that give the same float."""
    text = repr(number)
    if "e" in text:
        text = f"{Decimal(text):f}"
    return text.removesuffix(".0")
