"""What the log of calls says of a stage: the candidate's guards, the active instruments, and whether a day is spent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from processors.rollout.endings import Endings
from processors.rollout.guards import GuardReading, Guards
from processors.rollout.worth import WorthVerdict
from schemas.messages import CallOutcome, LlmCall
from schemas.rollouts import RolloutGuard, RolloutRecord
from schemas.units import NS_PER_DAY, NS_PER_HOUR

ACTIVE_NS: Final = NS_PER_HOUR
"""An instrument is active that was asked about in the last hour."""


class DayBudget(NamedTuple):
    """Most that a UTC day may cost, less what one more question can come to; null is as much as one likes."""

    usd: Decimal | None = None
    tokens: int | None = None


class Facts(NamedTuple):
    """What is known of a stage.

    Attributes:
        questions: Of the candidate in it that have ended.
        readings: Of its guards.
        is_spent: Whether the day's budget has no room for another question.
        instruments: Those that are active, `venue:symbol`.
        verdict: What the candidate is worth beside the rules; null where nobody judges.
    """

    questions: int = 0
    readings: Mapping[RolloutGuard, GuardReading] = {}
    is_spent: bool = False
    instruments: tuple[str, ...] = ()
    verdict: WorthVerdict | None = None


class CallWatch:
    """Of one stage; another stage is another watch, read again from the log.

    Args:
        stage: The state that began it.
        slo_ms: As of `Guards`.
        budget: Of a day.
    """

    def __init__(self, stage: RolloutRecord, slo_ms: float, budget: DayBudget) -> None:
        self._arm, self._since_ns = stage.candidate, stage.since_ns
        self._endings, self._guards = Endings(), Guards(slo_ms)
        self._budget = budget
        self._seen_ns: dict[str, int] = {}
        self._day, self._usd, self._tokens = -1, Decimal(0), 0

    def take(self, row: LlmCall) -> None:
        """Take a row, of whichever arm."""
        self._spend(row)
        if row.outcome is CallOutcome.NOT_ASKED:
            return
        name = str(row.instrument)
        self._seen_ns[name] = max(row.started_ns, self._seen_ns.get(name, row.started_ns))
        if row.arm == self._arm and row.started_ns >= self._since_ns:
            for ending in self._endings.take(row):
                self._guards.take(ending)

    def facts(self, now_ns: int) -> Facts:
        """What it has come to at a time, ns UTC."""
        active = sorted(name for name, seen_ns in self._seen_ns.items() if seen_ns > now_ns - ACTIVE_NS)
        is_spent = now_ns // NS_PER_DAY == self._day and self._has_no_room()
        return Facts(self._guards.questions, self._guards.readings, is_spent, tuple(active))

    def _has_no_room(self) -> bool:
        usd, tokens = self._budget
        return (usd is not None and self._usd > usd) or (tokens is not None and self._tokens > tokens)

    def _spend(self, row: LlmCall) -> None:
        day = row.started_ns // NS_PER_DAY
        if day > self._day:
            self._day, self._usd, self._tokens = day, Decimal(0), 0
        if day == self._day:
            is_known = row.input_tokens is not None and row.output_tokens is not None
            usd = row.cost_usd if is_known else row.reserved_usd
            self._usd += Decimal(str(usd or 0))
            self._tokens += (row.input_tokens or 0) + (row.output_tokens or 0) if is_known else row.reserved_tokens or 0
