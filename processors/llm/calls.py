"""What is kept of each request: a row of `llm-calls.v1`, and what is counted."""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass
from typing import Final

from obflow.metrics import Metrics
from processors.llm.breaker import BreakerState
from processors.llm.budget import Amount, Spent
from processors.llm.completion import LlmAnswer
from processors.llm.key_ring import ModelKey
from processors.llm.limits import LlmLimits, LlmOutputs
from processors.llm.shapes import RequestShape
from processors.regimes.events import decided_ns
from processors.regimes.prompt import Prompt
from processors.regimes.questions import Question
from processors.regimes.shown import ShownNumbers
from schemas.messages import CallOutcome, LlmCall

MAX_RESPONSE_CHARACTERS: Final = 2_000
MAX_DETAIL_CHARACTERS: Final = 500
"""Causes quote the answer they complain of."""
OWN_CHARACTERS: Final = 12
"""Of a request's id, those that tell the worker it comes from; its life, that is: a restart is another."""
ANSWERED: Final = frozenset({CallOutcome.OK, CallOutcome.STALE, CallOutcome.INVALID, CallOutcome.TRUNCATED})
"""Outcomes of which the endpoint should report usage."""


@dataclass
class Asking:
    """A question under way.

    Attributes:
        question, prompt: What is asked.
        found: The numbers that are shown.
        shape: What is asked for beside it.
        refusals: Requests that were refused for what they asked beside it.
        permit: Of the request that leaves next, or is under way.
        attempt: Requests sent.
        left_s: When the last one left, monotonic.
        started_ns: When the request leaves or left, ns UTC: by the prices in force then it is reserved and paid.
        reserved: What the budget holds back for that request; null without a budget.
        key: The key to ask with, where another was refused; null is the one that holds.
    """

    question: Question
    prompt: Prompt
    found: ShownNumbers
    shape: RequestShape
    permit: int
    attempt: int = 0
    left_s: float = 0.0
    started_ns: int = 0
    refusals: int = 0
    reserved: Spent | None = None
    key: ModelKey | None = None


class OwnCalls:
    """Tells the requests of one worker's life, by the first characters of their ids."""

    def __init__(self) -> None:
        self._worker = uuid.uuid4().hex[:OWN_CHARACTERS]

    def is_own(self, call: LlmCall) -> bool:
        """Whether a row is one of these."""
        return call.call_id.startswith(self._worker)

    def next_id(self) -> str:
        """An id for a request."""
        return self._worker + uuid.uuid4().hex[OWN_CHARACTERS:]


class CallLog:
    """The requests of one arm of a worker.

    Args:
        limits: Whom it asks.
        outputs: Where rows leave.
        metrics: What is counted.
        own: Gives requests their ids.
    """

    def __init__(self, limits: LlmLimits, outputs: LlmOutputs, metrics: Metrics, own: OwnCalls) -> None:
        self._limits = limits
        self._outputs = outputs
        self._metrics = metrics
        self._own = own

    def record(self, asking: Asking, answer: LlmAnswer, reserved: Amount | None, breaker: BreakerState) -> None:
        """Count a request and write its row.

        Args:
            asking: What was asked.
            answer: What became of it.
            reserved: What the budget was charged, where usage is not known.
            breaker: Its state now.
        """
        question, limits, prompt = asking.question, self._limits, asking.prompt
        prices = limits.prices.at(asking.started_ns)
        cost = prices.cost_usd(answer.tokens)
        self._count(answer, cost)
        since_ms = since_close_ms(question)
        queued_ms = (asking.left_s - question.closed_s) * 1e3
        call = LlmCall(
            venue=question.instrument.venue,
            symbol=question.instrument.symbol,
            feed_source=question.closed.feed_source,
            call_id=self._own.next_id(),
            attempt=asking.attempt,
            window_end_ns=question.closed.window.end_ns,
            started_ns=asking.started_ns,
            outcome=answer.outcome,
            endpoint=limits.endpoint,
            model=limits.model,
            prompt_version=prompt.version,
            prompt_hash=prompt.hash,
            request_hash=hashlib.sha256(prompt.user.encode()).hexdigest()[:16],
            latency_ms=since_ms - queued_ms,
            status=answer.status,
            input_tokens=answer.tokens.input,
            output_tokens=answer.tokens.output,
            cached_tokens=answer.tokens.cached,
            reasoning_tokens=answer.tokens.reasoning,
            cost_usd=cost,
            reserved_usd=None if reserved is None else float(reserved.usd),
            reserved_tokens=None if reserved is None else reserved.tokens,
            unfaithful=None if answer.verdict is None else bool(answer.unshown),
            detail=self._outputs.masked(_detail(answer))[:MAX_DETAIL_CHARACTERS],
            response=self._outputs.masked(answer.text)[:MAX_RESPONSE_CHARACTERS],
            decided_ns=decided_ns(question.closed, since_ms),
            run=question.closed.run,
            arm=limits.arm,
            key_id=answer.key_id,
            queued_ms=queued_ms,
            price_date=prices.since or None if prices.are_known else None,
            shape=asking.shape.name,
            breaker=breaker.name.lower(),
        )
        self._outputs.call(question.owner.partition, call)

    def _count(self, answer: LlmAnswer, cost: float | None) -> None:
        self._metrics.counter("obflow_llm_calls_total", outcome=answer.outcome.value).inc()
        if answer.ignored:
            self._metrics.counter("obflow_ignored_total", reason=answer.ignored).inc()
        for direction, tokens in (("input", answer.tokens.input), ("output", answer.tokens.output)):
            self._metrics.counter("obflow_llm_tokens_total", direction=direction).inc(tokens or 0)
        if cost is not None:
            self._metrics.counter("obflow_llm_cost_usd_total", model=self._limits.model).inc(cost)
        if answer.wrapping:
            self._metrics.counter("obflow_llm_wrapped_total", wrapping=answer.wrapping.value).inc()
        if answer.unshown:
            self._metrics.counter("obflow_llm_unfaithful_total", model=self._limits.model).inc()
        if answer.outcome in ANSWERED and not answer.tokens.is_known:
            self._metrics.counter("obflow_llm_usage_missing_total", model=self._limits.model).inc()


def _detail(answer: LlmAnswer) -> str:
    """The cause, and the numbers that an answer made up."""
    made_up = f"numbers that were not shown: {', '.join(answer.unshown)}" if answer.unshown else ""
    return "; ".join(filter(None, (answer.detail, made_up)))


def since_close_ms(question: Question) -> float:
    """Time since the window of a question closed."""
    return (time.monotonic() - question.closed_s) * 1e3
