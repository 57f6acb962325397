"""Whether another machine's clock is ours: judged from one answer, whose time lies between question and receipt."""

from __future__ import annotations

from typing import Final, NamedTuple

from obflow.findings import Check

TOLERATED_S: Final = 1.0
"""Ages and latencies are told in seconds: clocks that differ by more make them wrong."""
SET_THE_CLOCK: Final = "let a time service keep the clocks of both machines"


class ClockLook(NamedTuple):
    """One look at another clock.

    Attributes:
        whose: Whose it is.
        theirs_s: What it said, seconds UTC.
        asked_s, heard_s: Our own before and after.
    """

    whose: str
    theirs_s: float
    asked_s: float
    heard_s: float

    @property
    def ahead_s(self) -> float:
        """How far it is ahead of ours for certain; negative where it is behind, 0 where it may be right."""
        if self.theirs_s > self.heard_s:
            return self.theirs_s - self.heard_s
        return min(0.0, self.theirs_s - self.asked_s)


def bounds_by_date_s(date_s: float, asked_s: float, heard_s: float) -> tuple[float, float]:
    """Between what a clock is ahead of ours, as a time to the second tells: a second and the wait apart.

    Args:
        date_s: What it said, cut to the second.
        asked_s: Our own time before, seconds UTC.
        heard_s: Our own time after.
    """
    return date_s - heard_s, date_s + 1.0 - asked_s


def clock_finding(name: str, look: ClockLook) -> Check:
    """Judge a look."""
    ahead_s = look.ahead_s
    if abs(ahead_s) <= TOLERATED_S:
        return Check(name, True, f"{look.whose}'s clock is ours to the second")
    where = "ahead of" if ahead_s > 0 else "behind"
    return Check(name, False, f"the clock of {look.whose} is {abs(ahead_s):.1f} s {where} ours", SET_THE_CLOCK)
