"""Asks the language model: questions go out, answers become events, and no stage ever waits for either.

How many questions are under way and how many requests leave in a minute is bounded; from a question to its answer one
deadline holds, over every try. A failure is a row, a counter and nothing else: the rules' event was sent long before.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Final, Protocol

from obflow.backoff import growing_wait_s
from obflow.logs import get_logger
from obflow.metrics import Metrics
from processors.contract import PartitionOwner
from processors.llm.breaker import Breaker, BreakerState
from processors.llm.budget import NOTHING, Amount, Budget
from processors.llm.calls import ANSWERED, Asking, CallLog, since_close_ms
from processors.llm.completion import LlmAnswer
from processors.llm.gate import LOOK_AGAIN_S, Gate
from processors.llm.limits import LlmLimits, LlmOutputs
from processors.llm.pace import Pace
from processors.llm.shapes import RequestShape, Ways
from processors.llm.spending import ReadCalls, Spending
from processors.llm.unasked import Unasked
from processors.regimes.events import Usage, llm_event
from processors.regimes.faithful import unshown_numbers
from processors.regimes.prompt import Prompt, build_prompt
from processors.regimes.questions import Question, Questions
from processors.regimes.shown import shown
from processors.regimes.state import Closed
from schemas.messages import CallOutcome, InstrumentKey

log = get_logger(__name__)

MAX_TRIES: Final = 3
FIRST_PAUSE_S: Final = 0.5
LEAST_TRY_S: Final = 0.2
"""With less time than this left, another try is not worth a request."""
LONGEST_QUIET_S: Final = 60.0
"""Longest an endpoint is left alone because it asked for it."""
EXHAUSTED_QUIET_S: Final = 600.0
"""For how long it is left alone where the account has nothing left."""
MOST_WAYS: Final = 6
"""Ways to ask that are tried with one question; the next question goes on with those that are left."""
TOLD_AFTER: Final = 3
"""Answers cut in a row after which that is told."""
MOST_WAITING: Final = 8
"""Windows of one instrument whose close is remembered; those that gave way to newer ones are never asked about."""
LACKING: Final = (400, 422)
"""What endpoints answer to a request for something they do not have; 422 is what Python's web frameworks make of it."""
NOT_PAID: Final = frozenset({CallOutcome.UNAUTHORIZED, CallOutcome.RATE_LIMITED, CallOutcome.REFUSED})
"""Outcomes of which no model has read the question."""
PASSING: Final = frozenset({CallOutcome.RATE_LIMITED, CallOutcome.SERVER_ERROR, CallOutcome.UNREACHABLE})
"""Outcomes that another try may better."""


class Endpoint(Protocol):
    """What is used of `LlmClient`."""

    async def ask(self, prompt: Prompt, seconds: float, shape: RequestShape) -> LlmAnswer:
        """Send one request."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class LlmAsker:
    """Asks the model.

    Args:
        client: The endpoint.
        limits: Whom to ask, and how much.
        outputs: Where events and rows leave.
        metrics: What is counted.
        read: What was spent; needed where there is a budget.
    """

    def __init__(
        self,
        client: Endpoint,
        limits: LlmLimits,
        outputs: LlmOutputs,
        metrics: Metrics,
        read: ReadCalls = lambda _: (),
    ) -> None:
        self._client = client
        self._limits = limits
        self._outputs = outputs
        self._metrics = metrics
        self._calls = CallLog(limits, outputs, metrics)
        self._budget = Budget(limits.budget) if limits.budget.are_set else None
        self._spending = None if self._budget is None else Spending(self._budget, read, self._calls.is_own)
        self._questions = Questions(self.dropped, patience_s=limits.deadline_s)
        self._unasked = Unasked(limits, lambda call: outputs.call(outputs.home(call.instrument), call), metrics)
        self._gate = Gate(Pace(limits.requests_per_minute), Breaker(limits.breaker_failures, limits.breaker_wait_s))
        self._breaker_state = BreakerState.CLOSED
        self._show_breaker()
        self._ways = Ways()
        self._truncated_in_a_row = 0
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._changed = asyncio.Event()
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._published: dict[InstrumentKey, tuple[str, int]] = {}
        # When windows that wait for their checkpoint closed, by key and the event that closed them.
        self._closed_s: dict[str, dict[tuple[str, int], float]] = {}

    def wants(self, key: str, closed: Closed) -> bool:
        """Whether a window that just closed is worth a question; an answer's age counts from here."""
        instrument = InstrumentKey.parse(key)
        self._unasked.tell_once(instrument, closed)
        wanted = self._questions.wants(instrument, closed)
        if wanted:
            waiting = self._closed_s.setdefault(key, {})
            waiting[closed.source_log, closed.source_offset] = time.monotonic()
            if len(waiting) > MOST_WAITING:
                del waiting[next(iter(waiting))]
        return wanted

    def enqueue(self, key: str, closed: Closed, owner: PartitionOwner) -> None:
        """Take a window to be asked about, never waiting."""
        now_s = time.monotonic()
        closed_s = self._closed_s.get(key, {}).pop((closed.source_log, closed.source_offset), now_s)
        if self._is_closed:
            self.dropped("stopping")
            return
        self._show_breaker()
        if self._gate.refuses(now_s):
            self.dropped("breaker")
            return
        self._questions.enqueue(Question(InstrumentKey.parse(key), closed, owner, closed_s), now_s)
        self._changed.set()

    def dropped(self, reason: str) -> None:
        """Count a question that will never be asked."""
        self._metrics.counter("obflow_llm_questions_dropped_total", reason=reason).inc()

    def assigned(self, partitions: int) -> None:
        """This worker owns so many partitions from now on, and with them a part of the budget."""
        if self._spending is not None:
            self._spending.assigned(Fraction(partitions, self._limits.partitions))

    async def run(self) -> None:
        """Ask, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run())
            if self._spending is not None:
                group.create_task(self._spending.run())

    async def _run(self) -> None:
        while True:
            await self._slots.acquire()
            question = await self._next()
            permit = self._gate.leaves(time.monotonic())
            task = asyncio.create_task(self._work_on(question, permit), name=f"question {question.instrument}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Give up what is under way, each with a row that says so, and take nothing more."""
        self._is_closed = True
        self._questions.clear("stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    async def _next(self) -> Question:
        """The next question, once one waits and a request may leave."""
        while True:
            now_s = time.monotonic()
            held_s = self._wait_s(now_s)
            if self._gate.refuses(now_s):
                self._questions.clear("breaker")
            elif held_s:
                self._questions.expire(now_s)
            elif (question := self._questions.take_next(now_s)) is not None:
                return question
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), held_s or None)

    def _wait_s(self, now_s: float) -> float:
        """How long no question may leave: by the gate, or until it is known what was spent."""
        is_known = self._spending is None or self._spending.is_known
        return max(self._gate.wait_s(now_s), 0.0 if is_known else LOOK_AGAIN_S)

    async def _work_on(self, question: Question, permit: int) -> None:
        try:
            await self._ask(question, permit)
        finally:
            self._gate.ended(permit, None, time.monotonic())  # where no request was sent
            self._questions.done(question.instrument)
            self._slots.release()
            self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.dropped("failed")
            log.error("question_failed", task=task.get_name(), exc_info=error)

    async def _ask(self, question: Question, permit: int) -> None:
        """Try until there is an answer, the tries are used up or the deadline leaves no room for another."""
        found = shown(question.closed)
        prompt = build_prompt(question.instrument, found, self._limits.language)
        asking = Asking(question, prompt, found, self._ways.best, time.monotonic(), permit)
        while self._may_spend(asking):
            answer = await self._try(asking)
            self._learn(asking, answer)
            pause_s = None if answer.outcome is CallOutcome.OK else self._pause_s(asking, answer)
            if pause_s is None or not await self._may_try_again(asking, pause_s):
                return
            asking.permit = self._gate.leaves(time.monotonic())
            self._metrics.counter("obflow_retries_total", stage="llm").inc()

    async def _may_try_again(self, asking: Asking, pause_s: float) -> bool:
        """Pause, at least until a request may leave; False where none may, or the deadline leaves no room for a try."""
        pause_s = max(pause_s, self._gate.wait_s(time.monotonic()))
        while self._left_s(asking) - pause_s >= LEAST_TRY_S and not self._gate.refuses(time.monotonic()):
            if pause_s == 0.0:
                return True
            await asyncio.sleep(pause_s)
            pause_s = self._gate.wait_s(time.monotonic())
        return False

    async def _try(self, asking: Asking) -> LlmAnswer:
        """Send one request, publish its answer where that may be, and write its row."""
        asking.attempt += 1
        started_ns, begun_s = time.time_ns(), time.monotonic()
        answer = LlmAnswer(CallOutcome.ABANDONED, "the worker was stopped")
        try:
            answer = await self._client.ask(asking.prompt, self._left_s(asking), asking.shape)
            if answer.verdict is not None:
                unshown = unshown_numbers(answer.verdict.observations, asking.found.numbers())
                answer = replace(answer, unshown=tuple(unshown))
            answer = self._publish(asking, answer)
        finally:
            lacks = answer.status in LACKING and not answer.is_exhausted and asking.refusals + 1 < MOST_WAYS
            self._gate.ended(asking.permit, None if lacks else answer.outcome, time.monotonic())
            self._show_breaker()
            reserved = self._settle(asking, answer)
            self._calls.record(asking, answer, started_ns, (time.monotonic() - begun_s) * 1e3, reserved)
        return answer

    def _may_spend(self, asking: Asking) -> bool:
        """Reserve what the next request can come to; False where the budget does not have it: it must not leave."""
        if self._budget is None:
            return True
        text = asking.prompt.system + asking.prompt.user
        tokens_in, tokens_out = asking.shape.most_tokens(text, self._limits.answer_tokens)
        most = Amount(self._limits.prices.most_usd(tokens_in, tokens_out), tokens_in + tokens_out)
        asking.reserved = self._budget.reserve(most, time.time_ns())
        if asking.reserved is not None:
            return True
        self._gate.ended(asking.permit, None, time.monotonic())
        if asking.attempt == 0:
            self.dropped("budget")
        return False

    def _settle(self, asking: Asking, answer: LlmAnswer) -> Amount | None:
        """Charge what a request came to; gives what it was charged instead where that is not known."""
        if self._budget is None or asking.reserved is None:
            return None
        tokens, unknown = answer.tokens, None
        if tokens.input is not None and tokens.output is not None:
            amount = Amount(self._limits.prices.cost(tokens) or NOTHING.usd, tokens.input + tokens.output)
        elif answer.outcome in NOT_PAID:
            amount = NOTHING
        else:
            amount = unknown = asking.reserved.amount
        self._budget.settle(asking.reserved, amount)
        asking.reserved = None
        return unknown

    def _show_breaker(self) -> None:
        state, before = self._gate.state(time.monotonic()), self._breaker_state
        self._metrics.gauge("obflow_llm_breaker", model=self._limits.model).set(state.value)
        if state is not before:
            self._breaker_state = state
            log.warning("breaker", state=state.name.lower(), before=before.name.lower(), model=self._limits.model)

    def _publish(self, asking: Asking, answer: LlmAnswer) -> LlmAnswer:
        if answer.verdict is None:
            return answer
        if self._left_s(asking) < 0.0:  # a busy loop sees the answer before it sees that its time is up
            return replace(answer, outcome=CallOutcome.TIMEOUT, detail="the answer came after the deadline")
        question, limits = asking.question, self._limits
        place = (question.closed.source_log, question.closed.source_offset)
        log_before, offset_before = self._published.get(question.instrument, ("", -1))
        rises = log_before != place[0] or offset_before < place[1]
        if not question.owner.owned or not rises:
            return replace(answer, outcome=CallOutcome.STALE, detail="another worker has the instrument now")
        cost = limits.prices.cost_usd(answer.tokens)
        latency_ms = since_close_ms(question)
        usage = Usage(latency_ms, answer.tokens.input, answer.tokens.output, cost)
        asked = (limits.model, asking.prompt.version, asking.prompt.hash)
        event = llm_event(
            question.instrument,
            question.closed,
            limits.rules,
            answer.verdict,
            usage,
            asked,
            unfaithful=bool(answer.unshown),
        )
        self._published[question.instrument] = place
        self._outputs.event(question.owner.partition, event)
        return answer

    def _learn(self, asking: Asking, answer: LlmAnswer) -> None:
        """Remember what the endpoint takes; tell of answers that are cut, question after question."""
        if answer.outcome not in ANSWERED:
            return
        self._ways.worked(asking.shape)
        is_cut = answer.outcome is CallOutcome.TRUNCATED
        self._truncated_in_a_row = self._truncated_in_a_row + 1 if is_cut else 0
        if self._truncated_in_a_row == TOLD_AFTER:
            log.warning("llm_answers_truncated", in_a_row=TOLD_AFTER, next_step="raise regimes.answer_tokens")

    def _pause_s(self, asking: Asking, answer: LlmAnswer) -> float | None:
        """How long to wait before the next try; None where there is to be none."""
        if answer.is_exhausted:
            self._leave_alone_exhausted()
            return None
        if answer.status in LACKING and (less := self._less(asking, answer)) is not None:
            asking.shape = less
            return 0.0
        if answer.retry_after_s is not None:
            self._gate.leave_alone(min(answer.retry_after_s, LONGEST_QUIET_S), time.monotonic())
        if answer.outcome not in PASSING or asking.attempt >= MAX_TRIES:
            return None
        if answer.outcome is CallOutcome.SERVER_ERROR:
            asking.shape = self._ways.failed(asking.shape)
        if answer.retry_after_s is not None:
            return answer.retry_after_s
        return growing_wait_s(asking.attempt - 1, FIRST_PAUSE_S, LONGEST_QUIET_S, certain=0.5, jitter=random.random())  # noqa: S311

    def _less(self, asking: Asking, answer: LlmAnswer) -> RequestShape | None:
        """The next way to ask after a refusal, so many times a question."""
        asking.refusals += 1
        found = self._ways.refused(asking.shape, answer.text)
        while self._budget is not None and found is not None and not found.limit:
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

    def _left_s(self, asking: Asking) -> float:
        return asking.begun_s + self._limits.deadline_s - time.monotonic()
