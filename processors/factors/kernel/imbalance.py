"""Imbalance of the two sides over their top levels: the reference's sums in the reference's order."""

from __future__ import annotations

from math import exp, sqrt
from typing import Final

from processors.factors.kernel import places
from processors.factors.kernel.arithmetic import ratio, true_divide
from processors.factors.kernel.arrays import ASK, BID, TOP, Floats, State
from processors.factors.kernel.tops import lots_of, to_base, tops_known
from schemas.kernel.compiled import compiled

NAN: Final = float("nan")
LEVEL_WEIGHTS: Final = tuple(0.9**level for level in range(10))
HALVING_WEIGHTS: Final = tuple(0.5**level for level in range(10))
DECAY_BPS: Final = 5.0
LEAST_LEVELS: Final = 3


@compiled
def imbalance_factors(state: State, which: int, values: Floats) -> None:
    """Compute what is read of the top levels.

    Args:
        state: The instrument.
        which: Place of its newest tops.
        values: The row; what stays null is not written.
    """
    known = min(tops_known(state, which, BID), tops_known(state, which, ASK))
    _measure_gaps(state, which)
    if known >= 1:
        values[places.OBI_L1] = _obi(state, which, 1)
    if known >= 3:
        values[places.OBI_L3] = _obi(state, which, 3)
    if known >= 5:
        values[places.OBI_L5] = _obi(state, which, 5)
    _volumes(state, which, values)
    if known >= 10:
        values[places.OBI_L10] = _obi(state, which, 10)
        _weighted_factors(state, which, values)
    _concentrations(state, which, values)
    if known >= 20:
        values[places.OBI_L20] = _obi(state, which, 20)
        values[places.OBI_DECAY_BPS] = _obi_decay(state, which)
        _size_factors(state, which, values)


@compiled
def balance(bid: float, ask: float) -> float:
    """(bid - ask)/(bid + ask); NaN where both are 0."""
    whole = bid + ask
    return (bid - ask) / whole if whole != 0.0 else NAN


@compiled
def _obi(state: State, which: int, levels: int) -> float:
    return ratio(lots_of(state, which, BID, levels), lots_of(state, which, ASK, levels))


@compiled
def _measure_gaps(state: State, which: int) -> None:
    sum_ticks = state.ticks[which, BID, 0] + state.ticks[which, ASK, 0]
    for level in range(state.top_counts[which, BID]):
        state.gaps[BID, level] = true_divide(sum_ticks - 2 * state.ticks[which, BID, level], sum_ticks)
    for level in range(state.top_counts[which, ASK]):
        state.gaps[ASK, level] = true_divide(2 * state.ticks[which, ASK, level] - sum_ticks, sum_ticks)


@compiled
def _size_sum(state: State, which: int, number: int, start: float) -> float:
    """The sizes of the top 10, added to a sum one by one."""
    total = start
    for level in range(min(10, state.top_counts[which, number])):
        total += state.sizes[which, number, level]
    return total


@compiled
def _volumes(state: State, which: int, values: Floats) -> None:
    bids_known, asks_known = tops_known(state, which, BID) >= 10, tops_known(state, which, ASK) >= 10
    bids, asks = _size_sum(state, which, BID, 0.0), _size_sum(state, which, ASK, 0.0)
    if bids_known:
        values[places.BID_VOLUME_L10] = to_base(state, bids)
    if asks_known:
        values[places.ASK_VOLUME_L10] = to_base(state, asks)
    if bids_known and asks_known and asks != 0.0:
        values[places.BID_ASK_RATIO] = bids / asks


@compiled
def _weighted_factors(state: State, which: int, values: Floats) -> None:
    """Three weightings of the top 10 of both sides."""
    bid_level, bid_half, bid_pull = _weigh(state, which, BID)
    ask_level, ask_half, ask_pull = _weigh(state, which, ASK)
    values[places.OBI_WEIGHTED] = balance(bid_level, ask_level)
    values[places.MICRO_PRICE_IMB] = balance(bid_half, ask_half)
    if ask_pull != 0.0:
        values[places.PRESSURE_SCORE] = bid_pull / ask_pull
    size = _size_sum(state, which, ASK, _size_sum(state, which, BID, 0.0))
    if size != 0.0:
        values[places.OBI_VWAP] = (ask_pull - bid_pull) / size


@compiled
def _weigh(state: State, which: int, number: int) -> tuple[float, float, float]:
    """Sums from the best outward: weighted by level and distance, by halves, and by distance alone."""
    by_level = by_half = by_gap = 0.0
    for level in range(min(10, state.top_counts[which, number])):
        size, gap = state.sizes[which, number, level], state.gaps[number, level]
        by_level += LEVEL_WEIGHTS[level] / (1.0 + gap) * size
        by_half += HALVING_WEIGHTS[level] * size
        by_gap += gap * size
    return by_level, by_half, by_gap


@compiled
def _obi_decay(state: State, which: int) -> float:
    best, bids, asks = state.gaps[BID, 0], 0.0, 0.0
    for level in range(state.top_counts[which, BID]):
        bids += exp(-10_000.0 * (state.gaps[BID, level] - best) / DECAY_BPS) * state.sizes[which, BID, level]
    for level in range(state.top_counts[which, ASK]):
        asks += exp(-10_000.0 * (state.gaps[ASK, level] - best) / DECAY_BPS) * state.sizes[which, ASK, level]
    return balance(bids, asks)


@compiled
def _concentrations(state: State, which: int, values: Floats) -> None:
    """Σ share² of each side's notionals."""
    if tops_known(state, which, BID) >= TOP:
        values[places.HHI_BID_L20] = _concentration(state, which, BID)
    if tops_known(state, which, ASK) >= TOP:
        values[places.HHI_ASK_L20] = _concentration(state, which, ASK)


@compiled
def _concentration(state: State, which: int, number: int) -> float:
    count, whole, squares = state.top_counts[which, number], 0.0, 0.0
    for level in range(count):
        whole += _notional(state, which, number, level)
    if count < LEAST_LEVELS or whole == 0.0:
        return NAN
    for level in range(count):
        share = _notional(state, which, number, level) / whole
        squares += share * share
    return squares


@compiled
def _notional(state: State, which: int, number: int, level: int) -> float:
    lots = float(state.lots[which, number, level])
    return lots if state.is_inverse else float(state.ticks[which, number, level]) * lots


@compiled
def _size_factors(state: State, which: int, values: Floats) -> None:
    """Spread of the sizes of both tops around their mean."""
    bids, asks = state.top_counts[which, BID], state.top_counts[which, ASK]
    if min(bids, asks) < LEAST_LEVELS:
        return
    total = 0.0
    for number in (BID, ASK):
        for level in range(state.top_counts[which, number]):
            total += state.sizes[which, number, level]
    mean, squares = total / float(bids + asks), 0.0
    for number in (BID, ASK):
        for level in range(state.top_counts[which, number]):
            away = state.sizes[which, number, level] - mean
            squares += away * away
    spread = sqrt(squares / float(bids + asks - 1))
    values[places.SIZE_DISPERSION] = to_base(state, spread)
    if mean != 0.0:
        values[places.SIZE_CV] = spread / mean
