"""Keeps a worker's part of the budget true: what the log of calls says was spent, shared as the partitions are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Final

from obflow.logs import get_logger
from processors.llm.budget import DAY_NS, Amount, Budget, Spent
from schemas.errors import PipelineError
from schemas.messages import LlmCall

log = get_logger(__name__)

READ_AGAIN_S: Final = 5.0

ReadCalls = Callable[[int], Iterable[LlmCall]]
"""Gives the rows of all workers that were written since a time, ns UTC. May block."""


class Spending:
    """Of one worker. From a change of owners until the log is read, nothing may be spent.

    Args:
        budget: Its part.
        read: Reads the log of calls.
        is_own: Whether a row is of this worker's life; its own it has counted, more closely than the log.
        read_again_s: After a failure.

    Attributes:
        is_known: Whether the log was read since this worker was last given its partitions.
    """

    def __init__(
        self, budget: Budget, read: ReadCalls, is_own: Callable[[LlmCall], bool], read_again_s: float = READ_AGAIN_S
    ) -> None:
        self._budget = budget
        self._read = read
        self._is_own = is_own
        self._read_again_s = read_again_s
        self.is_known = False
        self._share = Fraction(0)
        self._changed = asyncio.Event()

    def assigned(self, share: Fraction) -> None:
        """This worker now owns such a part of the partitions."""
        self._share = share
        self.is_known = False
        self._budget.share(Fraction(0), (), time.time_ns())
        self._changed.set()

    async def run(self) -> None:
        """Share anew after each change of owners, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._share_anew()
            except PipelineError as error:
                log.error("budget_unknown", cause=str(error), again_s=self._read_again_s)
                self._changed.set()
                await asyncio.sleep(self._read_again_s)

    async def _share_anew(self) -> None:
        if not self._share:
            return
        others = await asyncio.to_thread(self._others)
        if not self._changed.is_set():  # owners that changed meanwhile are shared out next
            self._budget.share(self._share, others, time.time_ns())
            self.is_known = True
            usd = sum(one.amount.usd for one in others)
            log.info("budget_shared", share=float(self._share), spent_by_others_usd=float(usd), calls=len(others))

    def _others(self) -> list[Spent]:
        today_ns = time.time_ns() // DAY_NS * DAY_NS
        rows = self._read(today_ns)
        return [spent_of(row) for row in rows if row.started_ns >= today_ns and not self._is_own(row)]


def spent_of(row: LlmCall) -> Spent:
    """What a request was charged: what it cost, or what was reserved where that is not known."""
    if row.input_tokens is not None and row.output_tokens is not None:
        return Spent(row.started_ns, Amount(_usd(row.cost_usd), row.input_tokens + row.output_tokens))
    return Spent(row.started_ns, Amount(_usd(row.reserved_usd), row.reserved_tokens or 0))


def _usd(number: float | None) -> Decimal:
    return Decimal(str(number or 0))
