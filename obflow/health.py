"""Whether a process lives, and whether it is ready: what its role waits for, each condition with why and since when.

Live means that its loop moves: one that does not is to be started again. Ready means that every condition of its role
holds: what it needs can be reached, and it has what it works on. One that is live and not ready is left alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from obflow.clock import Clock, SystemClock
from obflow.logs import get_logger
from schemas.units import NS_PER_SECOND

log = get_logger(__name__)
STUCK_SECONDS: Final = 60.0
"""A loop that has not moved for so long will not: no call it makes may take longer."""
BEAT_SECONDS: Final = 1.0
BROKER: Final = "broker"
STORE: Final = "store"
PARTITIONS: Final = "partitions"
FEED: Final = "feed"
FIRST: Final = {BROKER: "connected", STORE: "connected", PARTITIONS: "went_live", FEED: "went_live"}
"""What is said when a condition holds for the first time."""
NOT_YET: Final = "not seen since the start"
CONDITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "producer": (BROKER, FEED),
    "processor": (BROKER, PARTITIONS),
    "regimes": (BROKER, PARTITIONS),
    "signals": (BROKER, PARTITIONS),
    "anomalies": (BROKER, PARTITIONS),
    "levels": (BROKER, PARTITIONS),
    "staleness": (BROKER, PARTITIONS),
    "quotes": (BROKER, PARTITIONS),
    "arbitrage": (BROKER, PARTITIONS),
    "sink": (BROKER, STORE),
    "evaluate": (BROKER, STORE),
}
"""What each role waits for before it is ready; one that is not here is ready as long as it lives."""


class Condition(NamedTuple):
    """What is known of one condition.

    Attributes:
        why: Why it does not hold; empty where it does.
        since_ns: Since when it holds, or does not, ns UTC.
    """

    why: str
    since_ns: int


class Health:
    """The health of one process. Any thread may note and ask.

    Args:
        clock: Tells since when.
        on_change: Told each time a condition is noted: its name, and whether it holds.
    """

    def __init__(self, clock: Clock | None = None, on_change: Callable[[str, bool], None] = lambda *_: None) -> None:
        self._clock = clock or SystemClock()
        self._on_change = on_change
        self._conditions: dict[str, Condition] = {}
        self._lock = threading.Lock()
        self._beat_ns = self._clock.monotonic_ns()

    def expect(self, *names: str) -> None:
        """Have the role wait for these conditions; none of them holds before it is noted."""
        for name in names:
            self.note(name, NOT_YET)

    def note(self, name: str, why: str = "") -> None:
        """Note that a condition holds, or why it does not."""
        with self._lock:
            known = self._conditions.get(name)
            changed = known is None or bool(known.why) != bool(why)
            since_ns = self._clock.now_ns() if known is None or changed else known.since_ns
            self._conditions[name] = Condition(why, since_ns)
        if known is not None and changed:
            _say_change(name, known, self._conditions[name])
        self._on_change(name, not why)

    def beat(self) -> None:
        """Note that the loop moves."""
        self._beat_ns = self._clock.monotonic_ns()

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Whether the loop moves, and when it did last."""
        age_s = (self._clock.monotonic_ns() - self._beat_ns) / NS_PER_SECOND
        is_live = age_s < STUCK_SECONDS
        return is_live, {"live": is_live, "loop_moved_s_ago": round(age_s, 3)}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether every condition holds, and each of them with why and since when."""
        with self._lock:
            known = dict(self._conditions)
        now_ns = self._clock.now_ns()
        is_ready = not any(condition.why for condition in known.values())
        told = [{"condition": name, **_told(condition, now_ns)} for name, condition in known.items()]
        return is_ready, {"ready": is_ready, "conditions": told}


def _say_change(name: str, before: Condition, now: Condition) -> None:
    """One line for each thing a role waits for: it is there, it is gone, it is there again."""
    after_s = round((now.since_ns - before.since_ns) / NS_PER_SECOND, 1)
    if now.why:
        log.warning("not_ready", condition=name, why=now.why, after_s=after_s)
    elif before.why == NOT_YET:
        log.info(FIRST.get(name, "ready"), condition=name, after_s=after_s)
    else:
        log.info("recovered", condition=name, after_s=after_s)


@asynccontextmanager
async def beating(health: Health) -> AsyncIterator[None]:
    """Let the event loop say that it moves, while the block runs."""
    task = asyncio.create_task(_beat(health), name="health")
    try:
        yield
    finally:
        task.cancel()


async def _beat(health: Health) -> None:
    while True:
        health.beat()
        await asyncio.sleep(BEAT_SECONDS)


def _told(condition: Condition, now_ns: int) -> dict[str, Any]:
    since_s = condition.since_ns / NS_PER_SECOND
    for_s = max(0.0, round((now_ns - condition.since_ns) / NS_PER_SECOND, 3))
    return {"holds": not condition.why, "why": condition.why, "since_unix_s": round(since_s, 3), "for_s": for_s}
