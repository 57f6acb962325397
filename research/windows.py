"""Which windows the factor log closes: what the regimes must hold one judgement of, counted independently.

A window is five seconds of an instrument's received time, aligned to the epoch. Its first event at or past the end
closes it; an event from before the open window is late, one from more than a minute before shows that the stream began
anew, and the open window is given up. Events that were sent again count once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final

from obflow.whole_log import Logged
from research.expected import Identity, Place
from schemas.messages import FactorRecord, InstrumentKey

WINDOW_NS: Final = 5_000_000_000
ANEW_NS: Final = 60_000_000_000
LEFT_LOGS: Final = 8


@dataclass
class _Open:
    """One instrument's open window, by its start; None before the first event."""

    log: str = ""
    left: list[str] = field(default_factory=list)
    next_offset: int = -1
    start_ns: int | None = None


class ClosedWindows:
    """Collects the windows that are closed.

    Args:
        refused: Places of the factor records that the regime workers dead-lettered: none of their events counts.

    Attributes:
        closed: The identity of each window's closing event, and the place of the factor record that holds it.
    """

    def __init__(self, refused: Container[Place] = frozenset()) -> None:
        self.closed: dict[Identity, Place] = {}
        self._refused = refused
        self._open: dict[InstrumentKey, _Open] = defaultdict(_Open)

    def take(self, logged: Logged, record: FactorRecord) -> None:
        """Take the next record of the factor log."""
        place = (logged.partition, logged.offset)
        state = self._open[record.instrument]
        if place in self._refused or record.source_log in state.left:
            return
        if record.source_log != state.log:
            left = [*state.left, *([state.log] if state.log else [])]
            state = self._open[record.instrument] = _Open(record.source_log, left[-LEFT_LOGS:])
        for event in record.events:
            if event.source_offset >= state.next_offset:
                state.next_offset = event.source_offset + 1
                if _closes(state, event.received_ns):
                    head = (record.instrument, record.source_log, record.source_partition)
                    self.closed[Identity(*head, event.source_offset)] = place


def _closes(state: _Open, received_ns: int) -> bool:
    """Put an event into its window, and say whether that closes the one before."""
    start_ns = state.start_ns
    if start_ns is not None and received_ns < start_ns - ANEW_NS:
        start_ns = None
    if start_ns is not None and received_ns < start_ns + WINDOW_NS:
        return False  # within, or late
    state.start_ns = received_ns - received_ns % WINDOW_NS
    return start_ns is not None
