"""Notional within 5, 10, 20 and 25 bps of mid, by the reference's integer tests: exact totals, page by page."""

from __future__ import annotations

from typing import Final

from orderbook.kernel.ladder import BITS, Ints, Ladder, sum_ladder
from orderbook.kernel.pages import ORDER, Pages
from processors.factors.kernel import places
from processors.factors.kernel.arithmetic import fits, ratio
from processors.factors.kernel.arrays import (
    ALL,
    ASK,
    BID,
    Floats,
    State,
)
from processors.factors.kernel.tops import tops_known
from processors.factors.reference.depth import LEAST_LEVELS
from schemas.kernel.compiled import compiled

NAN: Final = float("nan")
BANDS_BPS: Final = (5, 10, 20, 25)
UNNAMED: Final = -1
"""Of a band without a column of its own."""
DEPTHS: Final = (
    (places.BID_DEPTH_5BPS, places.BID_DEPTH_10BPS, UNNAMED, places.BID_DEPTH_25BPS),
    (places.ASK_DEPTH_5BPS, places.ASK_DEPTH_10BPS, UNNAMED, places.ASK_DEPTH_25BPS),
)
SLOPES: Final = (places.DEPTH_SLOPE_BID_25BPS, places.DEPTH_SLOPE_ASK_25BPS)
NOT_KNOWN: Final = -1
BEYOND: Final = -2
"""Total of a band that is beyond exact arithmetic."""


@compiled
def band_factors(
    state: State,
    bid_ladder: Ladder,
    bids: Pages,
    bid_directory: Ints,
    ask_ladder: Ladder,
    asks: Pages,
    ask_directory: Ints,
    which: int,
    values: Floats,
) -> bool:
    """Compute the depths and their imbalance; False where a total is beyond exact arithmetic."""
    bid, ask = state.ticks[which, BID, 0], state.ticks[which, ASK, 0]
    bid_total = _depths(state, bid_ladder, bids, bid_directory, BID, bid + ask, bid, values)
    ask_total = _depths(state, ask_ladder, asks, ask_directory, ASK, bid + ask, ask, values)
    if bid_total == BEYOND or ask_total == BEYOND:
        return False
    if bid_total >= 0 and ask_total >= 0:
        values[places.OBI_10BPS] = ratio(bid_total, ask_total)
    return True


@compiled
def depth_10bps(values: Floats) -> float:
    """D: notional of both sides within 10 bps of mid; NaN where a band is not known."""
    return float(values[places.BID_DEPTH_10BPS] + values[places.ASK_DEPTH_10BPS])


@compiled
def notional_of(state: State, total: int) -> float:
    """Quote notional of an exact total: ticks·lots, on inverse contracts lots."""
    return float(total) * state.notional_num / state.notional_den  # type: ignore[no-any-return] # a float64


@compiled
def top_notional(state: State, which: int) -> float:
    """N: notional of the top 10 of both sides that are known; NaN where it is beyond exact arithmetic."""
    total = 0
    for number in (BID, ASK):
        lots = 0
        for level in range(min(10, state.top_counts[which, number])):
            ticks = state.ticks[which, number, level]
            lots += state.lots[which, number, level]
            total += state.lots[which, number, level] * (1 if state.is_inverse else ticks)
            if not fits(4 * max(ticks, state.ticks[which, number, 0]), lots):
                return NAN
    return notional_of(state, total)


@compiled
def _depths(
    state: State,
    ladder: Ladder,
    pages: Pages,
    directory: Ints,
    number: int,
    sum_ticks: int,
    best: int,
    values: Floats,
) -> int:
    """Write one side's depths; give the exact total within 10 bps, NOT_KNOWN or BEYOND."""
    place = at = lots = notional = within_5 = within_20 = 0
    within_10, is_limited = NOT_KNOWN, state.reach[number] != ALL
    start = ladder.first_block << BITS
    for band in range(4):
        edge = _edge(sum_ticks, BANDS_BPS[band], number)
        if is_limited and edge > state.limits[number]:
            break
        end = min(edge + 1 - ladder.base, ladder.width)
        if start < end:
            more_lots, more_notional = sum_ladder(ladder, start, end)
            lots += more_lots
            notional += more_notional
            start = end
        while place < ladder.pages:
            page = pages[directory[ORDER, place]]
            if at == 0 and page.keys[page.count - 1] <= edge:
                lots += page.lots_sum
                notional += page.notional_sum
                place += 1
                continue
            while at < page.count and page.keys[at] <= edge:
                lots += page.lots[at]
                notional += abs(page.keys[at]) * page.lots[at]
                at += 1
            if at < page.count:
                break
            place, at = place + 1, 0
        if not fits(2 * max(best, abs(edge)), lots):
            return BEYOND
        total = lots if state.is_inverse else notional
        if DEPTHS[number][band] != UNNAMED:
            values[DEPTHS[number][band]] = notional_of(state, total)
        if band == 0:
            within_5 = total
        elif band == 1:
            within_10 = total
        elif band == 2:
            within_20 = total
        elif state.levels_known[number] >= LEAST_LEVELS:
            rise = 2 * (total - within_5) + within_20 - within_10
            values[SLOPES[number]] = notional_of(state, rise) / 50.0
    return within_10


@compiled
def _edge(sum_ticks: int, bps: int, number: int) -> int:
    """Key of the last price inside a band: bids rounded up, asks down."""
    whole, rest = sum_ticks // 20_000, sum_ticks % 20_000
    if number == BID:
        return -(whole * (10_000 - bps) + (rest * (10_000 - bps) + 19_999) // 20_000)
    return whole * (10_000 + bps) + rest * (10_000 + bps) // 20_000


@compiled
def confidence(state: State, which: int, notional: float, thin_notional: float) -> float:
    """min(1, N/(10·T)); NaN where a top 10 is not known."""
    if min(tops_known(state, which, BID), tops_known(state, which, ASK)) < 10:
        return NAN
    return min(1.0, notional / (10.0 * thin_notional))
