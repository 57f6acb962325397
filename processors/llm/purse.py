"""What a worker may spend on questions: reserved before a request leaves, settled when it is known what it came to."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from typing import Final

from processors.llm.budget import NOTHING, Amount, Budget, BudgetLimits
from processors.llm.calls import Asking, OwnCalls
from processors.llm.completion import LlmAnswer
from processors.llm.limits import LlmLimits
from processors.llm.spending import ReadCalls, Spending
from schemas.messages import CallOutcome

NOT_PAID: Final = frozenset({CallOutcome.UNAUTHORIZED, CallOutcome.RATE_LIMITED, CallOutcome.REFUSED})
"""Outcomes of which no model has read the question."""


class Purse:
    """Of one worker, whichever arm it asks.

    Args:
        limits: Of all workers together.
        partitions: That they share out between them.
        read: What was spent.
        own: Tells the worker's own rows.
    """

    def __init__(self, limits: BudgetLimits, partitions: int, read: ReadCalls, own: OwnCalls) -> None:
        self._partitions = partitions
        self._budget = Budget(limits) if limits.are_set else None
        self._spending = None if self._budget is None else Spending(self._budget, read, own.is_own)

    @property
    def is_bounded(self) -> bool:
        """Whether there is a budget."""
        return self._budget is not None

    @property
    def is_known(self) -> bool:
        """Whether it is known what was spent; until then nothing may leave."""
        return self._spending is None or self._spending.is_known

    def assigned(self, partitions: Collection[int]) -> None:
        """This worker owns these partitions from now on, and with them a part of the budget."""
        if self._spending is not None:
            self._spending.assigned(Fraction(len(partitions), self._partitions))

    async def run(self) -> None:
        """Keep the worker's part true, for ever; ends at once where there is no budget."""
        if self._spending is not None:
            await self._spending.run()

    def may_spend(self, asking: Asking, limits: LlmLimits) -> bool:
        """Reserve what the next request can come to; False where the budget does not have it: it must not leave."""
        if self._budget is None:
            return True
        text = asking.prompt.system + asking.prompt.user
        tokens_in, tokens_out = asking.shape.most_tokens(text, limits.answer_tokens)
        most_usd = limits.prices.at(asking.started_ns).most_usd(tokens_in, tokens_out)
        asking.reserved = self._budget.reserve(Amount(most_usd, tokens_in + tokens_out), asking.started_ns)
        return asking.reserved is not None

    def settle(self, asking: Asking, answer: LlmAnswer, limits: LlmLimits) -> Amount | None:
        """Charge what a request came to; gives what it was charged instead where that is not known."""
        if self._budget is None or asking.reserved is None:
            return None
        tokens, unknown = answer.tokens, None
        if tokens.input is not None and tokens.output is not None:
            usd = limits.prices.at(asking.started_ns).cost(tokens)
            amount = Amount(usd or NOTHING.usd, tokens.input + tokens.output)
        elif answer.outcome in NOT_PAID:
            amount = NOTHING
        else:
            amount = unknown = asking.reserved.amount
        self._budget.settle(asking.reserved, amount)
        asking.reserved = None
        return unknown
