"""From a fetched snapshot to a LIVE book: updates wait for a snapshot, and the snapshot for an update that bridges it.

What holds, whatever comes in: a snapshot is held until an update bridges it, and discarded once none can any more; what
waits is bounded, and the oldest give way; everything dropped is counted.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from producers.books.options import StreamCounters
from producers.messages import DepthDelta, DepthSnapshot
from producers.sequencing import Alignment, SequenceRule
from schemas.messages import Reason


class Waiting(NamedTuple):
    """An update, when it was received, and whether the book has it already: then nothing is lost with it."""

    delta: DepthDelta
    received_ns: int
    is_in_book: bool = False


class Held(NamedTuple):
    """A snapshot, and when it was received."""

    snapshot: DepthSnapshot
    received_ns: int


class NoBridge(NamedTuple):
    """A snapshot and the update that starts too late for it."""

    snapshot: DepthSnapshot
    delta: DepthDelta


class Bridge:
    """What waits on behalf of one book.

    Args:
        rule: Places an update against a snapshot.
        most: Updates that may wait.
        counters: Where what is dropped is counted.

    Attributes:
        wanted: Why a snapshot is to be asked for; None where it is not, or where one is held.
        receiving: Whether an update came on this connection: only then can a snapshot be bridged.
        waiting: Updates, oldest first.
        held: The snapshot.
    """

    def __init__(self, rule: SequenceRule, most: int, counters: StreamCounters) -> None:
        self.wanted: Reason | None = Reason.RESTART
        self.receiving = False
        self.waiting: deque[Waiting] = deque()
        self.held: Held | None = None
        self._rule = rule
        self._most = most
        self._counters = counters

    def wait(self, delta: DepthDelta, received_ns: int) -> None:
        """Let an update wait."""
        self.waiting.append(Waiting(delta, received_ns))
        if len(self.waiting) > self._most:
            self._counters.deltas_dropped += not self.waiting.popleft().is_in_book

    def wait_first(self, delta: DepthDelta, received_ns: int) -> None:
        """Let an update wait that is older than all the others."""
        self.waiting.appendleft(Waiting(delta, received_ns))

    def note_in_book(self) -> None:
        """Note that the book has the newest update that waits; it waits on, for a snapshot it may bridge."""
        if self.waiting:
            self.waiting[-1] = self.waiting[-1]._replace(is_in_book=True)

    def release(self, sequence: int) -> None:
        """Let go of what a LIVE book of this sequence holds; nothing is wanted any more."""
        while self.waiting and self.waiting[0].delta.last_sequence <= sequence:
            self.waiting.popleft()
        self.wanted = None

    def hold(self, snapshot: DepthSnapshot, received_ns: int) -> None:
        """Hold a snapshot, unless a newer one is held already."""
        if self.held is not None:
            self._counters.snapshots_discarded += 1
            if snapshot.sequence < self.held.snapshot.sequence:
                return
        self.held, self.wanted = Held(snapshot, received_ns), None

    def join(self) -> Held | NoBridge | None:
        """Give the snapshot once the oldest update bridges it, or both where none can any more; None: not yet."""
        while self.held and self.waiting:
            held, delta = self.held, self.waiting[0].delta
            alignment = self._rule.align(delta, held.snapshot.sequence)
            if alignment is Alignment.STALE:
                self._counters.deltas_dropped += not self.waiting.popleft().is_in_book
                continue
            self.held = None
            if alignment is Alignment.BRIDGES:
                return held
            self.wanted = Reason.NO_BRIDGE
            self._counters.snapshots_discarded += 1
            return NoBridge(held.snapshot, delta)
        return None

    def drop(self, wanted: Reason | None) -> None:
        """Drop everything that waits: a connection was lost, or a whole book came in the stream."""
        self._counters.deltas_dropped += sum(not each.is_in_book for each in self.waiting)
        self._counters.snapshots_discarded += self.held is not None
        self.waiting.clear()
        self.held, self.wanted = None, wanted
