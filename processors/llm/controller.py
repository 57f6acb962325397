"""Controls the rollout, in the worker that owns partition 0 of the factors: decides, and tells all workers by the log.

It decides on the state that the log holds, never on one of its own, and not again until it has read what it decided. A
worker that takes over reads both logs first. So nothing is decided twice, whoever is killed when.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple

from obflow.logs import get_logger
from obflow.whole_log import Logged
from processors.llm.reading import Follow, LogReader, decoded
from processors.rollout.log import RolloutLog
from processors.rollout.machine import advance, answer
from processors.rollout.schedule import Schedule
from processors.rollout.watch import CallWatch, DayBudget, Facts
from processors.rollout.worth import WorthVerdict
from schemas.codec import decode_as
from schemas.messages import LlmCall
from schemas.rollouts import RolloutRecord
from schemas.units import NS_PER_DAY

log = get_logger(__name__)

DECIDE_S: Final = 1.0
UNBOUNDED: Final = DayBudget()
OVERTAKEN_S: Final = 10.0
"""After which something decided and not read back is decided anew."""


class RolloutRules(NamedTuple):
    """How the rollout is controlled.

    Attributes:
        arms: Those that are configured, the older first.
        schedule: How it goes.
        slo_ms: Latency beyond which an answer is slow.
        budget: Of a day.
    """

    arms: tuple[str, ...]
    schedule: Schedule
    slo_ms: float
    budget: DayBudget = UNBOUNDED


class StageWatch:
    """What the log of calls says of the stage that a state is in, read on a thread.

    Args:
        state: It.
        rules: Of the rollout.
        follow: Reads the log of calls.
        offsets_at: Gives the offsets of that log at a time, ns UTC.
    """

    def __init__(
        self,
        state: RolloutRecord,
        rules: RolloutRules,
        follow: Follow,
        offsets_at: Callable[[int], Mapping[int, int]],
    ) -> None:
        self.of = _stage_of(state)
        self._watch = CallWatch(state, rules.slo_ms, rules.budget)
        self._lock = threading.Lock()
        today_ns = time.time_ns() // NS_PER_DAY * NS_PER_DAY
        since_ns = max(0, min(state.since_ns or today_ns, today_ns))
        self._reader = LogReader("rollout-calls", follow, partial(offsets_at, since_ns), self._take)
        self._reader.start()

    @property
    def is_current(self) -> bool:
        """Whether it knows all that lay in the log when it began."""
        return self._reader.is_current

    def facts(self) -> Facts:
        """What is known now."""
        with self._lock:
            return self._watch.facts(time.time_ns())

    def stop(self) -> None:
        """Read no more."""
        self._reader.stop()

    def _take(self, records: Iterable[Logged]) -> None:
        for row in sorted(decoded(records, partial(decode_as, LlmCall)), key=_started_ns):
            with self._lock:
                assert isinstance(row, LlmCall)  # noqa: S101 (for the type)
                self._watch.take(row)


class RolloutController:
    """Decides where this worker is the one to decide.

    Args:
        rules: Of the rollout.
        rollout: The log of the rollout, as it is read.
        is_current: Whether it was read to its end.
        first: The state where the log holds none.
        watch: Begins to watch the stage of a state.
        send: Sends a state.
        judged: What the candidate of a state is worth beside the rules; null where nobody judges.
    """

    def __init__(
        self,
        rules: RolloutRules,
        rollout: RolloutLog,
        is_current: Callable[[], bool],
        first: RolloutRecord,
        watch: Callable[[RolloutRecord], StageWatch],
        send: Callable[[RolloutRecord], None],
        judged: Callable[[RolloutRecord], WorthVerdict | None] = lambda _: None,
    ) -> None:
        self._judged = judged
        self._rules = rules
        self._rollout = rollout
        self._is_current = is_current
        self._first = first
        self._begin_watch = watch
        self._send = send
        self._owns = False
        self._watch: StageWatch | None = None
        self._decided_step = -1
        self._decided_s = 0.0

    def assigned(self, owns: bool) -> None:
        """Whether this worker is the one to decide from now on."""
        self._owns = owns
        if not owns:
            self._stop_watch()

    async def run(self) -> None:
        """Decide again and again, for ever."""
        try:
            while True:
                if self._owns and self._is_current():
                    self._decide()
                await asyncio.sleep(DECIDE_S)
        finally:
            self._stop_watch()

    def _decide(self) -> None:
        state, now_s = self._rollout.state or self._first, time.monotonic()
        if state.step < self._decided_step and now_s < self._decided_s + OVERTAKEN_S:
            return
        watch = self._watch_of(state)
        if not watch.is_current:
            return
        made = self._next(state, watch.facts()._replace(verdict=self._judged(state)))
        if made is not None:
            self._decided_step, self._decided_s = made.step, now_s
            log.info("rollout_decided", step=made.step, stage=made.stage, percent=made.percent, why=made.reason)
            self._send(made)

    def _next(self, state: RolloutRecord, facts: Facts) -> RolloutRecord | None:
        request, rules, now_ns = self._rollout.request, self._rules, time.time_ns()
        if request is not None:
            return answer(state, request, facts, rules.schedule, rules.arms, now_ns)
        return advance(state, facts, rules.schedule, now_ns)

    def _watch_of(self, state: RolloutRecord) -> StageWatch:
        if self._watch is None or self._watch.of != _stage_of(state):
            self._stop_watch()
            self._watch = self._begin_watch(state)
        return self._watch

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None


def day_budget(usd: float | None, tokens: int | None, reserve_usd: Decimal, reserve_tokens: int) -> DayBudget:
    """The budget of a day, less what one more question can come to.

    Args:
        usd: Of the day; null is as much as one likes.
        tokens: The same in tokens.
        reserve_usd: Most of one more question.
        reserve_tokens: The same in tokens.
    """
    return DayBudget(
        None if usd is None else max(Decimal(0), Decimal(str(usd)) - reserve_usd),
        None if tokens is None else max(0, tokens - reserve_tokens),
    )


def _stage_of(state: RolloutRecord) -> tuple[str, str, int]:
    return state.candidate, state.stage.value, state.since_ns


def _started_ns(row: object) -> int:
    return row.started_ns if isinstance(row, LlmCall) else 0
