"""The values of the last second: what one was, at a moment not long ago."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import msgspec

from schemas.units import NS_PER_MS, NS_PER_SECOND

LEAST_STEP_NS: Final = NS_PER_MS
"""Values closer together than this are one, the later: a burst has a bound."""


class RecentValues(msgspec.Struct):
    """A value and since when it holds, for a second and a little more. Serialisable as it stands."""

    at_ns: list[int] = []
    values: list[float | None] = []

    def add(self, at_ns: int, value: float | None) -> None:
        """Say what holds from now on."""
        if self.values and value == self.values[-1]:
            return
        if len(self.at_ns) > 1 and at_ns - self.at_ns[-2] < LEAST_STEP_NS:
            self.at_ns[-1], self.values[-1] = at_ns, value
        else:
            self.at_ns.append(at_ns)
            self.values.append(value)
        old = bisect_right(self.at_ns, at_ns - NS_PER_SECOND) - 1
        if old > 0:
            del self.at_ns[:old], self.values[:old]

    def before(self, moment_ns: int) -> float | None:
        """What held at a moment of the last second; null where nothing did, or that is not known."""
        index = bisect_right(self.at_ns, moment_ns) - 1
        return self.values[index] if index >= 0 else None
