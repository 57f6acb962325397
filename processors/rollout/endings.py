"""When a question has ended, and how, by the rows of its requests: it may take several."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.messages import CallOutcome, InstrumentKey, LlmCall
from schemas.units import NS_PER_MS

MAX_TRIES: Final = 3
LACKING: Final = (400, 404, 422)
"""What endpoints answer to a request for something they do not have; 422 is what Python's web frameworks make of it,
404 a relay none of whose providers has it."""
PASSING: Final = frozenset({CallOutcome.RATE_LIMITED, CallOutcome.SERVER_ERROR, CallOutcome.UNREACHABLE})
"""Outcomes that another try may better."""
VALID: Final = frozenset({CallOutcome.OK, CallOutcome.STALE})
OUR_OWN: Final = frozenset({CallOutcome.ABANDONED, CallOutcome.NOT_ASKED})
"""Outcomes that say nothing of the model."""


class Ending(NamedTuple):
    """How a question ended.

    Attributes:
        at_ns: When, ns UTC.
        is_valid: Whether there was a valid answer in time.
        latency_ms: Of the request that brought it; null where none did.
        unfaithful: Whether it names a number that was not shown; null where there is none.
    """

    at_ns: int
    is_valid: bool
    latency_ms: float | None = None
    unfaithful: bool | None = None


class Endings:
    """Of the questions of one arm.

    A valid answer ends its question, and so does a failure after which no other try is made. After any other failure
    it is not known until the instrument's next question: of each instrument one is under way.
    """

    def __init__(self) -> None:
        self._open: dict[InstrumentKey, LlmCall] = {}
        self._ended: dict[InstrumentKey, int] = {}

    def take(self, row: LlmCall) -> list[Ending]:
        """Take a request's row; gives the questions that are known to have ended by it."""
        if row.outcome in OUR_OWN:
            return []
        if row.window_end_ns <= self._ended.get(row.instrument, -1):
            return []
        found = [*self._give_up(row)]
        if row.outcome in VALID:
            found.append(Ending(_end_ns(row), True, row.latency_ms, row.unfaithful))
        elif _may_go_on(row):
            self._open[row.instrument] = row
            return found
        else:
            found.append(Ending(_end_ns(row), False))
        self._open.pop(row.instrument, None)
        self._ended[row.instrument] = row.window_end_ns
        return found

    def _give_up(self, row: LlmCall) -> list[Ending]:
        """The instrument's question before, which was not tried again."""
        before = self._open.get(row.instrument)
        if before is None or before.window_end_ns >= row.window_end_ns:
            return []
        return [Ending(_end_ns(before), False)]


def _may_go_on(row: LlmCall) -> bool:
    """Whether another request may follow one that brought no answer."""
    passes = row.outcome in PASSING and row.attempt < MAX_TRIES
    return passes or row.status in LACKING or row.outcome is CallOutcome.UNAUTHORIZED


def _end_ns(row: LlmCall) -> int:
    return row.started_ns + round(row.latency_ms * NS_PER_MS)
