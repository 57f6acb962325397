"""Asks the language model: questions go out, answers become events, and no stage ever waits for either.

How many questions are under way and how many requests leave in a minute is bounded; from a question to its answer one
deadline holds, over every try. A failure is a row, a counter and nothing else: the rules' event was sent long before.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from obflow.backoff import growing_wait_s
from obflow.logs import get_logger
from obflow.metrics import Metrics
from processors.contract import PartitionOwner
from processors.llm.completion import LlmAnswer
from processors.llm.pace import Pace
from processors.llm.pricing import Prices
from processors.llm.shapes import RequestShape, Ways
from processors.llm.unasked import Unasked
from processors.regimes.events import Usage, decided_ns, llm_event
from processors.regimes.faithful import unshown_numbers
from processors.regimes.prompt import Prompt, build_prompt
from processors.regimes.questions import Question, Questions
from processors.regimes.shown import ShownNumbers, shown
from processors.regimes.state import Closed
from schemas.messages import CallOutcome, InstrumentKey, LlmCall, RegimeEvent

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
MAX_RESPONSE_CHARACTERS: Final = 2_000
MAX_DETAIL_CHARACTERS: Final = 500
"""Causes quote the answer they complain of."""
MOST_WAITING: Final = 8
"""Windows of one instrument whose close is remembered; those that gave way to newer ones are never asked about."""
LACKING: Final = (400, 422)
"""What endpoints answer to a request for something they do not have; 422 is what Python's web frameworks make of it."""
PASSING: Final = frozenset({CallOutcome.RATE_LIMITED, CallOutcome.SERVER_ERROR, CallOutcome.UNREACHABLE})
"""Outcomes that another try may better."""
ANSWERED: Final = frozenset({CallOutcome.OK, CallOutcome.STALE, CallOutcome.INVALID, CallOutcome.TRUNCATED})
"""Outcomes of which the endpoint should report usage."""


class Endpoint(Protocol):
    """What is used of `LlmClient`."""

    async def ask(self, prompt: Prompt, seconds: float, shape: RequestShape) -> LlmAnswer:
        """Send one request."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True)
class LlmLimits:
    """Whom to ask, and how much.

    Attributes:
        endpoint: The address, as it stands in rows.
        model: The model.
        rules: Version of the rules, as it stands in events.
        prices: Of the model.
        deadline_s: From a question to its answer, seconds.
        concurrency: Most questions under way.
        requests_per_minute: Most requests that leave in a minute.
        language: Of the answers' texts.
    """

    endpoint: str
    model: str
    rules: str
    prices: Prices
    deadline_s: float
    concurrency: int
    requests_per_minute: int
    language: str = "en"


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


class LlmAsker:
    """Asks the model.

    Args:
        client: The endpoint.
        limits: Whom to ask, and how much.
        outputs: Where events and rows leave.
        metrics: What is counted.
    """

    def __init__(self, client: Endpoint, limits: LlmLimits, outputs: LlmOutputs, metrics: Metrics) -> None:
        self._client = client
        self._limits = limits
        self._outputs = outputs
        self._metrics = metrics
        self._questions = Questions(self.dropped, patience_s=limits.deadline_s)
        self._unasked = Unasked(limits, lambda call: outputs.call(outputs.home(call.instrument), call), metrics)
        self._pace = Pace(limits.requests_per_minute)
        self._ways = Ways()
        self._truncated_in_a_row = 0
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._changed = asyncio.Event()
        self._quiet_until_s = 0.0
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
        self._questions.enqueue(Question(InstrumentKey.parse(key), closed, owner, closed_s), now_s)
        self._changed.set()

    def dropped(self, reason: str) -> None:
        """Count a question that will never be asked."""
        self._metrics.counter("obflow_llm_questions_dropped_total", reason=reason).inc()

    async def run(self) -> None:
        """Ask, for ever."""
        while True:
            await self._slots.acquire()
            question = await self._next()
            task = asyncio.create_task(self._work_on(question), name=f"question {question.instrument}")
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
        """The next question, once one waits, the endpoint is not to be left alone and the minute has room."""
        while True:
            held_s = self._wait_s()
            if held_s:
                self._questions.expire(time.monotonic())
            elif (question := self._questions.take_next(time.monotonic())) is not None:
                self._pace.leaves(time.monotonic())
                return question
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), held_s or None)

    async def _work_on(self, question: Question) -> None:
        try:
            await self._ask(question)
        finally:
            self._questions.done(question.instrument)
            self._slots.release()
            self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.dropped("failed")
            log.error("question_failed", task=task.get_name(), exc_info=error)

    async def _ask(self, question: Question) -> None:
        """Try until there is an answer, the tries are used up or the deadline leaves no room for another."""
        found = shown(question.closed)
        prompt = build_prompt(question.instrument, found, self._limits.language)
        asking = _Asking(question, prompt, found, self._ways.best, time.monotonic())
        while True:
            answer = await self._try(asking)
            self._learn(asking, answer)
            pause_s = None if answer.outcome is CallOutcome.OK else self._pause_s(asking, answer)
            if pause_s is None or not await self._may_try_again(asking, pause_s):
                return
            self._pace.leaves(time.monotonic())
            self._metrics.counter("obflow_retries_total", stage="llm").inc()

    async def _may_try_again(self, asking: _Asking, pause_s: float) -> bool:
        """Pause, at least until a request may leave; False where the deadline leaves no room for that and a try."""
        pause_s = max(pause_s, self._wait_s())
        while self._left_s(asking) - pause_s >= LEAST_TRY_S:
            if pause_s == 0.0:
                return True
            await asyncio.sleep(pause_s)
            pause_s = self._wait_s()
        return False

    async def _try(self, asking: _Asking) -> LlmAnswer:
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
            self._record(asking, answer, started_ns, (time.monotonic() - begun_s) * 1e3)
        return answer

    def _publish(self, asking: _Asking, answer: LlmAnswer) -> LlmAnswer:
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
        cost = limits.prices.cost_usd(answer.input_tokens, answer.output_tokens)
        latency_ms = _since_close_ms(question)
        usage = Usage(latency_ms, answer.input_tokens, answer.output_tokens, cost)
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

    def _record(self, asking: _Asking, answer: LlmAnswer, started_ns: int, latency_ms: float) -> None:
        question, limits, prompt = asking.question, self._limits, asking.prompt
        cost = limits.prices.cost_usd(answer.input_tokens, answer.output_tokens)
        self._count(answer, cost)
        call = LlmCall(
            venue=question.instrument.venue,
            symbol=question.instrument.symbol,
            feed_source=question.closed.feed_source,
            call_id=uuid.uuid4().hex,
            attempt=asking.attempt,
            window_end_ns=question.closed.window.end_ns,
            started_ns=started_ns,
            outcome=answer.outcome,
            endpoint=limits.endpoint,
            model=limits.model,
            prompt_version=prompt.version,
            prompt_hash=prompt.hash,
            request_hash=hashlib.sha256(prompt.user.encode()).hexdigest()[:16],
            latency_ms=latency_ms,
            status=answer.status,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost_usd=cost,
            unfaithful=None if answer.verdict is None else bool(answer.unshown),
            detail=self._outputs.masked(_detail(answer))[:MAX_DETAIL_CHARACTERS],
            response=self._outputs.masked(answer.text)[:MAX_RESPONSE_CHARACTERS],
            decided_ns=decided_ns(question.closed, _since_close_ms(question)),
            run=question.closed.run,
        )
        self._outputs.call(question.owner.partition, call)

    def _count(self, answer: LlmAnswer, cost: float | None) -> None:
        self._metrics.counter("obflow_llm_calls_total", outcome=answer.outcome.value).inc()
        if answer.ignored:
            self._metrics.counter("obflow_ignored_total", reason=answer.ignored).inc()
        for direction, tokens in (("input", answer.input_tokens), ("output", answer.output_tokens)):
            self._metrics.counter("obflow_llm_tokens_total", direction=direction).inc(tokens or 0)
        if cost is not None:
            self._metrics.counter("obflow_llm_cost_usd_total", model=self._limits.model).inc(cost)
        if answer.wrapping:
            self._metrics.counter("obflow_llm_wrapped_total", wrapping=answer.wrapping.value).inc()
        if answer.unshown:
            self._metrics.counter("obflow_llm_unfaithful_total", model=self._limits.model).inc()
        if answer.outcome in ANSWERED and None in (answer.input_tokens, answer.output_tokens):
            self._metrics.counter("obflow_llm_usage_missing_total", model=self._limits.model).inc()

    def _learn(self, asking: _Asking, answer: LlmAnswer) -> None:
        """Remember what the endpoint takes; tell of answers that are cut, question after question."""
        if answer.outcome not in ANSWERED:
            return
        self._ways.worked(asking.shape)
        is_cut = answer.outcome is CallOutcome.TRUNCATED
        self._truncated_in_a_row = self._truncated_in_a_row + 1 if is_cut else 0
        if self._truncated_in_a_row == TOLD_AFTER:
            log.warning("llm_answers_truncated", in_a_row=TOLD_AFTER, next_step="raise regimes.answer_tokens")

    def _pause_s(self, asking: _Asking, answer: LlmAnswer) -> float | None:
        """How long to wait before the next try; None where there is to be none."""
        if answer.is_exhausted:
            self._leave_alone_exhausted()
            return None
        if answer.status in LACKING and (less := self._less(asking, answer)) is not None:
            asking.shape = less
            return 0.0
        if answer.retry_after_s is not None:
            self._leave_alone(answer.retry_after_s)
        if answer.outcome not in PASSING or asking.attempt >= MAX_TRIES:
            return None
        if answer.outcome is CallOutcome.SERVER_ERROR:
            asking.shape = self._ways.failed(asking.shape)
        if answer.retry_after_s is not None:
            return answer.retry_after_s
        return growing_wait_s(asking.attempt - 1, FIRST_PAUSE_S, LONGEST_QUIET_S, certain=0.5, jitter=random.random())  # noqa: S311

    def _less(self, asking: _Asking, answer: LlmAnswer) -> RequestShape | None:
        """The next way to ask after a refusal, so many times a question."""
        asking.refusals += 1
        found = self._ways.refused(asking.shape, answer.text)
        return found if asking.refusals < MOST_WAYS else None

    def _leave_alone_exhausted(self) -> None:
        """Ask nothing for long: an account with nothing left has nothing a moment later."""
        until_s = time.monotonic() + EXHAUSTED_QUIET_S
        if self._quiet_until_s < until_s - EXHAUSTED_QUIET_S / 2:
            log.warning(
                "llm_account_exhausted", quiet_s=EXHAUSTED_QUIET_S, next_step="pay, or name another key and start again"
            )
        self._quiet_until_s = max(self._quiet_until_s, until_s)

    def _leave_alone(self, seconds: float) -> None:
        """Ask nothing for as long as the endpoint asks for, whichever question it was asked by."""
        self._quiet_until_s = max(self._quiet_until_s, time.monotonic() + min(seconds, LONGEST_QUIET_S))

    def _quiet_s(self) -> float:
        return max(0.0, self._quiet_until_s - time.monotonic())

    def _wait_s(self) -> float:
        """How long no request may leave; 0 where one may."""
        return max(self._quiet_s(), self._pace.wait_s(time.monotonic()))

    def _left_s(self, asking: _Asking) -> float:
        return asking.begun_s + self._limits.deadline_s - time.monotonic()


def _detail(answer: LlmAnswer) -> str:
    """The cause, and the numbers that an answer made up."""
    made_up = f"numbers that were not shown: {', '.join(answer.unshown)}" if answer.unshown else ""
    return "; ".join(filter(None, (answer.detail, made_up)))


def _since_close_ms(question: Question) -> float:
    return (time.monotonic() - question.closed_s) * 1e3


@dataclass
class _Asking:
    """A question under way.

    Attributes:
        question, prompt: What is asked.
        found: The numbers that are shown.
        shape: What is asked for beside it.
        refusals: Requests that were refused for what they asked beside it.
        begun_s: When it was taken, monotonic.
        attempt: Requests sent.
    """

    question: Question
    prompt: Prompt
    found: ShownNumbers
    shape: RequestShape
    begun_s: float
    attempt: int = 0
    refusals: int = 0
