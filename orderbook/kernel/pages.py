"""Levels of one side of a book in pages: sorted, best first, exact at any price and any distance from the best.

A page holds up to `PAGE` levels, a directory holds the pages in order. A level is found by its page's first price and
one look at all of the page, and a page that is full becomes two. Nothing depends on where the mid is: a book of 1e-8
ticks, one with a level a thousand times away and one that drifts by half its price cost the same. Each page keeps the
sums of its sizes and of its ticks·lots, so that a depth is summed page by page.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orderbook.kernel.ladder import Ints, Ladder, count_change
from schemas.kernel.compiled import compiled

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
"""What `set_in_pages` gives where no page is left. No level was changed."""

# Rows of a directory: pages in use, best first; key of the first level of each; pages not in use, the
# next one last.
ORDER: Final = 0
FIRSTS: Final = 1
FREE: Final = 2


@compiled
def append_page(ladder: Ladder, pages: Pages, directory: Ints, keys: Ints, lots: Ints, start: int, end: int) -> None:
    """Put a page of levels, which are beyond all there are, behind the last one."""
    number = _take_page(ladder, pages, directory, ladder.pages, keys[start])
    page = pages[number]
    for at in range(start, end):
        page.keys[at - start] = keys[at]
        page.lots[at - start] = lots[at]
        page.count += 1
        _count(page, ladder, keys[at], lots[at], 0)


@compiled
def clear_pages(ladder: Ladder, directory: Ints) -> None:
    """Take all pages out of the directory, and all levels out of the totals."""
    for number in range(directory.shape[1]):
        directory[FREE, number] = number
    ladder.free_pages = directory.shape[1]
    ladder.pages = 0
    ladder.levels = 0
    ladder.known = 0
    ladder.all_lots = 0
    ladder.last = 0


@compiled
def set_in_pages(ladder: Ladder, pages: Pages, directory: Ints, key: int, lots: int) -> int:
    """Set a level's size, 0 removes it; give the size it had, or NO_ROOM."""
    if ladder.pages == 0:
        return _first_level(ladder, pages, directory, key, lots)
    place = _place_of(ladder, directory, key)
    page = pages[directory[ORDER, place]]
    at = _at(page, key)
    if at < page.count and page.keys[at] == key:
        old = page.lots[at]
        page.lots[at] = lots
        _count(page, ladder, key, lots, old)
        if not lots:
            _remove(page, ladder, directory, place, at)
        return old  # type: ignore[no-any-return] # an int64
    if not lots:
        return 0
    if page.count == PAGE:
        if ladder.free_pages == 0:
            return NO_ROOM
        _split(ladder, pages, directory, place)
        if at > PAGE // 2:
            place += 1
            page = pages[directory[ORDER, place]]
            at -= PAGE // 2
    _insert(page, directory, place, at, key, lots)
    _count(page, ladder, key, lots, 0)
    return 0


@compiled
def worst_in_pages(ladder: Ladder, pages: Pages, directory: Ints) -> int:
    """Key of the level farthest out, of pages that have one."""
    page = pages[directory[ORDER, ladder.pages - 1]]
    return page.keys[page.count - 1]  # type: ignore[no-any-return] # a page is a row of LEAF


@compiled
def copy_pages(ladder: Ladder, pages: Pages, directory: Ints, keys: Ints, lots: Ints, at: int) -> None:
    """Copy all levels out, from the best outward, from a place on."""
    for place in range(ladder.pages):
        page = pages[directory[ORDER, place]]
        for i in range(page.count):
            keys[at] = page.keys[i]
            lots[at] = page.lots[i]
            at += 1


@compiled
def _place_of(ladder: Ladder, directory: Ints, key: int) -> int:
    """Where in the directory, which has a page, a key belongs."""
    pages, last = ladder.pages, ladder.last
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
    ladder.last = low
    return low


@compiled
def _at(page: Any, key: int) -> int:  # noqa: ANN401 (a row of LEAF)
    """First place in a page whose key is not below this one: all are compared, which needs no guess at each."""
    below = 0
    for i in range(PAGE):
        below += page.keys[i] < key
    return below


@compiled
def _first_level(ladder: Ladder, pages: Pages, directory: Ints, key: int, lots: int) -> int:
    if lots:
        page = pages[_take_page(ladder, pages, directory, 0, key)]
        _insert(page, directory, 0, 0, key, lots)
        _count(page, ladder, key, lots, 0)
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
def _remove(page: Any, ladder: Ladder, directory: Ints, place: int, at: int) -> None:  # noqa: ANN401
    page.count -= 1
    for i in range(at, page.count):
        page.keys[i] = page.keys[i + 1]
        page.lots[i] = page.lots[i + 1]
    page.keys[page.count] = BEYOND
    if page.count == 0:
        _give_page(ladder, directory, place)
    elif at == 0:
        directory[FIRSTS, place] = page.keys[0]


@compiled
def _split(ladder: Ladder, pages: Pages, directory: Ints, place: int) -> None:
    """Move the outer half of a full page to a new one behind it."""
    half, page = PAGE // 2, pages[directory[ORDER, place]]
    other = pages[_take_page(ladder, pages, directory, place + 1, page.keys[half])]
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
def _take_page(ladder: Ladder, pages: Pages, directory: Ints, place: int, first: int) -> int:
    """Put an empty page into the directory at a place."""
    ladder.free_pages -= 1
    number = directory[FREE, ladder.free_pages]
    for i in range(ladder.pages, place, -1):
        directory[ORDER, i] = directory[ORDER, i - 1]
        directory[FIRSTS, i] = directory[FIRSTS, i - 1]
    directory[ORDER, place] = number
    directory[FIRSTS, place] = first
    ladder.pages += 1
    page = pages[number]
    page.count = 0
    page.lots_sum = 0
    page.notional_sum = 0
    for i in range(PAGE):
        page.keys[i] = BEYOND
    return number  # type: ignore[no-any-return] # an int64


@compiled
def _give_page(ladder: Ladder, directory: Ints, place: int) -> None:
    """Take an empty page out of the directory."""
    directory[FREE, ladder.free_pages] = directory[ORDER, place]
    ladder.free_pages += 1
    ladder.pages -= 1
    for i in range(place, ladder.pages):
        directory[ORDER, i] = directory[ORDER, i + 1]
        directory[FIRSTS, i] = directory[FIRSTS, i + 1]


@compiled
def _count(page: Any, ladder: Ladder, key: int, lots: int, old: int) -> None:  # noqa: ANN401
    """Take a level's change of size into the sums."""
    page.lots_sum += lots - old
    page.notional_sum += abs(key) * (lots - old)
    count_change(ladder, key, lots, old)
