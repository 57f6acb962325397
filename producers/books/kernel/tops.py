"""The best levels of a book as the text that a venue sums up (`producers.contract.Checksum.of_turns`)."""

from __future__ import annotations

from typing import Final

import numpy as np

from orderbook.kernel.book import nearest_levels
from orderbook.kernel.ladder import Ints
from producers.books.kernel.apply import GRID, NUMBERS, OUT
from producers.books.kernel.digits import POINT, POWERS, REFUSED, ZERO
from schemas.bounds import INT64_MAX
from schemas.kernel.avro import Bytes
from schemas.kernel.compiled import compiled

MOST_TOPS: Final = 1_000
"""Levels a side that can be written."""
COLON: Final = 58


@compiled
def write_tops(memory: Ints, plan: Ints, scratch: Ints, count: int) -> int:
    """Write price and size of the best levels, bids and asks in turns, colons between; how many bytes, or REFUSED.

    Args:
        memory: The book.
        plan: Of its instrument.
        scratch: For the levels, and for the text.
        count: How many levels a side, where there are so many; at most MOST_TOPS.
    """
    bids, asks = NUMBERS, NUMBERS + 2 * count
    bid_count = nearest_levels(memory, 0, scratch, bids, count)
    ask_count = nearest_levels(memory, 1, scratch, asks, count)
    if bid_count < 0 or ask_count < 0:
        return REFUSED
    out, at = scratch[OUT:].view(np.uint8), 0
    decimals, units = (plan[GRID], plan[GRID + 2]), (plan[GRID + 1], plan[GRID + 3])
    most = (INT64_MAX // units[0], INT64_MAX // units[1])
    for i in range(max(bid_count, ask_count)):
        for side in range(2):
            if i >= (ask_count if side else bid_count):
                continue
            place = (asks if side else bids) + 2 * i
            ticks, lots = scratch[place] if side else -scratch[place], scratch[place + 1]
            if not (0 <= ticks <= most[0] and 0 <= lots <= most[1]):
                return REFUSED
            at = _write_number(out, at, ticks * units[0], decimals[0])
            at = _write_number(out, at, lots * units[1], decimals[1])
    return max(at - 1, 0)  # without the last colon


@compiled
def _write_number(out: Bytes, at: int, value: int, decimals: int) -> int:
    """Write a number in units of its last decimal, without trailing zeros, and a colon; where it ends."""
    while decimals > 0 and value % 10 == 0:
        value, decimals = value // 10, decimals - 1
    digits = decimals + 1
    while digits < len(POWERS) and value >= POWERS[digits]:
        digits += 1
    end = at + digits + (1 if decimals > 0 else 0)
    place = end - 1
    for _ in range(decimals):
        rest = value // 10
        out[np.uintp(place)] = ZERO + value - 10 * rest
        value, place = rest, place - 1
    if decimals > 0:
        out[np.uintp(place)] = POINT
        place -= 1
    while place >= at:
        rest = value // 10
        out[np.uintp(place)] = ZERO + value - 10 * rest
        value, place = rest, place - 1
    out[np.uintp(end)] = COLON
    return end + 1
