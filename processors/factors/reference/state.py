"""Everything the core keeps of one instrument between batches, and its checkpoint.

A checkpoint is the fields in a fixed order; whoever keeps it seals it. Prices are written ascending as differences: a
book of 9,600 levels takes some 24 KB. The levels of a book that is not LIVE are not written: nothing may be computed
from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate, pairwise
from math import isfinite
from operator import add
from typing import Final, TypeVar

from orderbook.book import BookSide
from orderbook.grid import Grid
from orderbook.known import Known
from orderbook.validity import TrackedBook, Validity
from processors.factors.buckets import bucket_units
from processors.factors.engine import Break
from processors.factors.packing import Packer, Unpacker
from processors.factors.reference.order_flow import DEEP
from processors.factors.reference.view import Tops
from processors.factors.rolling import LEVELS_MAX, Rolling
from processors.factors.trades import load_trades, save_trades
from processors.factors.weights import NO_TABLE, OfiTable
from schemas.errors import DecodeError, InvalidNumber
from schemas.messages import ContractKind, Coverage, Reason

T = TypeVar("T")

LAYOUT: Final = 4
"""Number of what `to_bytes` writes."""
WITHOUT_TRADES: Final = 2
"""The layout before it, without flows by level and without trades."""


class InstrumentState:
    """Book, validity and rolling state of one instrument.

    Attributes:
        tracked: The book and what is known of it.
        rolling: What the rolling factors remember.
        ofi_table: Weights of integrated order flow; not part of the checkpoint.
        thin_notional: T of status THIN and of confidence, quote units.
        broken: The break at this reader that nothing has healed yet, or None.
        tops: The tops after the last record where the book is LIVE, else None. Derived, not part of the checkpoint.
    """

    __slots__ = ("broken", "ofi_table", "rolling", "thin_notional", "tops", "tracked")

    def __init__(self, thin_notional: float, max_levels: int | None = None, ofi_table: OfiTable = NO_TABLE) -> None:
        if not isfinite(thin_notional) or thin_notional <= 0:
            raise ValueError(f"thin_notional is a notional above 0, not {thin_notional}")
        self.tracked = TrackedBook(max_levels)
        self.rolling = Rolling()
        self.thin_notional, self.ofi_table = thin_notional, ofi_table
        self.broken: Break | None = None
        self.tops: Tops | None = None

    @property
    def validity(self) -> Validity:
        """What is known of the book."""
        return self.tracked.validity

    @property
    def epoch(self) -> int:
        """The newest epoch obeyed."""
        return self.tracked.epoch

    def begin_trades(self, received_ns: int) -> None:
        """Begin to remember trades, of a LIVE book, from now on."""
        if self.tops is not None:
            size = bucket_units(self.tops.grid, self.thin_notional)
            mid = self.tops.sum_ticks if self.tops.is_open else 0
            self.rolling.trades.begin(received_ns, mid, size)

    def set_threshold(self, thin_notional: float) -> None:
        """Set T. Buckets of another size are begun anew."""
        self.thin_notional = thin_notional
        buckets = self.rolling.trades.buckets
        size = bucket_units(self.tops.grid, thin_notional) if self.tops is not None else 0
        if buckets.size != size:
            buckets.begin(size)

    def to_bytes(self) -> bytes:
        """The state as a checkpoint."""
        out = Packer()
        out.double(self.thin_notional)
        _save_break(out, self.broken)
        save_tracked(out, self.tracked)
        _save_rolling(out, self.rolling)
        save_trades(out, self.rolling.trades)
        return out.bytes()

    @classmethod
    def from_bytes(cls, data: bytes, layout: int = LAYOUT) -> InstrumentState:
        """The state a checkpoint holds. What an older layout lacks is not known until its windows are whole again.

        Raises:
            DecodeError: cut or impossible.
        """
        fields = Unpacker(data)
        try:
            state = cls(thin_notional=fields.double())
            state.broken = _load_break(fields)
            state.tracked = load_tracked(fields)
            state.rolling = _load_rolling(fields, layout)
            if layout != WITHOUT_TRADES:
                state.rolling.trades = load_trades(fields)
        except (ValueError, InvalidNumber) as error:
            raise DecodeError(f"a checkpoint holds an impossible value ({error})") from error
        fields.end()
        if state.tracked.is_live:
            state.tops = _tops(state.tracked)
            if layout == WITHOUT_TRADES:
                state.begin_trades(state.rolling.newest_ns)
        return state


def renewed(data: bytes) -> bytes:
    """Write anew a checkpoint of the layout before. Raises DecodeError: it is cut or impossible."""
    return InstrumentState.from_bytes(data, WITHOUT_TRADES).to_bytes()


def _tops(tracked: TrackedBook) -> Tops:
    if tracked.grid is None:
        raise DecodeError("a checkpoint holds a LIVE book without a grid")
    return Tops(tracked, tracked.grid)


# Codes are positions in these tuples: append, never reorder.
_VALIDITIES: Final = (Validity.AWAITING_SNAPSHOT, Validity.LIVE, Validity.INVALID)
_COVERAGES: Final = (Coverage.WHOLE, Coverage.RANGE, Coverage.TOP_N)
_KINDS: Final = (ContractKind.SPOT, ContractKind.LINEAR, ContractKind.INVERSE, ContractKind.OPTION)


def _save_reason(out: Packer, reason: Reason | None) -> None:
    out.text(reason.value if reason is not None else "")


def _load_reason(fields: Unpacker) -> Reason | None:
    text = fields.text()
    return Reason(text) if text else None


def _save_break(out: Packer, broken: Break | None) -> None:
    _save_reason(out, broken.reason if broken else None)
    if broken:
        out.integer(broken.epoch)
        out.integer(broken.source_offset)
        out.integer(broken.received_ns)
        out.integer(broken.awaits_invalid)


def _load_break(fields: Unpacker) -> Break | None:
    reason = _load_reason(fields)
    if reason is None:
        return None
    epoch, offset, received_ns = fields.integer(), fields.integer(), fields.integer()
    return Break(reason, epoch, offset, received_ns, awaits_invalid=bool(fields.integer()))


def save_tracked(out: Packer, tracked: TrackedBook) -> None:
    """Write a book down; the levels of one that is not LIVE are not."""
    out.integer(_VALIDITIES.index(tracked.validity))
    _save_reason(out, tracked.reason)
    out.integer(tracked.epoch)
    out.integer(tracked.sequence)
    out.optional_integer(tracked.crossed_since_ns)
    out.integer(tracked.crossed_records)
    _save_grid(out, tracked.grid)
    out.integer(_COVERAGES.index(tracked.known.coverage))
    out.optional_integer(tracked.known.bid)
    out.optional_integer(tracked.known.ask)
    for side in (tracked.book.bids, tracked.book.asks):
        out.optional_integer(side.max_levels)
        if tracked.is_live:
            _save_side(out, side)


def load_tracked(fields: Unpacker) -> TrackedBook:
    """Read a book. Raises DecodeError, ValueError or InvalidNumber: it is cut or impossible."""
    tracked = TrackedBook()
    tracked.validity = fields.choice(_VALIDITIES)
    tracked.reason = _load_reason(fields)
    tracked.epoch, tracked.sequence = fields.integer(), fields.integer()
    tracked.crossed_since_ns = fields.optional_integer()
    tracked.crossed_records = fields.integer()
    tracked.grid = _load_grid(fields)
    tracked.known = Known(fields.choice(_COVERAGES), fields.optional_integer(), fields.optional_integer())
    for side in (tracked.book.bids, tracked.book.asks):
        side.max_levels = fields.optional_integer()
        if side.max_levels is not None and side.max_levels < 1:
            raise DecodeError(f"a checkpoint holds a depth bound of {side.max_levels} levels")
        if tracked.is_live:
            _load_side(fields, side)
    return tracked


def _save_grid(out: Packer, grid: Grid | None) -> None:
    out.text(grid.tick_size if grid else "")
    if grid:
        out.text(grid.lot_size)
        out.text(grid.contract_value)
        out.integer(_KINDS.index(grid.contract_kind))


def _load_grid(fields: Unpacker) -> Grid | None:
    tick_size = fields.text()
    if not tick_size:
        return None
    return Grid.of(tick_size, fields.text(), fields.text(), fields.choice(_KINDS))


def _save_side(out: Packer, side: BookSide) -> None:
    out.integer(side.evicted)
    out.optional_integer(side.horizon)
    out.naturals(_steps(side.prices))
    out.naturals(side.lots[tick] for tick in side.prices)


def _load_side(fields: Unpacker, side: BookSide) -> None:
    evicted, horizon = fields.integer(), fields.optional_integer()
    prices, lots = list(accumulate(fields.naturals())), fields.naturals()
    if len(prices) != len(lots) or 0 in lots or any(high <= low for low, high in pairwise(prices)):
        raise DecodeError("a checkpoint holds an impossible book")
    side.replace(prices, lots)
    side.evicted, side.horizon = evicted, horizon


def _steps(values: list[int]) -> Iterator[int]:
    """The first value, then each minus the one before."""
    if values:
        yield values[0]
    for low, high in pairwise(values):
        yield high - low


def _save_rolling(out: Packer, rolling: Rolling) -> None:
    out.integer(rolling.whole_since_ns)
    out.integer(len(rolling.times))
    out.integer(rolling.times[0] if rolling.times else 0)
    for low, high in pairwise(rolling.times):
        out.integer(high - low)
    for flow in rolling.flows:
        out.optional_double(flow)
    for quotes in rolling.quotes:
        out.optional_double(quotes)
    for levels in rolling.levels:
        out.integer(len(levels))
        for flow in levels:
            out.double(flow)
    for lots in (*rolling.added, *rolling.removed):
        out.optional_integer(lots)  # sums of int64 sizes may pass int64
    for ring in (rolling.obi_l1, rolling.obi_l5, rolling.depth):
        out.integer(len(ring))
        for value in ring:
            out.optional_double(value)


def _load_rolling(fields: Unpacker, layout: int) -> Rolling:
    rolling = Rolling()
    rolling.whole_since_ns = fields.integer()
    count = fields.integer()
    start = fields.integer()
    steps = [start, *_repeat(fields.integer, count - 1)] if count else []
    rolling.times.extend(accumulate(steps, add))
    rolling.flows.extend(_repeat(fields.optional_double, count))
    rolling.quotes.extend(_repeat(fields.optional_double, count))
    if layout == WITHOUT_TRADES:
        rolling.levels.extend([()] * count)
    else:
        rolling.levels.extend(_repeat(partial(_load_levels, fields), min(count, LEVELS_MAX)))
    rolling.added.extend(_repeat(fields.optional_integer, count))
    rolling.removed.extend(_repeat(fields.optional_integer, count))
    for ring in (rolling.obi_l1, rolling.obi_l5, rolling.depth):
        ring.extend(_repeat(fields.optional_double, fields.integer()))  # type: ignore[arg-type] # obi_l1 has all
    return rolling


def _load_levels(fields: Unpacker) -> tuple[float, ...]:
    count = fields.integer()
    if not 0 <= count <= DEEP:
        raise DecodeError(f"a checkpoint holds flows at {count} levels")
    return tuple(_repeat(fields.double, count))


def _repeat(read: Callable[[], T], count: int) -> Iterator[T]:
    return (read() for _ in range(count))
