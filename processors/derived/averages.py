"""Averages that weigh time, not events: the value that held over (t', t] has weight t - t'.

An update comes whenever the venue sends one, so a mean over events says how often it sends and not what the book was.
Each average is told the time first (`advance`), which takes in the value that held until now, and the new value after
it was judged (`hold`): so the value judged is never part of its own baseline. No time passed changes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from math import sqrt
from typing import Final

import msgspec

from schemas.units import NS_PER_MS, NS_PER_SECOND

LEAST_STEP_NS: Final = NS_PER_MS
"""Values that held for less are told apart by their sum alone, so that a burst of updates has a bound."""
REBASE_NS: Final = 60 * NS_PER_SECOND
"""Sums are taken from an origin that is never older, so that no rounding grows with a worker's life."""


class HeldAverage(msgspec.Struct):
    """Exponentially weighted mean and variance of a value, by the time it held. Serialisable as it stands.

    With half-life H: w = 1 - 2^(-dt/H), m <- m + w(x' - m), v <- (1 - w)(v + w(x' - m_old)^2).

    Attributes:
        mean, variance: m and v; they mean nothing before `begun`.
        held: The value that holds since `at_ns`; null where there is none.
        observed_ns: For how long values held.
        begun: Whether there was a value; the first starts m at itself and v at 0.
    """

    mean: float = 0.0
    variance: float = 0.0
    held: float | None = None
    at_ns: int = 0
    observed_ns: int = 0
    begun: bool = False

    def advance(self, at_ns: int, half_life_ns: float) -> None:
        """Take in the value that held until `at_ns`. A value that is null weighs nothing."""
        elapsed_ns, self.at_ns = at_ns - self.at_ns, at_ns
        if self.held is None or elapsed_ns <= 0:
            return
        self.observed_ns += elapsed_ns
        weight = 1.0 - 0.5 ** (elapsed_ns / half_life_ns)
        step = self.held - self.mean
        self.mean += weight * step
        self.variance = (1.0 - weight) * (self.variance + weight * step * step)

    def hold(self, value: float | None) -> None:
        """Say what holds from now on."""
        if value is not None and not self.begun:
            self.mean, self.begun = value, True
        self.held = value

    def z(self, value: float, floor: float) -> float:
        """How far a value lies from the mean, in standard deviations, which count as `floor` at least."""
        return (value - self.mean) / max(sqrt(self.variance), floor)


class HeldMean(msgspec.Struct):
    """Mean of a value over a span, by the time it held. Serialisable as it stands.

    Attributes:
        area, held_ns: The value times ns, summed, and how long there was one.
        value: What holds since `at_ns`; null where there is none.
    """

    at_ns: int
    value: float | None = None
    area: float = 0.0
    held_ns: int = 0

    def advance(self, at_ns: int) -> None:
        """Take in the value that held until `at_ns`."""
        elapsed_ns = at_ns - self.at_ns
        if elapsed_ns <= 0:
            return
        self.at_ns = at_ns
        if self.value is not None:
            self.area += self.value * elapsed_ns
            self.held_ns += elapsed_ns

    @property
    def mean(self) -> float | None:
        """The mean so far; null where nothing held."""
        return self.area / self.held_ns if self.held_ns else None


class HeldTrail(msgspec.Struct):
    """The last seconds of a value, for means over any part of them. Serialisable as it stands.

    Attributes:
        at_ns: Moments at which the value changed, oldest first.
        areas, held_ns: Up to each of them: the value times seconds, summed, and how long there was one.
        value: What holds since the last; null where there is none.
    """

    at_ns: list[int] = []
    areas: list[float] = []
    held_ns: list[int] = []
    value: float | None = None

    def advance(self, at_ns: int, span_ns: int) -> None:
        """Take in the value that held until `at_ns`, and forget what is older than `span_ns`."""
        if not self.at_ns:
            self.at_ns, self.areas, self.held_ns = [at_ns], [0.0], [0]
            return
        elapsed_ns = at_ns - self.at_ns[-1]
        if elapsed_ns <= 0:
            return
        held_ns = 0 if self.value is None else elapsed_ns
        area = self.areas[-1] + (self.value or 0.0) * held_ns / NS_PER_SECOND
        self._append(at_ns, area, self.held_ns[-1] + held_ns)
        self._forget(at_ns - span_ns)

    def hold(self, value: float | None) -> None:
        """Say what holds from now on."""
        self.value = value

    def covers(self, since_ns: int) -> bool:
        """Whether it is known what held from then on."""
        return bool(self.at_ns) and self.at_ns[0] <= since_ns

    def mean(self, after_ns: int, until_ns: int) -> float | None:
        """Mean over (after, until] of what held; null where nothing did."""
        area, held_ns = self._until(until_ns)
        earlier, held_before_ns = self._until(after_ns)
        span_s = (held_ns - held_before_ns) / NS_PER_SECOND
        return (area - earlier) / span_s if span_s > 0.0 else None

    def _append(self, at_ns: int, area: float, held_ns: int) -> None:
        if len(self.at_ns) > 1 and at_ns - self.at_ns[-2] < LEAST_STEP_NS:
            self.at_ns[-1], self.areas[-1], self.held_ns[-1] = at_ns, area, held_ns
        else:
            self.at_ns.append(at_ns)
            self.areas.append(area)
            self.held_ns.append(held_ns)

    def _forget(self, before_ns: int) -> None:
        """Drop what lies before a moment, but for the one point that says what held at it."""
        old = bisect_right(self.at_ns, before_ns) - 1
        if old > 0:
            del self.at_ns[:old], self.areas[:old], self.held_ns[:old]
        if self.held_ns[0] > REBASE_NS:
            origin, held_ns = self.areas[0], self.held_ns[0]
            self.areas = [area - origin for area in self.areas]
            self.held_ns = [one - held_ns for one in self.held_ns]

    def _until(self, moment_ns: int) -> tuple[float, float]:
        """Area and time held up to a moment: between two points the value was one."""
        index = bisect_right(self.at_ns, moment_ns) - 1
        if index < 0:
            return self.areas[0], self.held_ns[0]
        if index == len(self.at_ns) - 1:
            return self.areas[-1], self.held_ns[-1]
        share = (moment_ns - self.at_ns[index]) / (self.at_ns[index + 1] - self.at_ns[index])
        area = self.areas[index] + share * (self.areas[index + 1] - self.areas[index])
        return area, self.held_ns[index] + share * (self.held_ns[index + 1] - self.held_ns[index])
