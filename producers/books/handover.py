"""One instrument over two connections for a while: what came ahead waits, what came twice is dropped.

A connection that will end is replaced while it still serves. Both bring the same updates under the same ids, each in
order, and one may be ahead of the other. So an update that does not follow the book yet waits until the other
connection brought what lies between, and one that the book has is the other's copy, whatever the venue's clock says in
it. Trades that came twice are known by their ids at any time (`seen_trades`). No update is taken for missing while one
of the two may still bring it, but for `LONGEST_AHEAD_NS` at most.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from producers.books.bridge import Waiting
from producers.messages import DepthDelta
from schemas.units import NS_PER_SECOND

LONGEST_AHEAD_NS: Final = 2 * NS_PER_SECOND
"""What is ahead for longer shows that something between was lost on both."""
AFTER_NS: Final = 60 * NS_PER_SECOND
"""The one that stays may have been behind: for so long after the other has ended its copies are known for copies."""
MOST_AHEAD: Final = 1_000


class Overlap:
    """What two connections brought of one instrument.

    Args:
        sequence: Of the book when the second one came: whatever both bring is newer.

    Attributes:
        ahead: Updates that do not follow the book yet, as they came.
    """

    def __init__(self, sequence: int) -> None:
        self.ahead: deque[Waiting] = deque()
        self._sequence = sequence
        self._ended_ns: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether both still stand."""
        return self._ended_ns is None

    def is_over(self, now_ns: int) -> bool:
        """Tell whether the one that stays can bring no copies any more."""
        return self._ended_ns is not None and now_ns - self._ended_ns > AFTER_NS

    def is_copy(self, delta: DepthDelta, sequence: int) -> bool:
        """Tell whether the book has an update from the other connection."""
        return self._sequence < delta.last_sequence <= sequence

    def hold(self, delta: DepthDelta, now_ns: int) -> bool:
        """Let an update wait for the other connection; False where nothing may be waited for any more."""
        is_late = bool(self.ahead) and now_ns - self.ahead[0].received_ns > LONGEST_AHEAD_NS
        if not self.is_open or is_late or len(self.ahead) >= MOST_AHEAD:
            return False
        self.ahead.append(Waiting(delta, now_ns))
        return True

    def take_ahead(self) -> list[Waiting]:
        """Give what waits away, as it came."""
        ahead = list(self.ahead)
        self.ahead.clear()
        return ahead

    def end(self, now_ns: int) -> None:
        """Note that one of the two is gone."""
        self._ended_ns = now_ns

    def reopen(self, sequence: int) -> None:
        """Note that there are two again."""
        self._ended_ns, self._sequence = None, sequence
