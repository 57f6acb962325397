"""What of a table's log is this process's to feed, as threads see it that a change may come to at any moment."""

from __future__ import annotations

import threading
from typing import NamedTuple


class HeldShare(NamedTuple):
    """What was held at one moment.

    Attributes:
        number: Rises with every change.
        partitions: Partitions of the table's topic; None where nobody has said yet, or what was said holds no more.
    """

    number: int
    partitions: frozenset[int] | None


class Share:
    """The partitions of one table's topic that are this process's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held = HeldShare(0, None)

    def give(self, partitions: frozenset[int] | None) -> None:
        """Say what is held from now on. The same again is no change."""
        with self._changed:
            if partitions != self._held.partitions:
                self._held = HeldShare(self._held.number + 1, partitions)
                self._changed.notify_all()

    @property
    def held(self) -> HeldShare:
        """What is held now."""
        with self._changed:
            return self._held

    def wait(self, number: int, timeout_seconds: float) -> bool:
        """Wait until something else is held than at that number, or for so long; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._held.number != number, timeout_seconds)
