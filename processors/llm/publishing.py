"""Publishes a valid answer as an event of its window, where it comes in time and the instrument is still ours."""

from __future__ import annotations

from dataclasses import replace

from processors.llm.calls import Asking, since_close_ms
from processors.llm.completion import LlmAnswer
from processors.llm.limits import LlmLimits, LlmOutputs
from processors.regimes.events import AskedModel, Usage, llm_event
from processors.regimes.faithful import unshown_numbers
from schemas.messages import CallOutcome, InstrumentKey, RegimeSource


class AnswerPublisher:
    """Of one arm. Its events of an instrument rise, as the rules' do.

    Args:
        limits: Whom it asks.
        outputs: Where events leave.
    """

    def __init__(self, limits: LlmLimits, outputs: LlmOutputs) -> None:
        self._limits = limits
        self._outputs = outputs
        self._published: dict[InstrumentKey, tuple[str, int]] = {}

    def publish(
        self, asking: Asking, answer: LlmAnswer, left_s: float, source: RegimeSource = RegimeSource.LLM
    ) -> LlmAnswer:
        """Publish an answer that holds a verdict; gives what became of it.

        Args:
            asking: What was asked.
            answer: What came.
            left_s: Until the deadline; below 0 it is past.
            source: Whether the model was asked, or had been asked the same a moment ago, which costs nothing.
        """
        if answer.verdict is None:
            return answer
        unshown = unshown_numbers(answer.verdict.observations, asking.found.numbers())
        answer = replace(answer, unshown=tuple(unshown))
        if left_s < 0.0:  # a busy loop sees the answer before it sees that its time is up
            return replace(answer, outcome=CallOutcome.TIMEOUT, detail="the answer came after the deadline")
        if not self._rises(asking):
            return replace(answer, outcome=CallOutcome.STALE, detail="another worker has the instrument now")
        self._send(asking, answer, source)
        return answer

    def _rises(self, asking: Asking) -> bool:
        closed = asking.question.closed
        log_before, offset_before = self._published.get(asking.question.instrument, ("", -1))
        is_newer = log_before != closed.source_log or offset_before < closed.source_offset
        return asking.question.owner.owned and is_newer

    def _send(self, asking: Asking, answer: LlmAnswer, source: RegimeSource) -> None:
        question, limits = asking.question, self._limits
        assert answer.verdict is not None  # noqa: S101 (for the type: `publish` has seen it)
        event = llm_event(
            question.instrument,
            question.closed,
            limits.rules,
            answer.verdict,
            self._usage(asking, answer, source),
            AskedModel(limits.model, asking.prompt.version, asking.prompt.hash, limits.arm),
            unfaithful=bool(answer.unshown),
            source=source,
        )
        self._published[question.instrument] = (question.closed.source_log, question.closed.source_offset)
        self._outputs.event(question.owner.partition, event)

    def _usage(self, asking: Asking, answer: LlmAnswer, source: RegimeSource) -> Usage:
        """What the answer took; what was asked before takes nothing."""
        since_ms = since_close_ms(asking.question)
        if source is RegimeSource.CACHE:
            return Usage(since_ms, 0, 0, 0.0)
        cost = self._limits.prices.at(asking.started_ns).cost_usd(answer.tokens)
        return Usage(since_ms, answer.tokens.input, answer.tokens.output, cost)
