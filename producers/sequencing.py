"""How updates connect: what a venue's rule answers. The rules themselves are with their venues.

Two questions, asked of every update:

- `align`: there is a REST snapshot with id L and no book yet. Is this update older than the snapshot, does it bridge
  it, or does it start too late, so that something between the two is missing?
- `follow`: there is a book. Is this update the next one, one that was applied already, or is something missing?

The answer to `follow` never trusts the order of ids alone: an update whose ids lie at or below the book's is a repeat
only if the venue's clock agrees that it is old. Else the venue restarted its ids, and the book needs a new snapshot.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

import msgspec

from producers.messages import DepthDelta


class Alignment(StrEnum):
    """An update against a REST snapshot."""

    STALE = "stale"
    BRIDGES = "bridges"
    TOO_LATE = "too_late"


class Continuity(StrEnum):
    """An update against a book."""

    NEXT = "next"
    DUPLICATE = "duplicate"
    GAP = "gap"


NEXT: Final = Continuity.NEXT
"""Looked up once: the answer to most updates."""


class LastUpdate(msgspec.Struct, frozen=True, gc=False):
    """The last update of a book: its id, and the venue's time where it gave one."""

    sequence: int
    exchange_ns: int | None


class SequencedUpdate(Protocol):
    """The numbers of an update, as of `producers.messages.DepthDelta`."""

    @property
    def first_sequence(self) -> int:
        """Id of the first change in it."""
        ...

    @property
    def last_sequence(self) -> int:
        """Id of the last change in it."""
        ...

    @property
    def previous_sequence(self) -> int | None:
        """Id it says it follows; null where the venue does not say."""
        ...

    @property
    def exchange_ns(self) -> int | None:
        """The venue's time, ns UTC."""
        ...


class SequenceRule(Protocol):
    """One venue's rule."""

    def align(self, delta: DepthDelta, snapshot_sequence: int) -> Alignment:
        """Place an update against a snapshot, before any update was applied to it."""
        ...

    def follow(self, delta: SequencedUpdate, last: LastUpdate) -> Continuity:
        """Place an update against the last one that was applied."""
        ...


def is_repeat(delta: SequencedUpdate, last: LastUpdate) -> bool:
    """Tell whether the book has all of the update: ids at or below its own, sent no later than its last one."""
    if delta.last_sequence > last.sequence:
        return False
    return delta.exchange_ns is None or last.exchange_ns is None or delta.exchange_ns <= last.exchange_ns
