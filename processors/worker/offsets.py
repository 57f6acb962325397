"""Which offset of a partition may be committed: everything below it is saved.

An instrument's records are saved by its checkpoint. Those processed since make it dirty, and hold the partition's
offset back to the first of them. The partition's position, the offset after the last record every instrument has seen,
is the limit where nothing is dirty.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.messages import InstrumentKey


class PartitionProgress:
    """Offsets of one partition.

    Attributes:
        position: Every record below it has been processed, or did not need to be.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self._unsaved_from: dict[InstrumentKey, int] = {}
        self._since_snapshot: dict[InstrumentKey, int | None] = {}

    @property
    def dirty(self) -> Iterable[InstrumentKey]:
        """Instruments with records no acknowledged checkpoint holds."""
        return self._unsaved_from.keys()

    def unsaved_from(self, instrument: InstrumentKey, default: int) -> int:
        """The first record of an instrument that no acknowledged checkpoint holds."""
        return self._unsaved_from.get(instrument, default)

    def processed(self, instrument: InstrumentKey, first: int) -> None:
        """An instrument processed records, the first at this offset."""
        self._unsaved_from.setdefault(instrument, first)
        if instrument in self._since_snapshot and self._since_snapshot[instrument] is None:
            self._since_snapshot[instrument] = first

    def advance(self, position: int) -> None:
        """Every record below `position` is processed. Never falls: a partition read again was processed before."""
        self.position = max(self.position, position)

    def begin_save(self, instrument: InstrumentKey) -> None:
        """The instrument's state was just written down; what it processes from now on is not in that checkpoint."""
        self._since_snapshot[instrument] = None

    def saved(self, instrument: InstrumentKey) -> None:
        """The checkpoint begun last is acknowledged, and so is everything its state was made of."""
        first = self._since_snapshot.pop(instrument)
        if first is None:
            del self._unsaved_from[instrument]
        else:
            self._unsaved_from[instrument] = first

    def abandon(self) -> None:
        """Checkpoints that were begun will not be finished."""
        self._since_snapshot.clear()

    def committable(self, oldest_unacknowledged: int | None) -> int:
        """The offset that may be committed.

        Args:
            oldest_unacknowledged: Lowest source offset from which something was sent that the broker has not taken.
        """
        held = [self.position, *self._unsaved_from.values()]
        if oldest_unacknowledged is not None:
            held.append(oldest_unacknowledged)
        return min(held)
