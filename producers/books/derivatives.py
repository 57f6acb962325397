"""What a venue tells of a derivative, published as it is told: no book depends on it (ADR 0034)."""

from __future__ import annotations

from collections import deque
from typing import Final

from producers.books.feed_state import FeedTracker
from producers.books.options import StreamCounters
from producers.books.records import ProducerRecord, RecordWriter
from producers.messages import DerivativeTick

REMEMBERED: Final = 8
"""What was told last: so far one of two connections that bring the same may be behind the other."""


class DerivativeTicks:
    """What is told of one instrument.

    Args:
        records: Writes its records.
        tracker: Notes when the channel last brought one.
        counters: What happened is counted there.
    """

    def __init__(self, records: RecordWriter, tracker: FeedTracker, counters: StreamCounters) -> None:
        self._records = records
        self._tracker = tracker
        self._counters = counters
        self._asked_ns = 0  # when an answer last told of it
        self._told = deque[DerivativeTick](maxlen=REMEMBERED)

    def expect(self) -> None:
        """Take note that the channel is subscribed: from here on its silence is told."""
        self._tracker.has_derivatives = True

    def take(self, tick: DerivativeTick, received_ns: int, *, is_asked: bool = False) -> list[ProducerRecord]:
        """Take what was told: published at once, its time never before that of what was told before.

        The same of the same moment, as a second connection brings it, is counted and not told again.

        Args:
            tick: What it was.
            received_ns: When.
            is_asked: Whether it answered a request: that says nothing of a channel that is silent.

        Raises:
            InvalidNumber: One of its numbers may not be used.
        """
        now = max(received_ns, self._tracker.derivative_ns, self._asked_ns)
        record = self._records.derivative(tick, now)
        if is_asked:
            self._asked_ns = now
        else:
            self._tracker.derivative_ns = now
            if self._is_copy(tick):
                return []
        self._counters.derivatives += 1
        return [record]

    def _is_copy(self, tick: DerivativeTick) -> bool:
        if tick.exchange_ns is not None and tick in self._told:
            self._counters.duplicates += 1
            return True
        self._told.append(tick)
        return False
