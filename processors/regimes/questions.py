"""Which question is asked next: of each instrument one waits, the newest, and one is under way. Knows no clock.

Asked about is the window that ends at second 50 of a minute of received time, whose answer is due before the minute it
speaks of, and one in which a new rule label held; never two windows of an instrument within 20 seconds. A new label
gives way to the minute's question where that comes within those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from processors.contract import PartitionOwner
from processors.regimes.prompt import is_plain_name
from processors.regimes.state import Closed
from schemas.messages import InstrumentKey
from schemas.units import NS_PER_SECOND

MINUTES_QUESTION_S: Final = 50
"""Second of a minute at which the window of its question ends."""
LEAST_APART_S: Final = 20
"""Seconds between the windows of two questions of an instrument."""


@dataclass(frozen=True)
class Question:
    """One closed window to be asked about.

    Attributes:
        instrument: Whose.
        closed: The window and what the rules say of it.
        owner: Where its event belongs.
        closed_s: When the window closed, seconds of the caller's monotonic clock.
    """

    instrument: InstrumentKey
    closed: Closed
    owner: PartitionOwner
    closed_s: float


def is_due(closed: Closed) -> bool:
    """Whether a window is one to be asked about, whatever was asked before."""
    second = closed.window.end_ns // NS_PER_SECOND % 60
    until_minutes_s = (MINUTES_QUESTION_S - second) % 60
    return until_minutes_s == 0 or (closed.verdict.is_new and until_minutes_s >= LEAST_APART_S)


class Questions:
    """Questions that wait, and which windows were asked about.

    Args:
        dropped: Told why a question will never be asked.
        patience_s: From the close of its window, how long one may wait, seconds: what it asks about is past.
    """

    def __init__(self, dropped: Callable[[str], None], patience_s: float) -> None:
        self._dropped = dropped
        self._patience_s = patience_s
        self._waiting: dict[InstrumentKey, Question] = {}
        self._under_way: set[InstrumentKey] = set()
        self._wanted_ns: dict[InstrumentKey, int] = {}

    def wants(self, instrument: InstrumentKey, closed: Closed) -> bool:
        """Whether a window is worth a question: it is due, and the last one lies long enough back."""
        if not is_plain_name(instrument.venue) or not is_plain_name(instrument.symbol):
            self._dropped("not_allowed")
            return False
        window = closed.window
        if not window.whole or not window.usable_events:
            return False  # the book broke or was never fit for use: there is nothing to have an opinion on
        last_ns = self._wanted_ns.get(instrument)
        if not is_due(closed) or (last_ns is not None and 0 <= window.end_ns - last_ns < LEAST_APART_S * NS_PER_SECOND):
            return False
        self._wanted_ns[instrument] = window.end_ns
        return True

    def enqueue(self, question: Question) -> None:
        """Let a question wait in place of the instrument's older one.

        It takes over that one's place in the queue: else, where there is more to ask than may be asked, instruments
        whose windows close last would never have their turn.
        """
        if question.instrument in self._waiting:
            self._dropped("superseded")
        self._waiting[question.instrument] = question

    def take_next(self, now_s: float) -> Question | None:
        """The question of the instrument that has waited longest, of those that could be asked now."""
        self.expire(now_s)
        for instrument, question in self._waiting.items():
            if instrument not in self._under_way:
                del self._waiting[instrument]
                self._under_way.add(instrument)
                return question
        return None

    def expire(self, now_s: float) -> None:
        """Drop what has waited too long, or is no longer this worker's to ask."""
        for instrument, question in list(self._waiting.items()):
            reason = "expired" if now_s - question.closed_s > self._patience_s else "moved"
            if reason == "expired" or not question.owner.owned:
                del self._waiting[instrument]
                self._dropped(reason)

    def is_under_way(self, instrument: InstrumentKey) -> bool:
        """Whether a question of the instrument was taken and has not come to its end."""
        return instrument in self._under_way

    def withdraw(self, instrument: InstrumentKey, reason: str) -> None:
        """Drop the question of the instrument that waits, if one does."""
        if self._waiting.pop(instrument, None) is not None:
            self._dropped(reason)

    def done(self, instrument: InstrumentKey) -> None:
        """A question taken came to its end."""
        self._under_way.discard(instrument)

    def clear(self, reason: str) -> None:
        """Drop everything that waits."""
        for _ in self._waiting:
            self._dropped(reason)
        self._waiting.clear()
