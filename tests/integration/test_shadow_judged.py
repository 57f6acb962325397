"""A candidate in shadow is judged by what it said of the windows that the live arm was asked about, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pytest

from obflow.settings import ClickHouseSettings
from processors.rollout.machine import advance, first_state
from processors.rollout.schedule import Schedule, read_schedule
from processors.rollout.watch import Facts
from processors.rollout.worth import HeardVerdicts
from research.evaluation.minutes import Minutes
from research.evaluation.online import verdicts
from research.evaluation.rows import Minute
from research.followed_tables import FollowedTables
from research.regime_tables import RegimeTables
from schemas.evaluations import RegimeWorth
from schemas.messages import FactorEvent, RegimeEvent, RegimeSource, Source
from schemas.rollouts import RolloutStage
from schemas.units import NS_PER_HOUR
from sinks.store import Store
from tests.integration.made_tables import make_tables
from tests.integration.test_evaluate import T0_NS, events, insert, judgements, with_events
from tests.sinks.records import factors

pytestmark = pytest.mark.integration

DATABASE = "test_shadow_judged"
SYMBOL = "ONE"
MODELS = {"blue": "old-model", "green": "new-model"}


@pytest.fixture
def store(clickhouse_server: ClickHouseSettings) -> Iterator[Store]:
    where = clickhouse_server.model_copy(update={"database": DATABASE})
    make_tables(where)
    store = Store(where)
    yield store
    store.command(f"DROP DATABASE {DATABASE} SYNC")
    store.close()


def test_the_way_out_of_shadow_knows_what_the_candidate_is_worth(store: Store) -> None:
    happened = events(SYMBOL)
    store_events(store, happened)
    store_judgements(store, happened)
    tables = FollowedTables(RegimeTables(store))
    tables.look()
    found = {verdict.model: verdict for verdict in verdicts(tables.rows, tables.rows.mark_ns)}
    assert (found["old-model"].verdict, found["new-model"].verdict) == (RegimeWorth.WORSE, RegimeWorth.BETTER)
    assert found["new-model"].marks == found["old-model"].marks > 200

    heard, now_ns = HeardVerdicts(), tables.rows.mark_ns
    heard.take(found.values())
    shadow = msgspec.structs.replace(
        first_state(tuple(MODELS)), step=1, stage=RolloutStage.SHADOW, since_ns=now_ns - 25 * NS_PER_HOUR
    )
    facts = Facts(500, instruments=(f"binance-futures:{SYMBOL}",), verdict=heard.on(MODELS[shadow.candidate], now_ns))
    after = advance(shadow, facts, Schedule(read_schedule("0 24, 5 24, 100 0")), now_ns)

    assert after is not None
    assert (after.stage, after.percent, after.worth) == (RolloutStage.CANARY, 5, RegimeWorth.BETTER)
    assert (after.marks, after.e_better) == (found["new-model"].marks, found["new-model"].e_better)


def store_events(store: Store, happened: list[FactorEvent]) -> None:
    record = factors("X", [0])
    changes = {"venue": "binance-futures", "symbol": SYMBOL, "source": Source.LIVE, "source_log": f"log{SYMBOL}"}
    record = msgspec.structs.replace(record, **changes)
    pieces = [happened[at : at + 200] for at in range(0, len(happened), 200)]
    insert(store, "factors", [with_events(record, piece) for piece in pieces], SYMBOL)


def store_judgements(store: Store, happened: Sequence[FactorEvent]) -> None:
    """The rules guess; of the same windows the candidate mostly knows what comes, the live arm says the contrary."""
    taken = Minutes(f"binance-futures:{SYMBOL}")
    for event in happened:
        taken.take(event)
    minutes: list[Minute] = list(taken.over())
    assert minutes[0].mark_ns >= T0_NS - 60 * 10**9
    told = [
        arm_of
        for judged in judgements(SYMBOL, minutes)
        for arm_of in (arms(judged) if judged.source is RegimeSource.LLM else [judged])
    ]
    insert(store, "regimes", [msgspec.structs.replace(one, venue="binance-futures") for one in told], SYMBOL)


def arms(judged: RegimeEvent) -> list[RegimeEvent]:
    p_up = 0.9 if judged.label.value.startswith("BULL") else 0.1
    said = {"blue": 1.0 - p_up, "green": p_up}
    return [
        msgspec.structs.replace(judged, arm=arm, model=MODELS[arm], p_up=p, p_volatile=0.5) for arm, p in said.items()
    ]
