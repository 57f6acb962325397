"""One instrument of the compiled engine: the reference's state, and its book as arrays while the book is ordinary.

There is one truth at a time. While there are arrays, they hold levels, sequence and rolling state, and the reference's
state holds the rest; `settle` takes all of it back, for what the reference has to do.
"""

from __future__ import annotations

from typing import Final

from orderbook.kernel.ladder import Ints
from orderbook.validity import Validity
from processors.factors.kernel.arrays import Arrays
from processors.factors.kernel.convert import arrays_of, take_back
from processors.factors.reference.state import InstrumentState
from processors.factors.reference.view import Tops
from processors.factors.rolling import Rolling

LEVELS_A_RECORD: Final = 64
"""Making arrays of so many levels costs as much as one record at the reference: what is not ordinary waits so long."""


class KernelState:
    """Book, validity and rolling state of one instrument.

    Attributes:
        reference: The reference's state; without levels and rolling state while there are arrays.
        arrays: The book, where it is in arrays.
        patience: Deltas to leave to the reference before arrays are made again.
    """

    __slots__ = ("arrays", "patience", "reference")

    def __init__(self, reference: InstrumentState) -> None:
        self.reference = reference
        self.arrays: Arrays | None = None
        self.patience = 0

    @property
    def validity(self) -> Validity:
        """What is known of the book."""
        return self.reference.validity

    @property
    def epoch(self) -> int:
        """The newest epoch obeyed."""
        return self.reference.epoch

    def ready(self) -> Arrays | None:
        """Give the arrays, made now where they can be; None: the next delta is the reference's."""
        if self.arrays is None and self.patience == 0:
            self.arrays = arrays_of(self.reference)
            if self.arrays is not None:
                self.reference.tracked.book.clear()
                self.reference.rolling = Rolling()
                self.reference.tops = None
            elif self.reference.tracked.is_live:
                self.leave_to_reference()
        self.patience = max(0, self.patience - 1)
        return self.arrays

    def settle(self, applied: tuple[Ints, Ints, Ints, Ints] | None = None) -> InstrumentState:
        """Give the reference's state, whole.

        Args:
            applied: Levels of a record that is not in the state but was applied to the arrays, to be taken back: bid
                ticks and what each was, ask ticks and what each was.
        """
        if self.arrays is not None:
            take_back(self.arrays, self.reference)
            self.arrays = None
            if applied is not None:
                self._undo(*applied)
            tracked = self.reference.tracked
            if tracked.grid is not None:
                self.reference.tops = Tops(tracked, tracked.grid)
        return self.reference

    def leave_to_reference(self) -> None:
        """Note that a delta could not be taken here: those that follow may be like it."""
        book = self.reference.tracked.book
        self.patience = (book.bid_levels + book.ask_levels) // LEVELS_A_RECORD

    def _undo(self, bids: Ints, bid_lots: Ints, asks: Ints, ask_lots: Ints) -> None:
        book = self.reference.tracked.book
        book.bids.update(bids[::-1].tolist(), bid_lots[::-1].tolist())
        book.asks.update(asks[::-1].tolist(), ask_lots[::-1].tolist())
