"""Between the reference's state and the arrays: exact both ways, or not at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from orderbook.book import BookSide
from orderbook.kernel.ladder import Ints
from orderbook.kernel.sides import Side, fill, levels_of, make_side, pages_for
from orderbook.known import Known
from orderbook.validity import TrackedBook
from processors.factors.kernel.arithmetic import MOST
from processors.factors.kernel.arrays import (
    ADDED,
    ALL,
    ASK,
    BID,
    EXACT_KEY,
    FLOWS,
    LEAST_ROOM,
    QUOTES,
    REMOVED,
    TIMES,
    UNKNOWN,
    UP_TO_LIMIT,
    UP_TO_WORST,
    Arrays,
    Floats,
    is_exact,
    make_arrays,
)
from processors.factors.kernel.process import LATEST_NS
from processors.factors.kernel.remembered import is_plain, trades_of, write_trades
from processors.factors.kernel.tops import take_tops
from processors.factors.reference.state import InstrumentState
from processors.factors.rolling import LEVELS_MAX, WINDOW_MAX, Rolling
from schemas.messages import Coverage

NO_LIMIT: Final = 2**62


def arrays_of(state: InstrumentState) -> Arrays | None:
    """Make the arrays of a LIVE book; None where it is not LIVE, or holds what int64 does not count exactly."""
    tracked, rolling = state.tracked, state.rolling
    if not (tracked.is_live and tracked.grid is not None and tracked.crossed_since_ns is None):
        return None
    if not (is_exact(tracked.grid) and _is_plain_book(tracked) and _is_plain_past(rolling)):
        return None
    bids = _side_of(tracked.book.bids, _limit(tracked.known, BID))
    asks = _side_of(tracked.book.asks, _limit(tracked.known, ASK))
    arrays = make_arrays(bids, asks, tracked.grid, _room(len(rolling.times)))
    arrays.states["sequence"], arrays.states["epoch"] = tracked.sequence, tracked.epoch
    arrays.states["reach"] = [_reach(tracked.known, BID), _reach(tracked.known, ASK)]
    _write_rolling(arrays, rolling)
    return arrays if take_tops(arrays.state, bids.ladder, *bids[1:], asks.ladder, *asks[1:], 0) else None


def take_back(arrays: Arrays, state: InstrumentState) -> None:
    """Write book and rolling state of the arrays into the reference's state they were made of."""
    tracked = state.tracked
    tracked.sequence = int(arrays.state["sequence"])
    tracked.book.bids.replace(*_levels(arrays.bids, -1))
    tracked.book.asks.replace(*_levels(arrays.asks, 1))
    state.rolling = rolling_of(arrays)


def rolling_of(arrays: Arrays) -> Rolling:
    """Make the reference's rolling state."""
    rolling, state = Rolling(), arrays.state
    rolling.whole_since_ns = int(state["whole_since_ns"])
    at = ring_places(arrays)
    rolling.times.extend(arrays.window[TIMES, at].tolist())
    rolling.added.extend(_or_none(arrays.window[ADDED, at]))
    rolling.removed.extend(_or_none(arrays.window[REMOVED, at]))
    rolling.flows.extend(_known_floats(arrays.window_flows[FLOWS, at]))
    rolling.quotes.extend(_known_floats(arrays.window_flows[QUOTES, at]))
    rolling.levels.extend(_levels_of(arrays))
    rolling.trades = trades_of(arrays)
    for what, ring in enumerate(past_of(rolling)):
        ring.extend(_known_floats(state["past"][what, : state["past_counts"][what]]))
    return rolling


def past_of(rolling: Rolling) -> tuple[deque[Any], ...]:
    """What is remembered of previous events, in the order of `past`."""
    return rolling.obi_l1, rolling.obi_l5, rolling.depth


def ring_places(arrays: Arrays) -> Ints:
    """Places of the window's deltas, oldest first."""
    state = arrays.state
    places: Ints = (state["oldest"] + np.arange(state["deltas"])) & (arrays.window.shape[1] - 1)
    return places


def level_places(arrays: Arrays) -> Ints:
    """Places of the flows by level that belong to the window, oldest first."""
    state = arrays.state
    count = min(int(state["deltas"]), LEVELS_MAX)
    places: Ints = (state["next_levels"] - count + np.arange(count)) & (LEVELS_MAX - 1)
    return places


def _levels_of(arrays: Arrays) -> Iterable[tuple[float, ...]]:
    at, state = level_places(arrays), arrays.state
    flows, counts = state["level_flows"][at].tolist(), state["level_counts"][at].tolist()
    return [tuple(row[:count]) for row, count in zip(flows, counts, strict=True)]


def _is_plain_book(tracked: TrackedBook) -> bool:
    """Whether prices, sizes and limits of a book are small enough to be counted with."""
    limits = [limit for limit in (tracked.known.bid, tracked.known.ask) if limit is not None]
    for side in (tracked.book.bids, tracked.book.asks):
        if side.max_levels is not None or sum(side.lots.values()) >= MOST:
            return False
        if side.prices:
            limits += [side.prices[0], side.prices[-1]]
    return all(0 <= limit < EXACT_KEY for limit in limits)


def _is_plain_past(rolling: Rolling) -> bool:
    """Whether the window's times and sums are, too."""
    changes = [*rolling.added, *rolling.removed]
    is_counted = sum(abs(lots) for lots in changes if lots is not None) < MOST and len(rolling.times) <= WINDOW_MAX
    paired = [(one is None) == (other is None) for one, other in zip(rolling.added, rolling.removed, strict=True)]
    times = [*rolling.times, rolling.whole_since_ns]
    is_positive = all(lots is None or lots >= 0 for lots in changes)
    return (
        is_plain(rolling.trades)
        and is_counted
        and is_positive
        and all(paired)
        and all(abs(time) < LATEST_NS for time in times)
    )


def _limit(known: Known, number: int) -> int:
    """Key of the farthest price up to which nothing is missing."""
    if _reach(known, number) != UP_TO_LIMIT:
        return NO_LIMIT
    return -(known.bid or 0) if number == BID else known.ask or 0


def _reach(known: Known, number: int) -> int:
    if known.coverage is Coverage.TOP_N:
        return UP_TO_WORST
    return ALL if (known.bid, known.ask)[number] is None else UP_TO_LIMIT


def _side_of(book: BookSide, limit: int) -> Side:
    side = make_side(pages_for(len(book.prices)))
    ticks = np.fromiter(book.prices, dtype=np.int64, count=len(book.prices))
    lots = np.fromiter((book.lots[tick] for tick in book.prices), dtype=np.int64, count=len(book.prices))
    if book.is_bid:
        fill(*side, -ticks[::-1], lots[::-1].copy(), limit)
    else:
        fill(*side, ticks, lots, limit)
    return side


def _levels(side: Side, sign: int) -> tuple[list[int], list[int]]:
    keys, lots = levels_of(side)
    return (keys * sign).tolist(), lots.tolist()


def _room(deltas: int) -> int:
    """Places of a window that holds so many deltas: a power of two, with as many again to come."""
    return max(LEAST_ROOM, 1 << deltas.bit_length() + (deltas > LEAST_ROOM // 2 and deltas <= WINDOW_MAX // 2))


def _write_rolling(arrays: Arrays, rolling: Rolling) -> None:
    states, count = arrays.states, len(rolling.times)
    states["deltas"], states["whole_since_ns"] = count, rolling.whole_since_ns
    arrays.window[TIMES, :count] = rolling.times
    arrays.window[ADDED, :count] = [UNKNOWN if lots is None else lots for lots in rolling.added]
    arrays.window[REMOVED, :count] = [UNKNOWN if lots is None else lots for lots in rolling.removed]
    arrays.window_flows[FLOWS, :count] = _floats(rolling.flows)
    arrays.window_flows[QUOTES, :count] = _floats(rolling.quotes)
    states["next_levels"] = len(rolling.levels) & (LEVELS_MAX - 1)
    for at, levels in enumerate(rolling.levels):
        states["level_counts"][0, at] = len(levels)
        states["level_flows"][0, at, : len(levels)] = levels
    states["added_sum"] = sum(lots for lots in rolling.added if lots is not None)
    states["removed_sum"] = sum(lots for lots in rolling.removed if lots is not None)
    states["without_changes"] = rolling.added.count(None)
    states["without_quotes"] = rolling.quotes.count(None)
    write_trades(arrays, rolling.trades)
    for what, ring in enumerate(past_of(rolling)):
        states["past_counts"][0, what] = len(ring)
        states["past"][0, what, : len(ring)] = _floats(ring)


def _floats(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _known_floats(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _or_none(values: Ints) -> Sequence[int | None]:
    return [None if value == UNKNOWN else value for value in values.tolist()]
