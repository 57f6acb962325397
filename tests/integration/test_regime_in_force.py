"""What the views say is in force is what the definition says of the same few records, read the plain way."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from obflow.settings import ClickHouseSettings
from processors.rollout.log import RolloutLog
from processors.rollout.machine import is_in_force
from schemas.logs import Position
from schemas.messages import Record, Regime, RegimeEvent, RegimeSource
from schemas.rollouts import RolloutRecord, RolloutStage
from sinks import migrate
from sinks.batching import Entry, RowBatch
from sinks.store import Store
from sinks.tables import TABLES
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import origin_of

pytestmark = pytest.mark.integration

SECOND_NS = 10**9
T0_NS = 1_763_700_000 * SECOND_NS
WINDOWS = 40
"""Of five seconds: more than three times as long as an answer can stand."""
SEEDS = 24 if os.environ.get("OBFLOW_FUZZ") == "all" else 2
LABELS = (Regime.BALANCED, Regime.VOLATILE)
ASKED = ((), (), (), ("blue",), ("green",), ("blue", "green"))
"""Arms that answer about a window."""


class History(NamedTuple):
    """A made history of one instrument.

    Attributes:
        symbol: Whose.
        rules, answers: Judgements in the order of their decision.
        log: Records of the rollout in the order of their log.
    """

    symbol: str
    rules: list[RegimeEvent]
    answers: list[RegimeEvent]
    log: list[RolloutRecord]


class InForce(NamedTuple):
    """Who was in force, and what he said of which window."""

    source: str
    arm: str
    label: str
    window: int


def event(symbol: str, window: int, label: Regime, decided_s: float, arm: str = "", **changes: Any) -> RegimeEvent:
    example = load(EXAMPLES / f"regimes/v4/{'llm' if arm else 'rule'}.json")
    assert isinstance(example, RegimeEvent)
    start_ns = T0_NS + window * 5 * SECOND_NS
    where = {"window_start_ns": start_ns, "window_end_ns": start_ns + 5 * SECOND_NS, "source_offset": 100 + window}
    said = {"label": label, "arm": arm, "decided_ns": T0_NS + round(decided_s * SECOND_NS)}
    return msgspec.structs.replace(example, symbol=symbol, source_log="l2logl2l", **where, **said, **changes)


def state(step: int, decided_s: float, stage: RolloutStage, **changes: Any) -> RolloutRecord:
    example = load(EXAMPLES / "rollout/v2/canary.json")
    assert isinstance(example, RolloutRecord)
    decided = {"decided_ns": T0_NS + round(decided_s * SECOND_NS), "instruments": []}
    return msgspec.structs.replace(example, step=step, stage=stage, **{**decided, **changes})


def made(random: Random, symbol: str, log: list[RolloutRecord]) -> History:
    """Labels that hold for a while, books that break now and then, answers of both arms, late and out of turn."""
    rules, answers, label = [], [], LABELS[0]
    for window in range(WINDOWS):
        label = random.choice(LABELS) if random.random() < 0.15 else label
        broken = {} if random.random() < 0.95 else random.choice(({"whole": False}, {"usable_events": 0}))
        rules.append(event(symbol, window, label, 5 * window + 5.25, **broken))
        for arm in random.choice(ASKED):
            late_s = random.choice((0.5, 3.0, 9.5, 14.0))
            said = {"label": random.choice((Regime.REGIME_CHANGE, Regime.UNKNOWN))}
            answers.append(event(symbol, window, decided_s=5 * window + 5.25 + late_s, arm=arm, **said))
    return History(symbol, rules, rising(answers), log)


def rising(answers: list[RegimeEvent]) -> list[RegimeEvent]:
    """In the order of their decision; of each arm they rise, as they do where one is asked at a time."""
    highest: dict[str, int] = {}
    kept = []
    for one in sorted(answers, key=lambda answer: answer.decided_ns or 0):
        if one.source_offset > highest.get(one.arm, -1):
            highest[one.arm] = one.source_offset
            kept.append(one)
    return kept


def made_log(random: Random, symbols: Sequence[str]) -> list[RolloutRecord]:
    """Stages as they come, changes of the flag and of the list, and steps that were told again too late."""
    log: list[RolloutRecord] = []
    at_s = random.uniform(0, 40)
    for step in range(1, 9):
        stage = random.choice((*RolloutStage, RolloutStage.CANARY, RolloutStage.CANARY, RolloutStage.PROMOTED))
        live = random.choice(("blue", "green"))
        candidate = live if stage is RolloutStage.PROMOTED else ("green" if live == "blue" else "blue")
        listed = [f"binance-futures:{one}" for one in symbols if random.random() < 0.6]
        arms = {"live": live, "candidate": candidate, "enabled": random.random() < 0.85}
        listed = listed if stage is RolloutStage.CANARY else []
        log.append(state(step, at_s, stage, instruments=listed, **arms))
        if random.random() < 0.3:
            log.append(state(random.randrange(1, step + 1), at_s + 0.25, RolloutStage.PROMOTED, live="blue"))
        at_s += random.uniform(1, 50)
    return log


def brute_force(history: History, at_s: float) -> InForce | None:
    """The definition, word by word."""
    at_ns = T0_NS + round(at_s * SECOND_NS)
    rules = [one for one in history.rules if (one.decided_ns or 0) <= at_ns]
    if not rules:
        return None
    newest = rules[-1]
    for arm in arms_in_force(history, at_ns):
        known = [one for one in history.answers if one.arm == arm and (one.decided_ns or 0) <= at_ns]
        if known and stands(max(known, key=lambda one: one.decided_ns or 0), rules, at_ns):
            return told(max(known, key=lambda one: one.decided_ns or 0))
    return told(newest)


def arms_in_force(history: History, at_ns: int) -> list[str]:
    """The candidate, then the live arm, where the rollout has a model in force for the instrument."""
    held = RolloutLog()
    changes = [one for one in history.log if held.take(one)]
    known = [one for one in changes if one.decided_ns <= at_ns]
    if not known or not is_in_force(known[-1], f"binance-futures:{history.symbol}"):
        return []
    return [known[-1].candidate, known[-1].live]


def stands(answer: RegimeEvent, rules: list[RegimeEvent], at_ns: int) -> bool:
    since = [one for one in rules if one.window_end_ns >= answer.window_end_ns]
    unchanged = {one.label for one in since} == {rules[-1].label}
    unbroken = all(one.whole and one.usable_events for one in since)
    return unchanged and unbroken and at_ns < answer.window_end_ns + 60 * SECOND_NS


def told(one: RegimeEvent) -> InForce:
    window = (one.window_start_ns - T0_NS) // (5 * SECOND_NS)
    return InForce(one.source.value, one.arm, one.label.value, window)


@pytest.fixture(scope="module")
def tables(clickhouse_server: ClickHouseSettings) -> Iterator[Store]:
    database = f"in_force_{uuid.uuid4().hex[:8]}"
    settings = clickhouse_server.model_copy(update={"database": database})
    migrate.create_database(settings)
    store = Store(settings)
    migrate.apply(store, ttl_days=0)
    yield store
    store.command(f"DROP DATABASE {database} SYNC")
    store.close()


@pytest.fixture
def store(tables: Store) -> Store:
    for name in ("regimes", "rollout"):
        tables.command("TRUNCATE TABLE {name:Identifier}", {"name": name})
    return tables


def store_all(store: Store, name: str, records: Sequence[Record]) -> None:
    batch = RowBatch(TABLES[name])
    for offset, record in enumerate(records):
        position = Position("readread", 0, offset)
        batch.add(Entry(position, batch.table.rows(record, position), b"", 0, origin_of(position)))
    store.insert(name, batch.arrow(T0_NS + 1000 * SECOND_NS), uuid.uuid4().hex)


def fill(store: Store, histories: Sequence[History]) -> None:
    events = [one for history in histories for one in (*history.rules, *history.answers)]
    store_all(store, "regimes", sorted(events, key=lambda one: one.decided_ns or 0))
    store_all(store, "rollout", histories[0].log)


def intervals(store: Store, symbol: str) -> list[tuple[float, float, InForce]]:
    rows = store.query(
        "SELECT toUnixTimestamp64Nano(since), toUnixTimestamp64Nano(until), source, arm, label, "
        "toUnixTimestamp64Nano(window_end) FROM regime_in_force_at WHERE symbol = {symbol:String} ORDER BY since",
        {"symbol": symbol},
    )
    return [
        (
            (since - T0_NS) / SECOND_NS,
            (until - T0_NS) / SECOND_NS,
            InForce(source, arm, label, (end - T0_NS) // (5 * SECOND_NS) - 1),
        )
        for since, until, source, arm, label, end in rows
    ]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_was_in_force_at_every_moment_is_what_the_definition_says(store: Store, seed: int) -> None:
    random = Random(seed)
    symbols = [f"S{number}" for number in range(4)]
    log = made_log(random, symbols)
    histories = [made(random, symbol, log) for symbol in symbols]
    fill(store, histories)
    moments = [tick / 2 + 1 / 8 for tick in range(2 * 5 * (WINDOWS + 2))]
    models = 0
    for history in histories:
        found = intervals(store, history.symbol)
        assert all(one[1] == other[0] for one, other in pairwise(found)), "no moment is told twice, or by nobody"
        expected = [brute_force(history, at_s) for at_s in moments]
        assert [at(found, at_s) for at_s in moments] == expected
        models += sum(one is not None and one.source == "llm" for one in expected)
    assert models or not any(is_in_force(one, f"binance-futures:{name}") for one in log for name in symbols)


def at(found: list[tuple[float, float, InForce]], at_s: float) -> InForce | None:
    return next((held for since, until, held in found if since <= at_s < until), None)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_in_force_now_is_what_the_definition_says_of_the_newest_moment(store: Store, seed: int) -> None:
    random = Random(1_000 + seed)
    symbols = [f"S{number}" for number in range(8)]
    log = made_log(random, symbols)
    cuts = [random.randrange(2, WINDOWS) for _ in symbols]
    whole = [made(random, symbol, log) for symbol in symbols]
    histories = [
        history._replace(
            rules=history.rules[:cut],
            answers=[
                one for one in history.answers if (one.decided_ns or 0) <= (history.rules[cut - 1].decided_ns or 0)
            ],
        )
        for history, cut in zip(whole, cuts, strict=True)
    ]
    fill(store, histories)
    rows = store.query(
        "SELECT symbol, source, arm, label, toUnixTimestamp64Nano(window_end), rule_label FROM regime_in_force"
    )
    found = {row[0]: InForce(row[1], row[2], row[3], (row[4] - T0_NS) // (5 * SECOND_NS) - 1) for row in rows}

    assert found == {history.symbol: brute_force_now(history) for history in histories}
    assert {row[0]: row[5] for row in rows} == {one.symbol: one.rules[-1].label.value for one in histories}


def brute_force_now(history: History) -> InForce | None:
    """Of the newest window, by the rollout as it is now: its changes are of other clocks than a recording's windows."""
    newest = history.rules[-1].decided_ns or 0
    current = [msgspec.structs.replace(one, decided_ns=0) for one in history.log]
    return brute_force(history._replace(log=current), (newest - T0_NS) / SECOND_NS)


def test_an_answer_is_never_in_force_because_it_exists(store: Store) -> None:
    """With nothing rolled out, in shadow, rolled back or disabled, the rules are."""
    rules = [event("X", window, Regime.BALANCED, 5 * window + 5.25) for window in range(8)]
    answers = [event("X", 1, Regime.VOLATILE, 11.0, "green")]
    for stage, enabled in (
        (None, True),
        (RolloutStage.OFF, True),
        (RolloutStage.SHADOW, True),
        (RolloutStage.ROLLED_BACK, True),
        (RolloutStage.PROMOTED, False),
    ):
        log = [] if stage is None else [state(1, 1.0, stage, enabled=enabled, live="green", candidate="green")]
        for name in ("regimes", "rollout"):
            store.command("TRUNCATE TABLE {name:Identifier}", {"name": name})
        store_all(store, "regimes", [*rules, *answers])
        if log:
            store_all(store, "rollout", log)

        assert {held.source for _, _, held in intervals(store, "X")} == {"rule"}, stage
        assert store.query("SELECT source, arm, label, llm_label FROM regime_in_force") == [
            ("rule", "", "BALANCED", "VOLATILE")
        ]


def test_where_the_candidate_fails_in_a_canary_the_live_arms_newest_answer_holds(store: Store) -> None:
    """Both are asked about the same windows; the candidate's second answer never comes."""
    rules = [event("X", window, Regime.BALANCED, 5 * window + 5.25) for window in range(24)]
    answers = [
        event("X", 1, Regime.VOLATILE, 12.0, "blue"),
        event("X", 1, Regime.UNKNOWN, 13.0, "green"),
        event("X", 12, Regime.REGIME_CHANGE, 67.0, "blue"),
    ]
    store_all(store, "regimes", [*rules, *answers])
    store_all(store, "rollout", [state(1, 0.0, RolloutStage.CANARY, instruments=["binance-futures:X"])])
    found = intervals(store, "X")

    assert [at(found, at_s) for at_s in (12.5, 14.0, 69.0, 75.0, 124.0)] == [
        InForce("llm", "blue", "VOLATILE", 1),
        InForce("llm", "green", "UNKNOWN", 1),
        InForce("llm", "green", "UNKNOWN", 1),
        InForce("llm", "blue", "REGIME_CHANGE", 12),
        InForce("llm", "blue", "REGIME_CHANGE", 12),
    ]
    assert at(found, 126.0) == InForce("rule", "", "BALANCED", 23)
    assert store.query("SELECT source, arm, label, llm_label FROM regime_in_force") == [
        ("llm", "blue", "REGIME_CHANGE", "REGIME_CHANGE")
    ]


def test_what_a_candidate_says_in_shadow_is_stored_and_stands_beside_nothing(store: Store) -> None:
    rules = [event("X", window, Regime.BALANCED, 5 * window + 5.25) for window in range(8)]
    answers = [event("X", 4, Regime.VOLATILE, 26.0, "blue"), event("X", 4, Regime.UNKNOWN, 27.0, "green")]
    store_all(store, "regimes", [*rules, *answers])
    store_all(store, "rollout", [state(1, 0.0, RolloutStage.SHADOW)])

    assert {held.source for _, _, held in intervals(store, "X")} == {"rule"}
    assert store.query("SELECT source, label, llm_label FROM regime_in_force") == [("rule", "BALANCED", "VOLATILE")]
    said = store.query("SELECT arm, label FROM regime_at WHERE source = 'llm' AND until > '2200-01-01' ORDER BY arm")
    assert said == [("blue", "VOLATILE"), ("green", "UNKNOWN")]


def test_where_nothing_is_stored_of_a_rollout_it_is_empty_at_every_moment(store: Store) -> None:
    assert store.query("SELECT * FROM rollout_at") == []
    requested = load(EXAMPLES / "rollout/v2/request.json")
    assert TABLES["rollout"].rows(requested, Position("readread", 0, 0)) == [], "a request is no change"


def test_an_event_says_which_arm_answered_and_one_of_the_rules_none() -> None:
    assert event("X", 0, Regime.BALANCED, 5.0, "green").source is RegimeSource.LLM
    assert load(EXAMPLES / "regimes/v4/rule.json").arm == ""  # type: ignore[union-attr] # a regime's
    assert load(EXAMPLES / "regimes/v3/llm.json").arm == ""  # type: ignore[union-attr] # a regime's
