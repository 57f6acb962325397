"""Asks the language model: questions go out, answers become events, and no stage ever waits for either.

How many questions are under way and how many requests leave in a minute is bounded; from the close of a window to its
answer one deadline holds, over checkpoint, queue and every try. A failure is a row, a counter and nothing else: the
rules' event was sent long before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final, Protocol

from obflow.logs import get_logger
from obflow.metrics import Metrics
from processors.contract import PartitionOwner
from processors.llm.breaker import Breaker, BreakerState
from processors.llm.cache import AnswerCache, AskedBefore
from processors.llm.calls import Asking, CallLog, OwnCalls
from processors.llm.completion import LlmAnswer
from processors.llm.gate import LOOK_AGAIN_S, Gate
from processors.llm.key_ring import ModelKey
from processors.llm.keys import Keys
from processors.llm.limits import LlmLimits, LlmOutputs
from processors.llm.pace import Pace
from processors.llm.publishing import AnswerPublisher
from processors.llm.purse import Purse
from processors.llm.retries import Retries
from processors.llm.shapes import RequestShape
from processors.llm.spending import ReadCalls
from processors.llm.unasked import Unasked
from processors.regimes.prompt import Prompt, build_prompt
from processors.regimes.questions import Question, Questions
from processors.regimes.shown import shown
from processors.regimes.state import Closed
from schemas.errors import MessageError
from schemas.messages import CallOutcome, InstrumentKey, RegimeSource

log = get_logger(__name__)

LEAST_TRY_S: Final = 0.2
"""With less time than this left, another try is not worth a request."""
MOST_WAITING: Final = 8
"""Windows of one instrument whose close is remembered; those that gave way to newer ones are never asked about."""


class Endpoint(Protocol):
    """What is used of `LlmClient`."""

    async def ask(self, prompt: Prompt, seconds: float, shape: RequestShape, key: ModelKey | None = None) -> LlmAnswer:
        """Send one request, with this key or the one that holds."""
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
        keys: Of the endpoint.
        purse: What may be spent, where several askers share it.
        own: Tells the rows of this worker, where several askers share it.
    """

    def __init__(
        self,
        client: Endpoint,
        limits: LlmLimits,
        outputs: LlmOutputs,
        metrics: Metrics,
        read: ReadCalls = lambda _: (),
        *,
        keys: Keys | None = None,
        purse: Purse | None = None,
        own: OwnCalls | None = None,
    ) -> None:
        own = own or OwnCalls()
        self._client = client
        self._limits = limits
        self._metrics = metrics
        self._calls = CallLog(limits, outputs, metrics, own)
        self._is_own_purse = purse is None
        self._purse = purse or Purse(limits.budget, limits.partitions, read, own)
        self._keys = keys or Keys("", None, lambda _: None)
        self._publisher = AnswerPublisher(limits, outputs)
        self._cache = AnswerCache()
        patience_s = max(limits.deadline_s - LEAST_TRY_S, limits.deadline_s / 2)
        self._questions = Questions(self.dropped, patience_s)
        self._unasked = Unasked(limits, lambda call: outputs.call(outputs.home(call.instrument), call), metrics)
        self._gate = Gate(Pace(limits.requests_per_minute), Breaker(limits.breaker_failures, limits.breaker_wait_s))
        self._retries = Retries(self._gate, self._keys, is_bounded=self._purse.is_bounded)
        self._breaker_state = BreakerState.CLOSED
        self._show_breaker()
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._changed = asyncio.Event()
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()
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
        question = Question(InstrumentKey.parse(key), closed, owner, closed_s)
        if not self._questions.is_under_way(question.instrument) and self._answered_before(question):
            self._questions.withdraw(question.instrument, "superseded")
        elif why := self._why_not(now_s):
            self.dropped(why)
        else:
            self._questions.enqueue(question)
            self._changed.set()

    def dropped(self, reason: str) -> None:
        """Count a question that will never be asked."""
        self._metrics.counter("obflow_llm_questions_dropped_total", reason=reason).inc()

    def assigned(self, partitions: Collection[int]) -> None:
        """This worker owns these partitions from now on, and with them a part of the budget."""
        self._purse.assigned(partitions)
        self.forget()

    def forget(self) -> None:
        """Give no answer again: a window that another worker may have asked about is asked about, as it did."""
        self._cache.clear()

    async def run(self) -> None:
        """Ask, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run())
            group.create_task(self._keys.run())
            if self._is_own_purse:
                group.create_task(self._purse.run())

    async def _run(self) -> None:
        while True:
            await self._slots.acquire()
            question = await self._next()
            if self._answered_before(question):
                self._ended_question(question)
                continue
            permit = self._gate.leaves(time.monotonic())
            self._keys.leaves()
            task = asyncio.create_task(self._work_on(question, permit), name=f"question {question.instrument}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def ask(self, question: Question) -> str:
        """Ask one question in its turn, however long that takes; gives why it could not be asked, empty where it was.

        For who has all questions at once and no window that gives way to a newer one; `run` is not to go on beside it.
        """
        await self._slots.acquire()
        if why := await self._why_never():
            self.dropped(why)
            self._slots.release()
            return why
        permit = self._gate.leaves(time.monotonic())
        self._keys.leaves()
        await self._work_on(question, permit)
        return ""

    async def _why_never(self) -> str:
        """Wait until a request may leave; gives why none may, empty where one may."""
        while not (why := self._why_not(time.monotonic())):
            held_s = self._wait_s(time.monotonic())
            if not held_s:
                break
            await asyncio.sleep(held_s)
        return why

    async def close(self) -> None:
        """Give up what is under way, each with a row that says so, and take nothing more."""
        self._is_closed = True
        await self.abandon("stopping")
        await self._client.close()

    async def abandon(self, reason: str) -> None:
        """Give up what waits and what is under way, each request with a row that says so; none is published."""
        self._questions.clear(reason)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _next(self) -> Question:
        """The next question, once one waits and a request may leave."""
        while True:
            now_s = time.monotonic()
            held_s = self._wait_s(now_s)
            if why := self._why_not(now_s):
                self._questions.clear(why)
            elif held_s:
                self._questions.expire(now_s)
            elif (question := self._questions.take_next(now_s)) is not None:
                return question
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), held_s or None)

    def _wait_s(self, now_s: float) -> float:
        """How long no question may leave: by the gate, or until it is known what was spent."""
        return max(self._gate.wait_s(now_s), 0.0 if self._purse.is_known else LOOK_AGAIN_S)

    def _why_not(self, now_s: float) -> str:
        """Why no question may leave, however long it waits; empty where one may."""
        if self._gate.refuses(now_s):
            return "breaker"
        return "key" if self._keys.refuses() else ""

    async def _work_on(self, question: Question, permit: int) -> None:
        try:
            await self._ask(question, permit)
        finally:
            self._gate.ended(permit, None, time.monotonic())  # where no request was sent
            self._ended_question(question)

    def _ended_question(self, question: Question) -> None:
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
        asking = self._asking(question, permit)
        while self._may_spend(asking):
            answer = await self._try(asking)
            self._retries.learn(asking, answer)
            pause_s = None if answer.outcome is CallOutcome.OK else self._retries.pause_s(asking, answer)
            if other := await self._retries.other_key(asking, answer, self._left_s(asking)):
                asking.key, pause_s = other, 0.0
            if pause_s is None or not await self._may_try_again(asking, pause_s):
                return
            asking.permit = self._gate.leaves(time.monotonic())
            self._metrics.counter("obflow_retries_total", stage="llm").inc()

    def _asking(self, question: Question, permit: int = 0) -> Asking:
        found = shown(question.closed)
        prompt = build_prompt(question.instrument, found, self._limits.language)
        return Asking(question, prompt, found, self._retries.best, permit)

    def _answered_before(self, question: Question) -> bool:
        """Publish what was answered a moment ago to a question that is the same to the letter, where it was."""
        if not len(self._cache):
            return False
        try:
            asking = self._asking(question)
        except (MessageError, ValueError):
            return False  # what cannot be asked fails where it is
        answer = self._cache.get(self._asked(asking), time.monotonic())
        if answer is None:
            return False
        answer = self._publisher.publish(asking, answer, self._left_s(asking), RegimeSource.CACHE)
        self._metrics.counter("obflow_llm_cached_answers_total", outcome=answer.outcome.value).inc()
        return True

    def _asked(self, asking: Asking) -> AskedBefore:
        return AskedBefore(self._limits.model, asking.prompt.hash, asking.prompt.user)

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
        asking.left_s = time.monotonic()
        answer = LlmAnswer(CallOutcome.ABANDONED, "the worker was stopped")
        try:
            answer = await self._client.ask(asking.prompt, self._left_s(asking), asking.shape, asking.key)
            self._cache.put(self._asked(asking), answer, time.monotonic())
            answer = self._publisher.publish(asking, answer, self._left_s(asking))
        finally:
            lacks = self._retries.lacks(asking, answer)
            self._gate.ended(asking.permit, None if lacks else answer.outcome, time.monotonic())
            self._show_breaker()
            reserved = self._purse.settle(asking, answer, self._limits)
            self._calls.record(asking, answer, reserved, self._gate.state(time.monotonic()))
        return answer

    def _may_spend(self, asking: Asking) -> bool:
        """Whether the budget has what the next request can come to; else it is the rules' alone."""
        asking.started_ns = time.time_ns()
        if self._purse.may_spend(asking, self._limits):
            return True
        self._gate.ended(asking.permit, None, time.monotonic())
        if asking.attempt == 0:
            self.dropped("budget")
        return False

    def _show_breaker(self) -> None:
        state, before = self._gate.state(time.monotonic()), self._breaker_state
        self._metrics.gauge("obflow_llm_breaker", model=self._limits.model).set(state.value)
        if state is not before:
            self._breaker_state = state
            log.warning("breaker", state=state.name.lower(), before=before.name.lower(), model=self._limits.model)

    def _left_s(self, asking: Asking) -> float:
        return asking.question.closed_s + self._limits.deadline_s - time.monotonic()
