"""Beside the regimes: one asker an arm, and a rollout that says which of them are asked about an instrument."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from obflow.logs import get_logger
from obflow.metrics import Metrics
from obflow.whole_log import Logged
from processors.contract import PartitionOwner
from processors.llm.asker import LlmAsker
from processors.llm.controller import RolloutController
from processors.llm.purse import Purse
from processors.llm.reading import LogReader, decoded
from processors.regimes.state import Closed
from processors.rollout.log import RolloutLog
from processors.rollout.machine import asked_arms
from schemas.codec import decode_as
from schemas.rollouts import RolloutRecord

log = get_logger(__name__)

CONTROLLING_PARTITION: Final = 0
REMEMBERED: Final = 4_096
OBEY_S: Final = 0.1


class FollowedRollout:
    """The rollout as this worker has read it. Written by a thread, read by the event loop: each assignment is whole.

    Args:
        first: The state where the log holds none.
    """

    def __init__(self, first: RolloutRecord) -> None:
        self.log = RolloutLog()
        self._first = first

    @property
    def state(self) -> RolloutRecord:
        """What holds."""
        return self.log.state or self._first

    def take(self, records: Iterable[Logged]) -> None:
        """Take records of the log."""
        for record in decoded(records, partial(decode_as, RolloutRecord)):
            if isinstance(record, RolloutRecord) and self.log.take(record):
                log.info("rollout_obeyed", step=record.step, stage=record.stage, percent=record.percent)


class ModelArms:
    """The companion of the regimes where there is a rollout.

    Args:
        askers: By arm.
        followed: The rollout.
        readers: Of its log, the first, and of what is judged of its arms.
        controller: Decides, where this worker is the one to.
        purse: What all arms together may spend.
        metrics: What is counted.
    """

    def __init__(
        self,
        askers: Mapping[str, LlmAsker],
        followed: FollowedRollout,
        readers: Sequence[LogReader],
        controller: RolloutController,
        purse: Purse,
        metrics: Metrics,
    ) -> None:
        self._askers = askers
        self._followed = followed
        self._readers = readers
        self._controller = controller
        self._purse = purse
        self._metrics = metrics
        # Which arms wanted a window that waits for its checkpoint.
        self._wanted: dict[tuple[str, str, int], list[str]] = {}
        self._order: deque[tuple[str, str, int]] = deque()

    def wants(self, key: str, closed: Closed) -> bool:
        """Whether any arm that is to be asked about the instrument finds a window worth a question."""
        arms = [arm for arm in sorted(self._asked(key)) if self._askers[arm].wants(key, closed)]
        if arms:
            self._remember((key, closed.source_log, closed.source_offset), arms)
        return bool(arms)

    def enqueue(self, key: str, closed: Closed, owner: PartitionOwner) -> None:
        """Have those arms asked that wanted it and are still to be."""
        asked = self._asked(key)
        for arm in self._wanted.pop((key, closed.source_log, closed.source_offset), ()):
            if arm in asked:
                self._askers[arm].enqueue(key, closed, owner)
            else:
                self.dropped("rollout")

    def dropped(self, reason: str) -> None:
        """Count a question that will never be asked."""
        self._metrics.counter("obflow_llm_questions_dropped_total", reason=reason).inc()

    def assigned(self, partitions: Collection[int]) -> None:
        """This worker owns these partitions from now on."""
        self._purse.assigned(partitions)
        self._controller.assigned(CONTROLLING_PARTITION in partitions)
        for asker in self._askers.values():
            asker.forget()

    async def run(self) -> None:
        """Ask, obey and, where this worker is the one to, decide; for ever."""
        for reader in self._readers:
            reader.start()
        async with asyncio.TaskGroup() as group:
            for asker in self._askers.values():
                group.create_task(asker.run())
            group.create_task(self._purse.run())
            group.create_task(self._controller.run())
            group.create_task(self._obey())

    async def close(self) -> None:
        """Give up what is under way."""
        for reader in self._readers:
            reader.stop()
        for asker in self._askers.values():
            await asker.close()

    def _asked(self, key: str) -> frozenset[str]:
        if not self._readers[0].is_current:
            return frozenset()
        return asked_arms(self._followed.state, key) & self._askers.keys()

    async def _obey(self) -> None:
        """Have an arm that is not asked any more give up what is under way."""
        while True:
            state = self._followed.state
            for arm, asker in self._askers.items():
                if not state.enabled or (arm not in (state.live, state.candidate)):
                    await asker.abandon("rollout")
            await asyncio.sleep(OBEY_S)

    def _remember(self, place: tuple[str, str, int], arms: list[str]) -> None:
        self._wanted[place] = arms
        self._order.append(place)
        if len(self._order) > REMEMBERED:
            self._wanted.pop(self._order.popleft(), None)
