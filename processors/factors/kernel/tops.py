"""The top of a book, read once a record: the best levels that are known, and the sums over them."""

from __future__ import annotations

from typing import Final

from orderbook.kernel.ladder import BITS, Ints, Ladder, first_place
from orderbook.kernel.pages import ORDER, Pages
from orderbook.kernel.sides import worst_key
from processors.factors.kernel.arithmetic import fits, true_divide
from processors.factors.kernel.arrays import ALL, ASK, BID, TOP, UP_TO_LIMIT, UP_TO_WORST, State
from schemas.kernel.compiled import compiled

EVERY: Final = 1 << 40
"""As many levels as there can be: what is known of a side of which nothing is missing."""


@compiled
def take_tops(
    state: State,
    bid_ladder: Ladder,
    bids: Pages,
    bid_directory: Ints,
    ask_ladder: Ladder,
    asks: Pages,
    ask_directory: Ints,
    which: int,
) -> bool:
    """Read both tops into one of their two places; False where a size is beyond exact arithmetic."""
    is_exact = _take_top(state, bid_ladder, bids, bid_directory, which, BID)
    return is_exact and _take_top(state, ask_ladder, asks, ask_directory, which, ASK)


@compiled
def _take_top(state: State, ladder: Ladder, pages: Pages, directory: Ints, which: int, number: int) -> bool:
    is_limited = state.reach[number] == UP_TO_LIMIT
    state.levels_known[number] = ladder.known if is_limited else ladder.levels
    if is_limited:
        state.limits[number] = ladder.limit
    elif state.reach[number] == UP_TO_WORST and ladder.levels:
        state.limits[number] = worst_key(ladder, pages, directory)
    taken = _read_ladder(state, ladder, which, number)
    if taken < TOP:
        taken = _read_pages(state, ladder, pages, directory, which, number, taken)
    if is_limited:
        taken = min(taken, state.levels_known[number])
    state.top_counts[which, number] = taken
    return _measure_sizes(state, which, number, taken)


@compiled
def _read_ladder(state: State, ladder: Ladder, which: int, number: int) -> int:
    """Copy the best levels, TOP at most, out of a ladder: how many they are."""
    taken = 0
    for at in range(ladder.first_block, ladder.last_block + 1):
        bits = ladder.bits[at]
        while bits and taken < TOP:
            offset = (at << BITS) + first_place(bits)
            bits &= bits - 1
            state.ticks[which, number, taken] = abs(ladder.base + offset)
            state.lots[which, number, taken] = ladder.lots[offset]
            taken += 1
        if taken == TOP:
            break
    return taken


@compiled
def _read_pages(
    state: State, ladder: Ladder, pages: Pages, directory: Ints, which: int, number: int, taken: int
) -> int:
    """Copy the levels that follow, TOP at most of all, out of pages: how many they all are."""
    for place in range(ladder.pages):
        page = pages[directory[ORDER, place]]
        for at in range(min(page.count, TOP - taken)):
            state.ticks[which, number, taken] = abs(page.keys[at])
            state.lots[which, number, taken] = page.lots[at]
            taken += 1
        if taken == TOP:
            break
    return taken


@compiled
def _measure_sizes(state: State, which: int, number: int, count: int) -> bool:
    """Compute the sizes of the best levels, proportional to base units; False where one is beyond exact arithmetic."""
    if not state.is_inverse:
        for level in range(count):
            state.sizes[which, number, level] = float(state.lots[which, number, level])
        return True
    for level in range(count):
        ticks, lots = state.ticks[which, number, level], state.lots[which, number, level]
        if not (fits(lots, state.unit_num) and fits(ticks, state.price_num) and ticks):
            return False
        state.sizes[which, number, level] = size_of(state, lots) / price_of(state, ticks)
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
