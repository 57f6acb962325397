"""The best levels of a book as the texts that a venue sums up: plain decimals without trailing zeros."""

from __future__ import annotations

from typing import Final

import numpy as np

from orderbook.kernel.book import nearest_levels
from orderbook.kernel.ladder import Ints
from producers.books.kernel.apply import GRID, NUMBERS, OUT
from producers.books.kernel.digits import POINT, REFUSED, ZERO
from schemas.bounds import INT64_MAX
from schemas.kernel.avro import Bytes
from schemas.kernel.compiled import compiled

MOST_TOPS: Final = 1_000
"""Levels a side that can be written."""
SPACE: Final = 32
LONGEST_NUMBER: Final = 20
"""Digits, with the point."""


@compiled
def write_tops(memory: Ints, plan: Ints, scratch: Ints, side: int, count: int) -> int:
    """Write price and size of the best levels of a side, a space behind each; how many bytes, or REFUSED.

    Args:
        memory: The book.
        plan: Of its instrument.
        scratch: For the levels, and for the texts.
        side: 0 for bids.
        count: How many levels, where there are so many; at most MOST_TOPS.
    """
    found = nearest_levels(memory, side, scratch, NUMBERS, count)
    if found == REFUSED:
        return REFUSED
    out, at = scratch[OUT:].view(np.uint8), 0
    for i in range(NUMBERS, NUMBERS + 2 * found, 2):
        key = scratch[i]
        at = _write_steps(out, at, key if side else -key, plan[GRID], plan[GRID + 1])
        if at != REFUSED:
            at = _write_steps(out, at, scratch[i + 1], plan[GRID + 2], plan[GRID + 3])
        if at == REFUSED:
            return REFUSED
    return at


@compiled
def _write_steps(out: Bytes, at: int, steps: int, decimals: int, units: int) -> int:
    """Write a number of steps as a decimal, and a space; where it ends, or REFUSED."""
    if not 0 <= steps <= INT64_MAX // units:
        return REFUSED
    value = steps * units
    while decimals > 0 and value % 10 == 0:
        value, decimals = value // 10, decimals - 1
    end = at + LONGEST_NUMBER
    begin, written = end, 0
    while value > 0 or written <= decimals:
        if written == decimals and written > 0:
            begin -= 1
            out[np.uintp(begin)] = POINT
        begin -= 1
        out[np.uintp(begin)] = ZERO + value % 10
        value, written = value // 10, written + 1
    for i in range(begin, end):
        out[np.uintp(at + i - begin)] = out[np.uintp(i)]
    at += end - begin
    out[np.uintp(at)] = SPACE
    return at + 1
