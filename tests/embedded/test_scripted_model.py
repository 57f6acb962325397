"""The endpoint that stands in for a language model: it answers as one does, and says what it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from embedded.demo.plan import SCRIPTED
from embedded.scripted_model import application, completion, listening, scripted_answer
from processors.regimes.faithful import unshown_numbers
from processors.regimes.verdict import parse_verdict
from schemas.errors import UsageError

QUESTION = {"symbol": "BTCUSDT", "obi_l5_last": -0.25, "rule_label": "BALANCED"}


def asked(question: object) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "judge"}, {"role": "user", "content": json.dumps(question)}]}


def test_an_answer_repeats_the_rules_and_says_that_it_is_scripted() -> None:
    answer = scripted_answer(QUESTION)
    assert (answer["label"], answer["p_up"]) == ("BALANCED", 0.475)
    assert answer["observations"] == ["Scripted: the five best levels' imbalance is -0.25."]
    assert "No language model was asked" in answer["risk"]
    judged = parse_verdict(json.dumps(answer))
    assert unshown_numbers(judged.observations, [QUESTION["obi_l5_last"]]) == []  # type: ignore[list-item] # a float
    assert scripted_answer({"obi_l5_last": None})["label"] == "UNKNOWN"


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": [{"content": "no JSON"}]}, {"messages": [{}]}, []])
def test_a_request_that_asks_nothing_is_refused(body: Any) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        completion(body)


async def test_the_endpoint_lists_one_model_and_completes_chats() -> None:
    async with TestClient(TestServer(application())) as client:
        models = await (await client.get("/v1/models")).json()
        assert [model["id"] for model in models["data"]] == [SCRIPTED]
        answer = await (await client.post("/v1/chat/completions", json=asked(QUESTION))).json()
        assert answer["model"] == SCRIPTED
        assert json.loads(answer["choices"][0]["message"]["content"]) == scripted_answer(QUESTION)
        refused = await client.post("/v1/chat/completions", json={"messages": []})
        assert refused.status == 400
        assert "regimes alone" in (await refused.json())["error"]["message"]


async def test_a_port_of_another_program_is_told() -> None:
    async with listening(application(), 0) as port:
        with pytest.raises(UsageError, match="cannot be listened on"):
            async with listening(application(), port):
                pass
