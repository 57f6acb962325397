"""What ends a rollout: too many questions that fail, are slow or name invented numbers, and a budget that is spent."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from processors.rollout.endings import Ending
from processors.rollout.evidence import FIVE_PERCENT, TWO_PERCENT, TestedRate, evidence
from schemas.rollouts import RolloutGuard
from schemas.units import NS_PER_SECOND

BURST_NS: Final = 10 * NS_PER_SECOND
"""Bad questions this close to one that was counted are one event: an endpoint that is away. The breaker is for that."""
BAR: Final = 100.0
"""Evidence at which a rollout ends: exceeded by a healthy arm with a probability of 1 %, however long one looks."""
LEAST_QUESTIONS: Final = 5
REMEMBERED: Final = 64


class GuardReading(NamedTuple):
    """What a guard has seen in a stage.

    Attributes:
        questions, bad: Counted.
        evidence: That too many are bad.
        is_crossed: Whether it has ever reached the bar.
    """

    questions: int = 0
    bad: int = 0
    evidence: float = 1.0
    is_crossed: bool = False


class RateGuard:
    """One of them. What it gives follows from the questions it is given, whenever.

    Args:
        rate: What is tested.
    """

    def __init__(self, rate: TestedRate) -> None:
        self._rate = rate
        self._counted_ns: deque[int] = deque(maxlen=REMEMBERED)
        self.reading = GuardReading()

    def take(self, is_bad: bool, at_ns: int) -> None:
        """Count a question that ended at this time."""
        if is_bad:
            if any(abs(at_ns - counted) <= BURST_NS for counted in self._counted_ns):
                return
            self._counted_ns.append(at_ns)
        questions, bad = self.reading.questions + 1, self.reading.bad + is_bad
        found = evidence(self._rate, questions, bad)
        is_over = found >= BAR and questions >= LEAST_QUESTIONS
        self.reading = GuardReading(questions, bad, found, self.reading.is_crossed or is_over)


class Guards:
    """Those of one arm in one stage.

    Args:
        slo_ms: Latency beyond which an answer is slow.

    Attributes:
        questions: How many of its questions ended.
    """

    def __init__(self, slo_ms: float) -> None:
        self.questions = 0
        self._slo_ms = slo_ms
        self._guards = {
            RolloutGuard.FAILURE: RateGuard(TWO_PERCENT),
            RolloutGuard.SLOW: RateGuard(FIVE_PERCENT),
            RolloutGuard.UNFAITHFUL: RateGuard(FIVE_PERCENT),
        }

    def take(self, ending: Ending) -> None:
        """Count a question. Whether it was slow and faithful is asked of valid answers alone."""
        self.questions += 1
        self._guards[RolloutGuard.FAILURE].take(not ending.is_valid, ending.at_ns)
        if ending.latency_ms is not None:
            self._guards[RolloutGuard.SLOW].take(ending.latency_ms > self._slo_ms, ending.at_ns)
        if ending.unfaithful is not None:
            self._guards[RolloutGuard.UNFAITHFUL].take(ending.unfaithful, ending.at_ns)

    @property
    def readings(self) -> dict[RolloutGuard, GuardReading]:
        """What each has seen."""
        return {name: guard.reading for name, guard in self._guards.items()}
