"""Which question is asked next: of each instrument one waits, the newest, and one is under way. Knows no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from processors.contract import PartitionOwner
from processors.regimes.prompt import changed_materially, is_plain_name
from processors.regimes.rules import Scores
from processors.regimes.state import Closed
from schemas.messages import InstrumentKey, Regime


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


class Questions:
    """Questions that wait, and what was asked before.

    Args:
        dropped: Told why a question will never be asked.
        patience_s: How long one may wait, seconds; what it asks about is past.
    """

    def __init__(self, dropped: Callable[[str], None], patience_s: float) -> None:
        self._dropped = dropped
        self._patience_s = patience_s
        self._waiting: dict[InstrumentKey, tuple[Question, float]] = {}
        self._under_way: set[InstrumentKey] = set()
        self._asked: dict[InstrumentKey, tuple[Scores, Regime]] = {}

    def wants(self, instrument: InstrumentKey, closed: Closed) -> bool:
        """Whether a window is worth a question: it differs from the one asked about last, or none was answered."""
        if not is_plain_name(instrument.venue) or not is_plain_name(instrument.symbol):
            self._dropped("not_allowed")
            return False
        if not closed.window.whole or not closed.window.usable_events:
            return False  # the book broke or was never fit for use: there is nothing to have an opinion on
        if instrument in self._waiting:
            return True
        scores, label = self._asked.get(instrument, (None, None))
        return changed_materially(scores, closed.verdict.scores, label, closed.verdict.label)

    def enqueue(self, question: Question, now_s: float) -> None:
        """Let a question wait in place of the instrument's older one.

        It takes over that one's place in the queue: else, where there is more to ask than may be asked, instruments
        whose windows close last would never have their turn.
        """
        if question.instrument in self._waiting:
            self._dropped("superseded")
        self._waiting[question.instrument] = (question, now_s)

    def take_next(self, now_s: float) -> Question | None:
        """The question of the instrument that has waited longest, of those that could be asked now."""
        self.expire(now_s)
        for instrument, (question, _) in self._waiting.items():
            if instrument not in self._under_way:
                del self._waiting[instrument]
                self._under_way.add(instrument)
                self._asked[instrument] = (question.closed.verdict.scores, question.closed.verdict.label)
                return question
        return None

    def expire(self, now_s: float) -> None:
        """Drop what has waited too long, or is no longer this worker's to ask."""
        for instrument, (question, put_s) in list(self._waiting.items()):
            reason = "expired" if now_s - put_s > self._patience_s else "moved"
            if reason == "expired" or not question.owner.owned:
                del self._waiting[instrument]
                self._dropped(reason)

    def done(self, instrument: InstrumentKey, *, answered: bool) -> None:
        """A question taken came to its end. Without an answer the instrument's next window is asked about again."""
        self._under_way.discard(instrument)
        if not answered:
            self._asked.pop(instrument, None)

    def clear(self, reason: str) -> None:
        """Drop everything that waits."""
        for _ in self._waiting:
            self._dropped(reason)
        self._waiting.clear()
