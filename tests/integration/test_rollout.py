"""Three real regime workers roll a second model out, and the one that controls it is killed in the midst of a stage."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from obflow import kafka, topics
from obflow.settings import ClickHouseSettings, Settings
from processors.rollout.log import RolloutLog
from processors.rollout_commands import current_state, rollout_action, told
from research.audit import audit
from schemas.codec import decode, encode
from schemas.errors import DependencyError, UsageError
from schemas.messages import CallOutcome, LlmCall, RegimeEvent, RegimeSource
from schemas.partitions import partition_of
from schemas.rollouts import STATE_KEY, RolloutRecord, RolloutStage
from schemas.topics import LLM_CALLS, REGIMES, ROLLOUT
from tests.integration.llm_server import INPUT_PRICE, OUTPUT_PRICE, llm_server
from tests.integration.made_tables import make_tables
from tests.integration.processing import OBFLOW, PARTITIONS, Worker, pipeline, read_all, until, workers
from tests.integration.sinking import opened, run_until
from tests.integration.test_regimes import Publisher
from tests.processors.regimes.generated import Market
from tests.schemas.examples import EXAMPLES, load
from tests.support.patience import patient

pytestmark = pytest.mark.integration

SYMBOLS = tuple(f"SYM{number}" for number in range(8))
QUESTIONS = 30
"""Of a stage: more than one minute of all instruments brings."""
MINUTE_EVENTS = 160
"""A little more than a minute of received time: every instrument is asked about once at least."""


def rolled_out(broker: str, blue: str, green: str, **regimes: object) -> Settings:
    chosen = {
        "base_url": blue,
        "model": "blue-model",
        "green_base_url": green,
        "green_model": "green-model",
        "rollout": True,
        "rollout_stages": "0 0, 50 0, 100 0",
        "rollout_questions": 12,
        "rollout_by_hand_above": 100,
        "deadline_seconds": 5.0,
        "requests_per_minute": 6000,
        "checkpoint_seconds": 0.5,
        "input_price": INPUT_PRICE,
        "output_price": OUTPUT_PRICE,
        **regimes,
    }
    return pipeline(broker, chosen)


def states(settings: Settings) -> list[RolloutRecord]:
    """States in the order of their log."""
    records = [decode(message.value) for message in read_all(settings, ROLLOUT)]
    return [one for one in records if isinstance(one, RolloutRecord) and one.action is None]


def calls_of(settings: Settings, arm: str) -> list[LlmCall]:
    rows = [decode(message.value) for message in read_all(settings, LLM_CALLS)]
    return [row for row in rows if isinstance(row, LlmCall) and row.arm == arm]


class Feed:
    """Goes on with every instrument, a minute at a time."""

    def __init__(self, settings: Settings) -> None:
        self._publisher = Publisher(settings)
        self._markets = {symbol: Market(number, broken=0.0, quiet=0.0) for number, symbol in enumerate(SYMBOLS)}

    def minute(self) -> None:
        self._publisher.send_all({symbol: market.events(MINUTE_EVENTS) for symbol, market in self._markets.items()})

    def until(self, condition: Callable[[], bool], what: str, minutes: int = 25) -> None:
        for _ in range(minutes):
            self.minute()
            try:
                until(condition, 2)
            except AssertionError:
                continue
            return
        raise AssertionError(f"not within {minutes} minutes of data: {what}")


def obeyed(worker: Worker, step: int) -> bool:
    return any(line["step"] >= step for line in worker.logged("rollout_obeyed"))


@pytest.mark.exhaustive
def test_three_workers_obey_one_controller_and_its_death_decides_nothing_twice(
    broker: str, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    with llm_server("good") as blue, llm_server("good") as green:
        settings = rolled_out(broker, blue.url, green.url, rollout_questions=QUESTIONS)
        settings = settings.model_copy(update={"clickhouse": clickhouse})
        feed = Feed(settings)
        with workers(settings, tmp_path, "regimes") as start:
            alive = [start() for _ in range(3)]
            for worker in alive:
                worker.wait_ready(patient(60))
            until(lambda: sum(worker.owned() for worker in alive) == PARTITIONS, patient(60))
            feed.until(lambda: len(calls_of(settings, "blue")) >= 8, "the live arm is asked")
            assert green.asked == [], "the candidate of no rollout is idle"

            shadow = rollout_action(settings, "promote")
            assert (shadow.stage, shadow.step, shadow.by) == (RolloutStage.SHADOW, 1, "operator")
            until(lambda: all(obeyed(worker, 1) for worker in alive), patient(5))

            feed.minute()
            until(lambda: len(calls_of(settings, "green")) >= 4, patient(30))
            assert current_state(settings).stage is RolloutStage.SHADOW, "in the midst of it"
            [controller] = [worker for worker in alive if 0 in worker.partitions()]
            controller.kill()
            alive.remove(controller)
            until(lambda: sum(worker.owned() for worker in alive) == PARTITIONS, patient(60))

            feed.until(lambda: current_state(settings).stage is RolloutStage.PROMOTED, "promoted")
            last = current_state(settings)
            until(lambda: all(obeyed(worker, last.step) for worker in alive), patient(5))
            asked = len(blue.asked)
            green_asked = len(green.asked)
            feed.until(lambda: len(green.asked) >= green_asked + 8, "the new live arm is asked")
            assert len(blue.asked) == asked, "the other arm is idle"

            disabled = rollout_action(settings, "disable")
            until(lambda: all(obeyed(worker, disabled.step) for worker in alive), patient(5))
            count = len(green.asked)
            feed.minute()
            time.sleep(1.0)
            assert len(green.asked) == count
            for worker in alive:
                assert worker.stop() == 0, worker.tail()
    events = [decode(message.value) for message in read_all(settings, REGIMES)]
    by_models = [one for one in events if isinstance(one, RegimeEvent) and one.source is RegimeSource.LLM]
    judged = Counter((one.instrument, one.source_offset, one.arm) for one in by_models)
    assert max(judged.values()) == 1, "of each window there is one event by an arm"
    in_shadow = {(one.instrument, one.source_offset) for one in by_models if one.arm == "green"}
    assert in_shadow & {(one.instrument, one.source_offset) for one in by_models if one.arm == "blue"}
    assert {(one.arm, one.model) for one in by_models} == {("blue", "blue-model"), ("green", "green-model")}
    told_states = states(settings)
    assert [state.step for state in told_states] == list(range(1, len(told_states) + 1))
    entered = [(one.stage.value, one.percent) for one in told_states if one.reason != "more instruments are active"]
    assert entered == [("shadow", 0), ("canary", 50), ("canary", 100), ("promoted", 100), ("promoted", 100)]
    assert {one.questions >= QUESTIONS for one in told_states if one.by == "controller" and one.stage != "canary"} == {
        True
    }
    check_tables(settings, len(told_states), len(by_models))
    assert all(call.key_id for call in calls_of(settings, "green") if call.outcome is CallOutcome.OK)


def check_tables(settings: Settings, changes: int, answers: int) -> None:
    """Every change, request and judgement is stored once, by the audit, and the views follow the changes."""
    names = ("rollout", "llm_calls", "regimes")
    make_tables(settings.clickhouse)
    run_until(settings, lambda counts: all(is_read(counts[name].lags) for name in names), *names, seconds=60)
    lines = {line.name: line.counts for line in audit(settings).tables}
    for name in ("rollout", "llm_calls"):
        assert (lines[name]["lost"], lines[name]["duplicates"]) == (0, 0), name
    assert (lines["rollout"]["stored"], lines["rollout"]["compacted"]) == (changes, 0)
    assert lines["llm_calls"]["stored"] == len(calls_of(settings, "blue")) + len(calls_of(settings, "green"))
    assert lines["regimes"]["duplicates"] == 0
    with opened(settings.clickhouse) as store:
        assert store.query("SELECT count(), uniqExact(symbol) FROM regimes WHERE source = 'llm' AND arm != ''") == [
            (answers, len(SYMBOLS))
        ]
        stages = store.query("SELECT step, stage, enabled FROM rollout_at ORDER BY decided_at, step")
        assert [step for step, *_ in stages] == list(range(1, changes + 1))
        assert stages[-1][1:] == ("promoted", False)
        assert store.query("SELECT DISTINCT source FROM regime_in_force") == [("rule",)], "it was disabled at last"


def is_read(lags: Mapping[int, int]) -> bool:
    return bool(lags) and not any(lags.values())


@pytest.mark.exhaustive
def test_a_failing_candidate_is_rolled_back_once_and_armed_again_by_hand(broker: str, tmp_path: Path) -> None:
    with llm_server("good") as blue, llm_server("prose") as green:
        settings = rolled_out(broker, blue.url, green.url, breaker_failures=1_000)
        feed = Feed(settings)
        with workers(settings, tmp_path, "regimes") as start:
            worker = start()
            worker.wait_ready(patient(60))
            rollout_action(settings, "promote")
            # Failures within ten seconds of one another are one: the log tells of them as they would come in a day.
            _tell_of_a_day(settings)
            feed.until(lambda: current_state(settings).stage is RolloutStage.ROLLED_BACK, "rolled back")
            row = current_state(settings)
            assert (row.guard, row.percent) == ("failure", 0)
            assert (row.failure or 0.0) >= 100
            assert "without a valid answer" in told(row)
            time.sleep(3.0)
            assert [one.stage for one in states(settings)] == [RolloutStage.SHADOW, RolloutStage.ROLLED_BACK]
            rearmed = rollout_action(settings, "rearm")
            assert rearmed.stage is RolloutStage.SHADOW
            said = subprocess.run(
                [*OBFLOW, "regimes", "status", "--json", *_set(settings)], capture_output=True, check=True, text=True
            )
            shown = json.loads(said.stdout)
            assert shown["step"] >= rearmed.step
            assert shown["now"]["guards"].keys() == {"failure", "slow", "unfaithful"}
            assert worker.stop() == 0, worker.tail()


@pytest.mark.advice("start `obflow regimes` with regimes.rollout set to true")
def test_what_is_asked_for_while_nobody_controls_waits_for_who_does(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processors.rollout_commands.ANSWER_S", 1.0)
    with llm_server("good") as server:
        settings = rolled_out(broker, server.url, server.url)
        with pytest.raises(DependencyError, match="nobody answered"):
            rollout_action(settings, "promote")
        with pytest.raises(UsageError, match="no action 'promot'"):
            rollout_action(settings, "promot")
        with workers(settings, tmp_path, "regimes") as start:
            start().wait_ready(patient(60))
            until(lambda: current_state(settings).stage is RolloutStage.SHADOW, patient(20))
    assert len(states(settings)) == 1


def test_of_two_controllers_the_one_that_was_overtaken_changes_nothing(broker: str) -> None:
    settings = rolled_out(broker, "http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1")
    first = current_state(settings)
    ours = replace(first, step=1, stage=RolloutStage.SHADOW, reason="ours")
    theirs = replace(first, step=1, stage=RolloutStage.ROLLED_BACK, reason="theirs")
    producer = kafka.producer(settings)
    for state in (ours, theirs):
        producer.produce(
            topics.topic_name(settings, ROLLOUT),
            encode(state),
            key=STATE_KEY,
            partition=partition_of(STATE_KEY, settings.kafka.partitions),
        )
    assert producer.flush(patient(30)) == 0

    assert current_state(settings) == ours == RolloutLog([ours, theirs]).state


def _tell_of_a_day(settings: Settings) -> None:
    """Rows of failed questions of green, a minute apart, as if the stage had gone on for long."""
    shadow = current_state(settings)
    row = load(EXAMPLES / "llm-calls/v5/timeout.json")
    assert isinstance(row, LlmCall)
    producer = kafka.producer(settings)
    for number in range(1, 8):
        at_ns = shadow.since_ns + number * 60 * 10**9
        made = replace(row, arm="green", started_ns=at_ns, window_end_ns=at_ns, call_id=f"day-{number}")
        producer.produce(topics.topic_name(settings, LLM_CALLS), encode(made), key=str(row.instrument))
    assert producer.flush(patient(30)) == 0


def _set(settings: Settings) -> list[str]:
    usual = Settings.load({}).shown()
    chosen = (f"{key}={value}" for key, value in settings.shown().items() if value is not None and value != usual[key])
    return [word for choice in chosen for word in ("--set", choice)]
