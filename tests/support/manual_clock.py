"""A clock for tests: they decide what time it is."""

from __future__ import annotations

from schemas.units import NS_PER_SECOND


class ManualClock:
    """A clock that moves only when told.

    Args:
        now_ns: Where the wall clock starts.
    """

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._monotonic_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds since the clock was made."""
        return self._monotonic_ns

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks.

        Raises:
            ValueError: Time would run backwards.
        """
        if seconds < 0:
            raise ValueError(f"time does not run backwards ({seconds} s)")
        step = round(seconds * NS_PER_SECOND)
        self._now_ns += step
        self._monotonic_ns += step

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as a time service does; the monotonic clock does not notice."""
        self._now_ns += round(seconds * NS_PER_SECOND)
