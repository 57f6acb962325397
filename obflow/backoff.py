"""How long to wait before the next try: exponential, with full jitter, so that clients do not all come back at once."""

from __future__ import annotations

import random

LONGEST_S = 15 * 60.0
"""No wait is longer, whatever the other side asked for."""


class Backoff:
    """Waits between tries of one thing.

    Args:
        first_s: Longest first wait, seconds.
        most_s: Longest wait of all.
    """

    def __init__(self, first_s: float = 0.25, most_s: float = 5.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._tries = 0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """Tell how many seconds to wait now; `at_least_s` is what the other side asked for."""
        longest = min(self._most_s, self._first_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return min(LONGEST_S, at_least_s + random.uniform(0.0, longest))  # noqa: S311 (jitter, not a secret)

    def reset(self) -> None:
        """Begin again with short waits: it worked."""
        self._tries = 0
