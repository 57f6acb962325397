"""How often a library may say the same: a line after 1, 2, 4 … 32 s a cause, with a count of what was left out."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final, NamedTuple

EVERY_S: Final = 1.0
LONGEST_S: Final = 32.0
QUIET_S: Final = 10.0
MOST_CAUSES: Final = 256
LONGEST_CAUSE: Final = 200
_NUMBERS: Final = re.compile(r"[0-9]+")


def cause_of(logger: str, text: str) -> str:
    """What a line is about: who says it, and its text without the numbers that differ each time."""
    return f"{logger}: {_NUMBERS.sub('#', text[:LONGEST_CAUSE])}"


class _Heard(NamedTuple):
    """What is remembered of a cause: when a line passed and when one came, the pause until the next, those left out."""

    passed_s: float
    came_s: float
    pause_s: float
    left_out: int


class LineLimit:
    """Lets one line of each cause through in a while, and counts the others.

    The while doubles with each line as long as they go on, so that a broker which is away for minutes takes few lines;
    after some seconds of silence it is the first one again.

    Args:
        every_s: The first while, and the shortest.
        longest_s: The longest.
        quiet_s: A cause that was silent for so long begins anew.
        most_causes: So many causes are remembered; then the one that was let through the longest ago is forgotten.
    """

    def __init__(
        self,
        every_s: float = EVERY_S,
        longest_s: float = LONGEST_S,
        quiet_s: float = QUIET_S,
        most_causes: int = MOST_CAUSES,
    ) -> None:
        self._every_s = every_s
        self._longest_s = longest_s
        self._quiet_s = quiet_s
        self._most_causes = most_causes
        self._seen: OrderedDict[str, _Heard] = OrderedDict()

    def take(self, cause: str, now_s: float) -> int | None:
        """Decide about one line.

        Args:
            cause: What it is about.
            now_s: When, on a clock that only goes forward.

        Returns:
            How many lines of its cause were left out since the last one, or None where this one is left out.
        """
        heard = self._seen.get(cause)
        if heard is None:
            return self._pass(cause, now_s, self._every_s, 0)
        was_quiet = now_s - heard.came_s >= max(self._quiet_s, self._every_s)
        if not was_quiet and now_s - heard.passed_s < heard.pause_s:
            self._seen[cause] = heard._replace(came_s=now_s, left_out=heard.left_out + 1)
            return None
        pause_s = self._every_s if was_quiet else min(self._longest_s, 2 * heard.pause_s)
        return self._pass(cause, now_s, pause_s, heard.left_out)

    def _pass(self, cause: str, now_s: float, pause_s: float, left_out: int) -> int:
        self._seen[cause] = _Heard(now_s, now_s, pause_s, 0)
        self._seen.move_to_end(cause)
        if len(self._seen) > self._most_causes:
            self._seen.popitem(last=False)
        return left_out
