"""Minutes of one instrument's factor events. View `regime_marks` says the same of tables; a test holds them equal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from research.evaluation.protocol import MARK_S, SKIP_S
from research.evaluation.rows import Minute
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorEvent, Status
from schemas.units import NS_PER_SECOND

_MID: Final = FACTOR_INDEX["mid"]
_TOLD: Final = (Status.OK, Status.THIN, Status.RESYNCING)


class Minutes:
    """Collects events in order of received time; one that comes late is left out.

    Args:
        instrument: Whose.
    """

    def __init__(self, instrument: str) -> None:
        self._instrument = instrument
        self._second = -1
        self._mid: float | None = None
        self._broke = False
        self._before: float | None = None
        self._found: dict[int, _OpenMinute] = {}

    def take(self, event: FactorEvent) -> None:
        """Take an event into its second, (T - 1 s, T]."""
        second = -(-event.received_ns // NS_PER_SECOND)
        if event.status not in _TOLD or second < self._second:
            return
        if second > self._second:
            self._close()
            self._second, self._broke = second, False
        self._broke = self._broke or event.status is Status.RESYNCING
        self._mid = None if event.status is Status.RESYNCING else event.values[_MID]

    def over(self) -> Iterator[Minute]:
        """The minutes that a later event has shown to be over, in order."""
        for mark, found in self._found.items():
            if self._second > mark + MARK_S:
                yield found.minute(self._instrument, mark * NS_PER_SECOND)

    def _close(self) -> None:
        mark = (self._second - 1) // MARK_S * MARK_S
        if self._second - mark > SKIP_S and self._second >= 0:
            self._found.setdefault(mark, _OpenMinute()).step(self._before, self._mid, broke=self._broke)
        self._before = self._mid


class _OpenMinute:
    """A minute that is being filled."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last: float | None = None
        self.squares = 0.0
        self.broken = False

    def step(self, before: float | None, after: float | None, *, broke: bool) -> None:
        """Go from the mid of one second to that of the next one with an event."""
        if broke or not before or not after:
            self.broken = True
            return
        self.first = before if self.first is None else self.first
        self.last = after
        change = math.log(after) - math.log(before)
        self.squares += change * change

    def minute(self, instrument: str, mark_ns: int) -> Minute:
        if self.broken or self.first is None or self.last is None:
            return Minute(instrument, mark_ns, None, None)
        return Minute(instrument, mark_ns, self.squares, 1e4 * math.log(self.last / self.first))
