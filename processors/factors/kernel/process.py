"""A run of ordinary deltas of one LIVE book: each applied and measured, without a Python object.

What is not ordinary ends the run before that record, and the reference takes it: a delta that does not connect, one
after which the book is not open (empty, one-sided, locked, crossed, beyond what is known), one with a price twice, and
one whose numbers are beyond exact arithmetic. Nothing of such a record is in the state but its levels, as far as they
were applied, and their old sizes are told, so that they can be taken back.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orderbook.kernel.ladder import Ints, Ladder, set_in_ladder
from orderbook.kernel.pages import NO_ROOM, Pages
from orderbook.kernel.sides import is_on_ladder, keep_centred, set_level
from processors.factors.kernel import places
from processors.factors.kernel.arithmetic import MOST, fits
from processors.factors.kernel.arrays import ASK, BID, EXACT_KEY, TOP, UNKNOWN, WINDOW_ROOM, Floats, State
from processors.factors.kernel.bands import band_factors, confidence, top_notional
from processors.factors.kernel.bars import add_to_bars, bar_factors
from processors.factors.kernel.imbalance import imbalance_factors
from processors.factors.kernel.memory import add_delta, add_event, past_factors, window_factors
from processors.factors.kernel.order_flow import (
    add_level_flows,
    changes_near_the_top,
    flow_between,
    has_repeats,
    quote_flow,
)
from processors.factors.kernel.quotes import quote_factors
from processors.factors.kernel.tops import take_tops, to_base, tops_known
from processors.factors.kernel.trades import read_trades, take_trades, trade_factors
from schemas.kernel.compiled import compiled
from schemas.messages import Status

NAN: Final = float("nan")

# How a run ends.
DONE: Final = 0
NOT_ORDINARY: Final = 1
FULL: Final = 2
OTHER_WEIGHTS: Final = 3
"""Those of the table change with the record after the run."""

# What is said of an event beside its factors, by column.
SEQUENCE: Final = 0
EXCHANGE_NS: Final = 1
HAS_EXCHANGE: Final = 2
RECEIVED_NS: Final = 3
STATUS: Final = 4
COLUMNS: Final = 5

STATUSES: Final = tuple(Status)
THIN: Final = STATUSES.index(Status.THIN)
OK: Final = STATUSES.index(Status.OK)
LATEST_NS: Final = 2**62
"""Differences of times below this are int64."""


class StretchEnd(NamedTuple):
    """How a run ended.

    Attributes:
        events: Records that were processed, each with one event.
        why: DONE, NOT_ORDINARY, FULL or OTHER_WEIGHTS.
        bids, asks: Levels of the record after them that were applied all the same.
    """

    events: int
    why: int
    bids: int
    asks: int


@compiled
def process(
    states: NDArray[Any],
    bid_ladders: NDArray[Any],
    bids: Pages,
    bid_directory: Ints,
    ask_ladders: NDArray[Any],
    asks: Pages,
    ask_directory: Ints,
    window: Ints,
    flows: Floats,
    thin_notional: float,
    heads: NDArray[Any],
    numbers: Ints,
    rows: Ints,
    old: Ints,
    values: Floats,
    about: Ints,
) -> tuple[int, int, int, int]:
    """Apply deltas to an instrument and compute the events they make.

    The instrument is `Arrays` and the deltas are `Deltas`, flat; `rows` are places in them, one a record, in source
    order. T is in quote units. `old` has room for as many numbers as a record has levels, and gets what each level was;
    `values` and `about` have a row an event: the factors, NaN for null, and what the columns from SEQUENCE on say.

    Returns:
        `StretchEnd`, as a plain tuple.
    """
    state, bid_ladder, ask_ladder = states[0], bid_ladders[0], ask_ladders[0]
    for event in range(rows.shape[0]):
        delta = heads[rows[event]]
        if not _is_ordinary(state, delta, numbers, old):
            return event, NOT_ORDINARY, 0, 0
        if delta.received_ns >= state.ofi_until_ns:
            return event, OTHER_WEIGHTS, 0, 0
        if state.deltas == window.shape[1] < WINDOW_ROOM:
            return event, FULL, 0, 0
        why, bid_count, ask_count = _apply(
            bid_ladder, bids, bid_directory, ask_ladder, asks, ask_directory, delta, numbers, old
        )
        if why != DONE:
            return event, why, bid_count, ask_count
        row, now = state.values, 1 - state.now
        _forget(row)
        is_exact = take_tops(state, bid_ladder, bids, bid_directory, ask_ladder, asks, ask_directory, now)
        is_exact = is_exact and _is_open(state, now)
        is_exact = is_exact and band_factors(
            state, bid_ladder, bids, bid_directory, ask_ladder, asks, ask_directory, now, row
        )
        if not is_exact or not _measure(state, window, flows, thin_notional, delta, numbers, old, row):
            return event, NOT_ORDINARY, bid_count, ask_count
        state.now, state.sequence = now, delta.sequence
        for factor in range(values.shape[1]):
            values[event, factor] = row[factor]
        _describe(delta, about, event)
        about[event, STATUS] = THIN if top_notional(state, now) < thin_notional else OK
    return rows.shape[0], DONE, 0, 0


@compiled
def _forget(values: Floats) -> None:
    for factor in range(values.shape[0]):
        values[factor] = NAN


@compiled
def _describe(delta: Any, about: Ints, event: int) -> None:  # noqa: ANN401 (a row of HEAD)
    about[event, SEQUENCE] = delta.sequence
    about[event, EXCHANGE_NS] = delta.exchange_ns
    about[event, HAS_EXCHANGE] = delta.has_exchange
    about[event, RECEIVED_NS] = delta.received_ns


@compiled
def _is_ordinary(state: State, delta: Any, numbers: Ints, room: Ints) -> bool:  # noqa: ANN401 (a row of HEAD)
    """Say whether a delta connects, comes at a time to count with, and names no price twice."""
    if delta.epoch != state.epoch or delta.previous != state.sequence:
        return False
    if not 0 <= delta.received_ns < LATEST_NS:
        return False
    return not (
        has_repeats(numbers, delta.spans[0], delta.spans[1], room)
        or has_repeats(numbers, delta.spans[2], delta.spans[3], room)
    )


@compiled
def _apply(
    bid_ladder: Ladder,
    bids: Pages,
    bid_directory: Ints,
    ask_ladder: Ladder,
    asks: Pages,
    ask_directory: Ints,
    delta: Any,  # noqa: ANN401 (a row of HEAD)
    numbers: Ints,
    old: Ints,
) -> tuple[int, int, int]:
    """Apply a delta's levels and note what each was: how it went, bids applied, asks applied."""
    bid_count, ask_count = delta.spans[1] - delta.spans[0], delta.spans[3] - delta.spans[2]
    why, done = _apply_side(bid_ladder, bids, bid_directory, -1, numbers, delta.spans[0], bid_count, old, 0)
    if why != DONE:
        return why, done, 0
    why, done = _apply_side(ask_ladder, asks, ask_directory, 1, numbers, delta.spans[2], ask_count, old, bid_count)
    return why, bid_count, done


@compiled
def _apply_side(
    ladder: Ladder,
    pages: Pages,
    directory: Ints,
    sign: int,
    numbers: Ints,
    start: int,
    count: int,
    old: Ints,
    first: int,
) -> tuple[int, int]:
    for i in range(count):
        ticks, lots = numbers[start + i], numbers[start + count + i]
        if not (0 <= ticks < EXACT_KEY and 0 <= lots <= MOST - ladder.all_lots):
            return NOT_ORDINARY, i
        key = ticks * sign
        if is_on_ladder(ladder, key):
            old[first + i] = set_in_ladder(ladder, key, lots)
            continue
        was = set_level(ladder, pages, directory, key, lots)
        if was == NO_ROOM:
            return FULL, i
        old[first + i] = was
    keep_centred(ladder, pages, directory)
    return DONE, count


@compiled
def _measure(
    state: State,
    window: Ints,
    flows: Floats,
    thin_notional: float,
    delta: Any,  # noqa: ANN401 (a row of HEAD)
    numbers: Ints,
    old: Ints,
    values: Floats,
) -> bool:
    """Compute one event but for its depths, and remember it; False where it is not exact: nothing is remembered."""
    before, now = state.now, 1 - state.now
    notional = top_notional(state, now)
    if np.isnan(notional) or not quote_factors(state, now, values):
        return False
    if delta.has_flow:
        if not fits(delta.flow_lots, state.unit_num):
            return False
        values[places.OFI_QUOTES] = quote_flow(state, now, delta.flow_lots)
    if not read_trades(state, _mid2(state, before), delta, numbers):
        return False
    added, removed = _changes(state, before, now, delta, numbers, old)
    if max(state.added_sum + added, state.removed_sum + removed) > MOST:
        return False
    flow = flow_between(state, before, now, 1)
    values[places.OFI_L1] = to_base(state, flow)
    values[places.OFI_L5] = to_base(state, flow_between(state, before, now, 5))
    add_delta(state, window, flows, delta.received_ns, flow, values[places.OFI_QUOTES] + 0.0, added, removed)
    add_level_flows(state, before, now)
    take_trades(state, delta.received_ns, delta, numbers)
    add_to_bars(state, delta.received_ns, _mid2(state, now))
    imbalance_factors(state, now, values)
    values[places.CONFIDENCE] = confidence(state, now, notional, thin_notional)
    window_factors(state, flows, delta.received_ns, values)
    trade_factors(state, now, delta.received_ns, values)
    bar_factors(state, values)
    past_factors(state, values)
    _leave_finite(values)
    add_event(state, values)
    return True


@compiled
def _is_open(state: State, which: int) -> bool:
    """Say whether both sides have a known level and the best bid lies below the best ask."""
    if min(state.top_counts[which, BID], state.top_counts[which, ASK]) == 0:
        return False
    return state.ticks[which, BID, 0] < state.ticks[which, ASK, 0]  # type: ignore[no-any-return] # a boolean


@compiled
def _mid2(state: State, which: int) -> int:
    """Twice the mid in ticks; 0 where the book is not open."""
    if not _is_open(state, which):
        return 0
    return state.ticks[which, BID, 0] + state.ticks[which, ASK, 0]  # type: ignore[no-any-return] # an int64


@compiled
def _changes(state: State, before: int, now: int, delta: Any, numbers: Ints, old: Ints) -> tuple[int, int]:  # noqa: ANN401
    """Lots added and removed near the top by one delta; UNKNOWN where a top is not known."""
    for number in (BID, ASK):
        if min(tops_known(state, before, number), tops_known(state, now, number)) < TOP:
            return UNKNOWN, UNKNOWN
    spans = delta.spans
    bid_added, bid_removed = changes_near_the_top(state, before, now, BID, numbers, spans[0], spans[1], old, 0)
    first = spans[1] - spans[0]
    ask_added, ask_removed = changes_near_the_top(state, before, now, ASK, numbers, spans[2], spans[3], old, first)
    return bid_added + ask_added, bid_removed + ask_removed


@compiled
def _leave_finite(values: Floats) -> None:
    """Make null of what is not finite, and 0.0 of -0.0."""
    for i in range(values.shape[0]):
        values[i] = values[i] + 0.0 if np.isfinite(values[i]) else NAN
