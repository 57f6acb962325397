"""What endpoints lack, and how they ask to be left alone, found out by `obflow regimes`, question by question.

`make test` has its kind in tests/integration/test_regime_answers.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from obflow.settings import Settings
from processors import checks
from schemas.messages import CallOutcome, LlmCall, Regime
from tests.integration.llm_server import LlmServer, llm_server
from tests.integration.processing import Worker, until, workers
from tests.integration.test_regime_answers import EVENTS
from tests.integration.test_regimes import Found, Publisher, drained, expected, pipeline, read
from tests.processors.llm.answer_shapes import ANSWER, pieces, stream
from tests.support.patience import patient

pytestmark = [pytest.mark.exhaustive, pytest.mark.integration, pytest.mark.slow]

DEADLINE_S = 6.0
EXTRA = [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}]
LACKS: tuple[tuple[Callable[[dict[str, Any]], bool], int, object], ...] = (
    (lambda body: "temperature" in body, 400, {"error": {"message": "'temperature' does not support 0 here."}}),
    (lambda body: "max_completion_tokens" in body, 422, {"detail": EXTRA}),
    (
        lambda body: "json_schema" in json.dumps(body.get("response_format")),
        404,
        {"error": {"message": "No endpoints found that can handle the requested parameters."}},
    ),
    (lambda body: body["messages"][0]["role"] == "system", 400, {"error": {"message": "System role not supported"}}),
    (
        lambda body: not body.get("stream"),
        400,
        {
            "code": "InvalidParameter",
            "message": "This model only support stream mode, please enable the stream parameter.",
        },
    ),
    (lambda body: "response_format" in body, 500, {"error": {"message": "failed to parse grammar"}}),
)
"""What the poorest endpoint refuses, and how."""
WAIT_S = 1.5
LIMITS: dict[str, tuple[int, dict[str, str], object]] = {
    "MS": (429, {"retry-after-ms": "1500"}, {"error": {"message": "slow"}}),
    "RESET": (429, {"x-ratelimit-reset-requests": "1.5s", "x-ratelimit-remaining-requests": "0"}, {}),
    "POLICY": (429, {"RateLimit": '"minute";r=0;t=2'}, {"error": {"message": "slow"}}),
    "WORDS": (200, {}, {"choices": None, "error": {"code": 429, "message": "Please try again in 1.5s."}}),
    "GATEWAY": (200, {}, {"statusCode": 429, "body": json.dumps({"error": {"message": "try again in 1500ms"}})}),
}
"""How endpoints ask to be left alone for a while."""
OWES: dict[str, tuple[int, dict[str, str], object]] = {
    "QUOTA": (429, {"retry-after": "1"}, {"error": {"code": "insufficient_quota", "message": "Check your plan."}}),
    "PAYMENT": (402, {}, {"error": {"message": "no"}}),
    "ARREARS": (200, {}, {"code": "Arrearage", "message": "Access denied."}),
}
"""How they say that nothing is left of the account."""


@contextmanager
def asked_by_a_worker(
    broker: str, server: LlmServer, folder: Path
) -> Iterator[tuple[Settings, Worker, Callable[[str], list[LlmCall]]]]:
    """A worker, and a function that publishes a symbol's windows and gives the rows of the question about them."""
    settings = pipeline(broker, server, deadline_seconds=patient(DEADLINE_S))
    with workers(settings, folder, "regimes") as start:
        worker = start()
        worker.wait_ready()

        def ask(symbol: str) -> list[LlmCall]:
            asked = len(server.asked)
            Publisher(settings).send(symbol, EVENTS)
            until(lambda: len(server.asked) > asked, 30, worker.tail)
            until(lambda: has_ended(read(settings), symbol), 60, worker.tail)
            return read(settings).calls[symbol]

        yield settings, worker, ask
        drained(settings)
        assert worker.stop() == 0, worker.tail()


def has_ended(found: Found, symbol: str) -> bool:
    """Whether a question has its answer, or its account is known to be at its end."""
    calls = found.calls.get(symbol, [])
    return symbol in found.llm or any("nothing is left" in call.detail for call in calls) or len(calls) >= 6


@pytest.mark.case("schema-keywords")
@pytest.mark.case("answer-thinking")
def test_what_the_poorest_endpoint_takes_is_found_out_and_its_label_is_used(broker: str, tmp_path: Path) -> None:
    with llm_server("replies") as server:
        server.finds = refusal_of
        chunks = ({"choices": [{"delta": {"content": piece}, "finish_reason": None}]} for piece in pieces(ANSWER))
        server.replies = dict.fromkeys(("FIRST", "SECOND", "THIRD"), stream(*chunks))
        with asked_by_a_worker(broker, server, tmp_path) as (settings, _, ask):
            first, second, third = ask("FIRST"), ask("SECOND"), ask("THIRD")
            details = [check.detail for check in checks._called(settings)]
        found = read(settings)
    assert {call.outcome for call in first} <= {CallOutcome.REFUSED, CallOutcome.SERVER_ERROR, CallOutcome.OK}
    assert len(first) + len(second) == len(LACKS) + 1, "one thing less with each request"
    assert [call.outcome for call in third][-1] is CallOutcome.OK
    assert [event.label for event in found.llm["THIRD"]] == [Regime.VOLATILE]
    assert refusal_of(server.asked[-1].body) is None
    assert found.rule == {symbol: expected(EVENTS, symbol) for symbol in server.replies}
    assert any("streams alone" in detail for detail in details), details


def refusal_of(body: dict[str, Any]) -> tuple[int, object] | None:
    return next(((status, said) for lacks, status, said in LACKS if lacks(body)), None)


@pytest.mark.case("error-in-answer")
def test_an_endpoint_is_left_alone_as_long_as_it_asks_and_its_label_is_used_then(broker: str, tmp_path: Path) -> None:
    with llm_server("good") as server:
        with asked_by_a_worker(broker, server, tmp_path) as (settings, _, ask):
            for symbol, answer in LIMITS.items():
                server.sends, server.ways = answer, ["sends", "good"]
                first, second = ask(symbol)
                assert (first.outcome, second.outcome) == (CallOutcome.RATE_LIMITED, CallOutcome.OK), symbol
                assert second.started_ns - first.started_ns >= WAIT_S * 1e9, symbol
        found = read(settings)
    assert found.llm.keys() == LIMITS.keys()
    assert found.rule == {symbol: expected(EVENTS, symbol) for symbol in LIMITS}


@pytest.mark.parametrize("name", OWES)
@pytest.mark.case("error-in-answer")
def test_an_account_with_nothing_left_is_asked_once_and_told_once(broker: str, tmp_path: Path, name: str) -> None:
    with llm_server("sends") as server:
        server.sends = OWES[name]
        with asked_by_a_worker(broker, server, tmp_path) as (settings, worker, ask):
            [call] = ask("FIRST")
            Publisher(settings).send_all({"SECOND": EVENTS, "THIRD": EVENTS})
            drained(settings)
            until(lambda: len(read(settings).rule.get("THIRD", [])) == len(expected(EVENTS, "THIRD")), 20, worker.tail)
            told = worker.logged("llm_account_exhausted")
        found = read(settings)
    assert (call.outcome, len(server.asked), len(told)) == (CallOutcome.RATE_LIMITED, 1, 1)
    assert found.llm == {}
    assert found.rule == {symbol: expected(EVENTS, symbol) for symbol in ("FIRST", "SECOND", "THIRD")}
