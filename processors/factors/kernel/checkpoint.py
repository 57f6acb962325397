"""A state on disk: what the reference keeps beside the levels, and the arrays as they are."""

from __future__ import annotations

from typing import Final

import numpy as np

from orderbook.kernel.sides import Side, levels_of
from processors.factors.kernel.arrays import (
    ADDED,
    FLOWS,
    PAST_EVENTS,
    QUOTES,
    REMOVED,
    TIMES,
    UNKNOWN,
    Arrays,
)
from processors.factors.kernel.convert import level_places, past_of, ring_places
from processors.factors.kernel.remembered import trades_of
from processors.factors.kernel.state import KernelState
from processors.factors.packing import Packer, Unpacker
from processors.factors.reference import state as reference_state
from processors.factors.reference.order_flow import DEEP
from processors.factors.reference.state import InstrumentState
from processors.factors.reference.view import Tops
from processors.factors.rolling import LEVELS_MAX, WINDOW_MAX, Rolling
from processors.factors.trades import load_trades, save_trades
from schemas.errors import DecodeError

LAYOUT: Final = 5
"""Number of what `dump` writes."""
WITHOUT_TRADES: Final = 3
"""The layout before it, without flows by level and without trades."""
REFERENCE_LAYOUTS: Final = {LAYOUT: reference_state.LAYOUT, WITHOUT_TRADES: reference_state.WITHOUT_TRADES}
PLAIN: Final = 0
IN_ARRAYS: Final = 1
INTS: Final = np.dtype("<i8")
FLOATS: Final = np.dtype("<f8")


def dump(state: KernelState) -> bytes:
    """Write a state down, whole."""
    out = Packer()
    arrays = state.arrays
    out.integer(PLAIN if arrays is None else IN_ARRAYS)
    if arrays is not None:
        state.reference.tracked.sequence = int(arrays.state["sequence"])
    out.raw(state.reference.to_bytes())
    if arrays is not None:
        _save_side(out, arrays.bids)
        _save_side(out, arrays.asks)
        _save_rolling(out, arrays)
        save_trades(out, trades_of(arrays))
    return out.bytes()


def renewed(data: bytes) -> bytes:
    """Write anew a checkpoint of the layout before. Raises DecodeError: it is cut or impossible."""
    return dump(load(data, WITHOUT_TRADES))


def of_reference(data: bytes) -> bytes:
    """Write anew a checkpoint of the reference. Raises DecodeError: it is cut or impossible."""
    return dump(KernelState(InstrumentState.from_bytes(data)))


def load(data: bytes, layout: int = LAYOUT) -> KernelState:
    """Read what `dump` wrote, or that of a layout before. Raises DecodeError: it is cut or impossible."""
    fields = Unpacker(data)
    form = fields.choice((PLAIN, IN_ARRAYS))
    state = KernelState(InstrumentState.from_bytes(fields.raw(), REFERENCE_LAYOUTS[layout]))
    if form == IN_ARRAYS:
        tracked = state.reference.tracked
        if not tracked.is_live or tracked.grid is None:
            raise DecodeError("a checkpoint holds levels of a book that is not LIVE")
        tracked.book.replace(*_load_side(fields, is_bid=True), *_load_side(fields, is_bid=False))
        state.reference.rolling = _load_rolling(fields, layout)
        state.reference.tops = Tops(tracked, tracked.grid)
        if layout == WITHOUT_TRADES:
            state.reference.begin_trades(state.reference.rolling.newest_ns)
        else:
            state.reference.rolling.trades = load_trades(fields)
    fields.end()
    return state


def _save_side(out: Packer, side: Side) -> None:
    """Prices as steps from the best outward, and sizes."""
    keys, lots = levels_of(side)
    ticks = np.abs(keys)
    out.naturals(np.abs(np.diff(ticks, prepend=0)))
    out.naturals(lots)


def _load_side(fields: Unpacker, *, is_bid: bool) -> tuple[list[int], list[int]]:
    steps, lots = fields.naturals(), fields.naturals()
    ticks = _prices(steps, -1 if is_bid else 1)
    if len(ticks) != len(lots) or 0 in lots or 0 in steps[1:] or any(tick < 0 for tick in ticks[-1:]):
        raise DecodeError("a checkpoint holds an impossible book")
    return ticks, lots


def _prices(steps: list[int], sign: int) -> list[int]:
    """The first price, and one step farther out each."""
    ticks: list[int] = []
    for step in steps:
        ticks.append(ticks[-1] + sign * step if ticks else step)
    return ticks


def _save_rolling(out: Packer, arrays: Arrays) -> None:
    at = ring_places(arrays)
    out.integer(int(arrays.state["whole_since_ns"]))
    for what in (TIMES, ADDED, REMOVED):
        out.raw(arrays.window[what, at].astype(INTS).tobytes())
    for what in (FLOWS, QUOTES):
        out.raw(arrays.window_flows[what, at].astype(FLOATS).tobytes())
    levels = level_places(arrays)
    out.raw(arrays.state["level_counts"][levels].astype(INTS).tobytes())
    out.raw(arrays.state["level_flows"][levels].astype(FLOATS).tobytes())
    for what in range(len(PAST_EVENTS)):
        past = arrays.state["past"][what, : arrays.state["past_counts"][what]]
        out.raw(past.astype(FLOATS).tobytes())


def _load_rolling(fields: Unpacker, layout: int) -> Rolling:
    rolling = Rolling()
    rolling.whole_since_ns = fields.integer()
    rolling.times.extend(_ints(fields))
    rolling.added.extend(_lots(fields))
    rolling.removed.extend(_lots(fields))
    rolling.flows.extend(_floats(fields))
    rolling.quotes.extend(_floats(fields))
    others = {len(rolling.added), len(rolling.removed), len(rolling.flows), len(rolling.quotes)}
    if len(rolling.times) > WINDOW_MAX or others != {len(rolling.times)}:
        raise DecodeError("a checkpoint holds an impossible window")
    rolling.levels.extend([()] * len(rolling.times) if layout == WITHOUT_TRADES else _load_levels(fields, rolling))
    for ring in past_of(rolling):
        ring.extend(_floats(fields))
    return rolling


def _load_levels(fields: Unpacker, rolling: Rolling) -> list[tuple[float, ...]]:
    counts, flows = _ints(fields), _values(fields)
    is_whole = len(counts) == min(len(rolling.times), LEVELS_MAX) and len(flows) == len(counts) * DEEP
    if not is_whole or not all(0 <= count <= DEEP for count in counts):
        raise DecodeError("a checkpoint holds impossible flows by level")
    return [tuple(flows[at * DEEP : at * DEEP + count]) for at, count in enumerate(counts)]


def _ints(fields: Unpacker) -> list[int]:
    values: list[int] = np.frombuffer(_whole(fields.raw()), dtype=INTS).tolist()
    return values


def _lots(fields: Unpacker) -> list[int | None]:
    values = _ints(fields)
    if any(lots < UNKNOWN for lots in values):
        raise DecodeError("a checkpoint holds an impossible change")
    return [None if lots == UNKNOWN else lots for lots in values]


def _floats(fields: Unpacker) -> list[float | None]:
    return [None if value != value else value for value in _values(fields)]


def _values(fields: Unpacker) -> list[float]:
    values: list[float] = np.frombuffer(_whole(fields.raw()), dtype=FLOATS).tolist()
    return values


def _whole(data: bytes) -> bytes:
    """Bytes of whole numbers."""
    if len(data) % INTS.itemsize:
        raise DecodeError("a checkpoint is cut short")
    return data
