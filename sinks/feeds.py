"""Keeps one table fed, whatever befalls it: a worker that fails is opened again, and no other table hears of it.

    the table, its topic or the code  tried again after growing pauses, for ever; the other tables go on
    no broker, no database            the same; where no table was ever open, the process ends after half a minute
    a table that was dropped          the same: `obflow tables apply` makes it again, and it is filled from the log
    a topic that was made anew        the same: the new log is read from its start
    another sink claims partitions    the partitions of this process are looked up again, and what they hold
    nothing works, in any table       the process ends, with the first table's error

A table that fails is told in the log, again every half minute, on the metrics page, and by the exit code in the end.
What concerns every table, a broker or a database that is away, is told once for all of them.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from obflow.backoff import growing_wait_s
from obflow.logs import get_logger
from schemas.errors import (
    BrokerRefused,
    BrokerUnreachable,
    DeliveryFailed,
    DependencyError,
    PipelineError,
    StoreUnreachable,
)
from sinks.claims import ClaimLost
from sinks.consumer import Worker
from sinks.contract import Table
from sinks.counts import Counts
from sinks.preflight import LogAnew, TableGone, as_gone
from sinks.writer import FIRST_PAUSE_SECONDS

PATIENCE_SECONDS: Final = 30.0
"""How long a broker or a database may not answer."""
LONGEST_PAUSE_SECONDS: Final = 30.0
LONGEST_WAIT_SECONDS: Final = 5.0
"""The longest pause before a broker, a database or a table that is away is looked for again."""
TELL_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A worker that ran for so long was well: the next pause is short again."""
COMES_BACK: Final = (BrokerUnreachable, DeliveryFailed, StoreUnreachable, TableGone, LogAnew)
_log = get_logger(__name__)


class OnceForAll:
    """What the feeds of a process share: whether one could be opened, and what was told a moment ago.

    Attributes:
        was_up: Set once a table could be opened: broker and database are the right ones, and come back.
    """

    def __init__(self) -> None:
        self.was_up = threading.Event()
        self._told_s: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def may_tell(self, table: str, error: BaseException, now_s: float) -> bool:
        """Whether the error was not told in the last half minute."""
        shared = isinstance(error, DependencyError)
        key = ("", type(error).__name__) if shared else (table, f"{type(error).__name__}: {error}")
        with self._lock:
            self._told_s = {one: told_s for one, told_s in self._told_s.items() if now_s - told_s < TELL_SECONDS}
            if key in self._told_s:
                return False
            self._told_s[key] = now_s
            return True


class TableFeed:
    """Feeds one table until told to stop.

    Args:
        table: The table.
        open_worker: Opens its worker where the table ends, to count in these counts; None where there is nothing to
            feed, since other processes have every partition.
        stop: Set when the process is to end.
        on_failure: Told of every failure, before the next try.
        now_s: Monotonic time, seconds.
        once: What it shares with the other feeds.
        rest: Waits, not for long, until there is something else to feed.

    Attributes:
        table: The table.
        counts: What its workers have done, all together.
        trouble: What keeps it from being fed; None where nothing does.
    """

    def __init__(
        self,
        table: Table[Any],
        open_worker: Callable[[Counts], Worker | None],
        stop: threading.Event,
        on_failure: Callable[[], None] = lambda: None,
        now_s: Callable[[], float] = time.monotonic,
        once: OnceForAll | None = None,
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self.table = table
        self.counts = Counts()
        self.trouble: BaseException | None = None
        self._open_worker = open_worker
        self._stop = stop
        self._on_failure = on_failure
        self._now_s = now_s
        self._once = once or OnceForAll()
        self._rest = rest
        self._failures = 0
        self._silent_since_s: float | None = None

    @property
    def is_hopeless(self) -> bool:
        """Whether it cannot be fed now: it fails, of nothing that comes back by itself or by `obflow tables apply`."""
        if self._once.was_up.is_set() and isinstance(self.trouble, COMES_BACK):
            return isinstance(self.trouble, BrokerRefused)
        if not isinstance(self.trouble, DependencyError) or isinstance(self.trouble, BrokerRefused):
            return self.trouble is not None
        return self._silent_since_s is not None and self._now_s() - self._silent_since_s > PATIENCE_SECONDS

    @property
    def ends_the_process(self) -> bool:
        """Whether what it fails of is nothing of its own: a broker or database that is gone, or the process itself."""
        if isinstance(self.trouble, DependencyError):
            return self.is_hopeless
        return self.trouble is not None and not isinstance(self.trouble, Exception)

    def run(self) -> None:
        """Feed the table until told to stop."""
        while not self._stop.is_set():
            opened_s = self._now_s()
            try:
                self._feed()
            except ClaimLost as lost:
                self.counts.fenced += 1
                _log.warning("claim_lost", table=self.table.name, cause=lost.cause)
                self._rest()
            except BaseException as error:
                if self._now_s() - opened_s > STEADY_SECONDS:
                    self._failures = 0
                self._note(as_gone(error, self.table))
                self._on_failure()
                if not isinstance(error, Exception):
                    return
                self._stop.wait(self._pause_s())

    def _feed(self) -> None:
        worker = self._open_worker(self.counts)
        self._once.was_up.set()
        self.trouble, self._silent_since_s, self.counts.failing = None, None, False
        if worker is None:
            self._rest()
            return
        worker.run(self._stop)

    def _note(self, error: BaseException) -> None:
        self._failures += 1
        self.trouble, self.counts.failing = error, True
        if isinstance(error, DependencyError):
            self._silent_since_s = self._silent_since_s or self._now_s()
        if not self._once.may_tell(self.table.name, error, self._now_s()):
            return
        unexpected = not isinstance(error, PipelineError)
        _log.error(
            "table_failed",
            table=self.table.name,
            error=str(error),
            failures=self._failures,
            unexpected=unexpected,
            exc_info=error if unexpected else None,
        )

    def _pause_s(self) -> float:
        """Growing, jittered. For what comes back it stays short: that it is back is seen soon."""
        jitter = random.random()  # noqa: S311 (no secret)
        if isinstance(self.trouble, COMES_BACK):
            most_s = LONGEST_WAIT_SECONDS if self._once.was_up.is_set() else 1.0
            return growing_wait_s(self._failures - 1, FIRST_PAUSE_SECONDS, most_s, certain=0.5, jitter=jitter)
        return growing_wait_s(self._failures, 1.0, LONGEST_PAUSE_SECONDS, certain=0.5, jitter=jitter)
