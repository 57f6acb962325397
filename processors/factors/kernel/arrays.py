"""One instrument for compiled code: book, grid, tops and rolling state as numbers in memory.

"Before" and "now" of the tops are two places that change roles with each record; `now` says which is the newest. A
float that is not known is NaN, a number of lots that is not known is UNKNOWN.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from orderbook.grid import Grid
from orderbook.kernel.ladder import Ints
from orderbook.kernel.sides import Side
from processors.factors.buckets import BUCKETS
from processors.factors.kernel.arithmetic import MOST
from processors.factors.reference.order_flow import DEEP
from processors.factors.rolling import CHANGE_EVENTS, LEVELS_MAX, WINDOW_MAX, Z_EVENTS
from processors.factors.tape import TAPE_MAX, WINDOWS_S
from processors.factors.trades import SECOND_BARS
from schemas.factors import FACTOR_NAMES

Floats = NDArray[np.float64]
State: TypeAlias = Any
"""A row of STATE."""

TOP: Final = 20
"""Levels of each side that factors look at one by one."""
WINDOWS: Final = len(WINDOWS_S)
"""Of trades."""
UNKNOWN: Final = -1
WINDOW_ROOM: Final = 1 << WINDOW_MAX.bit_length()
"""Most deltas a window may have room for: a power of two above the most it remembers."""
LEAST_ROOM: Final = 64
EXACT_KEY: Final = 2**60
"""Prices lie below this, in ticks."""

# Sides; and what of a side is known: all of it, what is up to a key, or what is up to the worst level it holds.
BID: Final = 0
ASK: Final = 1
ALL: Final = 0
UP_TO_LIMIT: Final = 1
UP_TO_WORST: Final = 2

# Rows of the window: integers, and floats.
TIMES: Final = 0
ADDED: Final = 1
REMOVED: Final = 2
FLOWS: Final = 0
QUOTES: Final = 1

# Previous events, and how many are remembered of each.
PAST_L1: Final = 0
PAST_L5: Final = 1
PAST_DEPTH: Final = 2
PAST_EVENTS: Final = (Z_EVENTS, CHANGE_EVENTS, Z_EVENTS)

STATE: Final = np.dtype(
    [
        ("sequence", np.int64),
        ("epoch", np.int64),
        ("now", np.int64),
        ("is_inverse", np.int64),
        ("reach", np.int64, 2),
        ("price_num", np.int64),
        ("price_den", np.int64),
        ("unit_num", np.int64),
        ("unit_den", np.int64),
        ("price_num_float", np.float64),
        ("price_den_float", np.float64),
        ("unit_num_float", np.float64),
        ("unit_den_float", np.float64),
        ("notional_num", np.float64),
        ("notional_den", np.float64),
        ("whole_since_ns", np.int64),
        ("oldest", np.int64),
        ("deltas", np.int64),
        ("added_sum", np.int64),
        ("removed_sum", np.int64),
        ("without_changes", np.int64),
        ("without_quotes", np.int64),
        ("next_levels", np.int64),
        ("new_bought", np.int64),
        ("new_sold", np.int64),
        ("new_trades", np.int64),
        ("new_units", np.int64),
        ("new_paid", np.float64),
        ("ofi_until_ns", np.int64),
        ("ofi_scale", np.float64),
        ("ofi_weights", np.float64, DEEP),
        ("tape_next", np.int64),
        ("tape_counts", np.int64, WINDOWS),
        ("tape_since", np.int64, WINDOWS),
        ("bought", np.int64, WINDOWS),
        ("sold", np.int64, WINDOWS),
        ("trades", np.int64, WINDOWS),
        ("bar_mid", np.int64),
        ("bar_open", np.int64, 2),
        ("bar_last", np.int64, 2),
        ("bar_traded", np.int64, 2),
        ("bar_counts", np.int64, 2),
        ("bar_factors", np.float64, 4),
        ("bar_returns", np.float64, (2, SECOND_BARS)),
        ("bar_flows", np.int64, (2, SECOND_BARS)),
        ("bucket_size", np.int64),
        ("bucket_filled", np.int64, 2),
        ("bucket_count", np.int64),
        ("bucket_next", np.int64),
        ("bucket_sum", np.int64),
        ("bucket_gaps", np.int64, BUCKETS),
        ("past_counts", np.int64, 3),
        ("levels_known", np.int64, 2),
        ("limits", np.int64, 2),
        ("top_counts", np.int64, (2, 2)),
        ("ticks", np.int64, (2, 2, TOP)),
        ("lots", np.int64, (2, 2, TOP)),
        ("sizes", np.float64, (2, 2, TOP)),
        ("gaps", np.float64, (2, TOP)),
        ("past", np.float64, (3, max(PAST_EVENTS))),
        ("values", np.float64, len(FACTOR_NAMES)),
        ("level_sums", np.float64, DEEP),
        ("level_counts", np.int64, LEVELS_MAX),
        ("level_flows", np.float64, (LEVELS_MAX, DEEP)),
        ("tape", np.int64, (TAPE_MAX, 4)),
        ("tape_paid", np.float64, TAPE_MAX),
    ]
)
"""Everything of an instrument that has a fixed size.

`reach` is what is known of each side, `levels_known` how many levels that is and `limits` the key it ends with;
`oldest` and `deltas` are where the window's ring begins and how long it is; `without_changes` and `without_quotes` are
how many of its deltas lack them; tops are by [which, side, level]; `gaps` are the newest tops' distances from mid over
mid; `past` is oldest first;
`level_flows` are the flows by level of the newest deltas, as many as `level_counts` says, as a ring whose next place is
`next_levels`. `new_` is what the trades of the record come to that is being taken; `tape` and `tape_paid` are those of
the newest records that had any, as `Traded` has them, a ring, of which each window has the newest `tape_counts`; bars
are of seconds and of quarters, oldest first; buckets are a ring. `ofi_weights` are in force until `ofi_until_ns`, none
where `ofi_scale` is 0. And `values` are the factors of the event that is being made.
"""


class Arrays(NamedTuple):
    """The state of one instrument whose book is LIVE.

    Attributes:
        states: One row of STATE.
        bids, asks: The levels.
        window, window_flows: The deltas of the last second as a ring, by [what, place].
    """

    states: NDArray[Any]
    bids: Side
    asks: Side
    window: Ints
    window_flows: Floats

    @property
    def state(self) -> State:
        """The row."""
        return self.states[0]


def make_arrays(bids: Side, asks: Side, grid: Grid, room: int) -> Arrays:
    """Make the arrays around two sides.

    Args:
        bids: A side.
        asks: The other.
        grid: One that `is_exact`.
        room: Deltas the window has room for, a power of two.
    """
    states = np.zeros(1, dtype=STATE)
    states["is_inverse"] = grid.is_inverse
    for name in ("price_num", "price_den", "unit_num", "unit_den"):
        states[name] = getattr(grid, name)
        states[f"{name}_float"] = float(getattr(grid, name))
    states["notional_num"], states["notional_den"] = grid.notional_num, grid.notional_den
    return Arrays(states, bids, asks, np.zeros((3, room), dtype=np.int64), np.zeros((2, room)))


def is_exact(grid: Grid) -> bool:
    """Say whether a grid's numbers are small enough to be counted with in int64."""
    return max(grid.price_num, 2 * grid.price_den, grid.unit_num, grid.unit_den) < MOST
