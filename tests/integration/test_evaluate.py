"""`obflow evaluate regimes` over tables of the real engine, and the views beside it."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec.structs import replace

from obflow.health import BROKER, STORE
from obflow.settings import ClickHouseSettings, Settings
from processors.rollout_commands import newest_verdicts
from research.evaluation.evaluate import evaluate
from research.evaluation.marks import marks_of
from research.evaluation.minutes import Minutes
from research.evaluation.rows import RULES, Call, Minute, RegimeForecast
from research.judged import forecast_of
from research.regime_tables import RegimeTables
from schemas.codec import decode_as
from schemas.evaluations import RegimeEval
from schemas.factors import FACTOR_INDEX, NO_FACTORS
from schemas.logs import Position
from schemas.messages import (
    CallOutcome,
    FactorEvent,
    FactorRecord,
    LlmCall,
    Record,
    Regime,
    RegimeEvent,
    Source,
    Status,
)
from schemas.topics import REGIME_EVAL
from sinks import migrate
from sinks.batching import Entry, RowBatch
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.advising import Command, commands_in, flags
from tests.integration.made_tables import make_tables
from tests.integration.processing import OBFLOW, pipeline, read_all, until
from tests.integration.roles import free_port, page
from tests.research.fixtures import frames
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors, origin_of
from tests.support.patience import patient

pytestmark = pytest.mark.integration

SECOND_NS, MINUTE_NS = 10**9, 60 * 10**9
T0_NS = 1_723_161_240 * SECOND_NS  # a whole minute
MARKS = 240
SYMBOLS = ("ONE", "TWO")
DATABASE = "test_evaluate"
PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


class Made(NamedTuple):
    """What was stored, as the pure part takes it."""

    minutes: list[Minute]
    forecasts: list[RegimeForecast]
    calls: list[Call]


def events(symbol: str) -> list[FactorEvent]:
    """Four hours of mids at odd moments, with two breaks, a pause and a book that is one-sided at times."""
    chance = random.Random(symbol)
    at, mid, found = T0_NS - MINUTE_NS, 100.0, []
    while at < T0_NS + (MARKS + 1) * MINUTE_NS:
        at += chance.choice([SECOND_NS, 3 * SECOND_NS, chance.randrange(12 * SECOND_NS)])
        at += 150 * SECOND_NS if chance.random() < 0.0005 else 0
        mid = round(mid * (1.0 + chance.choice([-2e-4, 0.0, 0.0, 1e-4, 1e-4])), 2)
        status = chance.choices([Status.OK, Status.THIN, Status.ONE_SIDED, Status.RESYNCING], [90, 8, 1.8, 0.2])[0]
        values = list(NO_FACTORS)
        values[FACTOR_INDEX["mid"]] = mid if status in (Status.OK, Status.THIN) else None
        found.append(FactorEvent(len(found), len(found), at, status, tuple(values)))
    return found


def judgements(symbol: str, minutes: list[Minute]) -> list[RegimeEvent]:
    """Rules that guess and a model that mostly knows, each a few seconds before the mark, the model late at times."""
    chance, found = random.Random(f"{symbol} judged"), []
    for number, minute in enumerate(minutes):
        rises = (minute.return_bps or 0.0) > 0.0
        for kind, knows in (("rule", 0.5), ("llm", 0.95)):
            if kind == "llm" and number < 10:
                continue
            says = rises if chance.random() < knows else not rises
            at = minute.mark_ns - chance.randrange(9 * SECOND_NS) + (chance.random() < 0.05) * 20 * SECOND_NS
            example = load(EXAMPLES / f"regimes/v2/{kind}.json")
            assert isinstance(example, RegimeEvent)
            where = {"symbol": symbol, "feed_source": Source.LIVE, "source_offset": number, "decided_ns": at}
            label = Regime.BULLISH_PRESSURE if says else Regime.BEARISH_PRESSURE
            window = {"window_start_ns": at - 5 * SECOND_NS, "window_end_ns": at}
            found.append(msgspec.structs.replace(example, label=label, **where, **window))
    return found


def calls() -> list[LlmCall]:
    example = load(EXAMPLES / "llm-calls/v2/ok.json")
    assert isinstance(example, LlmCall)
    ok = msgspec.structs.replace(example, started_ns=T0_NS, latency_ms=100.0, cost_usd=0.002)
    failed = {"outcome": CallOutcome.TIMEOUT, "cost_usd": None, "input_tokens": None, "output_tokens": None}
    return [
        ok,
        msgspec.structs.replace(ok, latency_ms=200.0, cost_usd=0.004),
        msgspec.structs.replace(ok, latency_ms=15_000.0, **failed),
        msgspec.structs.replace(ok, started_ns=T0_NS + 86_400 * SECOND_NS, model="other", **failed),
        msgspec.structs.replace(ok, outcome=CallOutcome.NOT_ASKED, latency_ms=0.0, **failed_tokens()),
    ]


def failed_tokens() -> dict[str, Any]:
    return {"cost_usd": None, "input_tokens": None, "output_tokens": None}


@pytest.fixture(scope="module")
def where(clickhouse_server: ClickHouseSettings) -> ClickHouseSettings:
    return clickhouse_server.model_copy(update={"database": DATABASE})


@pytest.fixture(scope="module")
def store(where: ClickHouseSettings) -> Iterator[Store]:
    make_tables(where)
    store = Store(where)
    yield store
    store.command(f"DROP DATABASE {DATABASE} SYNC")
    store.close()


@pytest.fixture(scope="module")
def made(store: Store) -> Made:
    """Two instruments, judged and paid for, in the tables."""
    minutes, forecasts = [], []
    for symbol in SYMBOLS:
        taken = Minutes(f"binance-futures:{symbol}")
        happened = events(symbol)
        for event in happened:
            taken.take(event)
        record = msgspec.structs.replace(
            factors("X", [0]), venue="binance-futures", symbol=symbol, source=Source.LIVE, source_log=f"log{symbol}"
        )
        pieces = [happened[at : at + 200] for at in range(0, len(happened), 200)]
        insert(store, "factors", [with_events(record, piece) for piece in pieces], symbol)
        judged = judgements(symbol, list(taken.over()))
        insert(store, "regimes", [msgspec.structs.replace(each, venue="binance-futures") for each in judged], symbol)
        minutes += list(taken.over())
        forecasts += [forecast_of(f"binance-futures:{symbol}", event) for event in judged]
    requests = calls()
    insert(store, "llm_calls", requests, "")
    paid = [Call(call.model, call.started_ns, call.cost_usd) for call in requests if call.outcome != "not_asked"]
    return Made(minutes, [row for row in forecasts if row], paid)


def with_events(record: FactorRecord, piece: list[FactorEvent]) -> FactorRecord:
    return msgspec.structs.replace(record, events=piece)


def insert(store: Store, name: str, records: list[Record], symbol: str) -> None:
    table, batch = TABLES[name], RowBatch(TABLES[name])
    for number, record in enumerate(records):
        position = Position(f"log{symbol}", 0, number)
        batch.add(Entry(position, table.rows(record, position), b"", 0, origin_of(position)))
    store.insert(name, batch.arrow(T0_NS), f"{name}:{symbol}")


def test_the_view_of_marks_says_what_the_pure_part_says(store: Store, made: Made) -> None:
    expected = sorted(made.minutes, key=lambda minute: (minute.mark_ns, minute.instrument))
    tables = RegimeTables(store)
    read = [minute for instrument in tables.instruments() for minute in tables.minutes(instrument)]
    found = sorted(read, key=lambda minute: (minute.mark_ns, minute.instrument))

    assert [minute[:2] for minute in found] == [minute[:2] for minute in expected]
    for got, wanted in zip(found, expected, strict=True):
        for value, same in zip(got[2:], wanted[2:], strict=True):
            assert value is same or value == pytest.approx(same, rel=1e-9, abs=1e-18)
    assert 5 < sum(minute.return_bps is None for minute in found) < 100  # breaks there are
    marks = marks_of(found)
    for column, symbol in enumerate(SYMBOLS):
        rows = store.query(
            f"SELECT toInt64(toUnixTimestamp(mark)), volatile, up FROM regime_marks WHERE symbol = '{symbol}'"  # noqa: S608
        )
        for second, *targets in rows:
            row = marks.times_ns.searchsorted(second * SECOND_NS)
            for name, value in zip(("volatile", "up"), targets, strict=True):
                assert str(marks.targets[name][row, column]) == str(float("nan") if value is None else float(value))


def test_marks_since_a_time_are_those_of_the_view(store: Store, made: Made) -> None:
    tables = RegimeTables(store)
    whole = {(str(one), minute) for one in tables.instruments() for minute in tables.minutes(one)}
    for back in (1, 7, 60, MARKS):
        since_ns = T0_NS + (MARKS - back) * MINUTE_NS
        begun = {name for name, minute in whole if minute.mark_ns == since_ns}  # else its first may be called broken
        found = {(str(one), minute) for one, minute in tables.minutes_since(since_ns) if str(one) in begun}
        assert found == {each for each in whole if each[1].mark_ns > since_ns and each[0] in begun}
        assert found


def test_a_follower_that_was_killed_says_the_same_again_and_its_row_is_one(
    store: Store, made: Made, where: ClickHouseSettings, broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = pipeline(broker).model_copy(update={"clickhouse": where})
    expected = evaluate(*made)
    told: list[RegimeEval] = []
    port = free_port()
    for turn in range(2):
        with (tmp_path / f"{turn}.log").open("wb") as log:
            words = [*OBFLOW, "evaluate", "regimes", "--follow", f"--metrics-port={port}", *flags(settings)]
            process = subprocess.Popen(words, stdout=log, stderr=log)
            try:
                wanted = turn + 1
                until(lambda: len(read_all(settings, REGIME_EVAL)) >= wanted, patient(60))  # noqa: B023 (called here)
                until(lambda: 'obflow_emitted_total{topic="regime-eval.v1"} 1.0' in page(port, "/metrics").text, 10)
                shown = page(port, "/metrics").text
                assert 'obflow_stored_total{table="regime_eval"} 1.0' in shown
                until(lambda: page(port, "/ready").status == 200, patient(20))
                assert {one["condition"] for one in page(port, "/ready").json["conditions"]} == {BROKER, STORE}
                assert page(port, "/live").status == 200
            finally:
                process.kill()
                process.wait(patient(10))
        records = [decode_as(RegimeEval, message.value) for message in read_all(settings, REGIME_EVAL)]
        told = sorted(records, key=lambda record: record.decided_ns)
    assert len({replace(record, decided_ns=0) for record in told}) == 1
    assert (told[0].sentence, told[0].verdict, told[0].mark_ns) == (expected.sentence, "better", expected.last_ns)
    assert [verdict.sentence for verdict in newest_verdicts(settings).values()] == [expected.sentence]
    said = Command(capsys)("regimes", "status", *flags(settings), "--set=regimes.rollout=true")
    assert expected.sentence in said
    rows = store.query("SELECT model, verdict, marks, e_better, sentence, up_gain FROM regime_eval FINAL")
    [first, *_] = expected.comparisons
    gain = first.targets[1].gain
    assert rows == [(expected.model, "better", first.marks, first.e_better, expected.sentence, gain)]


@pytest.mark.advice("leave out --recording and --model")
def test_a_follower_takes_neither_a_recording_nor_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    run = Command(capsys)
    for words in (("--model=m",), ("--recording=x.frames.jsonl.gz",)):
        run.refused("evaluate", "regimes", "--follow", *words, sentence="leave out --recording and --model")


def test_the_command_says_of_the_tables_what_the_pure_part_says_of_the_rows(
    made: Made, where: ClickHouseSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    command, options = Command(capsys), flags(Settings(clickhouse=where))
    expected = json.loads(msgspec.json.encode(evaluate(*made)))

    found = json.loads(command("evaluate", "regimes", "--json", *options).splitlines()[-1])
    said = command("evaluate", "regimes", *options)

    for name in ("verdict", "sentence", "marks", "agreement", "cost", "judges", "protocol_digest", "latency"):
        assert found[name] == expected[name], name
    assert found["verdict"] == "better"
    assert "is better than the rules" in said
    assert said.startswith("protocol ")


@pytest.mark.advice("give --recording FILE, or leave it out")
def test_a_venue_is_given_with_a_recording_or_left_out(
    made: Made, where: ClickHouseSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    run, of_nobody = Command(capsys), ("evaluate", "regimes", "--model=nobody", *flags(Settings(clickhouse=where)))
    run.refused(*of_nobody, "--venue=binance", sentence="give --recording FILE, or leave it out")
    for _ in range(2):
        for words in (("--venue=binance", f"--recording={frames('binance')}"), ()):
            assert "Not shown: no answer of a language model named nobody" in run(*of_nobody, *words)


@pytest.mark.advice("`obflow tables apply` makes what is missing")
def test_a_view_that_is_gone_is_made_again_by_the_command_it_names(
    store: Store, made: Made, where: ClickHouseSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    run, options = Command(capsys), flags(Settings(clickhouse=where))
    for _ in range(2):
        store.command("DROP VIEW regime_marks")
        advice = run.refused(
            "evaluate", "regimes", *options, sentence="`obflow tables apply` makes what is missing", code=1
        )
        [words] = commands_in(advice)
        run(*words, *options)
    assert store.query("SELECT count() > 0 FROM regime_marks") == [(1,)]


def test_the_queries_of_the_page_on_evaluation_answer(store: Store, made: Made) -> None:
    [block] = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    *_, marks = [store.query(statement) for statement in block.split(";") if statement.strip()]
    said = [row for row in marks if row[1]]
    assert 0 < len(said) <= len(made.minutes)
    assert {row[1] for row in said} == {"BULLISH_PRESSURE", "BEARISH_PRESSURE"}


def test_costs_and_times_of_requests_are_a_row_a_day_and_model(store: Store, made: Made) -> None:
    [model] = {call.model for call in made.calls} - {"other"}
    costs = store.query(
        "SELECT toString(day), model, requests, answers, unpriced, cost_usd, usd_per_request, usd_per_answer "
        "FROM llm_costs ORDER BY day"
    )
    assert costs[0] == ("2024-08-08", model, 3, 2, 1, pytest.approx(0.006), *[pytest.approx(0.003)] * 2)
    assert costs[1] == ("2024-08-09", "other", 1, 0, 1, None, None, None)
    times = store.query("SELECT requests, failed, p50_ms, p95_ms, p99_ms FROM llm_latency ORDER BY day")
    assert times[0] == (3, 1, 200.0, pytest.approx(13_520.0), pytest.approx(14_704.0))
    assert times[1][:2] == (1, 1)


def test_probabilities_are_read_where_the_table_has_columns_for_them(store: Store, made: Made) -> None:
    """Last of this file: it changes the table."""
    [instrument, _] = RegimeTables(store).instruments()
    for name in ("p_up", "p_volatile"):
        store.command(f"ALTER TABLE regimes ADD COLUMN IF NOT EXISTS {name} Nullable(Float64)")
    [once] = [view for view in migrate.views() if view.name == "regimes_once"]
    store.command(once.statements[0])
    values = "p_up = 0.7, p_volatile = 0.2"
    store.command(f"ALTER TABLE regimes UPDATE {values} WHERE source = 'llm' SETTINGS mutations_sync = 2")

    found = list(RegimeTables(store).forecasts(instrument))

    assert {(row.forecaster == RULES, row.p_up, row.p_volatile) for row in found} == {
        (True, None, None),
        (False, 0.7, 0.2),
    }
    assert [row.decided_ns for row in found] == sorted(row.decided_ns for row in found)
    assert evaluate(made.minutes, found).comparisons[0].forecaster == "model-p"
