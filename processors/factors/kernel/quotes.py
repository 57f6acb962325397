"""The top of the book and the prices between the quotes, of an open book."""

from __future__ import annotations

from typing import Final

from processors.factors.kernel import places
from processors.factors.kernel.arithmetic import fits, ratio, true_divide
from processors.factors.kernel.arrays import ALL, ASK, BID, Floats, State
from processors.factors.kernel.tops import lots_of, price_of, size_of, tops_known
from schemas.kernel.compiled import compiled

NAN: Final = float("nan")


@compiled
def quote_factors(state: State, which: int, values: Floats) -> bool:
    """Compute what the best levels and the limits say; False where a number is beyond exact arithmetic."""
    ticks, lots, price_num = state.ticks, state.lots, state.price_num
    bid, bid_lots = ticks[which, BID, 0], lots[which, BID, 0]
    ask, ask_lots = ticks[which, ASK, 0], lots[which, ASK, 0]
    if not (fits(bid + ask, price_num) and fits(ask - bid, 20_000)):
        return False
    if not (fits(bid_lots, state.unit_num) and fits(ask_lots, state.unit_num)):
        return False
    values[places.BEST_BID] = price_of(state, bid)
    values[places.BEST_ASK] = price_of(state, ask)
    is_inverse = state.is_inverse
    values[places.BEST_BID_SIZE] = state.sizes[which, BID, 0] if is_inverse else size_of(state, bid_lots)
    values[places.BEST_ASK_SIZE] = state.sizes[which, ASK, 0] if is_inverse else size_of(state, ask_lots)
    values[places.MID] = true_divide((bid + ask) * price_num, 2 * state.price_den)
    values[places.SPREAD] = price_of(state, ask - bid)
    values[places.SPREAD_BPS] = true_divide(20_000 * (ask - bid), bid + ask)
    values[places.BID_LEVELS] = float(state.levels_known[BID])
    values[places.ASK_LEVELS] = float(state.levels_known[ASK])
    _price_factors(state, which, bid, ask, values)
    return _known_bps(state, BID, bid + ask, values) and _known_bps(state, ASK, bid + ask, values)


@compiled
def _price_factors(state: State, which: int, bid: int, ask: int, values: Floats) -> None:
    """The mid moved by the sizes at the best."""
    bid_size, ask_size = state.sizes[which, BID, 0], state.sizes[which, ASK, 0]
    ticks = float(bid) + float(ask - bid) * (bid_size / (bid_size + ask_size))
    middle = ticks * state.price_num_float / state.price_den_float
    imbalance = ratio(lots_of(state, which, BID, 1), lots_of(state, which, ASK, 1))
    if bid_size + ask_size == 0.0:
        middle = NAN
    values[places.WEIGHTED_MID] = middle
    if tops_known(state, which, BID) and tops_known(state, which, ASK):
        values[places.WEIGHTED_MID_ADJUSTED] = middle + 0.5 * imbalance * price_of(state, ask - bid) / 2


@compiled
def _known_bps(state: State, number: int, sum_ticks: int, values: Floats) -> bool:
    """How far from mid a side is known: left null where all of it is."""
    if state.reach[number] == ALL:
        return True
    limit = abs(state.limits[number])
    away = sum_ticks - 2 * limit if number == BID else 2 * limit - sum_ticks
    if not fits(away, 10_000):
        return False
    values[places.BID_KNOWN_BPS if number == BID else places.ASK_KNOWN_BPS] = true_divide(10_000 * away, sum_ticks)
    return True
