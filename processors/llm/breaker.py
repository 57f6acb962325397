"""Leaves an endpoint alone that fails again and again, and asks now and then whether it is back. Knows no clock."""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from itertools import count
from typing import Final

LONGEST_WAIT_S: Final = 600.0
"""Longest time between two probes."""


class BreakerState(IntEnum):
    """What a breaker lets through, as the gauge has it."""

    CLOSED = 0
    """Requests, as many as like to."""
    HALF_OPEN = 1
    """One, the probe."""
    OPEN = 2
    """None."""


class Breaker:
    """Of one model of one endpoint.

    Until a request has succeeded, and from each failure to the next success, no more are under way than may still fail
    before it opens. So a dead endpoint sees `failures` requests and then one a probe, however many would like to
    leave; one that dies sees those that were under way, if they are more.

    It closes with a probe that succeeds, and knows of nothing before. What was under way when it opened or closed is
    not counted when it ends.

    Args:
        failures: Failures in a row that open it, as do half or more of the last four times as many outcomes.
        wait_s: From its opening to the first probe, seconds; doubled with each probe that fails.
    """

    def __init__(self, failures: int, wait_s: float) -> None:
        self._failures = failures
        self._first_wait_s = wait_s
        self._permits = count(1)
        self._under_way: set[int] = set()
        self._last: deque[bool] = deque(maxlen=4 * failures)
        self._in_a_row = 0
        self._wait_s = wait_s
        self._open_until_s: float | None = None

    def state(self, now_s: float) -> BreakerState:
        """What it lets through."""
        if self._open_until_s is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now_s < self._open_until_s else BreakerState.HALF_OPEN

    def refuses(self, now_s: float) -> bool:
        """Whether no request may leave, and waiting for one to end is of no use."""
        state = self.state(now_s)
        return state is BreakerState.OPEN or (state is BreakerState.HALF_OPEN and bool(self._under_way))

    def holds(self) -> bool:
        """Whether a request has to wait until one that is under way has ended."""
        is_trusted = self._in_a_row == 0 and bool(self._last)
        return not is_trusted and self._in_a_row + len(self._under_way) >= self._failures

    def leaves(self) -> int:
        """A request leaves, which neither `refuses` nor `holds` forbids; gives its permit."""
        permit = next(self._permits)
        self._under_way.add(permit)
        return permit

    def ended(self, permit: int, is_failure: bool | None, now_s: float) -> None:
        """A request ended; null where its end says nothing of the endpoint. Counted once for each permit."""
        if permit not in self._under_way:
            return
        self._under_way.remove(permit)
        if is_failure is None:
            return
        if self._open_until_s is not None:
            self._probed(is_failure, now_s)
            return
        self._last.append(is_failure)
        self._in_a_row = self._in_a_row + 1 if is_failure else 0
        is_full = len(self._last) == self._last.maxlen
        if self._in_a_row >= self._failures or (is_full and 2 * sum(self._last) >= len(self._last)):
            self._begin_anew(now_s + self._wait_s)

    def _probed(self, is_failure: bool, now_s: float) -> None:
        longer_s = max(self._wait_s, min(2 * self._wait_s, LONGEST_WAIT_S))
        self._wait_s = longer_s if is_failure else self._first_wait_s
        self._begin_anew(now_s + self._wait_s if is_failure else None)

    def _begin_anew(self, open_until_s: float | None) -> None:
        """Open until then, or close."""
        self._open_until_s = open_until_s
        self._under_way.clear()
        self._last.clear()
        self._in_a_row = 0
