"""One side of a book as a table of levels and a window of bits: a level is one look-up, the next best a look at bits.

For whoever keeps a book and asks no more of it than its best level, which is a producer: exact at any price and for any
int64 size, and as large as the levels need. Levels stand in an open-addressed table by key; keys rise from the best
outward: of a bid (side 0) its price below zero. The bits say which keys near the best hold a level. One removed keeps
its place, with size 0, until the table is made anew.

Both sides of a book lie in one array of integers, which compiled code is handed as one argument.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from orderbook.kernel.ladder import Ints, first_place
from schemas.kernel.compiled import compiled

BEST: Final = 0
"""Key of the best level; NO_KEY on an empty side."""
BEST_LOTS: Final = 1
LEVELS: Final = 2
"""Levels with a size."""
USED: Final = 3
"""Places taken, those of removed levels too."""
PLACES: Final = 4
"""Of the table, a power of two."""
TABLE: Final = 5
"""Where it begins: key and size in turns."""
LOW: Final = 6
"""Key of the window's first bit. No level has a lower one."""
HEAD: Final = 8
"""Numbers of a side before its bits."""
BITS: Final = 6
WORDS: Final = 256
WINDOW: Final = WORDS << BITS
"""Keys of the window: 2^14."""
MARGIN: Final = WINDOW // 4
"""Keys of it that lie before the best when it is laid."""
SIDE: Final = HEAD + WORDS
TABLES: Final = 2 * SIDE
NO_KEY: Final = 2**63 - 1
EMPTY: Final = -(2**63)
"""Key of a place that was never taken; no price has it."""
LEAST_PLACES: Final = 64
MIX: Final = np.uint64(0x9E3779B97F4A7C15)


def places_for(levels: int) -> int:
    """Places of a table that has as much room again."""
    return max(LEAST_PLACES, 1 << (2 * levels).bit_length())


def memory_for(bids: int, asks: int) -> Ints:
    """Memory of an empty book with room for so many levels, and as many again."""
    sizes = places_for(bids), places_for(asks)
    memory = np.zeros(TABLES + 2 * sum(sizes), dtype=np.int64)
    start = TABLES
    for side, places in enumerate(sizes):
        head = side * SIDE
        memory[head + BEST] = NO_KEY
        memory[head + PLACES], memory[head + TABLE] = places, start
        memory[start : start + 2 * places : 2] = EMPTY
        start += 2 * places
    return memory


@compiled
def has_room(memory: Ints, side: int, more: int) -> bool:
    """Say whether so many levels more leave a quarter of the table free."""
    head = side * SIDE
    return 4 * (memory[head + USED] + more) <= 3 * memory[head + PLACES]  # type: ignore[no-any-return] # a bool


@compiled
def set_level(memory: Ints, side: int, key: int, lots: int) -> None:
    """Set the size of a level, 0 removes it; there has to be room."""
    head = side * SIDE
    place = _place_of(memory, head, key)
    before = memory[place + 1]
    if memory[place] == EMPTY:
        if lots == 0:
            return
        memory[place] = key
        memory[head + USED] += 1
    memory[place + 1] = lots
    if before == 0:
        if lots:
            memory[head + LEVELS] += 1
            _mark(memory, head, key)
            if key <= memory[head + BEST]:
                memory[head + BEST], memory[head + BEST_LOTS] = key, lots
        return
    if key == memory[head + BEST]:
        memory[head + BEST_LOTS] = lots
    if lots == 0:
        memory[head + LEVELS] -= 1
        _unmark(memory, head, key)
        if key == memory[head + BEST]:
            _find_best(memory, head)


@compiled
def lots_at(memory: Ints, side: int, key: int) -> int:
    """Size at a key; 0 where there is no level."""
    return memory[_place_of(memory, side * SIDE, key) + 1]  # type: ignore[no-any-return] # an int64


@compiled
def _place_of(memory: Ints, head: int, key: int) -> int:
    """Find where a key stands, or where it would."""
    mask, start = memory[head + PLACES] - 1, memory[head + TABLE]
    place = np.int64((np.uint64(key) * MIX) >> np.uint64(32)) & mask
    while memory[start + 2 * place] != key and memory[start + 2 * place] != EMPTY:
        place = (place + 1) & mask
    return start + 2 * place  # type: ignore[no-any-return] # an int64


@compiled
def _mark(memory: Ints, head: int, key: int) -> None:
    """Set the bit of a level; one below the window, or the first one of a side, has it laid anew."""
    offset = key - memory[head + LOW]
    if offset < 0 or memory[head + LEVELS] == 1:
        _lay_window(memory, head, key)
    elif offset < WINDOW:
        memory[head + HEAD + (offset >> BITS)] |= 1 << (offset & 63)


@compiled
def _unmark(memory: Ints, head: int, key: int) -> None:
    offset = key - memory[head + LOW]
    if offset < WINDOW:
        memory[head + HEAD + (offset >> BITS)] &= ~(1 << (offset & 63))


@compiled
def _lay_window(memory: Ints, head: int, best: int) -> None:
    """Lay the window around a best key, and set the bits of all levels within it."""
    bits, start = head + HEAD, memory[head + TABLE]
    least = 0 if best >= 0 else EMPTY + 1  # so that no difference of two keys of a side is beyond int64
    low = best - MARGIN if best - least > MARGIN else least
    memory[head + LOW] = low
    memory[bits : bits + WORDS] = 0
    for place in range(start, start + 2 * memory[head + PLACES], 2):
        if memory[place + 1] and memory[place] - best < WINDOW:
            offset = memory[place] - low
            if offset < WINDOW:
                memory[bits + (offset >> BITS)] |= 1 << (offset & 63)


@compiled
def _find_best(memory: Ints, head: int) -> None:
    """Find the best level once the old one is gone: in the window, else in the whole table."""
    if memory[head + LEVELS] == 0:
        memory[head + BEST], memory[head + BEST_LOTS] = NO_KEY, 0
        return
    bits, low = head + HEAD, memory[head + LOW]
    for word in range((memory[head + BEST] - low) >> BITS, WORDS):
        if memory[bits + word]:
            key = low + (word << BITS) + first_place(memory[bits + word])
            memory[head + BEST], memory[head + BEST_LOTS] = key, memory[_place_of(memory, head, key) + 1]
            return
    best, start = NO_KEY, memory[head + TABLE]
    for place in range(start, start + 2 * memory[head + PLACES], 2):
        if memory[place + 1] and memory[place] < best:
            best = memory[place]
    _lay_window(memory, head, best)
    memory[head + BEST], memory[head + BEST_LOTS] = best, memory[_place_of(memory, head, best) + 1]
