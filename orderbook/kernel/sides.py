"""One side of a book: a ladder of ticks around the best, pages beyond it, exact at any price and any distance.

Where the best price leaves the ladder's first half, or a better one comes than it has a place for, all levels are
written anew around it. A side of which the ladder would hold less than half, as of tiny ticks, is pages alone.

A level's key rises from the best outward: the price in ticks on asks, its negative on bids. Sums of ticks·lots are kept
modulo 2^64: a difference of any two is right where it fits int64 itself, which whoever reads it has to know.

Compiled functions take ladder, pages and directory one by one: an array taken out of a tuple is counted as held, at
each use.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orderbook.kernel.ladder import (
    BLOCKS,
    LADDER,
    PLACES,
    Ints,
    Ladder,
    clear_ladder,
    copy_ladder,
    set_in_ladder,
    worst_in_ladder,
)
from orderbook.kernel.pages import (
    FILL,
    FREE,
    LEAF,
    NO_ROOM,
    ORDER,
    Pages,
    append_page,
    clear_pages,
    copy_pages,
    set_in_pages,
    worst_in_pages,
)
from schemas.kernel.compiled import compiled

LEAST_PAGES: Final = 8


class Side(NamedTuple):
    """One side of a book.

    Attributes:
        ladders: One row of LADDER: the ticks around the best, and the totals.
        pages: Levels beyond the ladder, in pages of any order.
        directory: The order of pages.
    """

    ladders: NDArray[Any]
    pages: Pages
    directory: Ints

    @property
    def ladder(self) -> Ladder:
        """The row."""
        return self.ladders[0]


def pages_for(levels: int) -> int:
    """Count the pages a side of so many levels is given: as many as it needs, half as many again and a few."""
    return levels * 3 // (2 * FILL) + LEAST_PAGES


def make_side(pages: int) -> Side:
    """Make an empty side of so many pages."""
    ladders, directory = np.zeros(1, dtype=LADDER), np.zeros((3, pages), dtype=np.int64)
    directory[FREE] = np.arange(pages)
    ladders["free_pages"], ladders["first_block"], ladders["last_block"] = pages, BLOCKS, -1
    return Side(ladders, np.zeros(pages, dtype=LEAF), directory)


def levels_of(side: Side) -> tuple[Ints, Ints]:
    """Copy all levels out, from the best outward: keys and lots."""
    keys = np.empty(int(side.ladder["levels"]), dtype=np.int64)
    lots = np.empty_like(keys)
    _copy_side(*side, keys, lots)
    return keys, lots


@compiled
def fill(ladders: NDArray[Any], pages: Pages, directory: Ints, keys: Ints, lots: Ints, limit: int) -> None:
    """Write levels to an empty side that has the room.

    Args:
        ladders: Of the side.
        pages: Of the side.
        directory: Of the side.
        keys: Ascending.
        lots: Above 0, one each.
        limit: Key up to which levels are counted as known.
    """
    ladder = ladders[0]
    ladder.limit = limit
    if keys.shape[0]:
        _write(ladder, pages, directory, keys, lots, keys[0])


@compiled
def is_on_ladder(ladder: Ladder, key: int) -> bool:
    """Say whether the ladder has a place for a key."""
    return 0 <= key - ladder.base < ladder.width  # type: ignore[no-any-return] # a boolean


@compiled
def set_level(ladder: Ladder, pages: Pages, directory: Ints, key: int, lots: int) -> int:
    """Set a level's size, 0 removes it; give the size it had, or NO_ROOM."""
    if is_on_ladder(ladder, key):
        return set_in_ladder(ladder, key, lots)
    if ladder.width and lots and key < ladder.base:
        if not _centre(ladder, pages, directory, key):
            return NO_ROOM
        if ladder.width:
            return set_in_ladder(ladder, key, lots)
    return set_in_pages(ladder, pages, directory, key, lots)


@compiled
def keep_centred(ladder: Ladder, pages: Pages, directory: Ints) -> None:
    """Write a side anew whose best level has moved to the outer half of the ladder, or beyond it."""
    if ladder.width and ladder.first_block * 2 > BLOCKS and ladder.levels:
        _centre(ladder, pages, directory, _best_key(ladder, pages, directory))


@compiled
def _best_key(ladder: Ladder, pages: Pages, directory: Ints) -> int:
    """Key of the best level, or one before it in its block, of a side that has one."""
    if ladder.first_block < BLOCKS:
        return ladder.base + ladder.first_block * PLACES  # type: ignore[no-any-return] # an int64
    return pages[directory[ORDER, 0]].keys[0]  # type: ignore[no-any-return] # an int64


@compiled
def worst_key(ladder: Ladder, pages: Pages, directory: Ints) -> int:
    """Key of the level farthest out, of a side that has one."""
    if ladder.pages:
        return worst_in_pages(ladder, pages, directory)
    return worst_in_ladder(ladder)


@compiled
def _copy_side(ladders: NDArray[Any], pages: Pages, directory: Ints, keys: Ints, lots: Ints) -> None:
    _copy_levels(ladders[0], pages, directory, keys, lots)


@compiled
def _copy_levels(ladder: Ladder, pages: Pages, directory: Ints, keys: Ints, lots: Ints) -> None:
    copy_pages(ladder, pages, directory, keys, lots, copy_ladder(ladder, keys, lots))


@compiled
def _centre(ladder: Ladder, pages: Pages, directory: Ints, best: int) -> bool:
    """Write all levels anew around a best price; False where there may be too few pages: nothing was changed."""
    count = ladder.levels
    if count > FILL * (pages.shape[0] - 1):
        return False
    keys, lots = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    _copy_levels(ladder, pages, directory, keys, lots)
    clear_ladder(ladder)
    clear_pages(ladder, directory)
    _write(ladder, pages, directory, keys, lots, best)
    return True


@compiled
def _write(ladder: Ladder, pages: Pages, directory: Ints, keys: Ints, lots: Ints, best: int) -> None:
    """Write levels to a side without any: an eighth of the ladder is for better prices."""
    width, count, inside = BLOCKS * PLACES, keys.shape[0], 0
    base = best - width // 8
    while inside < count and keys[inside] < base + width:
        inside += 1
    if 2 * inside < count:
        width = inside = 0
    ladder.base = base
    ladder.width = width
    for at in range(inside):
        set_in_ladder(ladder, keys[at], lots[at])
    for start in range(inside, count, FILL):
        append_page(ladder, pages, directory, keys, lots, start, min(start + FILL, count))
