"""When a market strays from the others of its asset, and comes back: what arbitrage is looked for in, planted."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from producers.simulator.faults import Schedule
from schemas.units import NS_PER_SECOND

SHARE: Final = 0.0025
"""How far it strays, of the price: 25 basis points, more than two takers' fees and what is asked beyond them."""
SECONDS: Final = 4.0
"""How long it stays there."""


class Dislocation(NamedTuple):
    """One time a market strayed.

    Attributes:
        from_ns, to_ns: When, ns UTC.
        ticks: How far; negative is down.
    """

    from_ns: int
    to_ns: int
    ticks: int


class Dislocations:
    """Those of one market.

    Args:
        every_s: Mean seconds between two.
        seed: The same seed gives the same times and directions.
        start_ns: From when.

    Attributes:
        planted: Those that have begun.
    """

    def __init__(self, every_s: float, seed: str, start_ns: int) -> None:
        self._schedule = Schedule(every_s, seed, start_ns)
        self._random = Random(f"{seed}:way").random  # noqa: S311 (a simulation, not a secret)
        self._open = False
        self.planted: list[Dislocation] = []

    def move(self, now_ns: int, price_ticks: int) -> int:
        """How many ticks the market is to move now; 0 nearly always.

        Args:
            now_ns: Venue time.
            price_ticks: The price, in ticks.
        """
        if self._open:
            last = self.planted[-1]
            self._open = now_ns < last.to_ns
            return 0 if self._open else -last.ticks
        if not self._schedule.due(now_ns):
            return 0
        ticks = max(1, int(price_ticks * SHARE)) * (1 if self._random() < 0.5 else -1)
        self.planted.append(Dislocation(now_ns, now_ns + int(SECONDS * NS_PER_SECOND), ticks))
        self._open = True
        return ticks
