"""The ticks around the best price of one side, a place each: a level there is one store, without a search or a shift.

Places stand in blocks of 64, each with a bit a place that holds a level and the sums of its sizes and of its
ticks·lots, so that the next level is one look and a depth is summed block by block. Places lie from BASE on, by keys
that rise from the best outward; what lies farther out is in pages.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schemas.kernel.compiled import compiled

Ints = NDArray[np.int64]
Ladder: TypeAlias = Any
"""A row of LADDER."""

PLACES: Final = 64
"""Of a block: as many as an integer has bits."""
BITS: Final = 6
WITHIN: Final = PLACES - 1
BLOCKS: Final = 1024
"""Of a ladder: 2^16 ticks, 536 KiB, of which a book touches what it uses."""
LADDER: Final = np.dtype(
    [
        ("pages", np.int64),
        ("free_pages", np.int64),
        ("levels", np.int64),
        ("known", np.int64),
        ("all_lots", np.int64),
        ("limit", np.int64),
        ("last", np.int64),
        ("base", np.int64),
        ("width", np.int64),
        ("first_block", np.int64),
        ("last_block", np.int64),
        ("bits", np.int64, BLOCKS),
        ("lots_sums", np.int64, BLOCKS),
        ("notional_sums", np.int64, BLOCKS),
        ("lots", np.int64, BLOCKS * PLACES),
    ]
)
"""The ticks around the best of one side, and what is counted of all of it.

`pages` and `free_pages` are how many pages are in use and not; `levels` are all, `known` those with a key up to
`limit`, `all_lots` the sum of their sizes; `last` is where in the directory of pages the last level was. `base` is the
key of the first place and `width` the number of places, 0 where the ladder is not used; `first_block` and `last_block`
are the ends of what holds a level, BLOCKS and -1 where nothing does. A block has a bit for each place that holds a
level and the sums of its lots and, modulo 2^64, of its ticks·lots; `lots` are the sizes, by place.
"""

_DE_BRUIJN: Final = 0x03F79D71B4CB0A89
_PLACE_OF_BIT: Final = np.array([(_DE_BRUIJN << place & 2**64 - 1) >> 58 for place in range(PLACES)]).argsort()


@compiled
def first_place(bits: int) -> int:
    """Place of the lowest bit that is set, of bits of which one is."""
    return _PLACE_OF_BIT[((bits & -bits) * _DE_BRUIJN >> 58) & WITHIN]  # type: ignore[no-any-return] # an int64


@compiled
def set_in_ladder(ladder: Ladder, key: int, lots: int) -> int:
    """Set the size of a level whose key the ladder has a place for, 0 removes it; give the size it had."""
    offset = key - ladder.base
    number, old = offset >> BITS, ladder.lots[offset]
    if lots == old:
        return old  # type: ignore[no-any-return] # an int64
    ladder.lots[offset] = lots
    ladder.lots_sums[number] += lots - old
    ladder.notional_sums[number] += abs(key) * (lots - old)
    if old == 0:
        ladder.bits[number] |= 1 << (offset & WITHIN)
        ladder.first_block = min(number, ladder.first_block)
        ladder.last_block = max(number, ladder.last_block)
    elif lots == 0:
        ladder.bits[number] ^= 1 << (offset & WITHIN)
        if ladder.bits[number] == 0:
            _leave_block(ladder)
    count_change(ladder, key, lots, old)
    return old  # type: ignore[no-any-return] # an int64


@compiled
def count_change(ladder: Ladder, key: int, lots: int, old: int) -> None:
    """Take a level's change of size into what is counted of the side."""
    ladder.all_lots += lots - old
    levels = (1 if lots else 0) - (1 if old else 0)
    ladder.levels += levels
    if key <= ladder.limit:
        ladder.known += levels


@compiled
def _leave_block(ladder: Ladder) -> None:
    """Move the ends of what is used past blocks without a level."""
    first, last = ladder.first_block, ladder.last_block
    while first <= last and ladder.bits[first] == 0:
        first += 1
    while last > first and ladder.bits[last] == 0:
        last -= 1
    ladder.first_block = BLOCKS if first > last else first
    ladder.last_block = -1 if first > last else last


@compiled
def clear_ladder(ladder: Ladder) -> None:
    """Take all levels out, and with them the ladder: it has no place until it is set up."""
    for number in range(ladder.first_block, ladder.last_block + 1):
        ladder.bits[number] = 0
        ladder.lots_sums[number] = 0
        ladder.notional_sums[number] = 0
        for offset in range(number << BITS, (number + 1) << BITS):
            ladder.lots[offset] = 0
    ladder.first_block = BLOCKS
    ladder.last_block = -1
    ladder.width = 0


@compiled
def copy_ladder(ladder: Ladder, keys: Ints, lots: Ints) -> int:
    """Copy its levels out, from the best outward; give their number."""
    count = 0
    for number in range(ladder.first_block, ladder.last_block + 1):
        bits = ladder.bits[number]
        while bits:
            offset = (number << BITS) + first_place(bits)
            bits &= bits - 1
            keys[count] = ladder.base + offset
            lots[count] = ladder.lots[offset]
            count += 1
    return count


@compiled
def worst_in_ladder(ladder: Ladder) -> int:
    """Key of the level farthest out, of a ladder that has one."""
    offset = (ladder.last_block << BITS) + WITHIN
    while ladder.lots[offset] == 0:
        offset -= 1
    return ladder.base + offset  # type: ignore[no-any-return] # an int64


@compiled
def sum_ladder(ladder: Ladder, start: int, end: int) -> tuple[int, int]:
    """Sum lots, and modulo 2^64 ticks·lots, over places from one to before another."""
    first, last = (start + WITHIN) >> BITS, end >> BITS
    if first >= last:
        return _sum_places(ladder, start, end)
    lots, notional = _sum_places(ladder, start, first << BITS)
    last_lots, last_notional = _sum_places(ladder, last << BITS, end)
    for number in range(first, last):
        lots += ladder.lots_sums[number]
        notional += ladder.notional_sums[number]
    return lots + last_lots, notional + last_notional


@compiled
def _sum_places(ladder: Ladder, start: int, end: int) -> tuple[int, int]:
    lots = notional = 0
    for offset in range(start, end):
        lots += ladder.lots[offset]
        notional += abs(ladder.base + offset) * ladder.lots[offset]
    return lots, notional
