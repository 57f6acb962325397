"""What goes wrong between the venue and its client: on a seeded schedule, or on demand.

Only depth updates are touched, and never the market behind them: with and without faults the same seed makes the same
true book.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from random import Random

from producers.simulator.events import Damage, MarketEvent
from schemas.units import NS_PER_SECOND


class Fault(StrEnum):
    """Kinds of fault."""

    GAP = "gap"
    DUPLICATE = "duplicate"
    DISORDER = "disorder"
    CORRUPT = "corrupt"
    CHECKSUM = "checksum"
    """A checksum that the book does not have, where the venue makes them."""
    DISCONNECT = "disconnect"
    SNAPSHOT = "snapshot"
    """A whole book that nobody asked for, where books come in the stream."""


DEPTH_FAULTS = (Fault.GAP, Fault.DUPLICATE, Fault.DISORDER, Fault.CORRUPT, Fault.CHECKSUM, Fault.SNAPSHOT)
"""Those that befall one depth update; a disconnect befalls everybody."""


class Schedule:
    """When a fault comes by itself: about every so many seconds.

    Args:
        every_s: Mean seconds between two; half to one and a half times as long each.
        seed: The same seed gives the same times.
        start_ns: From when.
    """

    def __init__(self, every_s: float, seed: str, start_ns: int) -> None:
        self._every_s = every_s
        self._random = Random(seed).random  # noqa: S311 (a simulation, not a secret)
        self._next_ns = start_ns
        self._advance()

    def due(self, now_ns: int) -> bool:
        """Whether one has come; then the next is scheduled."""
        if now_ns < self._next_ns:
            return False
        self._advance()
        return True

    def _advance(self) -> None:
        self._next_ns += 1 + int(self._every_s * (0.5 + self._random()) * NS_PER_SECOND)


class DepthFaults:
    """The faults of one instrument's depth updates.

    Args:
        every_s: Mean seconds between two faults of a kind; a kind that is not named does not come by itself.
        seed: Of the schedules.
        start_ns: Start of the schedules.

    Attributes:
        injected: How many of each kind have happened.
    """

    def __init__(self, every_s: Mapping[Fault, float], seed: str, start_ns: int) -> None:
        self._schedules = {
            kind: Schedule(every_s[kind], f"{seed}:{kind}", start_ns) for kind in DEPTH_FAULTS if kind in every_s
        }
        self._pending: dict[Fault, int] = dict.fromkeys(DEPTH_FAULTS, 0)
        self._damage = Damage.CUT
        self._held: MarketEvent | None = None
        self.injected: dict[Fault, int] = dict.fromkeys(DEPTH_FAULTS, 0)

    def inject(self, kind: Fault, count: int = 1, damage: Damage = Damage.CUT) -> None:
        """Let the next `count` depth updates suffer."""
        self._pending[kind] += count
        if kind is Fault.CORRUPT:
            self._damage = damage

    def pass_on(self, update: MarketEvent) -> Iterable[MarketEvent]:
        """What of this update, and of one held back before it, reaches the client now."""
        for kind, schedule in self._schedules.items():
            if schedule.due(update.sent_ns):
                self._pending[kind] += 1
        held, self._held = self._held, None
        if held is not None:
            return (update, held)
        if self.take(Fault.GAP):
            return ()
        if self.take(Fault.CORRUPT):
            return (update._replace(damage=self._damage),)
        if update.summed is not None and self.take(Fault.CHECKSUM):
            return (update._replace(damage=Damage.CHECKSUM),)
        if self.take(Fault.DISORDER):
            self._held = update
            return ()
        if self.take(Fault.DUPLICATE):
            return (update, update)
        return (update,)

    def take(self, kind: Fault) -> bool:
        """Whether one of a kind is due; then it has happened."""
        if not self._pending[kind]:
            return False
        self._pending[kind] -= 1
        self.injected[kind] += 1
        return True
