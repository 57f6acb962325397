"""At most so many requests in any minute, whenever it begins. Knows no clock."""

from __future__ import annotations

from collections import deque

MINUTE_S = 60.0


class Pace:
    """When the next request may leave.

    A leaky bucket would let a whole minute's worth go at once and as much again while it refills: nearly twice what
    the setting says, and what the endpoint allows. So the times of the last requests are kept.

    Args:
        most: Most requests in a minute.
    """

    def __init__(self, most: int) -> None:
        self._left_s: deque[float] = deque(maxlen=most)

    def wait_s(self, now_s: float) -> float:
        """Seconds until a request may leave; 0 where one may now."""
        if len(self._left_s) < (self._left_s.maxlen or 0):
            return 0.0
        return max(0.0, self._left_s[0] + MINUTE_S - now_s)

    def leaves(self, now_s: float) -> None:
        """A request leaves now."""
        self._left_s.append(now_s)
