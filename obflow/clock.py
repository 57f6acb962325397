"""The two clocks a process has: the wall for what is written down, the monotonic one for how long something took."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Source of time of everything that is not pure, so that a test decides what time it is."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC. May jump; never subtract two of these to get an interval."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since some start. Never falls; good for intervals alone."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds since some start."""
        return time.monotonic_ns()


class RisingClock:
    """A clock that is never set back: where the wall clock is, it stands still until that has caught up.

    Args:
        clock: The clock behind it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        now_ns = self._clock.now_ns()
        if now_ns > self._now_ns:
            self._now_ns = now_ns
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds since some start."""
        return self._clock.monotonic_ns()
