"""How long to wait before the next try: exponential, with jitter, so that clients do not all come back at once."""

from __future__ import annotations

import random
from collections.abc import Callable

LONGEST_S = 15 * 60.0
"""No wait is longer, whatever the other side asked for."""


def growing_wait_s(tries: int, first_s: float, most_s: float, *, certain: float = 1.0, jitter: float = 1.0) -> float:
    """Tell how many seconds to wait after so many tries that failed: twice as long each time, and bounded.

    Args:
        tries: How many failed before the last one.
        first_s: Longest first wait.
        most_s: Longest wait of all.
        certain: Share of the wait that is the same for everybody.
        jitter: What was drawn from 0 to 1: as much of the rest.
    """
    longest = min(most_s, first_s * 2.0 ** min(tries, 30))
    return longest * (certain + (1.0 - certain) * jitter)


class Backoff:
    """Waits between tries of one thing.

    Args:
        first_s: Longest first wait, seconds.
        most_s: Longest wait of all.
        certain: Share of a wait that is not drawn.
        draw: Draws from 0 to 1.
    """

    def __init__(
        self,
        first_s: float = 0.25,
        most_s: float = 5.0,
        *,
        certain: float = 0.0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._certain = certain
        self._draw = draw
        self._tries = 0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """Tell how many seconds to wait now; `at_least_s` is what the other side asked for."""
        longer_s = growing_wait_s(self._tries, self._first_s, self._most_s, certain=self._certain, jitter=self._draw())
        self._tries += 1
        return min(LONGEST_S, at_least_s + longer_s)

    def reset(self) -> None:
        """Begin again with short waits: it worked."""
        self._tries = 0
