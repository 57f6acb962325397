"""Which offset of a partition may be committed: everything below it is saved.

A key's records are saved by its checkpoint. Those processed since make it dirty, and hold the partition's offset back
to the first of them. The partition's position, the offset after the last record every key has seen, is the limit where
nothing is dirty.
"""

from __future__ import annotations

from collections.abc import Iterable


class PartitionOffsets:
    """Offsets of one partition.

    Attributes:
        position: Every record below it has been processed, or did not need to be.
        held: Every record below it is in the states that are held: less than `position` while some are read again.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.held = position
        self._unsaved_from: dict[str, int] = {}
        self._since_checkpoint: dict[str, int | None] = {}

    @property
    def dirty(self) -> Iterable[str]:
        """Keys with records no acknowledged checkpoint holds."""
        return self._unsaved_from.keys()

    def unsaved_from(self, key: str, default: int) -> int:
        """The first record of a key that no acknowledged checkpoint holds."""
        return self._unsaved_from.get(key, default)

    def processed(self, key: str, first: int) -> None:
        """A key's records were processed, the first at this offset."""
        self._unsaved_from.setdefault(key, first)
        if key in self._since_checkpoint and self._since_checkpoint[key] is None:
            self._since_checkpoint[key] = first

    def advance(self, position: int) -> None:
        """Every record below `position` is processed. Never falls: a partition read again was processed before."""
        self.position = max(self.position, position)
        self.held = max(self.held, position)

    def read_again(self, position: int) -> None:
        """States are older than that now: everything from `position` on is read again, before anything else."""
        self.held = min(self.held, position)

    def withdraw(self, position: int) -> None:
        """Take nothing from `position` on for processed any more: it is read again."""
        self.position = min(self.position, position)

    def begin_save(self, key: str) -> None:
        """A key's state was just written down; what is processed from now on is not in that checkpoint."""
        self._since_checkpoint[key] = None

    def saved(self, key: str) -> None:
        """The checkpoint begun last is acknowledged, and so is everything its state was made of."""
        first = self._since_checkpoint.pop(key)
        if first is None:
            del self._unsaved_from[key]
        else:
            self._unsaved_from[key] = first

    def abandon(self) -> None:
        """Checkpoints that were begun will not be finished."""
        self._since_checkpoint.clear()

    def committable(self, oldest_unacknowledged: int | None) -> int:
        """The offset that may be committed.

        Args:
            oldest_unacknowledged: Lowest source offset from which something was sent that the broker has not taken.
        """
        held = [self.position, *self._unsaved_from.values()]
        if oldest_unacknowledged is not None:
            held.append(oldest_unacknowledged)
        return min(held)
