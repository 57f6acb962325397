"""What a record added to and took from the queues: order flow, and the lots that changed near the top."""

from __future__ import annotations

from typing import Final

from orderbook.kernel.ladder import Ints
from processors.factors.kernel.arrays import ASK, BID, TOP, State
from processors.factors.kernel.tops import price_of, size_of
from processors.factors.reference.order_flow import DEEP
from processors.factors.rolling import LEVELS_MAX
from schemas.kernel.compiled import compiled

NAN: Final = float("nan")


@compiled
def flow_between(state: State, before: int, now: int, levels: int) -> float:
    """Flow summed over so many levels, proportional to base units; NaN where one is missing before or now."""
    flow = 0.0
    for which in (before, now):
        if min(state.top_counts[which, BID], state.top_counts[which, ASK]) < levels:
            return NAN
    for level in range(levels):
        flow += _gain(state, before, now, BID, level, 1) - _gain(state, before, now, ASK, level, -1)
    return flow


@compiled
def _gain(state: State, before: int, now: int, number: int, level: int, sign: int) -> float:
    """What the queue at one level gained; sign is 1 on bids, where a higher price is the better."""
    better = (state.ticks[now, number, level] - state.ticks[before, number, level]) * sign
    gained = state.sizes[now, number, level] if better >= 0 else 0.0
    lost = state.sizes[before, number, level] if better <= 0 else 0.0
    return gained - lost


@compiled
def add_level_flows(state: State, before: int, now: int) -> None:
    """Remember a delta's flow at each level that both books have."""
    count, at = DEEP, state.next_levels
    for which in (before, now):
        count = min(count, state.top_counts[which, BID], state.top_counts[which, ASK])
    for level in range(count):
        gained = _gain(state, before, now, BID, level, 1)
        state.level_flows[at, level] = gained - _gain(state, before, now, ASK, level, -1)
    state.level_counts[at] = count
    state.next_levels = (at + 1) & (LEVELS_MAX - 1)


@compiled
def sum_level_flows(state: State) -> int:
    """Sum the flows of the window's deltas, oldest first: at how many levels all of them have one."""
    if not 0 < state.deltas <= LEVELS_MAX:
        return 0
    start, known = state.next_levels - state.deltas, DEEP
    for i in range(state.deltas):
        known = min(known, state.level_counts[(start + i) & (LEVELS_MAX - 1)])
    for level in range(known):
        state.level_sums[level] = 0.0
    for i in range(state.deltas):
        at = (start + i) & (LEVELS_MAX - 1)
        for level in range(known):
            state.level_sums[level] += state.level_flows[at, level]
    return known


@compiled
def quote_flow(state: State, now: int, flow_lots: int) -> float:
    """Flow at the best quotes in base units: on an inverse contract its worth over mid."""
    size = size_of(state, flow_lots)
    if not state.is_inverse:
        return size
    return size / (price_of(state, state.ticks[now, BID, 0] + state.ticks[now, ASK, 0]) / 2)


@compiled
def has_repeats(numbers: Ints, start: int, end: int, room: Ints) -> bool:
    """Say whether a price stands twice; venues send them in order, and then one look is enough."""
    rising, falling = True, True
    for i in range(start + 1, end):
        rising &= numbers[i - 1] < numbers[i]
        falling &= numbers[i - 1] > numbers[i]
    if rising or falling:
        return False
    for i in range(start, end):
        room[i - start] = numbers[i]
    _sort(room, end - start)
    repeats = 0
    for i in range(1, end - start):
        repeats += room[i - 1] == room[i]
    return repeats > 0


@compiled
def _sort(values: Ints, count: int) -> None:
    """Shell's sort, in place."""
    step = count // 2
    while step > 0:
        for i in range(step, count):
            value, j = values[i], i
            while j >= step and values[j - step] > value:
                values[j] = values[j - step]
                j -= step
            values[j] = value
        step //= 2


@compiled
def changes_near_the_top(
    state: State, before: int, now: int, number: int, numbers: Ints, start: int, end: int, old: Ints, first: int
) -> tuple[int, int]:
    """Sum the lots added to, and taken from, one side at the union of its top prices before and now.

    The record's prices, none twice, stand in `numbers` from `start` to `end`, its sizes behind them; what each was
    before it stands in `old` from `first`.
    """
    sign, added, removed = 1 if number == ASK else -1, 0, 0
    reach_before, reach_now = _reach(state, before, number, sign), _reach(state, now, number, sign)
    for i in range(end - start):
        key, lots, was = numbers[start + i] * sign, numbers[end + i], old[first + i]
        if (was and key <= reach_before) or (lots and key <= reach_now):
            if lots > was:
                added += lots - was
            else:
                removed += was - lots
    return added, removed


@compiled
def _reach(state: State, which: int, number: int, sign: int) -> int:
    """Key of the last of the best 20 levels; where there are fewer, one beyond every price."""
    if state.top_counts[which, number] < TOP:
        return 1 << 62
    return state.ticks[which, number, TOP - 1] * sign  # type: ignore[no-any-return] # an int64
