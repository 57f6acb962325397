"""One side of a book as pages of levels: sorted, best first, exact at any price and any distance from the best.

A page holds up to `PAGE` levels, a directory holds the pages in order. A level is found by its page's first price and
one look at all of the page, and a page that is full becomes two. Nothing depends on where the mid is: a book of 1e-8
ticks, one with a level a thousand times away and one that drifts by half its price cost the same.

A level's key rises from the best outward: the price in ticks on asks, its negative on bids. Each page keeps the sums of
its sizes and of its ticks·lots, so that a depth is summed page by page. Sums of ticks·lots are kept modulo 2^64: a
difference of any two is right where it fits int64 itself, which whoever reads it has to know.

Compiled functions take pages and directory one by one: an array taken out of a tuple is counted as held, at each use.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orderbook.kernel.compiled import compiled

Ints = NDArray[np.int64]
Pages = NDArray[Any]
"""Of `LEAF`."""

PAGE: Final = 32
"""Levels of a full page."""
FILL: Final = 22
"""Levels of a page when a side is written anew: room to grow."""
LEAF: Final = np.dtype(
    [
        ("keys", np.int64, PAGE),
        ("lots", np.int64, PAGE),
        ("count", np.int64),
        ("lots_sum", np.int64),
        ("notional_sum", np.int64),
    ]
)
"""A page: its levels by ascending keys, how many, and their sums of lots and, modulo 2^64, of ticks·lots.

Places without a level have the key BEYOND.
"""
BEYOND: Final = 2**63 - 1
"""Above every key."""
NO_ROOM: Final = -1
"""What `set_level` gives where the side has no page left. Nothing was changed."""

# Rows of a directory: pages in use, best first; key of the first level of each; pages not in use, the next one last.
ORDER: Final = 0
FIRSTS: Final = 1
FREE: Final = 2
# And the side's totals, by what.
TOTALS: Final = 3
PAGES: Final = 0
FREE_PAGES: Final = 1
LEVELS: Final = 2
KNOWN: Final = 3
LOTS: Final = 4
LIMIT: Final = 5
LAST: Final = 6
LEAST_PAGES: Final = 8


class Side(NamedTuple):
    """One side of a book.

    Attributes:
        pages: Its pages, in any order.
        directory: Their order, and the totals: pages in use, pages not in use, levels, levels with a key up to LIMIT,
            sum of all lots, LIMIT, and where in the directory the last level was.
    """

    pages: Pages
    directory: Ints


def pages_for(levels: int) -> int:
    """Count the pages a side of so many levels is given: as many as it needs, half as many again and a few."""
    return levels * 3 // (2 * FILL) + LEAST_PAGES


def make_side(pages: int) -> Side:
    """Make an empty side of so many pages, at least LEAST_PAGES."""
    directory = np.zeros((4, pages), dtype=np.int64)
    directory[FREE] = np.arange(pages)
    directory[TOTALS, FREE_PAGES] = pages
    return Side(np.zeros(pages, dtype=LEAF), directory)


def levels_of(side: Side) -> tuple[Ints, Ints]:
    """Copy all levels out, from the best outward: keys and lots."""
    keys = np.empty(int(side.directory[TOTALS, LEVELS]), dtype=np.int64)
    lots = np.empty_like(keys)
    _copy_levels(side.pages, side.directory, keys, lots)
    return keys, lots


@compiled
def fill(pages: Pages, directory: Ints, keys: Ints, lots: Ints, limit: int) -> None:
    """Write levels to an empty side that has the room.

    Args:
        pages: Of the side.
        directory: Of the side.
        keys: Ascending.
        lots: Above 0, one each.
        limit: Key up to which levels are counted as known.
    """
    directory[TOTALS, LIMIT] = limit
    for start in range(0, keys.shape[0], FILL):
        number = _take_page(pages, directory, directory[TOTALS, PAGES], keys[start])
        page = pages[number]
        for at in range(start, min(start + FILL, keys.shape[0])):
            page.keys[at - start] = keys[at]
            page.lots[at - start] = lots[at]
            page.count += 1
            _count(page, directory, keys[at], lots[at], 0)


@compiled
def set_level(pages: Pages, directory: Ints, key: int, lots: int) -> int:
    """Set a level's size, 0 removes it; give the size it had, or NO_ROOM."""
    if directory[TOTALS, PAGES] == 0:
        return _first_level(pages, directory, key, lots)
    place = _place_of(directory, key)
    page = pages[directory[ORDER, place]]
    at = _at(page, key)
    if at < page.count and page.keys[at] == key:
        old = page.lots[at]
        page.lots[at] = lots
        _count(page, directory, key, lots, old)
        if not lots:
            _remove(page, directory, place, at)
        return old  # type: ignore[no-any-return] # an int64
    if not lots:
        return 0
    if page.count == PAGE:
        if directory[TOTALS, FREE_PAGES] == 0:
            return NO_ROOM
        _split(pages, directory, place)
        if at > PAGE // 2:
            place += 1
            page = pages[directory[ORDER, place]]
            at -= PAGE // 2
    _insert(page, directory, place, at, key, lots)
    _count(page, directory, key, lots, 0)
    return 0


@compiled
def worst_key(pages: Pages, directory: Ints) -> int:
    """Key of the level farthest out, of a side that has one."""
    page = pages[directory[ORDER, directory[TOTALS, PAGES] - 1]]
    return page.keys[page.count - 1]  # type: ignore[no-any-return] # a page is a row of LEAF


@compiled
def _copy_levels(pages: Pages, directory: Ints, keys: Ints, lots: Ints) -> None:
    at = 0
    for place in range(directory[TOTALS, PAGES]):
        page = pages[directory[ORDER, place]]
        for i in range(page.count):
            keys[at] = page.keys[i]
            lots[at] = page.lots[i]
            at += 1


@compiled
def _place_of(directory: Ints, key: int) -> int:
    """Where in the directory, which has a page, a key belongs."""
    pages, last = directory[TOTALS, PAGES], directory[TOTALS, LAST]
    if pages == 1 or directory[FIRSTS, 1] > key:
        return 0
    # Venues send prices in order: the next one is often in the same page.
    if last < pages and directory[FIRSTS, last] <= key and (last + 1 == pages or key < directory[FIRSTS, last + 1]):
        return last  # type: ignore[no-any-return] # an int64
    low, high = 1, pages
    while high - low > 1:
        middle = (low + high) >> 1
        if directory[FIRSTS, middle] <= key:
            low = middle
        else:
            high = middle
    directory[TOTALS, LAST] = low
    return low


@compiled
def _at(page: Any, key: int) -> int:  # noqa: ANN401 (a row of LEAF)
    """First place in a page whose key is not below this one: all are compared, which needs no guess at each."""
    below = 0
    for i in range(PAGE):
        below += page.keys[i] < key
    return below


@compiled
def _first_level(pages: Pages, directory: Ints, key: int, lots: int) -> int:
    if lots:
        page = pages[_take_page(pages, directory, 0, key)]
        _insert(page, directory, 0, 0, key, lots)
        _count(page, directory, key, lots, 0)
    return 0


@compiled
def _insert(page: Any, directory: Ints, place: int, at: int, key: int, lots: int) -> None:  # noqa: ANN401
    for i in range(page.count, at, -1):
        page.keys[i] = page.keys[i - 1]
        page.lots[i] = page.lots[i - 1]
    page.keys[at] = key
    page.lots[at] = lots
    page.count += 1
    if at == 0:
        directory[FIRSTS, place] = key


@compiled
def _remove(page: Any, directory: Ints, place: int, at: int) -> None:  # noqa: ANN401
    page.count -= 1
    for i in range(at, page.count):
        page.keys[i] = page.keys[i + 1]
        page.lots[i] = page.lots[i + 1]
    page.keys[page.count] = BEYOND
    if page.count == 0:
        _give_page(directory, place)
    elif at == 0:
        directory[FIRSTS, place] = page.keys[0]


@compiled
def _split(pages: Pages, directory: Ints, place: int) -> None:
    """Move the outer half of a full page to a new one behind it."""
    half, page = PAGE // 2, pages[directory[ORDER, place]]
    other = pages[_take_page(pages, directory, place + 1, page.keys[half])]
    for i in range(half):
        key, lots = page.keys[half + i], page.lots[half + i]
        page.keys[half + i] = BEYOND
        other.keys[i] = key
        other.lots[i] = lots
        other.lots_sum += lots
        other.notional_sum += abs(key) * lots
    page.lots_sum -= other.lots_sum
    page.notional_sum -= other.notional_sum
    page.count = half
    other.count = half


@compiled
def _take_page(pages: Pages, directory: Ints, place: int, first: int) -> int:
    """Put an empty page into the directory at a place."""
    directory[TOTALS, FREE_PAGES] -= 1
    number = directory[FREE, directory[TOTALS, FREE_PAGES]]
    for i in range(directory[TOTALS, PAGES], place, -1):
        directory[ORDER, i] = directory[ORDER, i - 1]
        directory[FIRSTS, i] = directory[FIRSTS, i - 1]
    directory[ORDER, place] = number
    directory[FIRSTS, place] = first
    directory[TOTALS, PAGES] += 1
    page = pages[number]
    page.count = 0
    page.lots_sum = 0
    page.notional_sum = 0
    for i in range(PAGE):
        page.keys[i] = BEYOND
    return number  # type: ignore[no-any-return] # an int64


@compiled
def _give_page(directory: Ints, place: int) -> None:
    """Take an empty page out of the directory."""
    directory[FREE, directory[TOTALS, FREE_PAGES]] = directory[ORDER, place]
    directory[TOTALS, FREE_PAGES] += 1
    directory[TOTALS, PAGES] -= 1
    for i in range(place, directory[TOTALS, PAGES]):
        directory[ORDER, i] = directory[ORDER, i + 1]
        directory[FIRSTS, i] = directory[FIRSTS, i + 1]


@compiled
def _count(page: Any, directory: Ints, key: int, lots: int, old: int) -> None:  # noqa: ANN401
    """Take a level's change of size into the sums."""
    change = lots - old
    page.lots_sum += change
    page.notional_sum += abs(key) * change
    directory[TOTALS, LOTS] += change
    levels = (1 if lots else 0) - (1 if old else 0)
    directory[TOTALS, LEVELS] += levels
    if key <= directory[TOTALS, LIMIT]:
        directory[TOTALS, KNOWN] += levels
