"""The compiled engine: runs of ordinary deltas in arrays, every other record at the reference.

Nothing compiled is imported before an engine is made: it takes a second, which whoever runs another one need not wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from orderbook.validity import Outcome
from processors.contract import Renewals
from processors.factors.reference.engine import ReferenceEngine
from processors.factors.weights import NO_TABLE, OfiTable
from schemas.errors import MessageError
from schemas.messages import L2Record

if TYPE_CHECKING:
    from processors.factors.kernel.columns import Row
    from processors.factors.kernel.events import KernelColumns
    from processors.factors.kernel.state import KernelState


def _renewed(data: bytes) -> bytes:
    from processors.factors.kernel.checkpoint import renewed

    return renewed(data)


OLDER: Final[Renewals] = {3: _renewed}


class KernelEngine:
    """The reference's bits, at the speed of integers in arrays."""

    name = "kernel"
    layout = 5
    older = OLDER

    def __init__(self, thin_notional: float, ofi_table: OfiTable = NO_TABLE) -> None:
        from processors.factors.kernel.payloads import Payloads
        from processors.factors.kernel.steps import KernelSteps

        self._reference = ReferenceEngine(thin_notional, ofi_table)
        self._steps = KernelSteps(self._reference, thin_notional, ofi_table)
        self._payloads = Payloads()

    @staticmethod
    def exported(data: bytes) -> bytes:
        """Write the state as the reference keeps it. Nothing is compiled for it."""
        from processors.factors.kernel.checkpoint import load

        return load(data).reference.to_bytes()

    @staticmethod
    def imported(data: bytes) -> bytes:
        """Take the reference's state: it goes into arrays with the next ordinary delta."""
        from processors.factors.kernel.checkpoint import of_reference

        return of_reference(data)

    @property
    def compiled_records(self) -> int:
        """Records that compiled code took, so far."""
        return self._steps.compiled

    @property
    def referred_records(self) -> int:
        """Records that the reference took: snapshots, what breaks a book, and what compiled code cannot do exactly."""
        return self._steps.referred

    @property
    def taken(self) -> Mapping[str, int]:
        """Both, by the names they have on the metrics page."""
        return {"compiled": self.compiled_records, "referred": self.referred_records}

    def decode(self, payloads: Sequence[bytes | None]) -> Sequence[Row | MessageError]:
        """Decode values, the deltas among them all at once."""
        return self._payloads.decode(payloads)

    def rows(self, records: Sequence[L2Record]) -> Sequence[Row]:
        """Put the deltas among records into columns."""
        from processors.factors.kernel.columns import rows_of

        return rows_of(records)

    def fresh(self) -> KernelState:
        """A book that waits for its first snapshot."""
        from processors.factors.kernel.state import KernelState

        return KernelState(self._reference.fresh())

    def step(self, state: KernelState, offsets: Sequence[int], rows: Sequence[Row]) -> KernelColumns:
        """Apply each record to the state and compute the factors of each that makes an event."""
        return self._steps.step(state, offsets, rows)

    def judge(self, state: KernelState, row: Row) -> Outcome:
        """As the book judges."""
        return self._steps.judge(state, row)

    def dump(self, state: KernelState) -> bytes:
        """As the state writes itself down."""
        from processors.factors.kernel.checkpoint import dump

        return dump(state)

    def load(self, data: bytes) -> KernelState:
        """Read a state; the threshold is this engine's, not the one it was saved with."""
        from processors.factors.kernel.checkpoint import load

        state = load(data)
        fresh = self._reference.fresh()
        state.reference.set_threshold(fresh.thin_notional)
        state.reference.ofi_table = fresh.ofi_table
        return state
