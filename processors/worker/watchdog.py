"""Ends a worker that has stopped working: its restart is the cure.

Consumers have been seen to stop after a rebalance without an error, partitions not fetched again. Nothing inside such a
process can be trusted to notice, so the watchdog is a thread with its own connection to the broker. It ends the process
when records wait and not one was processed for `watchdog_seconds`, or when the recovery of its checkpoints stood still
for so long: before it ends, no partition has a position. A log that was made anew, or has got more partitions, ends it
at the next look, also while it holds no partition. A broker that does not answer proves nothing about the worker, and
starts the count anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from obflow.logs import get_logger
from obflow.topics import NEW_LOGS
from schemas.errors import FatalError, PipelineError, TopicMismatch

log = get_logger(__name__)

LOOK_SECONDS = 2.0
GONE_SECONDS = 10.0
"""A topic that is not there for so long was deleted: one that is made anew, or a broker that starts, takes less."""

Positions = Mapping[int, int]
"""Offset by partition."""


class Stalled(FatalError):
    """The worker has records to process and processes none."""


class LogReplaced(FatalError):
    """The topic was deleted and made anew: offsets that were read mean nothing in the new log."""


class LogWidened(LogReplaced):
    """The topic has got more partitions: keys have moved, and what was read of them lies elsewhere."""


class StallDetector:
    """Judges from positions and log ends whether a worker has stalled. No clock of its own.

    Args:
        patience_s: How long nothing may be processed while records wait, seconds.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._seen: tuple[dict[int, int], int | None] = ({}, None)
        self._since_s: float | None = None

    def stalled_s(
        self, positions: Positions, ends: Positions, now_s: float, recovered: int | None = None
    ) -> float | None:
        """Compare with the time before: how long nothing has moved, where that is too long.

        Args:
            positions: Next offset to process, of each partition the worker has.
            ends: Offset after the last record in the log, of the same partitions.
            now_s: Monotonic time, seconds.
            recovered: How far the recovery of its state has come, in a number that rises while it goes on; None where
                none is under way.

        Returns:
            Seconds without progress, where they are beyond patience; else None.
        """
        waiting = recovered is not None or lag(positions, ends) > 0
        seen = (dict(positions), recovered)
        moved = seen != self._seen
        self._seen = seen
        if moved or not waiting or self._since_s is None:
            self._since_s = now_s if waiting else None
            return None
        stalled_s = now_s - self._since_s
        return stalled_s if stalled_s >= self._patience_s else None

    def forget(self) -> None:
        """Nothing could be seen: start the count anew."""
        self._since_s = None


def lag(positions: Positions, ends: Positions) -> int:
    """Records that wait, over all partitions."""
    return sum(max(0, ends[partition] - position) for partition, position in positions.items() if partition in ends)


class Watchdog:
    """The thread that looks.

    Args:
        state: Gives the worker's positions and how far its recovery has come; called from this thread.
        ends: Asks the broker where the log ends; blocks, with a deadline, and raises PipelineError. LogReplaced ends
            the process, any other says that nothing could be seen.
        stalled: Called once, with the sentence to end the process with.
        patience_s: As in StallDetector.
        observe: Told positions and ends at each look.
        look_s: Seconds between two looks.
        gone_s: Seconds after which a topic that is not there ends the process, too.
    """

    def __init__(
        self,
        state: Callable[[], tuple[Positions, int | None]],
        ends: Callable[[], Positions],
        stalled: Callable[[FatalError], None],
        *,
        patience_s: float,
        observe: Callable[[Positions, Positions], None] = lambda _positions, _ends: None,
        look_s: float = LOOK_SECONDS,
        gone_s: float = GONE_SECONDS,
    ) -> None:
        self._state = state
        self._ends = ends
        self._stalled = stalled
        self._observe = observe
        self._look_s, self._gone_s = look_s, gone_s
        self._detector = StallDetector(patience_s)
        self._gone_since_s: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; returns at once, a look under way ends on its own."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(self._look_s):
            self._check()

    def _check(self) -> None:
        positions, recovered = self._state()
        try:
            ends = self._ends()  # also where nothing is held: a topic made anew may have left this worker without any
        except LogReplaced as error:
            self._end(error)
            return
        except TopicMismatch as error:
            self._on_gone(error)
            return
        except Exception as error:  # whatever it is, it says nothing of the worker, and a watchdog must not die of it
            log.warning("watchdog_blind", error=str(error), unexpected=not isinstance(error, PipelineError))
            self._detector.forget()
            return
        self._gone_since_s = None
        self._observe(positions, ends)
        stalled = self._judge(positions, ends, recovered)
        if stalled is not None and not self._stop.is_set():
            self._end(stalled)

    def _on_gone(self, error: TopicMismatch) -> None:
        """End the process where the topic stays away."""
        now_s = time.monotonic()
        since_s = self._gone_since_s = now_s if self._gone_since_s is None else self._gone_since_s
        log.warning("watchdog_blind", error=str(error), unexpected=False)
        self._detector.forget()
        if now_s - since_s >= self._gone_s:
            self._end(error)

    def _judge(self, positions: Positions, ends: Positions, recovered: int | None) -> Stalled | None:
        stalled_s = self._detector.stalled_s(positions, ends, time.monotonic(), recovered)
        if any(ends.get(partition, position) < position for partition, position in positions.items()):
            # A worker that starts again would take the records at these offsets for ones it knows.
            return Stalled("the log ends before what was read of it: records were lost", next_step=NEW_LOGS)
        if stalled_s is None:
            return None
        what = f"nothing was processed for {stalled_s:.0f} s while {lag(positions, ends)} records wait"
        if recovered is not None:
            what = f"the recovery of the checkpoints has stood still for {stalled_s:.0f} s"
        return Stalled(what, next_step="restart the worker")

    def _end(self, error: FatalError) -> None:
        self._stop.set()
        self._stalled(error)
