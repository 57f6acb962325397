"""An answer is given again to the same question for a minute, and no more of them are kept than fit."""

from __future__ import annotations

from processors.llm.cache import LIFE_S, AnswerCache, AskedBefore
from processors.llm.completion import LlmAnswer
from processors.regimes.verdict import parse_verdict
from schemas.messages import CallOutcome

VERDICT = parse_verdict('{"label": "BALANCED", "confidence": 0.7, "sentence": "calm"}')
ANSWER = LlmAnswer(CallOutcome.OK, verdict=VERDICT)


def asked(user: str = "a", model: str = "m", prompt: str = "p") -> AskedBefore:
    return AskedBefore(model, prompt, user)


def test_an_answer_holds_for_a_minute_from_its_arrival() -> None:
    """Section 6 of the intelligence page: TTL 60 s."""
    cache = AnswerCache()
    cache.put(asked(), ANSWER, now_s=100.0)
    assert cache.get(asked(), now_s=100.0 + LIFE_S - 0.001) is ANSWER
    assert cache.get(asked(), now_s=100.0 + LIFE_S) is None
    assert LIFE_S == 60.0


def test_another_model_prompt_or_question_is_another_key() -> None:
    cache = AnswerCache()
    cache.put(asked(), ANSWER, now_s=0.0)
    assert [cache.get(other, 1.0) for other in (asked("b"), asked(model="n"), asked(prompt="q"))] == [None] * 3


def test_what_is_no_verdict_is_never_given_again() -> None:
    cache = AnswerCache()
    cache.put(asked(), LlmAnswer(CallOutcome.INVALID), now_s=0.0)
    assert (len(cache), cache.get(asked(), 0.0)) == (0, None)


def test_the_oldest_gives_way_where_there_are_too_many() -> None:
    cache = AnswerCache(most=2)
    for number, user in enumerate("abca"):
        cache.put(asked(user), ANSWER, now_s=float(number))
        assert len(cache) <= 2
    assert [user for user in "abc" if cache.get(asked(user), 4.0)] == ["a", "c"]


def test_what_is_past_is_forgotten_with_what_comes() -> None:
    cache = AnswerCache()
    cache.put(asked("a"), ANSWER, now_s=0.0)
    cache.put(asked("b"), ANSWER, now_s=LIFE_S)
    assert len(cache) == 1
