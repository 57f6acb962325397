"""A rollout in virtual time: workers that obey, arms of given health, and a log of what they did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import msgspec

from processors.rollout.log import RolloutLog
from processors.rollout.machine import advance, answer, asked_arms, first_state
from processors.rollout.schedule import Schedule, read_schedule
from processors.rollout.watch import CallWatch, DayBudget, Facts
from processors.rollout.worth import WorthVerdict
from schemas.messages import CallOutcome, LlmCall
from schemas.rollouts import RolloutAction, RolloutRecord, RolloutStage
from schemas.units import NS_PER_SECOND
from tests.schemas.examples import EXAMPLES, load

ROW = load(EXAMPLES / "llm-calls/v5/ok.json")
assert isinstance(ROW, LlmCall)
BEGIN_NS = 1_763_700_000 * NS_PER_SECOND
APART_NS = 15 * NS_PER_SECOND
SCHEDULE = Schedule(read_schedule("0 0.5, 5 0.5, 10 0.5, 50 0.5, 100 0"), least_questions=60, by_hand_above=100)
SLO_MS = 5_000.0
ARMS = ("blue", "green")
UNBOUNDED = DayBudget()


@dataclass
class Health:
    """Chances of a question of an arm."""

    fails: float = 0.0
    slow: float = 0.0
    unfaithful: float = 0.0


@dataclass
class Rollout:
    """One rollout.

    Attributes:
        seed: Of all chance.
        instruments: Asked in turn.
        health: Of each arm.
        calls: Every row.
        log: Every record of the rollout.
        verdict: What somebody says the candidate is worth; null where nobody judges.
    """

    seed: int = 0
    instruments: int = 20
    schedule: Schedule = SCHEDULE
    budget: DayBudget = UNBOUNDED
    health: dict[str, Health] = field(default_factory=lambda: {arm: Health() for arm in ARMS})
    calls: list[LlmCall] = field(default_factory=list)
    log: list[RolloutRecord] = field(default_factory=lambda: [first_state(ARMS)])
    now_ns: int = BEGIN_NS
    verdict: WorthVerdict | None = None

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.watch = self.rebuilt()

    @property
    def state(self) -> RolloutRecord:
        found = RolloutLog(self.log).state
        assert found is not None
        return found

    def facts(self) -> Facts:
        return self.watch.facts(self.now_ns)._replace(verdict=self.verdict)

    def rebuilt(self) -> CallWatch:
        """What a worker makes of the log of calls that has just become the controller."""
        watch = CallWatch(self.state, SLO_MS, self.budget)
        for row in self.calls:
            watch.take(row)
        return watch

    def ask_by_hand(self, action: RolloutAction) -> RolloutRecord:
        request = msgspec.structs.replace(
            first_state(ARMS), by="operator", action=action, request_id=f"{self.random.getrandbits(32):08x}"
        )
        made = answer(self.state, request, self.facts(), self.schedule, ARMS, self.now_ns)
        self._decided(made)
        return made

    def go_on(self, questions: int) -> Iterator[RolloutRecord]:
        """Ask questions, one after the other, and decide after each; gives each change."""
        for _ in range(questions):
            self.now_ns += APART_NS
            name = f"SYM{self.random.randrange(self.instruments)}"
            for arm in sorted(asked_arms(self.state, f"binance-futures:{name}")):
                self._call(arm, name)
            made = advance(self.state, self.facts(), self.schedule, self.now_ns)
            if made is not None:
                self._decided(made)
                yield made

    def until(self, stage: RolloutStage, percent: int = 0, most: int = 20_000) -> RolloutRecord:
        for made in self.go_on(most):
            if made.stage is stage and made.percent == (percent or made.percent):
                return made
        raise AssertionError(f"never {stage} {percent}: {self.state}")

    def _decided(self, made: RolloutRecord) -> None:
        is_new_stage = (made.stage, made.since_ns, made.candidate) != (
            self.state.stage,
            self.state.since_ns,
            self.state.candidate,
        )
        self.log.append(made)
        if is_new_stage:
            self.watch = self.rebuilt()

    def _call(self, arm: str, name: str) -> None:
        health = self.health[arm]
        fails = self.random.random() < health.fails
        row = msgspec.structs.replace(
            ROW,
            arm=arm,
            symbol=name,
            started_ns=self.now_ns,
            window_end_ns=self.now_ns,
            outcome=CallOutcome.INVALID if fails else CallOutcome.OK,
            latency_ms=2 * SLO_MS if self.random.random() < health.slow else SLO_MS / 10,
            unfaithful=None if fails else self.random.random() < health.unfaithful,
        )
        self.calls.append(row)
        self.watch.take(row)
