"""`obflow regimes compare`: the same questions to several models, through real requests, and once more without any."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from embedded.demo.plan import SCRIPTED
from embedded.scripted_model import application, listening
from obflow.settings import ClickHouseSettings, Settings
from processors.llm.beside import arms_of
from processors.settings import RegimeSettings
from research.answer_store import AnswerStore
from research.asked_models import ModelToAsk, ask_models, questions_of
from schemas.logs import Position
from schemas.messages import CallOutcome, FactorRecord, RegimeEvent
from sinks import migrate
from sinks.batching import Entry, RowBatch
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.advising import Command, flags
from tests.integration.llm_server import CACHED_TOKENS, INPUT_PRICE, OUTPUT_PRICE, LlmServer, llm_server
from tests.processors.regimes.generated import Market, event_of, record
from tests.research.comparison.made import BTC, askable, closed_windows
from tests.sinks.records import origin_of
from tests.support.patience import patient

pytestmark = pytest.mark.integration

EVENTS = 12_000
HOURS = "--hours=1000000"
PRICE = f"{INPUT_PRICE},{OUTPUT_PRICE}"


@pytest.fixture(scope="module")
def where(clickhouse_server: ClickHouseSettings) -> Iterator[ClickHouseSettings]:
    """A database that holds an hour and more of one instrument: its factors, and the rules' judgements."""
    where = clickhouse_server.model_copy(update={"database": "test_compare"})
    migrate.create_database(where)
    store = Store(where)
    migrate.apply(store, ttl_days=0)
    made = record(Market(3, broken=0.001).events(EVENTS))
    pieces = [replace(made, events=made.events[at : at + 200]) for at in range(0, EVENTS, 200)]
    _insert(store, "factors", pieces)
    _insert(store, "regimes", [event_of(BTC, closed) for closed in closed_windows(EVENTS)])
    yield where
    store.command("DROP DATABASE test_compare SYNC")
    store.close()


def _insert(store: Store, name: str, records: list[FactorRecord] | list[RegimeEvent]) -> None:
    table, batch = TABLES[name], RowBatch(TABLES[name])
    for number, each in enumerate(records):
        position = Position("l2logl2l", 0, number)
        batch.add(Entry(position, table.rows(each, position), b"", 0, origin_of(position)))
    store.insert(name, batch.arrow(1), name)


def compare(run: Command, where: ClickHouseSettings, server: str, *words: str) -> dict[str, Any]:
    given = (*flags(Settings(clickhouse=where), regimes__base_url=server), HOURS, "--json", *words)
    [line] = [line for line in run("regimes", "compare", *given).splitlines() if '"askable"' in line]
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_two_models_stand_side_by_side_and_a_second_run_asks_nobody(
    where: ClickHouseSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = Command(capsys), f"--answers={tmp_path / 'kept'}"
    priced = (folder, f"--price=good={PRICE}", f"--price=other={PRICE}")
    with llm_server("good") as server:
        found = compare(run, where, server.url, "--models=good,other", "--windows=12", *priced)
        asked, spent = [one.body for one in server.asked], float(server.cost_usd)
        url = server.url
    assert (found["askable"], sum(found["labels"].values())) == (len(askable(closed_windows(EVENTS))), 12)
    assert len(found["labels"]) >= 3, "labels take turns"
    assert [body["model"] for body in asked] == ["good"] * 12 + ["other"] * 12
    questions = [sorted(body["messages"][1]["content"] for body in asked[at : at + 12]) for at in (0, 12)]
    assert questions[0] == questions[1], "each is asked the same"
    flows = [value for one in questions[0] for value in json.loads(one)["trade_flow_over_volume"]]
    assert {None} < set(flows), "trades are read back, and null where a window had none"
    for row in found["models"]:
        assert (row["questions"], row["valid"], row["failures"], row["replayed"]) == (12, 12, {}, 0)
        assert (row["cached_tokens"], row["output_tokens"]) == (12 * CACHED_TOKENS, 12 * 40)
        assert row["latency"]["p50_ms"] <= row["latency"]["p99_ms"]
        assert [each["target"] for each in row["brier"]] == ["volatile", "up"]
        assert row["sentence"].startswith(f"Not shown whether the model {row['model']} beats the rules")
    assert sum(row["cost_usd"] for row in found["models"]) == pytest.approx(spent, abs=1e-9)

    again = compare(run, where, url, "--models=good,other", "--windows=12", *priced)  # the server is gone
    assert [row["replayed"] for row in again["models"]] == [12, 12]
    for answer in (found, again):
        for row in answer["models"]:
            del row["replayed"]
    assert again == found
    given = (*flags(Settings(clickhouse=where), regimes__base_url=url), HOURS, "--models=good", "--windows=12")
    told = run("regimes", "compare", *given, *priced)
    assert "models side by side" in told
    assert "latency p99, ms" in told


@pytest.mark.advice("give --yes to go on, or fewer --windows")
@pytest.mark.advice("give its --price, or --yes to go on")
@pytest.mark.exhaustive
def test_nothing_is_asked_before_its_cost_is_agreed_to(
    where: ClickHouseSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Command(capsys)
    with llm_server("good") as server:
        given = (*flags(Settings(clickhouse=where), regimes__base_url=server.url), HOURS, "--models=m", "--windows=2")
        for turn in range(2):
            words = (*given, f"--answers={tmp_path / str(turn)}")
            dear = (*words, "--price=m=1000,1000")
            run.refused("regimes", "compare", *words, sentence="give its --price, or --yes to go on")
            run.refused("regimes", "compare", *dear, sentence="give --yes to go on, or fewer --windows")
            estimated = json.loads(run("regimes", "compare", *dear, "--dry-run", "--json").splitlines()[-1])
            assert estimated["estimates"][0]["to_ask"] == 2
            assert estimated["estimates"][0]["usd"] > 1.0
            assert len(server.asked) == 4 * turn
            run("regimes", "compare", *words, f"--price=m={PRICE}", "--windows=1")
            run("regimes", "compare", *dear, "--yes", "--windows=1")
            assert len(server.asked) == 4 * turn + 1, "what is kept is asked no more"
            run("regimes", "compare", *words, "--yes", "--windows=4")
            assert len(server.asked) == 4 * turn + 4


@pytest.mark.advice("give --recording FILE, or leave it out")
def test_a_venue_without_a_recording_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        Command(capsys).refused(
            *("regimes", "compare", "--models=m", "--venue=binance"), sentence="give --recording FILE, or leave it out"
        )


WINDOWS = askable(closed_windows(2_000))


def model_of(server: LlmServer, folder: Path, **settings: object) -> tuple[ModelToAsk, RegimeSettings]:
    given = {"base_url": server.url, "model": "m", "deadline_seconds": patient(1.0), **settings}
    chosen = RegimeSettings.model_validate(given)
    [arm] = arms_of(chosen)
    store = AnswerStore(folder, arm.base_url, arm.model)
    return ModelToAsk(arm, questions_of(WINDOWS[:6], arm, "en"), store), chosen


async def asked(server: LlmServer, folder: Path, **settings: object) -> list[CallOutcome]:
    model, chosen = model_of(server, folder, **settings)
    [found] = await ask_models([model], chosen, asyncio.Event())
    return [answer.outcome for answer in found.answers]


async def test_each_failure_is_its_outcome_and_is_replayed_as_it_was(tmp_path: Path) -> None:
    ways = ["good", "prose", "truncated", "unfaithful", "html", "good"]
    with llm_server(*ways) as server:
        outcomes = await asked(server, tmp_path, concurrency=1)
        assert [outcome.value for outcome in outcomes] == ["ok", "invalid", "truncated", "ok", "garbage", "ok"]
        count = len(server.asked)
        assert await asked(server, tmp_path, concurrency=1) == outcomes
        assert len(server.asked) == count


async def test_a_dead_server_opens_the_breaker_and_the_rest_is_not_asked(tmp_path: Path) -> None:
    with llm_server("unavailable") as server:
        outcomes = await asked(server, tmp_path, concurrency=1, breaker_failures=2)
        assert CallOutcome.NOT_ASKED in outcomes
        assert len(server.asked) <= 5
    with llm_server("good") as server:
        model, _ = model_of(server, tmp_path)
        assert len(model.open_questions) == 6, "another endpoint is another model"


async def test_the_budget_holds_over_the_whole_comparison(tmp_path: Path) -> None:
    with llm_server("good") as server:
        prices = {"input_price": 1000.0, "output_price": 1000.0}
        limits = {"answer_tokens": 100, "budget_usd_per_day": 6.0, "concurrency": 1}
        outcomes = await asked(server, tmp_path, **prices, **limits)
    assert 0 < outcomes.count(CallOutcome.OK) < 6
    assert set(outcomes) == {CallOutcome.OK, CallOutcome.NOT_ASKED}


async def test_the_scripted_model_can_be_compared_and_says_what_the_rules_say(tmp_path: Path) -> None:
    async with listening(application(), 0) as port:
        server = LlmServer(url=f"http://127.0.0.1:{port}/v1")
        model, chosen = model_of(server, tmp_path, model=SCRIPTED)
        [found] = await ask_models([model], chosen, asyncio.Event())
    labels = [answer.event.label for answer in found.answers if answer.event is not None]
    assert labels == [question.window.closed.verdict.label for question in model.questions]


async def test_a_comparison_that_is_stopped_keeps_what_was_answered(tmp_path: Path) -> None:
    with llm_server("good") as server:
        server.delay_s = 0.2
        model, chosen = model_of(server, tmp_path, concurrency=1, deadline_seconds=patient(5.0))
        stop = asyncio.Event()
        asking = asyncio.create_task(ask_models([model], chosen, stop))
        async with asyncio.timeout(patient(20)):
            while not model.store.kept:  # noqa: ASYNC110 (an answer tells nobody)
                await asyncio.sleep(0.02)
        stop.set()
        [found] = await asking
        kept = len(model.store.kept)
        assert 0 < kept < 6
        assert [answer.outcome for answer in found.answers].count(CallOutcome.OK) == kept
        server.delay_s = 0.0
        assert await asked(server, tmp_path) == [CallOutcome.OK] * 6
        assert len(AnswerStore(tmp_path, server.url, "m").kept) == 6
