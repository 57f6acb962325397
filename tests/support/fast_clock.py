"""Time that passes faster than it does: a venue and its producer that share it play twice as much in a minute."""

from __future__ import annotations

import time


class FastClock:
    """The machine's wall clock from a moment on, so many times as fast. Shared by all who know the moment.

    Args:
        began_ns: The moment, ns UTC.
        speed: How much faster.
    """

    def __init__(self, began_ns: int, speed: float) -> None:
        self._began_ns = began_ns
        self._speed = speed

    def now_ns(self) -> int:
        """Nanoseconds UTC, as this clock has it."""
        return self._began_ns + int((time.time_ns() - self._began_ns) * self._speed)

    def monotonic_ns(self) -> int:
        """The machine's: how long something took."""
        return time.monotonic_ns()
