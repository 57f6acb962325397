"""Who decides on a rollout, when, and who is asked by what was decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.whole_log import Logged
from processors.llm import controller as controlling
from processors.llm.arms import FollowedRollout, ModelArms
from processors.llm.asker import LlmAsker
from processors.llm.beside import BESIDE, arms_of
from processors.llm.budget import BudgetLimits
from processors.llm.calls import OwnCalls
from processors.llm.controller import RolloutController, RolloutRules
from processors.llm.purse import Purse
from processors.regimes.state import Closed, RegimeState, close_windows
from processors.rollout.guards import GuardReading
from processors.rollout.log import RolloutLog
from processors.rollout.machine import first_state
from processors.rollout.schedule import Schedule, read_schedule
from processors.rollout.watch import Facts
from processors.settings import RegimeSettings
from schemas.codec import encode
from schemas.errors import UsageError
from schemas.rollouts import RolloutAction, RolloutGuard, RolloutRecord, RolloutStage
from tests.processors.regimes.generated import RULES, Market, record
from tests.support.patience import patient

ARMS = ("blue", "green")
OFF = first_state(ARMS)
SHADOW = replace(OFF, step=1, stage=RolloutStage.SHADOW)
SICK = Facts(20, {RolloutGuard.FAILURE: GuardReading(20, 10, 1e6, True)})
RULES_OF = RolloutRules(ARMS, Schedule(read_schedule("0 24, 5 24, 100 0")), 5_000.0)
KEY = "binance:BTCUSDT"
[*_, CLOSED] = close_windows(RegimeState(), record(Market(3).events(800)), RULES, lambda _: None)


@dataclass
class Watched:
    """A stage of which everything is known, or nothing yet."""

    of: tuple[str, str, int]
    known: Facts
    is_current: bool = True
    stopped: bool = False

    def facts(self) -> Facts:
        return self.known

    def stop(self) -> None:
        self.stopped = True


@dataclass
class Control:
    """A controller, and what it has sent."""

    facts: Facts = Facts()  # noqa: RUF009 (a tuple)
    log: RolloutLog = field(default_factory=RolloutLog)
    sent: list[RolloutRecord] = field(default_factory=list)
    watches: list[Watched] = field(default_factory=list)
    is_current: bool = True
    looks: int = 0

    def __post_init__(self) -> None:
        self.controller = RolloutController(
            RULES_OF,
            self.log,
            self._looked,
            OFF,
            self._watch,  # type: ignore[arg-type] # a stand-in
            self.sent.append,
        )

    def _looked(self) -> bool:
        self.looks += 1
        return self.is_current

    def _watch(self, state: RolloutRecord) -> Watched:
        self.watches.append(Watched((state.candidate, state.stage.value, state.since_ns), self.facts))
        return self.watches[-1]

    async def some_looks(self) -> None:
        seen = self.looks
        await until(lambda: self.looks > seen + 5)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patient(5)):
        while not condition():  # noqa: ASYNC110 (it decides at its own pace)
            await asyncio.sleep(0.001)


@asynccontextmanager
async def control(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> AsyncIterator[Control]:
    monkeypatch.setattr(controlling, "DECIDE_S", 0.001)
    found = Control(**changes)
    found.controller.assigned(True)
    running = asyncio.create_task(found.controller.run())
    try:
        yield found
    finally:
        running.cancel()


async def test_nothing_is_decided_again_before_the_decision_was_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control(monkeypatch, facts=SICK, log=RolloutLog([SHADOW])) as found:
        await until(lambda: bool(found.sent))
        await found.some_looks()
        assert [state.stage for state in found.sent] == [RolloutStage.ROLLED_BACK]
        found.log.take(found.sent[0])
        await found.some_looks()
    assert len(found.sent) == 1


async def test_a_decision_that_never_reached_the_log_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controlling, "OVERTAKEN_S", 0.01)
    async with control(monkeypatch, facts=SICK, log=RolloutLog([SHADOW])) as found:
        await until(lambda: len(found.sent) >= 2)
    assert {state.step for state in found.sent} == {2}


async def test_nothing_is_decided_before_both_logs_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control(monkeypatch, facts=SICK, log=RolloutLog([SHADOW]), is_current=False) as found:
        await until(lambda: found.looks > 5)
        assert found.watches == []
        found.is_current = True
        await until(lambda: bool(found.watches))
    async with control(monkeypatch, facts=SICK, log=RolloutLog([SHADOW])) as other:
        await until(lambda: bool(other.watches))
        other.watches[0].is_current = False
        other.sent.clear()
        other.controller._decided_step = -1
        await asyncio.sleep(0.02)
        assert other.sent == []


async def test_who_does_not_own_the_partition_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control(monkeypatch, log=RolloutLog([SHADOW])) as found:
        await until(lambda: bool(found.watches))
        found.controller.assigned(False)
        assert found.watches[0].stopped
        found.log.take(replace(OFF, action=RolloutAction.ROLLBACK, request_id="r1"))
        await asyncio.sleep(0.02)
        assert found.sent == []
        found.controller.assigned(True)
        await until(lambda: bool(found.sent))
    assert (found.sent[0].stage, found.sent[0].request_id) == (RolloutStage.ROLLED_BACK, "r1")


async def test_another_stage_is_watched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control(monkeypatch, log=RolloutLog([SHADOW])) as found:
        await until(lambda: len(found.watches) == 1)
        found.log.take(replace(SHADOW, step=2, stage=RolloutStage.CANARY, percent=5, since_ns=7))
        await until(lambda: len(found.watches) == 2)
    assert [watch.of[1] for watch in found.watches] == ["shadow", "canary"]
    assert found.watches[0].stopped


@dataclass
class Asker:
    """An asker that notes what it is told."""

    wanted: bool = True
    asked: list[str] = field(default_factory=list)
    abandoned: int = 0

    def wants(self, key: str, closed: Closed) -> bool:
        return self.wanted

    def enqueue(self, key: str, closed: Closed, owner: object) -> None:
        self.asked.append(key)

    def forget(self) -> None:
        pass

    async def abandon(self, reason: str) -> None:
        self.abandoned += 1

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


class Reader:
    """A reader of a log that was read."""

    is_current = True

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@dataclass
class Beside:
    """The arms beside a stage."""

    askers: dict[str, Asker] = field(default_factory=lambda: {arm: Asker() for arm in ARMS})

    def __post_init__(self) -> None:
        self.metrics, self.followed, self.reader = Metrics("regimes"), FollowedRollout(OFF), Reader()
        self.control = Control(log=self.followed.log)
        purse = Purse(BudgetLimits(), 8, lambda _: (), OwnCalls())
        self.arms = ModelArms(
            self.askers,  # type: ignore[arg-type] # stand-ins
            self.followed,
            (self.reader,),  # type: ignore[arg-type]
            self.control.controller,
            purse,
            self.metrics,
        )

    def decided(self, state: RolloutRecord) -> None:
        self.followed.take([Logged(0, state.step, encode(state))])

    def ask(self) -> dict[str, int]:
        if self.arms.wants(KEY, CLOSED):
            self.arms.enqueue(KEY, CLOSED, None)  # type: ignore[arg-type] # not looked at here
        return {arm: len(asker.asked) for arm, asker in self.askers.items()}


def test_the_arms_that_the_state_names_are_asked_and_no_others() -> None:
    beside = Beside()
    assert beside.ask() == {"blue": 1, "green": 0}
    beside.decided(SHADOW)
    assert beside.ask() == {"blue": 2, "green": 1}
    beside.decided(replace(SHADOW, step=2, stage=RolloutStage.PROMOTED, live="green"))
    assert beside.ask() == {"blue": 2, "green": 2}
    beside.decided(replace(SHADOW, step=3, enabled=False))
    assert beside.ask() == {"blue": 2, "green": 2}


def test_an_arm_that_did_not_want_a_window_is_not_asked_about_it() -> None:
    beside = Beside()
    beside.decided(SHADOW)
    beside.askers["blue"].wanted = False

    assert beside.ask() == {"blue": 0, "green": 1}


def test_nothing_is_asked_before_the_rollout_was_read() -> None:
    beside = Beside()
    beside.reader.is_current = False

    assert beside.ask() == {"blue": 0, "green": 0}


def test_a_question_that_the_flag_overtook_is_counted_and_not_asked() -> None:
    beside = Beside()
    assert beside.arms.wants(KEY, CLOSED)
    beside.decided(replace(OFF, step=1, enabled=False))
    beside.arms.enqueue(KEY, CLOSED, None)  # type: ignore[arg-type] # not looked at here

    assert beside.askers["blue"].asked == []
    assert beside.metrics.value("obflow_llm_questions_dropped_total", reason="rollout") == 1


async def test_a_flag_that_is_off_has_every_arm_give_up_what_is_under_way() -> None:
    beside = Beside()
    running = asyncio.create_task(beside.arms.run())
    await until(lambda: beside.askers["green"].abandoned == 0 and not running.done())
    beside.decided(replace(OFF, step=1, enabled=False))
    await until(lambda: all(asker.abandoned for asker in beside.askers.values()))
    running.cancel()


def test_without_a_rollout_one_asker_is_opened_and_a_second_model_is_refused() -> None:
    chosen = {"base_url": "http://127.0.0.1:1/v1", "model": "m"}
    opened = BESIDE["regimes"].open(Settings(regimes=RegimeSettings(**chosen)), Metrics("regimes"), lambda *_: None)  # type: ignore[arg-type] # strings
    assert type(opened) is LlmAsker
    with pytest.raises(UsageError, match="no rollout"):
        arms_of(RegimeSettings(**chosen, green_model="n"))  # type: ignore[arg-type] # strings


def test_with_a_rollout_each_arm_has_its_own_model_and_prices() -> None:
    chosen: dict[str, Any] = {"base_url": "http://127.0.0.1:1/v1", "model": "m", "rollout": True}
    [only] = arms_of(RegimeSettings(**chosen))
    blue, green = arms_of(RegimeSettings(**chosen, green_model="n", green_input_price=1.0, green_output_price=2.0))

    assert (only.name, blue.model, green.model) == ("blue", "m", "n")
    assert (blue.prices.at(0).are_known, green.prices.at(0).are_known) == (False, True)
    opened = BESIDE["regimes"].open(Settings(regimes=RegimeSettings(**chosen)), Metrics("regimes"), lambda *_: None)
    assert type(opened) is ModelArms
