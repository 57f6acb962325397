"""Bars in compiled code: what is read of them is computed when one is closed, and kept until the next is."""

from __future__ import annotations

from math import log1p, pi, sqrt
from typing import Final

from processors.factors.bars import BPS
from processors.factors.kernel import places
from processors.factors.kernel.arithmetic import true_divide
from processors.factors.kernel.arrays import Floats, State
from processors.factors.kernel.bands import notional_of
from processors.factors.reference.trades import LEAST_BARS, MILLION
from processors.factors.trades import QUARTER_BARS, QUARTERS_NS, SECOND_BARS
from schemas.kernel.compiled import compiled
from schemas.units import NS_PER_SECOND

NAN: Final = float("nan")
SECONDS: Final = 0
QUARTERS: Final = 1
STEPS_NS: Final = (NS_PER_SECOND, QUARTERS_NS)
KEEP: Final = (SECOND_BARS, QUARTER_BARS)
HALF_PI: Final = pi / 2.0
NONE_BEFORE: Final = -1
"""Mid at the end of the bar before the first."""

# What is kept of the newest closed bars.
RV_5S: Final = 0
RV_60S: Final = 1
BIPOWER_60S: Final = 2
KYLE_LAMBDA_60S: Final = 3


@compiled
def add_to_bars(state: State, received_ns: int, mid2: int) -> None:
    """Take a record: its time, twice the mid after it in ticks, and what was read of its trades."""
    for which in range(len(STEPS_NS)):
        bar = (received_ns + STEPS_NS[which] - 1) // STEPS_NS[which]
        if bar > state.bar_open[which]:
            for _ in range(min(bar - state.bar_open[which], KEEP[which] + 1)):
                _close(state, which)
            state.bar_open[which] = bar
            measure_bars(state, which)
        state.bar_traded[which] += state.new_units
    state.bar_mid = mid2


@compiled
def measure_bars(state: State, which: int) -> None:
    """Compute what is read of the closed bars of one length."""
    if which == QUARTERS:
        state.bar_factors[RV_5S] = _volatility(state, QUARTERS, 5.0)
    else:
        state.bar_factors[RV_60S] = _volatility(state, SECONDS, 60.0)
        state.bar_factors[BIPOWER_60S] = _bipower(state)
        state.bar_factors[KYLE_LAMBDA_60S] = _kyle_lambda(state)


@compiled
def bar_factors(state: State, values: Floats) -> None:
    """Write what is kept."""
    values[places.RV_5S] = state.bar_factors[RV_5S]
    values[places.RV_60S] = state.bar_factors[RV_60S]
    values[places.BIPOWER_60S] = state.bar_factors[BIPOWER_60S]
    values[places.KYLE_LAMBDA_60S] = state.bar_factors[KYLE_LAMBDA_60S]


@compiled
def _close(state: State, which: int) -> None:
    mid, last = state.bar_mid, state.bar_last[which]
    if last != NONE_BEFORE:
        change = NAN
        if mid and last:
            change = BPS * log1p(true_divide(mid - last, last))
        _append(state, which, change, state.bar_traded[which])
    state.bar_last[which] = mid
    state.bar_traded[which] = 0


@compiled
def _append(state: State, which: int, change: float, flow: int) -> None:
    count = state.bar_counts[which]
    if count == KEEP[which]:
        for i in range(1, count):
            state.bar_returns[which, i - 1] = state.bar_returns[which, i]
            state.bar_flows[which, i - 1] = state.bar_flows[which, i]
        count -= 1
    state.bar_returns[which, count] = change
    state.bar_flows[which, count] = flow
    state.bar_counts[which] = count + 1


@compiled
def _volatility(state: State, which: int, seconds: float) -> float:
    if state.bar_counts[which] < KEEP[which]:
        return NAN
    squares = 0.0
    for i in range(KEEP[which]):
        squares += state.bar_returns[which, i] * state.bar_returns[which, i]
    return sqrt(squares / seconds)


@compiled
def _bipower(state: State) -> float:
    if state.bar_counts[SECONDS] < KEEP[SECONDS]:
        return NAN
    products = 0.0
    for i in range(1, KEEP[SECONDS]):
        products += abs(state.bar_returns[SECONDS, i]) * abs(state.bar_returns[SECONDS, i - 1])
    return sqrt(HALF_PI * products / 59.0)


@compiled
def _kyle_lambda(state: State) -> float:
    """Slope of returns on signed notional; NaN comes of any return that is not known."""
    count = state.bar_counts[SECONDS]
    if count < LEAST_BARS:
        return NAN
    flows = returns = spread = shared = 0.0
    for i in range(count):
        flows += notional_of(state, state.bar_flows[SECONDS, i])
        returns += state.bar_returns[SECONDS, i]
    mean_flow, mean_return = flows / float(count), returns / float(count)
    for i in range(count):
        away = notional_of(state, state.bar_flows[SECONDS, i]) - mean_flow
        spread += away * away
        shared += away * (state.bar_returns[SECONDS, i] - mean_return)
    return MILLION * (shared / spread) if spread != 0.0 else NAN
