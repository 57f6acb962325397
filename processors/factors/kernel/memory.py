"""What is remembered: the deltas of the last second as a ring, and the previous events."""

from __future__ import annotations

from math import log, sqrt
from typing import Final

import numpy as np

from orderbook.kernel.ladder import Ints
from processors.factors.kernel import places
from processors.factors.kernel.arithmetic import true_divide
from processors.factors.kernel.arrays import (
    ADDED,
    FLOWS,
    PAST_DEPTH,
    PAST_EVENTS,
    PAST_L1,
    PAST_L5,
    QUOTES,
    REMOVED,
    TIMES,
    UNKNOWN,
    Floats,
    State,
)
from processors.factors.kernel.bands import depth_10bps
from processors.factors.kernel.order_flow import sum_level_flows
from processors.factors.kernel.tops import to_base
from processors.factors.reference.memory import FLAT_SD, LEAST_EVENTS
from processors.factors.reference.order_flow import DEEP
from processors.factors.rolling import WINDOW_MAX, WINDOW_NS, Z_EVENTS
from schemas.kernel.compiled import compiled

NAN: Final = float("nan")


@compiled
def add_delta(
    state: State, window: Ints, flows: Floats, received_ns: int, flow: float, quotes: float, added: int, removed: int
) -> None:
    """One applied delta enters the window, which has room for it; what is a second older leaves it."""
    while state.deltas and window[TIMES, state.oldest] <= received_ns - WINDOW_NS:
        _drop_oldest(state, window, flows)
    at = (state.oldest + state.deltas) & (window.shape[1] - 1)
    window[TIMES, at] = received_ns
    window[ADDED, at] = added
    window[REMOVED, at] = removed
    flows[FLOWS, at] = flow
    flows[QUOTES, at] = quotes
    _count(state, window, flows, at, 1)
    if state.deltas > WINDOW_MAX:
        state.whole_since_ns = _drop_oldest(state, window, flows)


@compiled
def _drop_oldest(state: State, window: Ints, flows: Floats) -> int:
    at = state.oldest
    state.oldest = (at + 1) & (window.shape[1] - 1)
    _count(state, window, flows, at, -1)
    return window[TIMES, at]  # type: ignore[no-any-return] # an int64


@compiled
def _count(state: State, window: Ints, flows: Floats, at: int, sign: int) -> None:
    """Take a delta into the window's sums, or out of them."""
    state.deltas += sign
    if np.isnan(flows[QUOTES, at]):
        state.without_quotes += sign
    if window[ADDED, at] == UNKNOWN:
        state.without_changes += sign
    else:
        state.added_sum += sign * window[ADDED, at]
        state.removed_sum += sign * window[REMOVED, at]


@compiled
def window_factors(state: State, flows: Floats, received_ns: int, values: Floats) -> None:
    """Compute the sums over the last second, oldest first; all stay null until it is whole."""
    if received_ns - state.whole_since_ns < WINDOW_NS:
        return
    mask, flow, quotes, seen = flows.shape[1] - 1, 0.0, 0.0, False
    for i in range(state.deltas):
        at = (state.oldest + i) & mask
        quotes += flows[QUOTES, at]
        if not np.isnan(flows[FLOWS, at]):
            flow += flows[FLOWS, at]
            seen = True
    if seen:
        values[places.OFI_L1_1S] = to_base(state, flow)
    if state.deltas and not state.without_quotes:
        values[places.OFI_QUOTES_1S] = quotes
    levels = sum_level_flows(state)
    for level in range(levels):
        values[places.MLOFI_1S[level]] = to_base(state, state.level_sums[level])
    if levels == DEEP and state.ofi_scale > 0.0:
        values[places.INTEGRATED_OFI_1S] = _integrated(state, values)
    changed = state.added_sum + state.removed_sum
    if changed and not state.without_changes:
        values[places.REMOVAL_RATIO_1S] = true_divide(state.removed_sum, changed)


@compiled
def _integrated(state: State, values: Floats) -> float:
    total = 0.0
    for level in range(DEEP):
        total += state.ofi_weights[level] * values[places.MLOFI_1S[level]]
    return total / state.ofi_scale  # type: ignore[no-any-return] # a float64


@compiled
def past_factors(state: State, values: Floats) -> None:
    """Compute what stands against the previous events; NaN, which is null, comes of any that is not known."""
    count, obi_l5 = state.past_counts[PAST_L5], values[places.OBI_L5]
    if count >= LEAST_EVENTS:
        values[places.OBI_CHANGE_RATE] = obi_l5 - _sum(state, PAST_L5) / float(count)
    if state.past_counts[PAST_L1] >= Z_EVENTS:
        values[places.OBI_L1_Z] = _z(state, values[places.OBI_L1])
    count, depth = state.past_counts[PAST_DEPTH], depth_10bps(values)
    if count >= Z_EVENTS and depth > 0.0:
        mean = _sum(state, PAST_DEPTH) / float(count)
        if mean > 0.0:
            values[places.LIQUIDITY_SHIFT] = log(depth / mean)


@compiled
def add_event(state: State, values: Floats) -> None:
    """One event with status OK or THIN becomes a previous event."""
    if not np.isnan(values[places.OBI_L1]):
        _remember(state, PAST_L1, values[places.OBI_L1])
        _remember(state, PAST_L5, values[places.OBI_L5])
        _remember(state, PAST_DEPTH, depth_10bps(values))


@compiled
def _remember(state: State, what: int, value: float) -> None:
    count = state.past_counts[what]
    if count == PAST_EVENTS[what]:
        for i in range(1, count):
            state.past[what, i - 1] = state.past[what, i]
        count -= 1
    state.past[what, count] = value
    state.past_counts[what] = count + 1


@compiled
def _sum(state: State, what: int) -> float:
    total = 0.0
    for i in range(state.past_counts[what]):
        total += state.past[what, i]
    return total


@compiled
def _z(state: State, now: float) -> float:
    count = float(state.past_counts[PAST_L1])
    mean, squares = _sum(state, PAST_L1) / count, 0.0
    for i in range(state.past_counts[PAST_L1]):
        away = state.past[PAST_L1, i] - mean
        squares += away * away
    sd = sqrt(squares / (count - 1.0))
    return (now - mean) / sd if sd >= FLAT_SD else NAN
