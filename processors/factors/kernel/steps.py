"""How records become events: stretches of deltas go to compiled code, what ends a stretch to the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from orderbook.kernel.ladder import Ints
from orderbook.validity import Outcome
from processors.factors.kernel.arrays import Arrays
from processors.factors.kernel.columns import DeltaIdentity, DeltaRow, Row
from processors.factors.kernel.deltas import Deltas
from processors.factors.kernel.events import KernelColumns
from processors.factors.kernel.places import COMPUTED
from processors.factors.kernel.process import DONE, NOT_ORDINARY, OTHER_WEIGHTS, StretchEnd, process
from processors.factors.kernel.state import KernelState
from processors.factors.reference.engine import ReferenceEngine
from processors.factors.weights import OfiTable
from schemas.factors import FACTOR_NAMES

IS_COMPLETE: Final = len(COMPUTED) == len(FACTOR_NAMES)
"""Whether every factor is computed here; while one is not, the reference has every record."""


class KernelSteps:
    """Takes the records of one engine's instruments to compiled code, or to the reference.

    Args:
        reference: Takes what is not ordinary.
        thin_notional: T, quote units.
        ofi_table: Weights of integrated order flow.

    Attributes:
        compiled, referred: Records taken by either, so far.
    """

    def __init__(self, reference: ReferenceEngine, thin_notional: float, ofi_table: OfiTable) -> None:
        self._reference, self._ofi_table = reference, ofi_table
        self._thin_notional = thin_notional
        self.compiled = self.referred = 0
        self._old = np.empty(0, dtype=np.int64)

    def step(self, state: KernelState, offsets: Sequence[int], rows: Sequence[Row]) -> KernelColumns:
        """Apply consecutive records of one instrument."""
        events, at = KernelColumns(len(rows)), 0
        while at < len(rows):
            row = rows[at]
            arrays = state.ready() if isinstance(row, DeltaRow) and IS_COMPLETE else None
            if isinstance(row, DeltaRow) and arrays is not None and _is_on_grid(state, row.identity):
                end = _end_of_stretch(rows, at)
                at += self._stretch(state, arrays, offsets[at:end], rows[at:end], events)  # type: ignore[arg-type] # rows of columns
            else:
                self._refer(state, offsets[at], row, events)
                at += 1
        events.resync = state.reference.broken
        return events

    def judge(self, state: KernelState, row: Row) -> Outcome:
        """What a record's header says it will do to the book."""
        tracked = state.reference.tracked
        if state.arrays is not None:
            tracked.sequence = int(state.arrays.state["sequence"])
        return tracked.judge(row.record() if isinstance(row, DeltaRow) else row)

    def _stretch(
        self,
        state: KernelState,
        arrays: Arrays,
        offsets: Sequence[int],
        rows: Sequence[DeltaRow],
        events: KernelColumns,
    ) -> int:
        """Hand a stretch to compiled code, and what it ends with to the reference; how many records that was."""
        deltas, places = rows[0].deltas, np.array([row.index for row in rows], dtype=np.int64)
        if len(self._old) < len(deltas.numbers):
            self._old = np.empty(len(deltas.numbers), dtype=np.int64)
        old = self._old
        instrument = (arrays.states, *arrays.bids, *arrays.asks, arrays.window, arrays.window_flows)
        values, about = events.room()
        ended = StretchEnd(*process(*instrument, self._thin_notional, *deltas, places, old, values, about))
        events.add_run(offsets[: ended.events])
        self.compiled += ended.events
        if ended.why == DONE:
            return ended.events
        if ended.why == OTHER_WEIGHTS:
            self._weigh(arrays, rows[ended.events])
            return ended.events
        state.settle(_applied(deltas, int(places[ended.events]), old, ended))
        if ended.why == NOT_ORDINARY:
            self._refer(state, offsets[ended.events], rows[ended.events], events)
            state.leave_to_reference()
            return ended.events + 1
        return ended.events

    def _weigh(self, arrays: Arrays, row: DeltaRow) -> None:
        """Take the weights that are in force at a record."""
        at_ns = int(row.deltas.heads["received_ns"][row.index])
        weights = self._ofi_table.in_force(row.instrument, at_ns)
        arrays.states["ofi_until_ns"], arrays.states["ofi_scale"] = weights.until_ns, weights.scale
        arrays.state["ofi_weights"][: len(weights.weights)] = weights.weights

    def _refer(self, state: KernelState, offset: int, row: Row, events: KernelColumns) -> None:
        record = row.record() if isinstance(row, DeltaRow) else row
        columns = self._reference.step(state.settle(), [offset], [record])
        if Outcome.MADE_LIVE in columns.outcomes:
            state.patience = 0
        events.add(columns)
        self.referred += 1


def _is_on_grid(state: KernelState, identity: DeltaIdentity) -> bool:
    grid = state.reference.tracked.grid
    return grid is identity.grid or (
        grid is not None
        and grid.matches(identity.tick_size, identity.lot_size, identity.contract_value, identity.contract_kind)
    )


def _end_of_stretch(rows: Sequence[Row], start: int) -> int:
    """Where deltas of the same columns and identity end."""
    first = rows[start]
    assert isinstance(first, DeltaRow)  # noqa: S101 (for the type checker)
    for at in range(start + 1, len(rows)):
        row = rows[at]
        if not (isinstance(row, DeltaRow) and row.deltas is first.deltas and row.identity is first.identity):
            return at
    return len(rows)


def _applied(deltas: Deltas, row: int, old: Ints, ended: StretchEnd) -> tuple[Ints, Ints, Ints, Ints]:
    """Levels of a record that were applied though it was not taken, and what they were."""
    spans = deltas.heads["spans"][row]
    bids = deltas.numbers[spans[0] : spans[0] + ended.bids]
    asks = deltas.numbers[spans[2] : spans[2] + ended.asks]
    bid_count = spans[1] - spans[0]
    return bids, old[: ended.bids], asks, old[bid_count : bid_count + ended.asks]
