"""The reference: one record of an instrument after the other, read, applied and looked at, as the definitions say.

Time is what the records say. A single update is a batch of one, and any split of a stream into batches, with a
checkpoint saved and restored at any cut, gives the same events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from orderbook.book import Book, BookSide
from orderbook.grid import Grid
from orderbook.validity import Outcome
from processors.contract import Renewals, decode_each
from processors.factors.engine import Break, FactorColumns, Values
from processors.factors.reference import compute, finite
from processors.factors.reference.depth import depth_10bps
from processors.factors.reference.order_flow import flow_l1, flows_by_level, quotes_base
from processors.factors.reference.state import LAYOUT, WITHOUT_TRADES, InstrumentState, renewed
from processors.factors.reference.trades import traded
from processors.factors.reference.view import DEPTH, BookView, TopLevels, Tops
from processors.factors.weights import NO_TABLE, OfiTable
from schemas.codec import decode_as
from schemas.errors import MessageError
from schemas.factors import FACTOR_INDEX, NO_FACTORS
from schemas.messages import Kind, L2Record, Reason, Status

OBI_L1: Final = FACTOR_INDEX["obi_l1"]
OBI_L5: Final = FACTOR_INDEX["obi_l5"]
APPLIED: Final = frozenset({Outcome.APPLIED, Outcome.CROSSED_OUT})
WITHOUT_VALUES: Final = frozenset({Outcome.INVALIDATED, Outcome.BROKE, Outcome.WENT_BEYOND})
TOLD_BY_ITS_PRODUCER: Final = frozenset({Outcome.CROSSED_OUT, Outcome.WENT_BEYOND})
"""What the producer finds out by the same record and publishes itself."""
ENDS_THE_BOOK: Final = frozenset({Outcome.INVALIDATED, Outcome.BROKE, Outcome.CROSSED_OUT, Outcome.WENT_BEYOND})
REMEMBERED: Final = frozenset({Status.THIN, Status.OK})
"""Statuses of the events that count as previous events."""


OLDER: Final[Renewals] = {WITHOUT_TRADES: renewed}


class ReferenceEngine:
    """The engine in readable Python: the definition, and the oracle of every other one."""

    name = "reference"
    layout = LAYOUT
    older = OLDER

    def __init__(self, thin_notional: float, ofi_table: OfiTable = NO_TABLE) -> None:
        self._thin_notional, self._ofi_table = thin_notional, ofi_table
        self.fresh()

    @staticmethod
    def exported(data: bytes) -> bytes:
        """As it is."""
        return data

    @staticmethod
    def imported(data: bytes) -> bytes:
        """As it is."""
        return data

    @property
    def taken(self) -> Mapping[str, int]:
        """Nothing: there is one way."""
        return {}

    def decode(self, payloads: Sequence[bytes | None]) -> list[L2Record | MessageError]:
        """Decode values one by one."""
        return decode_each(partial(decode_as, L2Record), payloads)

    def rows(self, records: Sequence[L2Record]) -> Sequence[L2Record]:
        """Records are its rows."""
        return records

    def fresh(self) -> InstrumentState:
        """A book that waits for its first snapshot."""
        return InstrumentState(self._thin_notional, ofi_table=self._ofi_table)

    def step(self, state: InstrumentState, offsets: Sequence[int], rows: Sequence[L2Record]) -> FactorColumns:
        """Apply each record to the state and compute the factors of each that makes an event.

        An event: every applied delta, every snapshot that makes the book LIVE, and, all null, every published `invalid`
        and every record that broke a LIVE book or brought its best price beyond what is known.
        """
        result = FactorColumns()
        for offset, record in zip(offsets, rows, strict=True):
            result.outcomes[_step(state, offset, record, result)] += 1
        result.resync = state.broken
        return result

    def judge(self, state: InstrumentState, row: L2Record) -> Outcome:
        """As the book judges."""
        return state.tracked.judge(row)

    def dump(self, state: InstrumentState) -> bytes:
        """As the state writes itself down."""
        return state.to_bytes()

    def load(self, data: bytes) -> InstrumentState:
        """Read a state; the threshold is this engine's, not the one it was saved with."""
        state = InstrumentState.from_bytes(data)
        state.set_threshold(self._thin_notional)
        state.ofi_table = self._ofi_table
        return state


def _step(state: InstrumentState, offset: int, record: L2Record, result: FactorColumns) -> Outcome:
    """One record. What a delta replaces must be read before it is applied."""
    book, before = state.tracked.book, state.tops
    is_delta = record.kind is Kind.DELTA and before is not None
    old_bids = book.bids.sizes_at(record.bid_ticks) if is_delta else []
    old_asks = book.asks.sizes_at(record.ask_ticks) if is_delta else []
    outcome = state.tracked.apply(record)
    if outcome is Outcome.MADE_LIVE:
        result.append(offset, record, *_made_live(state, record))
    elif outcome in APPLIED and before is not None:
        after = Tops(state.tracked, before.grid)
        changes = _near_the_top(book, record, old_bids, old_asks, before, after)
        result.append(offset, record, *_applied(state, record, before, after, changes))
    elif outcome in WITHOUT_VALUES:
        result.append(offset, record, Status.RESYNCING, NO_FACTORS)
    elif outcome is Outcome.ROUTINE and before is not None:
        state.tops = Tops(state.tracked, before.grid)  # it may know more
    if outcome in ENDS_THE_BOOK:
        _end(state, offset, record, outcome)
    return outcome


def _made_live(state: InstrumentState, record: L2Record) -> tuple[Status, Values]:
    state.rolling.restart(record.received_ns)
    state.broken = None
    grid = Grid.of(record.tick_size, record.lot_size, record.contract_value, record.contract_kind)
    state.tops = Tops(state.tracked, grid)
    state.begin_trades(record.received_ns)
    return _event(state, _view(state, record, None, state.tops))


def _applied(
    state: InstrumentState, record: L2Record, before: Tops, after: Tops, changes: tuple[int, int] | None
) -> tuple[Status, Values]:
    view = _view(state, record, before, after)
    flow = finite(flow_l1(view)) if after.is_open else None
    quotes = finite(quotes_base(record.quote_flow_lots, after))
    added, removed = changes or (None, None)
    levels = flows_by_level(view) if after.is_open else ()
    state.rolling.trades.add(*traded(record, before, after))
    state.rolling.add_delta(record.received_ns, flow, added, removed, quotes, levels)
    state.tops = after
    return _event(state, view)


def _event(state: InstrumentState, view: BookView) -> tuple[Status, Values]:
    status, values = view.status, compute(view)
    obi_l1 = values[OBI_L1]
    if status in REMEMBERED and obi_l1 is not None:
        state.rolling.add_event(obi_l1, values[OBI_L5], depth_10bps(view))
    return status, values


def _end(state: InstrumentState, offset: int, record: L2Record, outcome: Outcome) -> None:
    """The book is no longer LIVE. A published `invalid` needs no request: its producer knows."""
    state.rolling.restart(record.received_ns)
    state.tops = None
    if outcome is Outcome.INVALIDATED:
        state.broken = None
    else:
        state.broken = Break(
            reason=state.tracked.reason or Reason.GAP,
            epoch=state.tracked.epoch,
            source_offset=offset,
            received_ns=record.received_ns,
            awaits_invalid=outcome in TOLD_BY_ITS_PRODUCER,
        )


def _near_the_top(
    book: Book, record: L2Record, old_bids: list[int], old_asks: list[int], before: Tops, after: Tops
) -> tuple[int, int] | None:
    """Lots added and removed at the union of the top prices before and after one delta, both sides.

    None where those tops are not known.
    """
    if not (before.knows(DEPTH) and after.knows(DEPTH)):
        return None
    bids = _changes(book.bids, record.bid_ticks, old_bids, before.bids, after.bids)
    asks = _changes(book.asks, record.ask_ticks, old_asks, before.asks, after.asks)
    return bids[0] + asks[0], bids[1] + asks[1]


def _changes(
    side: BookSide, ticks: Sequence[int], old: Sequence[int], before: TopLevels, after: TopLevels
) -> tuple[int, int]:
    added = removed = 0
    for tick, was in dict(zip(ticks, old, strict=True)).items():
        now = side.lots.get(tick, 0)
        if now == was or not ((was and before.reaches(tick)) or (now and after.reaches(tick))):
            continue
        if now > was:
            added += now - was
        else:
            removed += was - now
    return added, removed


def _view(state: InstrumentState, record: L2Record, before: Tops | None, after: Tops) -> BookView:
    weights = state.ofi_table.in_force(record.instrument, record.received_ns)
    return BookView(state.tracked.book, after, before, state.rolling, record, state.thin_notional, weights)
