"""What a model said to one question: every request as a row, and the judgement where there is one."""

from __future__ import annotations

import hashlib

import msgspec

from processors.regimes.prompt import Prompt
from research.evaluation.rows import RegimeForecast
from schemas.messages import CallOutcome, LlmCall, RegimeEvent
from schemas.units import NS_PER_MS


class ModelAnswer(msgspec.Struct, frozen=True):
    """A question and what came of it; kept in a file, so that it is asked and paid once.

    Attributes:
        key: Of the question to this model (`question_key`).
        name: Whose window, as minutes and forecasts name the instrument.
        asked: The user's message; the instructions lie beside, by their hash.
        calls: The requests, each with what the endpoint answered, cost and time; none where none could leave.
        event: The judgement, whole; null where no request brought a valid one in time.
    """

    key: str
    name: str
    asked: str
    calls: list[LlmCall]
    event: RegimeEvent | None

    @property
    def outcome(self) -> CallOutcome:
        """Of the question: that of its last request."""
        return self.calls[-1].outcome if self.calls else CallOutcome.NOT_ASKED

    @property
    def latency_ms(self) -> float | None:
        """From the first request to the end of the last; null without one."""
        if not self.calls:
            return None
        return (self.calls[-1].started_ns - self.calls[0].started_ns) / NS_PER_MS + self.calls[-1].latency_ms


def question_key(endpoint: str, model: str, prompt: Prompt) -> str:
    """What tells a question to a model from every other: another word in either message is another question."""
    words = "\n".join((endpoint, model, prompt.hash, prompt.user))
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def forecast_of(answer: ModelAnswer, received_ns: int) -> RegimeForecast | None:
    """What a valid answer forecasts, taken as known when its window closed: it was in time; None of any other.

    Args:
        answer: It.
        received_ns: When the window closed.
    """
    event = answer.event
    if event is None or answer.outcome is not CallOutcome.OK:
        return None
    return RegimeForecast(
        answer.name,
        received_ns,
        event.model,
        event.label.value,
        event.p_up,
        event.p_volatile,
        answer.latency_ms,
        event.prompt_version,
    )
