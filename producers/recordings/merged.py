"""Several recordings as one stream in order of time: of other instruments, and of other venues.

Each is read as it is wanted, so that memory holds their books and no more of them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from heapq import merge
from operator import attrgetter
from typing import Any, Final

from obflow.clock import Clock
from obflow.progress import Watch
from producers.broker.publisher import Publisher
from producers.recordings.replay import Pacer, Replay, publish, summary_of
from schemas.errors import UsageError
from schemas.units import NS_PER_SECOND

MOST_FILES: Final = 400
"""Files that are open at a time; systems allow a process some thousand, and the broker's client wants its own."""


class MergedReplay:
    """One replay of several.

    Args:
        parts: What is to be merged; each is played once.
        speed: Received seconds a second; None as fast as the broker takes them.
        clock: What is now.

    Raises:
        UsageError: Two hold the same instrument, or they are too many.
    """

    def __init__(self, parts: Sequence[Replay], speed: float | None, clock: Clock) -> None:
        self.parts = parts
        self._speed = speed
        self._clock = clock
        files = sum(len(part.paths) for part in parts)
        if files > MOST_FILES:
            raise UsageError(
                f"{files} files are more than the {MOST_FILES} that are merged at a time",
                next_step="name fewer symbols, and the others with a second command",
            )
        held = Counter(f"{part.venue}:{symbol}" for part in parts for symbol in part.targets())
        if twice := [name for name, times in held.items() if times > 1]:
            raise UsageError(
                f"{', '.join(twice[:5])} of one time stands in several of these files",
                next_step="play one after the other, with a command for each",
            )

    @property
    def steps(self) -> int:
        """How many steps `run` takes."""
        return sum(part.steps or 0 for part in self.parts)

    def run(
        self, publisher: Publisher, stop: threading.Event, *, flush_seconds: float, watch: Watch = iter
    ) -> dict[str, Any]:
        """Publish everything in order of time and wait until it is acknowledged; arguments as of `Replay.run`."""
        began_ns = self._clock.monotonic_ns()
        steps = merge(*(part.played(stop.is_set) for part in self.parts), key=attrgetter("received_ns"))
        publish(watch(steps), publisher, Pacer(self._speed, self._clock, publisher, stop))
        publisher.flush(flush_seconds)
        seconds = (self._clock.monotonic_ns() - began_ns) / NS_PER_SECOND
        return summary_of(publisher.acknowledged, sum(len(part.targets()) for part in self.parts), seconds)
