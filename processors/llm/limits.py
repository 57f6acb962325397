"""Whom the model's asker asks, how much of it, and where what comes of it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from processors.llm.budget import BudgetLimits
from processors.llm.pricing import PriceList
from processors.rollout.machine import BLUE
from schemas.messages import InstrumentKey, LlmCall, RegimeEvent

NO_BUDGET: Final = BudgetLimits()


@dataclass(frozen=True)
class LlmLimits:
    """Whom to ask, and how much.

    Attributes:
        endpoint: The address, as it stands in rows.
        model: The model.
        rules: Version of the rules, as it stands in events.
        prices: Of the model, over time.
        deadline_s: From the close of a window to the answer about it, all waiting and every try, seconds.
        concurrency: Most questions under way.
        requests_per_minute: Most requests that leave in a minute.
        breaker_failures, breaker_wait_s: When the endpoint is left alone, and how long at first (`Breaker`).
        budget: Of all workers together.
        partitions: That they share out between them.
        answer_tokens: Most tokens of an answer.
        language: Of the answers' texts.
        arm: What it is called in a rollout.
    """

    endpoint: str
    model: str
    rules: str
    prices: PriceList
    deadline_s: float
    concurrency: int
    requests_per_minute: int
    breaker_failures: int = 5
    breaker_wait_s: float = 30.0
    budget: BudgetLimits = NO_BUDGET
    partitions: int = 1
    answer_tokens: int = 4_000
    language: str = "en"
    arm: str = BLUE


@dataclass(frozen=True)
class LlmOutputs:
    """Where events and rows leave.

    Attributes:
        event: Sends a regime event, given its partition.
        call: Sends a call's row, given its partition.
        masked: Takes every key out of a text.
        home: The partition of an instrument.
    """

    event: Callable[[int, RegimeEvent], None]
    call: Callable[[int, LlmCall], None]
    masked: Callable[[str], str]
    home: Callable[[InstrumentKey], int] = lambda _: 0
