"""How often a library may say the same: one line a second and cause, with a count of what was left out."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

EVERY_S: Final = 1.0
MOST_CAUSES: Final = 256
LONGEST_CAUSE: Final = 200
_NUMBERS: Final = re.compile(r"[0-9]+")


def cause_of(logger: str, text: str) -> str:
    """What a line is about: who says it, and its text without the numbers that differ each time."""
    return f"{logger}: {_NUMBERS.sub('#', text[:LONGEST_CAUSE])}"


class LineLimit:
    """Lets one line of each cause through in a while, and counts the others.

    Args:
        every_s: The while.
        most_causes: So many causes are remembered; then the one that was let through the longest ago is forgotten.
    """

    def __init__(self, every_s: float = EVERY_S, most_causes: int = MOST_CAUSES) -> None:
        self._every_s = every_s
        self._most_causes = most_causes
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, cause: str, now_s: float) -> int | None:
        """Decide about one line.

        Args:
            cause: What it is about.
            now_s: When, on a clock that only goes forward.

        Returns:
            How many lines of its cause were left out since the last one, or None where this one is left out.
        """
        last_s, left_out = self._seen.get(cause, (-self._every_s, 0))
        if cause in self._seen and now_s - last_s < self._every_s:
            self._seen[cause] = (last_s, left_out + 1)
            return None
        self._seen[cause] = (now_s, 0)
        self._seen.move_to_end(cause)
        if len(self._seen) > self._most_causes:
            self._seen.popitem(last=False)
        return left_out
