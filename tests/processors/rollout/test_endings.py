"""When a question has ended, by the rows of its requests."""

from __future__ import annotations

import msgspec

from processors.rollout.endings import Ending, Endings
from schemas.messages import CallOutcome, LlmCall
from tests.schemas.examples import EXAMPLES, load

ROW = load(EXAMPLES / "llm-calls/v5/ok.json")
assert isinstance(ROW, LlmCall)


def row(outcome: CallOutcome, window: int = 1, attempt: int = 1, symbol: str = "BTCUSDT", **fields: object) -> LlmCall:
    changes = {"outcome": outcome, "window_end_ns": window, "attempt": attempt, "symbol": symbol, "status": None}
    return msgspec.structs.replace(ROW, **(changes | fields))


def ended(*rows: LlmCall) -> list[bool]:
    endings = Endings()
    return [ending.is_valid for each in rows for ending in endings.take(each)]


def test_a_valid_answer_ends_its_question_whatever_failed_before() -> None:
    assert ended(row(CallOutcome.SERVER_ERROR), row(CallOutcome.OK, attempt=2)) == [True]


def test_an_answer_that_another_worker_may_not_publish_is_a_valid_one() -> None:
    assert ended(row(CallOutcome.STALE)) == [True]


def test_a_failure_that_is_not_tried_again_ends_its_question_at_once() -> None:
    assert ended(row(CallOutcome.TIMEOUT)) == [False]
    assert ended(*(row(CallOutcome.SERVER_ERROR, attempt=attempt) for attempt in (1, 2, 3))) == [False]


def test_a_failure_that_might_be_tried_again_ends_with_the_instruments_next_question() -> None:
    first, other, later = (
        row(CallOutcome.RATE_LIMITED),
        row(CallOutcome.OK, window=2, symbol="ETHUSDT"),
        row(CallOutcome.OK, window=2),
    )
    assert ended(first, other) == [True]
    assert ended(first, other, later) == [True, False, True]


def test_a_refusal_of_what_can_be_left_out_is_not_the_end() -> None:
    assert ended(row(CallOutcome.REFUSED, status=400), row(CallOutcome.OK, attempt=2)) == [True]


def test_our_own_end_says_nothing_of_the_model() -> None:
    assert ended(row(CallOutcome.ABANDONED), row(CallOutcome.NOT_ASKED)) == []


def test_rows_that_are_read_again_count_once() -> None:
    rows = [row(CallOutcome.OK, window=window) for window in (1, 2, 3)]
    assert ended(*rows, *rows) == [True] * 3


def test_an_ending_has_the_time_and_the_latency_of_the_request_that_brought_it() -> None:
    [ending] = Endings().take(row(CallOutcome.OK, started_ns=1_000, latency_ms=2.0, unfaithful=True))
    assert ending == Ending(2_001_000, True, 2.0, True)
