"""Whether a question is worth another request, in which way and after what pause; learns what an endpoint takes."""

from __future__ import annotations

import random
import time
from typing import Final

from obflow.backoff import growing_wait_s
from obflow.logs import get_logger
from processors.llm.calls import ANSWERED, Asking
from processors.llm.completion import LlmAnswer
from processors.llm.gate import Gate
from processors.llm.key_ring import ModelKey
from processors.llm.keys import Keys
from processors.llm.refusals import is_lacking
from processors.llm.shapes import RequestShape, Ways
from processors.rollout.endings import MAX_TRIES, PASSING
from schemas.messages import CallOutcome

log = get_logger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_QUIET_S: Final = 60.0
"""Longest an endpoint is left alone because it asked for it."""
EXHAUSTED_QUIET_S: Final = 600.0
"""For how long it is left alone where the account has nothing left."""
MOST_WAYS: Final = 6
"""Ways to ask that are tried with one question; the next question goes on with those that are left."""
TOLD_AFTER: Final = 3
"""Answers cut in a row after which that is told."""


class Retries:
    """Of one endpoint and model.

    Args:
        gate: Is told where the endpoint asks to be left alone.
        keys: Have another key where one is refused.
        is_bounded: Whether there is a budget: what nothing bounds cannot be reserved, and is not asked for.
    """

    def __init__(self, gate: Gate, keys: Keys, *, is_bounded: bool) -> None:
        self._gate = gate
        self._keys = keys
        self._is_bounded = is_bounded
        self._ways = Ways()
        self._truncated_in_a_row = 0

    @property
    def best(self) -> RequestShape:
        """The way to ask a new question."""
        return self._bounded(self._ways.first, "")

    def lacks(self, asking: Asking, answer: LlmAnswer) -> bool:
        """Whether a request was refused for something that the next one leaves out."""
        return _is_lacking(answer) and asking.refusals + 1 < MOST_WAYS

    def learn(self, asking: Asking, answer: LlmAnswer) -> None:
        """Remember what the endpoint takes; tell of answers that are cut, question after question."""
        if answer.outcome not in ANSWERED:
            return
        self._keys.worked(answer.key_id)
        self._ways.worked(asking.shape)
        is_cut = answer.outcome is CallOutcome.TRUNCATED
        self._truncated_in_a_row = self._truncated_in_a_row + 1 if is_cut else 0
        if self._truncated_in_a_row == TOLD_AFTER:
            log.warning("llm_answers_truncated", in_a_row=TOLD_AFTER, next_step="raise regimes.answer_tokens")

    async def other_key(self, asking: Asking, answer: LlmAnswer, left_s: float) -> ModelKey | None:
        """The key to ask again with, once a question, where the endpoint has refused the one that was sent."""
        if answer.outcome is not CallOutcome.UNAUTHORIZED:
            return None
        if asking.key is not None:
            self._keys.open()
            return None
        return await self._keys.instead_of(answer.key_id, left_s)

    def pause_s(self, asking: Asking, answer: LlmAnswer) -> float | None:
        """How long to wait before the next try; None where there is to be none."""
        if answer.is_exhausted:
            self._leave_alone_exhausted()
            return None
        if _is_lacking(answer) and (less := self._less(asking, answer)) is not None:
            asking.shape = less
            return 0.0
        if answer.retry_after_s is not None:
            self._gate.leave_alone(min(answer.retry_after_s, LONGEST_QUIET_S), time.monotonic())
        if answer.outcome is CallOutcome.SERVER_ERROR:
            asking.shape = self._bounded(self._ways.failed(asking.shape, answer.text), answer.text)
        if answer.outcome not in PASSING or asking.attempt >= MAX_TRIES:
            return None
        if answer.retry_after_s is not None:
            return answer.retry_after_s
        return growing_wait_s(asking.attempt - 1, FIRST_PAUSE_S, LONGEST_QUIET_S, certain=0.5, jitter=random.random())  # noqa: S311

    def _bounded(self, shape: RequestShape, said: str) -> RequestShape:
        """A way to ask after failures that can be reserved, where there is a budget."""
        while self._is_bounded and not shape.limit:
            shape = self._ways.failed(shape, said)
        return shape

    def _less(self, asking: Asking, answer: LlmAnswer) -> RequestShape | None:
        """The next way to ask after a refusal, so many times a question."""
        asking.refusals += 1
        found = self._ways.refused(asking.shape, answer.text)
        while self._is_bounded and found is not None and not found.limit:
            found = self._ways.refused(found, answer.text)  # what nothing bounds cannot be reserved
        return found if asking.refusals < MOST_WAYS else None

    def _leave_alone_exhausted(self) -> None:
        """Ask nothing for long: an account with nothing left has nothing a moment later."""
        now_s = time.monotonic()
        if self._gate.quiet_s(now_s) < EXHAUSTED_QUIET_S / 2:
            log.warning(
                "llm_account_exhausted", quiet_s=EXHAUSTED_QUIET_S, next_step="pay, or name another key and start again"
            )
        self._gate.leave_alone(EXHAUSTED_QUIET_S, now_s)


def _is_lacking(answer: LlmAnswer) -> bool:
    """Whether a request was refused for what it asked for, not for its key, its words or an account without money."""
    return answer.outcome is CallOutcome.REFUSED and is_lacking(answer.status, answer.text)
