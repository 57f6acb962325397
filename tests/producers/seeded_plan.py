"""What goes wrong in one seed: some of everything that can befall a feed, at times of about two seconds."""

from __future__ import annotations

from enum import Enum, auto
from random import Random
from typing import NamedTuple

from producers.simulator.contract import SimulatedVenue
from producers.simulator.venues import SIMULATED
from producers.simulator.venues.okx import SUMMED

PLAYED: tuple[SimulatedVenue, ...] = (*SIMULATED.values(), SUMMED)
"""Every venue, and OKX as it was while its checksums were alive."""
CLEAN_EVERY = 8
"""One seed in so many of a venue has nothing go wrong."""
FROM_MS, UNTIL_MS = 600, 2_300
MOST = 6


class Fault(Enum):
    """What can go wrong."""

    DISCONNECT = auto()
    HALF_OPEN = auto()
    GAP = auto()
    DUPLICATE = auto()
    DISORDER = auto()
    CUT_FRAME = auto()
    BAD_NUMBER = auto()
    CHECKSUM = auto()
    UNASKED_BOOK = auto()
    TICK_SIZE = auto()
    VENUE_CLOCK = auto()
    OUR_CLOCK = auto()
    REFUSED_REQUESTS = auto()
    SLOW_BOOKS = auto()
    REFUSED_CONNECTIONS = auto()
    DELISTING = auto()


ONCE = (Fault.DELISTING, Fault.TICK_SIZE, Fault.HALF_OPEN, Fault.REFUSED_REQUESTS)
"""What befalls a feed at most once in a seed."""


class Happening(NamedTuple):
    """One fault: when, which instrument of the two, and a number that says how bad it is, 0 to 1."""

    at_ms: int
    fault: Fault
    which: int
    much: float


def venue_of(seed: int) -> SimulatedVenue:
    """Which venue a seed plays."""
    return PLAYED[seed % len(PLAYED)]


def plan_of(seed: int) -> list[Happening]:
    """What goes wrong in a seed, by time."""
    if seed // len(PLAYED) % CLEAN_EVERY == 0:
        return []
    random = Random(f"plan:{seed}")
    kinds = _possible(venue_of(seed))
    first = kinds[(seed // len(PLAYED) + 3 * seed) % len(kinds)]  # so that few seeds have every fault at every venue
    chosen = [first, *(random.choice(kinds) for _ in range(random.randint(1, MOST)))]
    faults = [fault for number, fault in enumerate(chosen) if fault not in ONCE or fault not in chosen[:number]]
    return sorted(
        (Happening(random.randint(FROM_MS, UNTIL_MS), fault, random.randrange(2), random.random()) for fault in faults),
        key=lambda happening: happening.at_ms,
    )


def _possible(venue: SimulatedVenue) -> list[Fault]:
    lacking = set() if venue.rules.summed_levels else {Fault.CHECKSUM}
    lacking |= set() if venue.rules.book_in_stream else {Fault.UNASKED_BOOK}
    return [fault for fault in Fault if fault not in lacking]
