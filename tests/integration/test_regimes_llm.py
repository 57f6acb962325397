"""Whatever the language model's endpoint does is one outcome, one row and no surprise."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import asdict

from processors.llm import retries
from processors.llm.breaker import BreakerState
from processors.llm.budget import Amount, Budget, BudgetLimits
from processors.llm.calls import MAX_DETAIL_CHARACTERS, MAX_RESPONSE_CHARACTERS
from processors.llm.capabilities import capability_findings
from processors.llm.client import MAX_ANSWER_BYTES
from processors.llm.completion import LlmAnswer, read_answer
from processors.llm.key_ring import ModelKey
from processors.llm.price_table import PriceTable, read_prices
from processors.llm.pricing import Prices
from processors.llm.shapes import RequestShape
from processors.llm.spending import Spending, spent_of
from processors.regimes.prompt import Prompt
from processors.regimes.questions import is_due
from processors.rollout.endings import MAX_TRIES
from schemas.errors import BrokerUnreachable
from schemas.messages import CallOutcome, InstrumentKey, LlmCall, Outlook, Regime, RegimeSource
from tests.integration.asking import BTC, DEADLINE_S, WINDOWS, office
from tests.integration.llm_server import HUGE_BYTES, INPUT_PRICE, OUTPUT_PRICE, VERDICT, llm_server
from tests.schemas.examples import EXAMPLES, load
from tests.support.patience import patient

pytestmark = pytest.mark.integration

LIMIT = 8_000
CALL = load(EXAMPLES / "llm-calls/v5/ok.json")


async def test_a_good_answer_is_an_event_of_its_window_and_a_row() -> None:
    with llm_server("good") as server:
        async with office(server) as found:
            found.ask(window=20)
            assert await found.calls_made(1) == [CallOutcome.OK]
    [event], [call], [asked] = found.events, found.calls, server.asked
    window = WINDOWS[20]
    assert (event.instrument, event.source, event.label) == (BTC, RegimeSource.LLM, Regime.VOLATILE)
    assert (event.window_end_ns, event.source_offset) == (window.window.end_ns, window.source_offset)
    assert (event.p_up, event.p_volatile) == (VERDICT["p_up"], VERDICT["p_volatile"])
    assert (event.confidence, event.outlook, event.score) == (1 - VERDICT["p_up"], Outlook.DOWN, None)
    assert event.observations.splitlines() == VERDICT["observations"]
    assert (event.risk, event.summary) == (VERDICT["risk"], VERDICT["summary"])
    assert (event.unfaithful, call.unfaithful, call.detail) == (False, False, "")
    assert (event.model, event.prompt_version, event.direction) == (
        "small-model",
        "v3",
        window.verdict.scores.direction,
    )
    assert (call.status, call.attempt, call.window_end_ns) == (200, 1, window.window.end_ns)
    assert (call.shape, call.breaker) == ("schema temperature max_completion_tokens", "closed")
    assert (event.input_tokens, event.output_tokens) == (601, 40) == (call.input_tokens, call.output_tokens)
    assert call.cost_usd == event.cost_usd == float(server.cost_usd) > 0
    assert json.loads(call.response) == VERDICT
    assert asked.key == "k-secret"
    assert asked.body["response_format"]["type"] == "json_schema"
    assert json.loads(asked.body["messages"][1]["content"])["symbol"] == "BTCUSDT"


async def test_an_answer_with_a_number_it_was_not_shown_is_kept_with_a_mark() -> None:
    """Section 5 of the intelligence page: kept, shown with the mark."""
    with llm_server("unfaithful") as server:
        async with office(server, language="zh") as found:
            found.ask(window=20)
            assert await found.calls_made(1) == [CallOutcome.OK]
    [event], [call] = found.events, found.calls
    assert (event.unfaithful, call.unfaithful) == (True, True)
    assert call.detail == "numbers that were not shown: 7.77, 41%"
    assert found.count("obflow_llm_unfaithful_total", model="small-model") == 1
    assert json.loads(server.asked[0].body["messages"][1]["content"])["language"] == "zh"


FAILURES: dict[str, tuple[CallOutcome, int | None, int]] = {
    # the way it is answered, and the outcome, status and number of requests that come of it
    "prose": (CallOutcome.INVALID, 200, 1),
    "wrong_label": (CallOutcome.INVALID, 200, 1),
    "long_label": (CallOutcome.INVALID, 200, 1),
    "probability_2": (CallOutcome.INVALID, 200, 1),
    "refusal": (CallOutcome.INVALID, 200, 1),
    "truncated": (CallOutcome.TRUNCATED, 200, 1),
    "no_choices": (CallOutcome.GARBAGE, 200, 1),
    "html": (CallOutcome.GARBAGE, 200, 1),
    "html_as_json": (CallOutcome.GARBAGE, 200, 1),
    "half_json": (CallOutcome.GARBAGE, 200, 1),
    "half": (CallOutcome.UNREACHABLE, None, 2),
    "unauthorized": (CallOutcome.UNAUTHORIZED, 401, 1),
    "forbidden": (CallOutcome.UNAUTHORIZED, 403, 1),
    "not_found": (CallOutcome.REFUSED, 404, 1),
    "redirect": (CallOutcome.REFUSED, 307, 1),
    "error": (CallOutcome.SERVER_ERROR, 500, 2),
    "odd_charset": (CallOutcome.SERVER_ERROR, 500, 2),
    "unavailable": (CallOutcome.SERVER_ERROR, 503, 2),
    "huge": (CallOutcome.TOO_LARGE, 200, 1),
    "bomb": (CallOutcome.GARBAGE, 200, 1),
    "hang": (CallOutcome.TIMEOUT, None, 1),
    "drip": (CallOutcome.TIMEOUT, None, 1),
}


@pytest.mark.parametrize("way", FAILURES)
async def test_a_failure_is_rows_with_its_outcome_and_never_an_event(way: str) -> None:
    outcome, status, least = FAILURES[way]
    deadline_s = 0.4 if outcome is CallOutcome.TIMEOUT else patient(DEADLINE_S)
    with llm_server(way) as server:
        async with office(server, deadline_s=deadline_s) as found:
            found.ask()
            await found.until(lambda: len(found.calls) >= least)
            await found.until(lambda: found.asker._questions._under_way == set())
    assert found.events == []
    assert least <= len(found.calls) <= MAX_TRIES
    assert {(call.outcome, call.status) for call in found.calls} == {(outcome, status)}
    assert [call.attempt for call in found.calls] == list(range(1, len(found.calls) + 1))
    assert all(0 < len(call.detail) <= MAX_DETAIL_CHARACTERS for call in found.calls)
    assert all(len(call.response) <= MAX_RESPONSE_CHARACTERS for call in found.calls)
    assert len(server.asked) == len(found.calls)
    assert found.count("obflow_llm_calls_total", outcome=outcome.value) == len(found.calls)
    spent = sum((Fraction(str(call.cost_usd)) for call in found.calls if call.cost_usd is not None), Fraction(0))
    assert spent == (0 if way == "bomb" else server.cost_usd)  # what is never read is never known
    assert all(call.latency_ms <= (deadline_s + patient(0.5)) * 1e3 for call in found.calls)


async def test_ten_megabytes_are_not_read_to_their_end() -> None:
    with llm_server("huge") as server:
        async with office(server) as found:
            found.ask()
            assert await found.calls_made(1) == [CallOutcome.TOO_LARGE]
    assert server.sent_bytes < HUGE_BYTES
    assert MAX_ANSWER_BYTES < HUGE_BYTES // 10


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_to_anywhere(status: int) -> None:
    with llm_server("redirect") as server, llm_server("good") as elsewhere:
        server.redirects = (status, f"{elsewhere.url}/chat/completions")
        async with office(server) as found:
            found.ask()
            assert await found.calls_made(1) == [CallOutcome.REFUSED]
    assert found.calls[0].status == status
    assert elsewhere.asked == []


@pytest.mark.parametrize("told", ["inf", "nan", "-1", "1e10", "9" * 5_000, "soon"])
async def test_a_retry_after_that_cannot_be_meant_is_counted_and_ignored(told: str) -> None:
    with llm_server("rate_limited", "good") as server:
        server.retry_after = told
        async with office(server, deadline_s=patient(5.0)) as found:
            found.ask()
            assert await found.calls_made(2) == [CallOutcome.RATE_LIMITED, CallOutcome.OK]
    assert found.count("obflow_ignored_total", reason="retry_after") == 1


async def test_retry_after_is_honoured_within_the_deadline() -> None:
    with llm_server("rate_limited", "good") as server:
        async with office(server) as found:
            found.ask()
            assert await found.calls_made(2) == [CallOutcome.RATE_LIMITED, CallOutcome.OK]
    [event], [first, second] = found.events, found.calls
    assert second.started_ns - first.started_ns >= 0.3e9
    assert event.latency_ms is not None
    assert event.latency_ms >= 300
    assert found.count("obflow_retries_total", stage="llm") == 1


async def test_a_retry_after_beyond_the_deadline_is_not_waited_for_and_nobody_else_asks() -> None:
    with llm_server("rate_limited", "good") as server:
        server.retry_after = "0.9"
        async with office(server, deadline_s=0.8) as found:
            found.ask()
            assert await found.calls_made(1) == [CallOutcome.RATE_LIMITED]
            found.ask(1, InstrumentKey("binance", "ETHUSDT"))
            await asyncio.sleep(0.5)
            assert len(server.asked) == 1
            found.ask(2, InstrumentKey("binance", "ETHUSDT"))
            assert await found.calls_made(2) == [CallOutcome.RATE_LIMITED, CallOutcome.OK]
    assert found.calls[1].started_ns - found.calls[0].started_ns >= 0.9e9
    assert found.calls[1].window_end_ns == WINDOWS[2].window.end_ns


async def test_a_retry_after_holds_for_the_tries_of_other_questions_too() -> None:
    with llm_server() as server:
        server.way_of = {"FAILS": "error", "BTCUSDT": "rate_limited"}
        server.delay_s, server.retry_after = 0.1, "0.7"
        async with office(server, deadline_s=patient(2.0)) as found:
            found.ask(0, InstrumentKey("binance", "FAILS"))
            found.ask(0)
            await found.until(lambda: len(server.asked) == 2)
            server.way_of = {}
            assert (await found.calls_made(4))[2:] == [CallOutcome.OK] * 2
    told_ns = next(call.started_ns for call in found.calls if call.outcome is CallOutcome.RATE_LIMITED)
    assert all(call.started_ns - told_ns >= 0.75e9 for call in found.calls if call.attempt == 2)


@pytest.mark.parametrize(
    ("refused", "shapes", "status"),
    [({"temperature"}, 2, 400), ({"response_format"}, 3, 400), ({"response_format"}, 3, 422)],
    ids=str,
)
async def test_an_endpoint_that_lacks_something_is_asked_for_less_and_that_is_remembered(
    refused: set[str], shapes: int, status: int
) -> None:
    with llm_server("good") as server:
        server.refuses, server.refuses_with = refused, status
        async with office(server) as found:
            found.ask(0)
            assert await found.calls_made(shapes) == [*[CallOutcome.REFUSED] * (shapes - 1), CallOutcome.OK]
            found.ask(1)
            assert (await found.calls_made(shapes + 1))[-1] is CallOutcome.OK
    assert len(found.events) == 2
    assert not refused & server.asked[-1].body.keys()


async def test_missing_usage_is_null_and_counted_never_guessed() -> None:
    with llm_server("good") as server:
        server.without_usage = True
        async with office(server) as found:
            found.ask()
            await found.calls_made(1)
    assert (found.calls[0].input_tokens, found.calls[0].cost_usd, found.events[0].cost_usd) == (None, None, None)
    assert found.count("obflow_llm_usage_missing_total", model="small-model") == 1


async def test_kept_input_is_paid_at_its_own_price_as_the_server_counts_it() -> None:
    with llm_server("good") as server:
        server.cached_price = "0.075"
        async with office(server, prices=Prices(float(INPUT_PRICE), float(OUTPUT_PRICE), 0.075)) as found:
            for count in range(1, 4):
                found.ask(count)
                await found.calls_made(count)
    assert [(call.cached_tokens, call.reasoning_tokens) for call in found.calls] == [(512, 8)] * 3
    assert sum(Fraction(str(call.cost_usd)) for call in found.calls) == server.cost_usd > 0


async def test_a_request_is_paid_by_the_prices_in_force_when_it_left() -> None:
    """Section 6 of the intelligence page: the row in force at `started_ns`, and its date in the row."""
    dated = {"2024-01-01": "9 9 9", "2025-01-01": f"{INPUT_PRICE} - {OUTPUT_PRICE}", "2200-01-01": "9 9 9"}
    rows = ";".join(f"small-model {date} {prices}" for date, prices in dated.items())
    with llm_server("good", "no_choices") as server:
        async with office(server, prices=PriceTable(read_prices(rows, "small-model"))) as found:
            found.ask(1)
            await found.calls_made(1)
            found.ask(2)
            await found.calls_made(2)
    assert [call.price_date for call in found.calls] == ["2025-01-01"] * 2
    assert sum(Fraction(str(call.cost_usd)) for call in found.calls) == server.cost_usd > 0


async def test_no_cost_is_made_up_where_no_prices_are_set() -> None:
    with llm_server("good") as server:
        async with office(server, prices=Prices(None, None)) as found:
            found.ask()
            await found.calls_made(1)
    assert (found.calls[0].input_tokens, found.calls[0].cost_usd, found.calls[0].price_date) == (601, None, None)


async def test_the_same_question_within_a_minute_is_answered_without_a_request() -> None:
    """Section 6 of the intelligence page: a hit publishes with source cache, cost 0, and is of its own window."""
    again = WINDOWS[20]._replace(source_offset=WINDOWS[20].source_offset + 1_000)
    with llm_server("good") as server:
        async with office(server, concurrency=1) as found:
            for closed in (WINDOWS[20], again, again):
                found.asker.enqueue(str(BTC), closed, found.owner)
                await found.until(lambda: not found.asker._questions._under_way and bool(found.events))
            found.asker.enqueue(str(BTC), WINDOWS[21], found.owner)
            await found.calls_made(2)
            found.asker.assigned({0})
            found.asker.enqueue(str(BTC), again._replace(source_offset=again.source_offset + 1), found.owner)
            await found.calls_made(3)
    first, cached, *others = found.events
    assert [first.source, cached.source] == [RegimeSource.LLM, RegimeSource.CACHE]
    assert (cached.cost_usd, cached.input_tokens, cached.output_tokens) == (0.0, 0, 0)
    assert (cached.summary, cached.p_up, cached.model) == (first.summary, first.p_up, first.model)
    assert (cached.source_offset, first.source_offset) == (again.source_offset, WINDOWS[20].source_offset)
    assert {event.source for event in others} <= {RegimeSource.LLM}
    assert len(server.asked) == 3 == len(found.calls), "a hit is no request, and no row of one"
    assert found.count("obflow_llm_cached_answers_total", outcome="ok") == 1
    assert found.count("obflow_llm_cached_answers_total", outcome="stale") == 1, "of each window one answer"


async def test_an_answer_given_before_needs_no_endpoint_that_lives() -> None:
    with llm_server("good", "error") as server:
        async with office(server, breaker_failures=1) as found:
            found.ask(20)
            await found.calls_made(1)
            found.ask(21)
            await found.until(lambda: found.count("obflow_llm_breaker", model="small-model") == BreakerState.OPEN)
            found.asker.enqueue(str(BTC), WINDOWS[20]._replace(source_offset=10**9), found.owner)
            assert [event.source for event in found.events] == [RegimeSource.LLM, RegimeSource.CACHE]
            assert found.calls[-1].breaker == "open"
            assert found.calls[0].breaker == "closed"


async def test_one_question_of_an_instrument_is_under_way_and_the_newest_waits() -> None:
    with llm_server("good") as server:
        server.delay_s = 0.2
        async with office(server) as found:
            found.ask(0)
            await found.until(lambda: len(server.asked) == 1)
            for window in (1, 2, 3):
                found.ask(window)
            assert await found.calls_made(2) == [CallOutcome.OK] * 2
    assert [event.window_end_ns for event in found.events] == [WINDOWS[0].window.end_ns, WINDOWS[3].window.end_ns]
    assert found.count("obflow_llm_questions_dropped_total", reason="superseded") == 2
    assert server.most_under_way == 1


async def test_what_is_under_way_is_bounded_over_all_instruments() -> None:
    with llm_server("good") as server:
        server.delay_s = 0.1
        async with office(server, concurrency=3) as found:
            for number in range(12):
                found.ask(0, InstrumentKey("binance", f"SYM{number}"))
            assert set(await found.calls_made(12)) == {CallOutcome.OK}
    assert server.most_under_way == 3


async def test_what_leaves_in_a_minute_is_bounded_and_what_waits_too_long_is_dropped() -> None:
    with llm_server("good") as server:
        async with office(server, requests_per_minute=10, deadline_s=2.0) as found:
            for number in range(15):
                found.ask(0, InstrumentKey("binance", f"SYM{number}"))
            await found.until(lambda: len(found.calls) == 10)
            await asyncio.sleep(2.0)
            found.ask(1)
            await found.until(lambda: found.count("obflow_llm_questions_dropped_total", reason="expired") == 5)
    assert len(server.asked) == 10


BARE = json.dumps(VERDICT)
PLAIN = {"label": "BALANCED", "confidence": 0.7, "sentence": "calm"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings of the asker, by event."""
    events: list[str] = []
    monkeypatch.setattr(retries.log, "warning", lambda event, **_: events.append(event))
    return events


@pytest.mark.cases
@pytest.mark.case("answer-wrapped")
async def test_a_right_answer_in_common_wrapping_is_an_event(cases: Path) -> None:
    told = json.loads((cases / "answer-wrapped" / "case.json").read_text("utf-8"))["answers"]
    contents = [
        *told,
        f"```json\n{BARE}\n```",
        f"Here is my judgement:\n\n{BARE}\n\nI hope it helps {{really}}.",
        f"<think>Perhaps {json.dumps(PLAIN)}? No.</think>\n{BARE}",
        f"no beginning </think>{BARE}",
        [{"type": "reasoning", "text": "{}"}, {"type": "text", "text": BARE[:9]}, {"type": "text", "text": BARE[9:]}],
        json.dumps({**VERDICT, "advice": "buy"}),
        json.dumps({**VERDICT, "summary": "long " * 200}),
    ]
    with llm_server("says") as server:
        async with office(server) as found:
            for number, content in enumerate(contents):
                server.content = content
                found.ask(number)
                assert (await found.calls_made(number + 1))[-1] is CallOutcome.OK, content
    assert len(found.events) == len(contents)
    assert found.count("obflow_llm_wrapped_total", wrapping="fence") == len(told) + 1
    assert found.count("obflow_llm_wrapped_total", wrapping="words") == 1
    assert found.count("obflow_llm_wrapped_total", wrapping="thinking") == 2


@pytest.mark.case("answer-thinking")
@pytest.mark.advice("raise regimes.answer_tokens")
async def test_a_model_that_thinks_has_room_and_is_told_of_where_it_has_not(told: list[str]) -> None:
    with llm_server("thinks") as server:
        async with office(server, answer_tokens=400) as short:
            for window in range(4):
                short.ask(window)
                assert (await short.calls_made(window + 1))[-1] is CallOutcome.TRUNCATED
        async with office(server, answer_tokens=1_000) as found:
            found.ask()
            assert await found.calls_made(1) == [CallOutcome.OK]
    assert "regimes.answer_tokens" in short.calls[0].detail
    assert "thinking" in short.calls[0].detail
    assert told == ["llm_answers_truncated"]


@pytest.mark.case("answer-thinking")
async def test_what_an_endpoint_lacks_is_left_out_one_thing_at_a_time() -> None:
    with llm_server("good") as server:
        server.refuses = {"temperature", "max_completion_tokens"}
        async with office(server) as found:
            found.ask()
            assert (await found.calls_made(3))[-1] is CallOutcome.OK
    assert server.asked[-1].body["max_tokens"] == 1_000
    assert server.asked[-1].body["response_format"]["type"] == "json_schema"


@pytest.mark.case("schema-keywords")
async def test_an_endpoint_that_fails_at_a_schema_is_asked_without_and_that_is_remembered() -> None:
    with llm_server("good") as server:
        server.fails_at = "json_schema"
        async with office(server, deadline_s=patient(5.0)) as found:
            for window, calls in ((0, 2), (1, 4), (2, 5)):
                found.ask(window)
                assert (await found.calls_made(calls))[-1] is CallOutcome.OK
    assert server.asked[-1].body["response_format"] == {"type": "json_object"}
    assert "temperature" in server.asked[-1].body


@pytest.mark.case("answer-wrapped")
@pytest.mark.case("schema-keywords")
async def test_what_the_poorest_server_of_ones_own_takes_is_found_out_once_and_told() -> None:
    """No schema, no temperature, the limit by its older name alone, a fence around the answer, no usage."""
    with llm_server("says") as server:
        server.refuses = {"response_format", "temperature", "max_completion_tokens"}
        server.without_usage, server.content = True, f"```json\n{BARE}\n```"
        async with office(server, deadline_s=patient(10.0)) as found:
            found.ask(0)
            await found.until(lambda: bool(found.events), 10.0)
            first = len(found.calls)
            found.ask(1)
            await found.until(lambda: len(found.events) == 2)
    assert first <= retries.MOST_WAYS
    assert len(found.calls) == first + 1, "what was found out is remembered"
    assert [check.detail for check in capability_findings(found.calls)] == [
        "small-model (blue) takes no form of the answer, no temperature, its limit as max_tokens; "
        "it tells nothing of its tokens"
    ]


@pytest.mark.cases
@pytest.mark.case("error-in-answer")
async def test_errors_are_read_wherever_they_stand(cases: Path, told: list[str]) -> None:
    in_body, in_headers, exhausted = json.loads((cases / "error-in-answer" / "case.json").read_text("utf-8"))["answers"]
    with llm_server("sends", "good") as server:
        server.ways = ["sends"]
        server.sends = (in_body["status"], {}, in_body["body"])
        async with office(server, deadline_s=0.4) as found:
            found.ask()
            assert await found.calls_made(1) == [CallOutcome.RATE_LIMITED]
        server.sends = (in_headers["status"], in_headers["headers"], {})
        server.ways = ["sends", "good"]
        async with office(server, deadline_s=patient(8.0)) as found:
            found.ask()
            assert await found.calls_made(2, 8.0) == [CallOutcome.RATE_LIMITED, CallOutcome.OK]
            assert found.calls[1].started_ns - found.calls[0].started_ns >= 3e9
        server.sends = (exhausted["status"], {}, exhausted["body"])
        server.ways = ["sends"]
        async with office(server) as found:
            for window in range(3):
                found.ask(window, InstrumentKey("binance", f"SYM{window}"))
            assert await found.calls_made(3) == [CallOutcome.RATE_LIMITED] * 3
            found.ask(4)
            await asyncio.sleep(1.5)
            assert len(found.calls) == 3
    assert told == ["llm_account_exhausted"]


async def test_what_a_window_has_waited_is_taken_from_the_time_for_its_answer() -> None:
    """Section 6 of the intelligence page: one deadline over all tries, from the close of the window."""
    due = next(index for index, closed in enumerate(WINDOWS) if is_due(closed) and closed.window.whole)
    with llm_server("good") as server:
        server.delay_s = 0.8
        async with office(server, deadline_s=1.0) as found:
            assert found.asker.wants(str(BTC), WINDOWS[due])
            await asyncio.sleep(0.5)
            found.ask(due)
            assert await found.calls_made(1) == [CallOutcome.TIMEOUT]
    [call] = found.calls
    assert found.events == []
    assert call.queued_ms is not None
    assert call.decided_ns is not None
    assert call.queued_ms >= 500.0
    assert call.queued_ms + call.latency_ms == pytest.approx((call.decided_ns - WINDOWS[due].received_ns) / 1e6)
    assert found.asker._questions._under_way == set()


async def test_a_window_that_has_waited_too_long_is_not_asked_about_at_all() -> None:
    due = next(index for index, closed in enumerate(WINDOWS) if is_due(closed) and closed.window.whole)
    with llm_server("good") as server:
        async with office(server, deadline_s=0.5) as found:
            assert found.asker.wants(str(BTC), WINDOWS[due])
            await asyncio.sleep(0.4)
            found.ask(due)
            await found.until(lambda: found.count("obflow_llm_questions_dropped_total", reason="expired") == 1)
    assert (server.asked, found.calls) == ([], [])


class Late:
    """An endpoint whose answer comes while nobody looks, and whose time is up by then."""

    async def ask(self, prompt: Prompt, seconds: float, shape: RequestShape, key: ModelKey | None = None) -> LlmAnswer:
        time.sleep(seconds + 0.01)  # noqa: ASYNC251 (the loop is meant to stand still)
        tokens = {"prompt_tokens": 601, "completion_tokens": 40}
        choice = {"message": {"content": json.dumps(VERDICT)}}
        return read_answer(json.dumps({"choices": [choice], "usage": tokens}).encode())

    async def close(self) -> None:
        pass


async def test_an_answer_seen_after_the_deadline_is_a_row_with_its_cost_and_no_event() -> None:
    with llm_server() as server:
        async with office(server, client=Late(), deadline_s=0.1) as found:
            found.ask()
            assert await found.calls_made(1) == [CallOutcome.TIMEOUT]
    assert found.events == []
    assert found.calls[0].input_tokens == 601
    assert found.calls[0].cost_usd is not None


class Paid:
    """An endpoint that answers when it likes to, and says of four answers in five what they took."""

    def __init__(self) -> None:
        self.chance, self.spent_usd = Random(7), Fraction(0)

    async def ask(self, prompt: Prompt, seconds: float, shape: RequestShape, key: ModelKey | None = None) -> LlmAnswer:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        tokens = {"prompt_tokens": self.chance.randrange(100, 3_000), "completion_tokens": self.chance.randrange(1_001)}
        self.spent_usd += Fraction(tokens["prompt_tokens"] + 4 * tokens["completion_tokens"], 10**6)
        usage = {"usage": tokens} if self.chance.random() < 0.8 else {}
        return read_answer(json.dumps({"choices": [{"message": {"content": json.dumps(VERDICT)}}], **usage}).encode())

    async def close(self) -> None:
        pass


async def test_ten_thousand_questions_at_once_spend_no_more_than_their_budget() -> None:
    """Section 6 of the intelligence page: against a budget of 1 USD, spent <= 1."""
    questions = 10_000 if os.environ.get("TEST_SCALE") == "full" else 2_000
    limits = {"prices": Prices(1.0, 4.0), "budget": BudgetLimits(usd_per_day=questions / 10_000), "deadline_s": 100.0}
    with llm_server() as server:
        paid = Paid()
        async with office(server, client=paid, concurrency=questions, requests_per_minute=10**6, **limits) as found:
            found.asker.assigned({0})
            for number in range(questions):
                found.ask(0, InstrumentKey("binance", f"SYM{number}"))
            dropped = partial(found.count, "obflow_llm_questions_dropped_total", reason="budget")
            await found.until(lambda: len(found.calls) + dropped() == questions, 100.0)
    charged = sum(spent_of(call).amount.usd for call in found.calls)
    assert paid.spent_usd <= charged <= Decimal(str(questions / 10_000))
    assert charged > Decimal(questions) / 20_000, "more than half of it is used"
    assert any(call.reserved_usd for call in found.calls)
    assert all((call.reserved_usd is None) == (call.input_tokens is not None) for call in found.calls)


async def test_what_a_refusal_reserved_is_given_back_and_what_nobody_knows_is_charged() -> None:
    with llm_server("not_found") as server:
        async with office(
            server, budget=BudgetLimits(tokens_per_day=LIMIT), concurrency=1, deadline_s=patient(0.4)
        ) as found:
            found.asker.assigned({0})
            for count in range(1, 4):
                found.ask(count)
                await found.calls_made(count)
            assert [call.reserved_tokens for call in found.calls] == [None] * 3
            server.ways = ["hang"]
            found.ask(4)
            await found.calls_made(4)
            reserved = found.calls[3].reserved_tokens
            assert reserved is not None
            assert LIMIT / 2 < reserved <= LIMIT, "so a second one does not fit"
            found.ask(5)
            await found.until(lambda: found.count("obflow_llm_questions_dropped_total", reason="budget") == 1)
    assert len(server.asked) == 4


async def test_with_a_budget_no_answer_without_a_limit_is_ever_asked_for() -> None:
    with llm_server("good") as server:
        server.refuses = {"max_completion_tokens", "max_tokens"}
        async with office(server, budget=BudgetLimits(usd_per_day=1.0)) as found:
            found.asker.assigned({0})
            found.ask()
            await found.until(lambda: len(server.asked) > 3 and found.asker._questions._under_way == set())
    assert found.events == []
    assert all(server.refuses & asked.body.keys() for asked in server.asked)


async def test_nothing_is_asked_of_a_budget_before_the_log_says_what_was_spent() -> None:
    spent = [LlmCall(**{**asdict(CALL), "started_ns": time.time_ns(), "input_tokens": 9_000, "output_tokens": 0})]
    answers: list[list[LlmCall] | None] = [None, spent]

    def read(_: int) -> list[LlmCall]:
        if (rows := answers.pop(0)) is None:
            raise BrokerUnreachable("away")
        return rows

    budget = Budget(BudgetLimits(tokens_per_day=10_000))
    spending = Spending(budget, read, lambda _: False, read_again_s=0.01)
    running = asyncio.create_task(spending.run())
    spending.assigned(Fraction(1))
    assert budget.reserve(Amount(Decimal(0), 1), time.time_ns()) is None
    async with asyncio.timeout(patient(5)):
        while answers:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.01)
        while not spending.is_known:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.01)
    assert budget.reserve(Amount(Decimal(0), 1_000), time.time_ns()) is not None
    assert budget.reserve(Amount(Decimal(0), 1), time.time_ns()) is None
    running.cancel()


async def test_an_answer_for_a_partition_that_moved_is_a_row_and_no_event() -> None:
    with llm_server("good") as server:
        server.delay_s = 0.2
        async with office(server) as found:
            found.ask()
            await found.until(lambda: len(server.asked) == 1)
            found.owner.owned = False
            assert await found.calls_made(1) == [CallOutcome.STALE]
    assert found.events == []
    assert found.calls[0].cost_usd == float(server.cost_usd)


async def test_what_is_under_way_at_the_end_has_a_row_that_says_so() -> None:
    with llm_server("hang") as server:
        async with office(server, deadline_s=patient(30.0)) as found:
            found.ask()
            await found.until(lambda: len(server.asked) == 1)
    assert [call.outcome for call in found.calls] == [CallOutcome.ABANDONED]


async def test_a_question_that_is_given_up_has_a_row_and_no_event_and_the_next_is_asked() -> None:
    with llm_server("good") as server:
        server.delay_s = 0.5
        async with office(server, deadline_s=patient(5.0)) as found:
            found.ask(1)
            await found.until(lambda: len(server.asked) == 1)
            await found.asker.abandon("rollout")
            assert [call.outcome for call in found.calls] == [CallOutcome.ABANDONED]
            assert found.events == []
            found.ask(2)
            assert await found.calls_made(2) == [CallOutcome.ABANDONED, CallOutcome.OK]


async def test_an_answers_age_counts_from_the_close_of_its_own_window() -> None:
    """Another window of the instrument closes while the checkpoint of the first is being written."""
    due = next(index for index, closed in enumerate(WINDOWS) if is_due(closed) and closed.window.whole)
    with llm_server("good") as server:
        async with office(server) as found:
            assert found.asker.wants(str(BTC), WINDOWS[due])
            await asyncio.sleep(0.3)
            found.asker.wants(str(BTC), WINDOWS[due + 1])
            found.ask(due)
            await found.until(lambda: bool(found.events and found.calls))
    [event], [call] = found.events, found.calls
    assert event.latency_ms is not None
    assert event.latency_ms >= 300.0 > call.latency_ms
    assert event.decided_ns == WINDOWS[due].received_ns + round(event.latency_ms * 10**6)
    assert call.decided_ns is not None
    assert call.decided_ns > WINDOWS[due].received_ns + 3 * 10**8


@pytest.mark.case("symbols-not-asked")
async def test_a_name_that_may_not_stand_in_a_prompt_is_told_once_and_never_asked_about() -> None:
    name = InstrumentKey("binance-futures", "币安人生USDT")
    with llm_server("good") as server:
        async with office(server) as found:
            for window in (20, 21, 22):
                if found.asker.wants(str(name), WINDOWS[window]):
                    found.ask(window, name)
            found.ask(window=20)
            outcomes = await found.calls_made(2)
    [row] = [call for call in found.calls if call.instrument == name]
    assert sorted(outcomes) == [CallOutcome.NOT_ASKED, CallOutcome.OK]
    assert (row.attempt, row.window_end_ns) == (0, WINDOWS[20].window.end_ns)
    assert "may not stand in a prompt" in row.detail
    assert len(server.asked) == 1
    assert found.count("obflow_llm_unasked_instruments", reason="name") == 1
    assert found.count("obflow_llm_questions_dropped_total", reason="not_allowed") == 3


async def test_an_endpoint_that_is_not_there_is_one_that_cannot_be_reached() -> None:
    with llm_server("good") as server:
        pass
    async with office(server) as found:
        found.ask()
        await found.until(lambda: len(found.calls) >= 2)
    assert {call.outcome for call in found.calls} == {CallOutcome.UNREACHABLE}


@pytest.mark.parametrize("way", ["error", "hang"])
async def test_a_dead_endpoint_sees_five_requests_and_its_questions_are_the_rules_alone(way: str) -> None:
    """Section 6 of the intelligence page: at most five requests reach a dead server, then one a probe."""
    with llm_server(way) as server:
        async with office(server, deadline_s=patient(0.6), concurrency=20) as found:
            for number in range(40):
                found.ask(0, InstrumentKey("binance", f"SYM{number}"))
            await found.until(lambda: found.count("obflow_llm_breaker", model="small-model") == BreakerState.OPEN)
            before = found.count("obflow_llm_questions_dropped_total", reason="breaker")
            found.ask(1)
            assert found.count("obflow_llm_questions_dropped_total", reason="breaker") >= before + 1
    assert len(server.asked) == 5 == len(found.calls)
    assert [call.breaker for call in found.calls] == ["closed"] * 4 + ["open"]
    assert found.events == []


async def test_what_an_endpoint_lacks_opens_no_breaker() -> None:
    with llm_server("good") as server:
        server.refuses = {"temperature", "max_tokens"}
        async with office(server, concurrency=8) as other:
            for number in range(5):
                other.ask(0, InstrumentKey("binance", f"SYM{number}"))
            await other.until(lambda: len(other.events) == 5)


async def test_a_key_that_an_endpoint_quotes_is_in_no_row_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with llm_server("unauthorized") as server:
        async with office(server) as found:
            found.ask()
            assert await found.calls_made(1) == [CallOutcome.UNAUTHORIZED]
    assert server.asked[0].key == "k-secret"
    assert "k-secret" not in repr(found.calls)
    assert "401" in caplog.text, "the libraries' own lines are among them"
    assert "k-secret" not in caplog.text
    assert "**********" in found.calls[0].response
