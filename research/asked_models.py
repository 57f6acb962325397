"""Asks models the questions of a comparison, through the same limits as beside the regimes, and keeps each answer.

Deadline, pace, breaker and keys are each model's, the budget is that of all of them together.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from obflow.metrics import Metrics
from processors.contract import Emit
from processors.llm.asker import LlmAsker
from processors.llm.beside import ArmChoice, checked_budget
from processors.llm.calls import OwnCalls
from processors.llm.opening import ArmPorts, open_arm
from processors.llm.purse import Purse
from processors.regimes.prompt import Prompt, build_prompt
from processors.regimes.questions import Question
from processors.regimes.shown import shown
from processors.settings import RegimeSettings
from research.answer_store import AnswerStore
from research.comparison.answers import ModelAnswer, question_key
from research.comparison.table import ComparedModel
from research.comparison.windows import AskableWindow
from schemas.codec import decode
from schemas.messages import LlmCall, RegimeEvent

ROLE: Final = "regimes"


class ModelQuestion(NamedTuple):
    """A chosen window as a question to one model."""

    key: str
    window: AskableWindow
    prompt: Prompt


class OneOwner:
    """Who owns every question of a comparison: it has no workers that could take one over."""

    partition: Final = 0
    owned: Final = True


def questions_of(windows: Sequence[AskableWindow], arm: ArmChoice, language: str) -> list[ModelQuestion]:
    """The questions about windows to a model, in their order."""
    prompts = [build_prompt(one.instrument, shown(one.closed), language) for one in windows]
    return [
        ModelQuestion(question_key(arm.base_url, arm.model, prompt), window, prompt)
        for window, prompt in zip(windows, prompts, strict=True)
    ]


class AnswerDesk:
    """Collects what an asker sends about its questions, whichever way round they end."""

    def __init__(self) -> None:
        self._calls: defaultdict[tuple[object, ...], list[LlmCall]] = defaultdict(list)
        self._events: dict[tuple[object, ...], RegimeEvent] = {}

    def take(self, _partition: int, emit: Emit) -> None:
        """Take a record that would leave for a topic."""
        record = decode(emit.value)
        if isinstance(record, LlmCall):
            self._calls[_place(record)].append(record)
        elif isinstance(record, RegimeEvent):
            self._events[_place(record)] = record

    def answer(self, question: ModelQuestion) -> ModelAnswer:
        """What came of a question that has ended."""
        closed = question.window.closed
        place = (question.window.instrument, closed.feed_source, closed.run, closed.window.end_ns)
        calls, event = self._calls.pop(place, []), self._events.pop(place, None)
        return ModelAnswer(question.key, question.window.name, question.prompt.user, calls, event)


class ModelToAsk(NamedTuple):
    """A model, the questions to it, and its kept answers."""

    arm: ArmChoice
    questions: Sequence[ModelQuestion]
    store: AnswerStore

    @property
    def open_questions(self) -> list[ModelQuestion]:
        """Those that are to be asked."""
        return list({one.key: one for one in self.questions if one.key not in self.store.kept}.values())


async def ask_models(models: Sequence[ModelToAsk], chosen: RegimeSettings, stop: asyncio.Event) -> list[ComparedModel]:
    """Have every question answered that is not kept, one model after the other.

    Args:
        models: Whom to ask.
        chosen: The limits.
        stop: Ends it: what was not asked by then has no answer.

    Returns:
        The answers, in the order of the questions.

    Raises:
        UsageError: As of `open_arm`; or answers cannot be kept, and then nothing was asked.
    """
    for model in models:
        if model.open_questions:
            model.store.require_writable()
    own, metrics, found = OwnCalls(), Metrics(ROLE), []
    purse = Purse(checked_budget(chosen, models[0].arm), 1, lambda _: (), own)
    purse.assigned({0})
    tending = asyncio.create_task(purse.run())
    try:
        for model in models:
            wanted = {question.key for question in model.open_questions}
            if wanted and not stop.is_set():
                desk = AnswerDesk()
                ports = ArmPorts(desk.take, 1, lambda _: (), purse, own)
                await _until(stop, _ask_all(open_arm(model.arm, chosen, metrics, ports), desk, model))
            answers = [model.store.kept.get(one.key) or _unasked(one) for one in model.questions]
            replayed = sum(one.key not in wanted for one in model.questions)
            found.append(ComparedModel(model.arm.model, model.arm.base_url, answers, replayed))
    finally:
        tending.cancel()
    return found


async def _ask_all(asker: LlmAsker, desk: AnswerDesk, model: ModelToAsk) -> None:
    async def ask(number: int, question: ModelQuestion) -> None:
        instrument, closed = question.window.instrument, question.window.closed
        closed = closed._replace(source_log=f"{number:08d}")  # each is a log of its own: they may end in any order
        await asker.ask(Question(instrument, closed, OneOwner(), time.monotonic()))
        answer = desk.answer(question)
        if answer.calls:
            model.store.keep(answer, question.prompt)

    try:
        async with asyncio.TaskGroup() as group:
            for number, question in enumerate(model.open_questions):
                group.create_task(ask(number, question))
    finally:
        await asker.close()


async def _until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do the work, or as much of it as there is time for."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
    with suppress(asyncio.CancelledError):
        await working


def _unasked(question: ModelQuestion) -> ModelAnswer:
    return ModelAnswer(question.key, question.window.name, question.prompt.user, [], None)


def _place(record: LlmCall | RegimeEvent) -> tuple[object, ...]:
    return record.instrument, record.feed_source, record.run, record.window_end_ns
