"""The top of a book, read once a record: the best levels that are known, and the sums over them."""

from __future__ import annotations

from typing import Final

from orderbook.kernel.compiled import compiled
from orderbook.kernel.pages import KNOWN, LEVELS, LIMIT, ORDER, PAGES, TOTALS, Ints, Pages, worst_key
from processors.factors.kernel.arithmetic import fits, true_divide
from processors.factors.kernel.arrays import ALL, ASK, BID, TOP, UP_TO_LIMIT, State

EVERY: Final = 1 << 40
"""As many levels as there can be: what is known of a side of which nothing is missing."""


@compiled
def take_tops(state: State, bids: Pages, bid_pages: Ints, asks: Pages, ask_pages: Ints, which: int) -> bool:
    """Read both tops into one of their two places; False where a size is beyond exact arithmetic."""
    return _take_top(state, bids, bid_pages, which, BID) and _take_top(state, asks, ask_pages, which, ASK)


@compiled
def _take_top(state: State, pages: Pages, directory: Ints, which: int, number: int) -> bool:
    taken, is_limited = 0, state.reach[number] == UP_TO_LIMIT
    state.levels_known[number] = directory[TOTALS, KNOWN] if is_limited else directory[TOTALS, LEVELS]
    if directory[TOTALS, PAGES]:
        state.limits[number] = directory[TOTALS, LIMIT] if is_limited else worst_key(pages, directory)
    for place in range(directory[TOTALS, PAGES]):
        page = pages[directory[ORDER, place]]
        for at in range(min(page.count, TOP - taken)):
            key, lots = page.keys[at], page.lots[at]
            if is_limited and key > state.limits[number]:
                break
            state.ticks[which, number, taken] = abs(key)
            state.lots[which, number, taken] = lots
            if state.is_inverse:
                if not (fits(lots, state.unit_num) and fits(key, state.price_num) and key):
                    return False
                state.sizes[which, number, taken] = size_of(state, lots) / price_of(state, abs(key))
            else:
                state.sizes[which, number, taken] = float(lots)
            taken += 1
        if taken == TOP:
            break
    state.top_counts[which, number] = taken
    return True


@compiled
def price_of(state: State, ticks: int) -> float:
    """Price of whole ticks in quote units."""
    return true_divide(ticks * state.price_num, state.price_den)


@compiled
def size_of(state: State, lots: int) -> float:
    """Lots in base units, on inverse contracts in quote units."""
    return true_divide(lots * state.unit_num, state.unit_den)


@compiled
def to_base(state: State, size: float) -> float:
    """A sum of proportional sizes in base units."""
    if state.is_inverse:
        return size
    return size * state.unit_num_float / state.unit_den_float  # type: ignore[no-any-return] # a float64


@compiled
def tops_known(state: State, which: int, number: int) -> int:
    """How many of a side's best levels are known to be the best: EVERY where nothing is missing."""
    return EVERY if state.reach[number] == ALL else state.top_counts[which, number]


@compiled
def lots_of(state: State, which: int, number: int, levels: int) -> int:
    """Sum of the lots over the best so many levels, or all there are."""
    total = 0
    for level in range(min(levels, state.top_counts[which, number])):
        total += state.lots[which, number, level]
    return total
