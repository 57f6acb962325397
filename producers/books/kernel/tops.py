"""The best levels of a book as the text that a venue sums up (`producers.contract.DeltaForm.summed`)."""

from __future__ import annotations

from typing import Final

import numpy as np

from orderbook.kernel.book import nearest_levels
from orderbook.kernel.ladder import Ints
from producers.books.kernel.digits import POINT, POWERS, REFUSED, ZERO
from schemas.bounds import INT64_MAX
from schemas.kernel.avro import Bytes
from schemas.kernel.compiled import compiled

MOST_TOPS: Final = 1_000
"""Levels a side that can be written."""
COLON: Final = 58
NOTHING: Final = np.uint64(0)
TEN: Final = np.uint64(10)


@compiled
def write_tops(memory: Ints, grid: tuple[int, int, int, int], levels: Ints, text: Ints, count: int) -> int:
    """Write price and size of the best levels, bids and asks in turns, colons between; how many bytes, or REFUSED.

    Args:
        memory: The book.
        grid: Decimals and units of prices, then of sizes.
        levels: Room for four numbers a level.
        text: Room for the text, eleven numbers a level.
        count: How many levels a side, where there are so many; at most MOST_TOPS.
    """
    bids, asks = 0, 2 * count
    bid_count = nearest_levels(memory, 0, levels, bids, count)
    ask_count = nearest_levels(memory, 1, levels, asks, count)
    if bid_count < 0 or ask_count < 0:
        return REFUSED
    out, at = text.view(np.uint8), 0
    decimals, units = (grid[0], grid[2]), (grid[1], grid[3])
    most = (INT64_MAX // units[0], INT64_MAX // units[1])
    for i in range(max(bid_count, ask_count)):
        for side in range(2):
            if i >= (ask_count if side else bid_count):
                continue
            place = (asks if side else bids) + 2 * i
            ticks, lots = levels[place] if side else -levels[place], levels[place + 1]
            if not (0 <= ticks <= most[0] and 0 <= lots <= most[1]):
                return REFUSED
            at = _write_number(out, at, ticks * units[0], decimals[0])
            at = _write_number(out, at, lots * units[1], decimals[1])
    return max(at - 1, 0)  # without the last colon


@compiled
def _write_number(out: Bytes, at: int, value: int, decimals: int) -> int:
    """Write a number in units of its last decimal, without trailing zeros, and a colon; where it ends."""
    left = np.uint64(value)  # which is divided by one multiplication
    while decimals > 0 and left % TEN == NOTHING:
        left, decimals = left // TEN, decimals - 1
    digits, shown = decimals + 1, np.int64(left)
    while digits < len(POWERS) and shown >= POWERS[digits]:
        digits += 1
    end = at + digits + (1 if decimals > 0 else 0)
    place = end - 1
    for _ in range(decimals):
        rest = left // TEN
        out[np.uintp(place)] = ZERO + np.int64(left - TEN * rest)
        left, place = rest, place - 1
    if decimals > 0:
        out[np.uintp(place)] = POINT
        place -= 1
    while place >= at:
        rest = left // TEN
        out[np.uintp(place)] = ZERO + np.int64(left - TEN * rest)
        left, place = rest, place - 1
    out[np.uintp(end)] = COLON
    return end + 1
