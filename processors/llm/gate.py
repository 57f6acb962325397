"""Whether a request may leave: at the pace that is set, after what the endpoint asked for, by the breaker. No clock."""

from __future__ import annotations

from typing import Final

from processors.llm.breaker import Breaker, BreakerState
from processors.llm.pace import Pace
from schemas.messages import CallOutcome

LOOK_AGAIN_S: Final = 0.05
"""How soon to look again where a request has to wait for the end of another."""
TELL_NOTHING: Final = frozenset({CallOutcome.UNAUTHORIZED, CallOutcome.ABANDONED})
"""Outcomes that say nothing of the endpoint: the key is another matter, and so is our own end."""
SUCCEEDED: Final = frozenset({CallOutcome.OK, CallOutcome.STALE})


class Gate:
    """Of one model of one endpoint.

    Args:
        pace: Of requests.
        breaker: Leaves it alone where it fails.
    """

    def __init__(self, pace: Pace, breaker: Breaker) -> None:
        self._pace = pace
        self._breaker = breaker
        self._quiet_until_s = 0.0

    def state(self, now_s: float) -> BreakerState:
        """The breaker's."""
        return self._breaker.state(now_s)

    def refuses(self, now_s: float) -> bool:
        """Whether the breaker lets nothing through: the rules alone judge."""
        return self._breaker.refuses(now_s)

    def wait_s(self, now_s: float) -> float:
        """How long no request may leave, seconds; 0 where one may."""
        held_s = LOOK_AGAIN_S if self._breaker.holds() else 0.0
        return max(self.quiet_s(now_s), self._pace.wait_s(now_s), held_s)

    def leaves(self, now_s: float) -> int:
        """A request leaves; gives the permit that `ended` takes."""
        self._pace.leaves(now_s)
        return self._breaker.leaves()

    def ended(self, permit: int, outcome: CallOutcome | None, now_s: float) -> None:
        """A request ended so; None where it never left, or was refused for something that may be left out."""
        tells_nothing = outcome is None or outcome in TELL_NOTHING
        self._breaker.ended(permit, None if tells_nothing else outcome not in SUCCEEDED, now_s)

    def leave_alone(self, seconds: float, now_s: float) -> None:
        """Let nothing leave for so long, whichever question it is because of."""
        self._quiet_until_s = max(self._quiet_until_s, now_s + seconds)

    def quiet_s(self, now_s: float) -> float:
        """For how long the endpoint is left alone from now on because of that."""
        return max(0.0, self._quiet_until_s - now_s)
