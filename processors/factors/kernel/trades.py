"""Trades in compiled code: windows as counts of one ring, and the factors that are read of them."""

from __future__ import annotations

from typing import Any, Final

from orderbook.kernel.ladder import Ints
from processors.factors.buckets import BUCKETS
from processors.factors.kernel import places
from processors.factors.kernel.arithmetic import MOST, fits, ratio, true_divide
from processors.factors.kernel.arrays import EXACT_KEY, Floats, State
from processors.factors.kernel.order_flow import quote_flow
from processors.factors.tape import TAPE_MAX, WINDOWS_S
from schemas.kernel.compiled import compiled
from schemas.units import NS_PER_SECOND

NAN: Final = float("nan")
SPANS_NS: Final = tuple(seconds * NS_PER_SECOND for seconds in WINDOWS_S)
LONGEST: Final = len(WINDOWS_S) - 1


@compiled
def read_trades(state: State, mid2: int, delta: Any, numbers: Ints) -> bool:  # noqa: ANN401 (a row of HEAD)
    """Sum a delta's trades into the state's `new_` fields; False where a sum is beyond exact arithmetic.

    `mid2` is twice the mid before it, in ticks; 0 where that book was not open. Nothing else is changed.
    """
    start, end = delta.spans[4], delta.spans[5]
    bought = sold = trades = units = pull = 0
    farthest = mid2
    for i in range(start, end):
        ticks, lots = numbers[i], numbers[end + i - start]
        if not (0 <= ticks < EXACT_KEY and abs(lots) <= MOST - bought - sold):
            return False
        if lots > 0:
            bought += lots
        else:
            sold -= lots
        trades += 1 if lots else 0
        farthest = max(farthest, 2 * ticks)
        if not fits(max(farthest, 1), bought + sold):
            return False
        units += lots * (1 if state.is_inverse else ticks)
        pull += lots * (2 * ticks - mid2)
    if not fits(pull, 20_000) or max(abs(state.bar_traded[0] + units), abs(state.bar_traded[1] + units)) > MOST:
        return False
    most = max(state.bought[LONGEST] + bought, state.sold[LONGEST] + sold)
    if most > MOST or not fits(most, state.unit_num):
        return False
    state.new_bought, state.new_sold, state.new_trades, state.new_units = bought, sold, trades, units
    state.new_paid = true_divide(20_000 * pull, mid2) if mid2 else NAN
    return True


@compiled
def take_trades(state: State, received_ns: int, delta: Any, numbers: Ints) -> None:  # noqa: ANN401 (a row of HEAD)
    """Take what was read into windows and buckets."""
    for window in range(len(SPANS_NS)):
        while state.tape_counts[window] and _oldest_ns(state, window) <= received_ns - SPANS_NS[window]:
            _drop_oldest(state, window)
    if state.new_trades:
        _enter(state, received_ns)
    start, end = delta.spans[4], delta.spans[5]
    for i in range(start, end if state.bucket_size else start):
        ticks, lots = numbers[i], numbers[end + i - start]
        if lots:
            _fill_buckets(state, lots * (1 if state.is_inverse else ticks))


@compiled
def trade_factors(state: State, now: int, received_ns: int, values: Floats) -> None:
    """Compute what is read of the windows that are whole, and of the buckets."""
    for window in range(len(SPANS_NS)):
        if received_ns - state.tape_since[window] < SPANS_NS[window]:
            continue
        bought, sold = state.bought[window], state.sold[window]
        values[places.TRADE_BUY[window]] = quote_flow(state, now, bought)
        values[places.TRADE_SELL[window]] = quote_flow(state, now, sold)
        values[places.TRADE_COUNT[window]] = float(state.trades[window])
        values[places.TRADE_FLOW[window]] = ratio(bought, sold)
        if window == 0 and state.tape_counts[0]:
            values[places.EFFECTIVE_SPREAD_BPS_1S] = _paid(state) / float(bought + sold)
    if state.bucket_count == BUCKETS:
        values[places.VPIN_EXACT] = true_divide(state.bucket_sum, BUCKETS * state.bucket_size)


@compiled
def _oldest_ns(state: State, window: int) -> int:
    at = (state.tape_next - state.tape_counts[window]) & (TAPE_MAX - 1)
    return state.tape[at, 0]  # type: ignore[no-any-return] # an int64


@compiled
def _drop_oldest(state: State, window: int) -> None:
    _count(state, window, (state.tape_next - state.tape_counts[window]) & (TAPE_MAX - 1), -1)


@compiled
def _enter(state: State, received_ns: int) -> None:
    """Put a record's trades where the ring's oldest was; a window that reached back to it has lost that one."""
    for window in range(len(SPANS_NS)):
        if state.tape_counts[window] == TAPE_MAX:
            state.tape_since[window] = _oldest_ns(state, window)
            _drop_oldest(state, window)
    at = state.tape_next
    state.tape[at, 0] = received_ns
    state.tape[at, 1] = state.new_bought
    state.tape[at, 2] = state.new_sold
    state.tape[at, 3] = state.new_trades
    state.tape_paid[at] = state.new_paid
    state.tape_next = (at + 1) & (TAPE_MAX - 1)
    for window in range(len(SPANS_NS)):
        _count(state, window, at, 1)


@compiled
def _count(state: State, window: int, at: int, sign: int) -> None:
    """Take a record's trades into a window's sums, or out of them."""
    state.tape_counts[window] += sign
    state.bought[window] += sign * state.tape[at, 1]
    state.sold[window] += sign * state.tape[at, 2]
    state.trades[window] += sign * state.tape[at, 3]


@compiled
def _paid(state: State) -> float:
    """Sum what was paid beyond the mid over the shortest window, oldest first; NaN where one is not known."""
    total, start = 0.0, state.tape_next - state.tape_counts[0]
    for i in range(state.tape_counts[0]):
        total += state.tape_paid[(start + i) & (TAPE_MAX - 1)]
    return total


@compiled
def _fill_buckets(state: State, units: int) -> None:
    """Take one trade, split where a bucket is full."""
    left, size = abs(units), state.bucket_size
    room = size - state.bucket_filled[0] - state.bucket_filled[1]
    side = 0 if units > 0 else 1
    if left >= room:
        state.bucket_filled[side] += room
        _close_bucket(state, abs(state.bucket_filled[0] - state.bucket_filled[1]))
        state.bucket_filled[0] = 0
        state.bucket_filled[1] = 0
        whole = (left - room) // size
        left -= room + whole * size
        for _ in range(min(whole, BUCKETS)):
            _close_bucket(state, size)
    state.bucket_filled[side] += left


@compiled
def _close_bucket(state: State, gap: int) -> None:
    at = state.bucket_next
    state.bucket_sum += gap - state.bucket_gaps[at]
    state.bucket_gaps[at] = gap
    state.bucket_next = (at + 1) % BUCKETS
    state.bucket_count = min(state.bucket_count + 1, BUCKETS)
