"""Answers that were given a short while ago, for questions that are the same to the letter. Knows no clock."""

from __future__ import annotations

from typing import Final, NamedTuple

from processors.llm.completion import LlmAnswer

LIFE_S: Final = 60.0
"""For how long an answer may be given again, from its arrival."""
MOST_ANSWERS: Final = 1_024
"""How many are kept, the newest."""


class AskedBefore(NamedTuple):
    """What makes two questions one.

    Attributes:
        model: Who is asked.
        prompt_hash: Of the instructions.
        user: The windows' numbers, with the instrument and the language of the answer.
    """

    model: str
    prompt_hash: str
    user: str


class AnswerCache:
    """Of one arm of a worker.

    Args:
        life_s: For how long an answer may be given again, seconds.
        most: How many are kept.
    """

    def __init__(self, life_s: float = LIFE_S, most: int = MOST_ANSWERS) -> None:
        self._life_s = life_s
        self._most = most
        self._kept: dict[AskedBefore, tuple[LlmAnswer, float]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, asked: AskedBefore, now_s: float) -> LlmAnswer | None:
        """The answer to a question; null where none was given lately."""
        found, put_s = self._kept.get(asked, (None, 0.0))
        return found if now_s - put_s < self._life_s else None

    def put(self, asked: AskedBefore, answer: LlmAnswer, now_s: float) -> None:
        """Keep an answer that holds a verdict; the oldest gives way where there are too many."""
        if answer.verdict is None:
            return
        self._kept.pop(asked, None)
        self._kept[asked] = answer, now_s
        oldest = next(iter(self._kept))
        if len(self._kept) > self._most or now_s - self._kept[oldest][1] >= self._life_s:
            del self._kept[oldest]

    def clear(self) -> None:
        """Forget them all."""
        self._kept.clear()
