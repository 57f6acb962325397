"""Numbers for updates whose source has none: counted by instrument as they arrive, so that readers can check the chain.

A source without numbers says itself where it has lost something, by a whole book or by a disconnect. What is counted is
therefore not evidence that the venue lost nothing, only that nothing got lost from the source to the reader.
"""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from producers.messages import UNNUMBERED, DepthDelta, DepthSnapshot
from schemas.messages import SequenceSource


class ArrivalNumbers:
    """Counts the updates of each instrument, from 1; those that have a number of their venue keep it."""

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()

    def of_delta(self, delta: DepthDelta) -> DepthDelta:
        """Number a change: it follows the one before it."""
        if delta.last_sequence != UNNUMBERED:
            return delta
        number = self._next(delta.symbol)
        return replace(delta, first_sequence=number, last_sequence=number, previous_sequence=number - 1)

    def of_snapshot(self, snapshot: DepthSnapshot) -> DepthSnapshot:
        """Number a whole book."""
        if snapshot.sequence != UNNUMBERED:
            return snapshot
        number = self._next(snapshot.symbol or "")
        return replace(snapshot, sequence=number, sequence_source=SequenceSource.SYNTHETIC)

    def counts(self, symbol: str) -> bool:
        """Tell whether updates of an instrument come without numbers."""
        return symbol in self._numbers

    def _next(self, symbol: str) -> int:
        self._numbers[symbol] += 1
        return self._numbers[symbol]
