"""What is remembered of trades, between the reference's form and the arrays: exact both ways."""

from __future__ import annotations

from typing import Final

import numpy as np

from processors.factors.bars import Bars
from processors.factors.kernel.arithmetic import MOST
from processors.factors.kernel.arrays import Arrays
from processors.factors.kernel.bars import NONE_BEFORE, QUARTERS, SECONDS, measure_bars
from processors.factors.tape import TAPE_MAX, Traded
from processors.factors.trades import TradeMemory

INTEGERS: Final = 4
"""Of `Traded`: time, bought, sold, trades."""


def is_plain(memory: TradeMemory) -> bool:
    """Whether all of it is small enough to be counted with in int64."""
    longest = memory.windows[-1]
    numbers = [longest.bought, longest.sold, longest.trades]
    numbers += [abs(traded.received_ns) for traded in longest.records]
    numbers += [abs(window.whole_since_ns) for window in memory.windows]
    for bars in memory.bars:
        numbers += [abs(bars.open_bar), bars.mid, bars.last_mid or 0, abs(bars.traded), *map(abs, bars.flows)]
    return max(numbers) < MOST


def write_trades(arrays: Arrays, memory: TradeMemory) -> None:
    """Write it into fresh arrays."""
    states, state = arrays.states, arrays.state
    tape = list(memory.windows[-1].records)
    count = len(tape)
    states["tape_next"] = count & (TAPE_MAX - 1)
    if count:
        state["tape"][:count] = [traded[:INTEGERS] for traded in tape]
        state["tape_paid"][:count] = [np.nan if traded.paid is None else traded.paid for traded in tape]
    for at, window in enumerate(memory.windows):
        state["tape_counts"][at], state["tape_since"][at] = len(window.records), window.whole_since_ns
        state["bought"][at], state["sold"][at], state["trades"][at] = window.bought, window.sold, window.trades
    states["bar_mid"] = memory.seconds.mid
    for which, bars in ((SECONDS, memory.seconds), (QUARTERS, memory.quarters)):
        _write_bars(arrays, which, bars)
    _write_buckets(arrays, memory)


def trades_of(arrays: Arrays) -> TradeMemory:
    """Make the reference's form."""
    memory, state = TradeMemory(), arrays.state
    for at, window in enumerate(memory.windows):
        places = (state["tape_next"] - state["tape_counts"][at] + np.arange(state["tape_counts"][at])) & (TAPE_MAX - 1)
        numbers, paid = state["tape"][places].tolist(), state["tape_paid"][places].tolist()
        costs = [None if cost != cost else cost for cost in paid]
        records = [
            Traded(received_ns, bought, sold, trades, cost)
            for (received_ns, bought, sold, trades), cost in zip(numbers, costs, strict=True)
        ]
        window.hold(int(state["tape_since"][at]), records)
    for which, bars in ((SECONDS, memory.seconds), (QUARTERS, memory.quarters)):
        _read_bars(arrays, which, bars)
    buckets, held = memory.buckets, int(state["bucket_count"])
    buckets.size = int(state["bucket_size"])
    buckets.bought, buckets.sold = state["bucket_filled"].tolist()
    gaps = np.roll(state["bucket_gaps"], -int(state["bucket_next"])).tolist()
    buckets.gaps.extend(gaps[len(gaps) - held :])
    return memory


def _write_bars(arrays: Arrays, which: int, bars: Bars) -> None:
    state, count = arrays.state, len(bars.returns)
    state["bar_open"][which], state["bar_traded"][which] = bars.open_bar, bars.traded
    state["bar_last"][which] = NONE_BEFORE if bars.last_mid is None else bars.last_mid
    state["bar_counts"][which] = count
    state["bar_returns"][which, :count] = [np.nan if change is None else change for change in bars.returns]
    state["bar_flows"][which, :count] = list(bars.flows)
    measure_bars(state, which)


def _read_bars(arrays: Arrays, which: int, bars: Bars) -> None:
    state, count = arrays.state, int(arrays.state["bar_counts"][which])
    last = int(state["bar_last"][which])
    bars.open_bar, bars.mid = int(state["bar_open"][which]), int(state["bar_mid"])
    bars.last_mid, bars.traded = None if last == NONE_BEFORE else last, int(state["bar_traded"][which])
    returns = state["bar_returns"][which, :count].tolist()
    bars.returns.extend([None if change != change else change for change in returns])
    bars.flows.extend(state["bar_flows"][which, :count].tolist())


def _write_buckets(arrays: Arrays, memory: TradeMemory) -> None:
    state, buckets = arrays.state, memory.buckets
    count = len(buckets.gaps)
    arrays.states["bucket_size"], arrays.states["bucket_count"] = buckets.size, count
    arrays.states["bucket_next"] = count % (buckets.gaps.maxlen or 1)
    arrays.states["bucket_sum"] = sum(buckets.gaps)
    state["bucket_filled"][:] = buckets.bought, buckets.sold
    state["bucket_gaps"][:count] = list(buckets.gaps)
