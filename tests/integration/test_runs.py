"""Views count each moment once, whatever was replayed again, produced beside, or is of another source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from obflow.settings import ClickHouseSettings, Settings
from producers.broker.earlier import refuse_other_source, refuse_replayed
from schemas.errors import UsageError
from schemas.factors import FACTOR_INDEX, NO_FACTORS
from schemas.logs import Position
from schemas.messages import FactorEvent, FactorRecord, Record, Regime, RegimeEvent, Source, Status, TradeRecord
from sinks.batching import Entry, RowBatch
from sinks.runs import drop_run, dropped_runs, stored_runs
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.advising import TIMES, Command, flags
from tests.integration.made_tables import make_tables
from tests.integration.producing import fresh_topics
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors, origin_of

pytestmark = pytest.mark.integration

SECOND_NS = 10**9
T0_NS = 1_723_161_240 * SECOND_NS  # a whole minute
EVENTS = 40
OLD, NEW, NEWEST = (f"replay/binance/{number}/abc/1-2" for number in (1, 2, 3))


@pytest.fixture(scope="module")
def store(clickhouse_server: ClickHouseSettings) -> Iterator[Store]:
    """A migrated database; each test has symbols of its own."""
    settings = clickhouse_server.model_copy(update={"database": "test_runs"})
    make_tables(settings)
    store = Store(settings)
    yield store
    store.command("DROP DATABASE test_runs SYNC")
    store.close()


@pytest.fixture(scope="module")
def with_topics(broker: str, store: Store, clickhouse_server: ClickHouseSettings) -> Settings:
    """Topics of their own beside that database."""
    del store
    where = clickhouse_server.model_copy(update={"database": "test_runs"})
    return fresh_topics(broker).model_copy(update={"clickhouse": where})


class Recorded:
    """Stores what a run of one instrument leaves: an event and a trade a second, and a judgement every five."""

    def __init__(self, store: Store, symbol: str) -> None:
        self._store = store
        self._symbol = symbol
        self._runs = 0

    def run(self, name: str, source: Source = Source.REPLAY, first_s: int = 0, seconds: int = EVENTS) -> None:
        self._runs += 1
        head = {"symbol": self._symbol, "source": source, "run": name}
        times = [T0_NS + (first_s + second) * SECOND_NS for second in range(seconds)]
        self._insert("factors", [self._factors(times, head)])
        self._insert("trades", [self._trade(at, number, head) for number, at in enumerate(times)])
        self._insert("derivatives", [self._derivative(at, head) for at in times])
        self._insert("regimes", [self._regime(at, number, name, source) for number, at in enumerate(times[::5])])

    def count(self, what: str, **settings: str) -> Any:
        where = " AND ".join([f"symbol = '{self._symbol}'", *(f"{key} = '{value}'" for key, value in settings.items())])
        [row] = self._store.query(f"SELECT {what} WHERE {where}")
        return row[0] if len(row) == 1 else row

    def _log(self) -> str:
        return f"log{self._symbol[:3]}{self._runs}"

    def _factors(self, times: Sequence[int], head: dict[str, Any]) -> FactorRecord:
        values = list(NO_FACTORS)
        values[FACTOR_INDEX["mid"]], values[FACTOR_INDEX["ofi_l1"]] = 10.0, 1.0
        events = [FactorEvent(n, n, at, Status.OK, tuple(values)) for n, at in enumerate(times)]
        return msgspec.structs.replace(factors("X", [0]), events=events, source_log=self._log(), **head)

    def _trade(self, at: int, number: int, head: dict[str, Any]) -> TradeRecord:
        trade = load(EXAMPLES / "trades/v1/buy.json")
        assert isinstance(trade, TradeRecord)
        return msgspec.structs.replace(trade, received_ns=at, trade_id=str(number), **head)

    def _derivative(self, at: int, head: dict[str, Any]) -> Record:
        told = load(EXAMPLES / "derivatives/v1/mark.json")
        return msgspec.structs.replace(told, received_ns=at, mark_price=str(at), **head)

    def _regime(self, at: int, number: int, run: str, source: Source) -> RegimeEvent:
        regime = load(EXAMPLES / "regimes/v2/rule.json")
        assert isinstance(regime, RegimeEvent)
        window = {"window_start_ns": at, "window_end_ns": at + 5 * SECOND_NS, "decided_ns": at + 5 * SECOND_NS}
        where = {"symbol": self._symbol, "source_log": self._log(), "source_offset": number, "run": run}
        return msgspec.structs.replace(regime, feed_source=source, label=Regime.BALANCED, **window, **where)

    def _insert(self, name: str, records: Sequence[Record]) -> None:
        table, batch = TABLES[name], RowBatch(TABLES[name])
        for number, record in enumerate(records):
            position = Position(self._log(), 0, number)
            batch.add(Entry(position, table.rows(record, position), b"", 0, origin_of(position)))
        self._store.insert(name, batch.arrow(T0_NS + self._runs), f"{name}:{self._log()}")


def test_a_recording_replayed_twice_is_counted_once_by_every_view(store: Store) -> None:
    recorded = Recorded(store, "TWICE")
    recorded.run(OLD)
    once = everything(recorded)
    recorded.run(NEW)

    assert recorded.count("count() FROM factors") == 2 * EVENTS  # the table has both
    assert everything(recorded) == once
    assert recorded.count("sum(events), sum(total_ofi_l1) FROM factors_1m") == (EVENTS, float(EVENTS))
    assert recorded.count("any(run) FROM latest_factors") == NEW
    assert recorded.count("any(run) FROM regime_in_force") == NEW


def everything(recorded: Recorded) -> list[Any]:
    """What each view that counts or lists says of the instrument."""
    return [
        recorded.count(what)
        for what in (
            "count(), sum(ofi_l1) FROM factors_once",
            "sum(events), sum(total_ofi_l1), avg(mean_obi_l1) FROM factors_1m",
            "sum(trades), sum(volume), sum(buy_volume) FROM trades_1m",
            "count(), sum(size) FROM trades_once",
            "count(), sum(mark_price) FROM derivatives_once",
            "sum(events), sum(thin) FROM book_quality",
            "count() FROM latest_factors",
            "count() FROM regimes_once",
            "count() FROM regime_at",
            "count() FROM regime_in_force",
        )
    ]


def test_a_part_replayed_again_counts_where_it_was_and_the_rest_of_the_older(store: Store) -> None:
    recorded = Recorded(store, "PART")
    recorded.run(OLD)
    recorded.run(NEW, first_s=10, seconds=5)
    recorded.run(NEWEST, first_s=12, seconds=10)

    assert recorded.count("count() FROM factors_once") == EVENTS
    assert recorded.count("count() FROM factors_once", run=NEW) == 2
    assert recorded.count("count() FROM factors_once", run=NEWEST) == 10
    assert recorded.count("sum(trades) FROM trades_1m") == EVENTS


def test_lives_of_a_live_producer_add_up(store: Store) -> None:
    recorded = Recorded(store, "LIVES")
    recorded.run("live/binance/1/a", Source.LIVE)
    recorded.run("live/binance/2/b", Source.LIVE, first_s=EVENTS)

    assert recorded.count("count() FROM factors_once") == 2 * EVENTS
    assert recorded.count("sum(trades) FROM trades_1m") == 2 * EVENTS


def test_two_deployments_at_once_are_counted_once(store: Store) -> None:
    recorded = Recorded(store, "BOTH")
    recorded.run("live/binance/1/a", Source.LIVE, seconds=3 * EVENTS)
    recorded.run("live/binance/2/b", Source.LIVE, first_s=EVENTS)

    assert recorded.count("count() FROM factors_once") == 3 * EVENTS
    assert recorded.count("sum(events) FROM factors_1m") == 3 * EVENTS
    assert recorded.count("sum(trades) FROM trades_1m") == 3 * EVENTS
    assert recorded.count("any(run) FROM latest_factors") == "live/binance/1/a"


def test_what_is_live_is_never_mixed_with_the_simulator_or_a_replay(store: Store) -> None:
    recorded = Recorded(store, "MIXED")
    recorded.run("simulator/binance/1/a", Source.SIMULATOR)
    recorded.run(NEW)
    assert recorded.count("groupArray((source, events)) FROM (SELECT * FROM book_quality ORDER BY source)") == [
        ("replay", EVENTS),
        ("simulator", EVENTS),
    ]
    recorded.run("live/binance/3/c", Source.LIVE, first_s=2 * EVENTS)

    for view in (
        "factors_1m",
        "trades_1m",
        "book_quality",
        "latest_factors",
        "factors_once",
        "trades_once",
        "derivatives_once",
    ):
        assert recorded.count(f"groupUniqArray(source) FROM {view}") == ["live"], view
    for view in ("regime_in_force", "regime_at", "regimes_once"):
        assert recorded.count(f"groupUniqArray(feed_source) FROM {view}") == ["live"], view
    assert recorded.count("sum(trades) FROM trades_1m") == EVENTS


def test_stored_runs_are_listed_with_what_counts(store: Store) -> None:
    recorded = Recorded(store, "LISTED")
    recorded.run(OLD)
    recorded.run(NEW)
    recorded.run("live/binance/1/a", Source.LIVE, first_s=EVENTS)

    found = {run.run: run for run in stored_runs(store) if run.symbol == "LISTED"}

    assert {name: (run.factors, run.trades) for name, run in found.items()} == dict.fromkeys(
        (OLD, NEW, "live/binance/1/a"), (EVENTS, EVENTS)
    )
    assert [name for name, run in found.items() if run.overlapped] == [OLD]
    assert recorded.count("count() FROM runs") == 12  # three runs in four tables
    assert {name for name, run in found.items() if run.beside_live} == {OLD, NEW}


def test_what_the_tables_hold_is_known_before_anything_is_produced(store: Store, with_topics: Settings) -> None:
    recorded = Recorded(store, "EARLIER")
    recorded.run("simulator/binance-futures/1/a", Source.SIMULATOR)
    recorded.run("replay/binance-futures/1/5eed/1-2")

    with pytest.raises(UsageError, match="these tables hold EARLIER of binance-futures from the source simulator"):
        refuse_other_source(with_topics, "binance-futures", ["EARLIER", "OTHER"])
    refuse_other_source(with_topics, "binance-futures", ["OTHER"])
    with pytest.raises(UsageError, match="this recording is stored already, as the run replay/binance-futures/1/5eed"):
        refuse_replayed(with_topics, ["5eed" + "0" * 60])
    refuse_replayed(with_topics, ["5eeb" + "0" * 60])


@pytest.mark.advice("`obflow runs list` lists them", "say it again with --yes to do so")
def test_a_run_is_dropped_by_the_command(
    store: Store, with_topics: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.runs.LOOK_SECONDS", 0.0)
    run, where = Command(capsys), flags(with_topics, sink__flush_seconds=0.01)
    recorded = Recorded(store, "COMMAND")
    names = [f"replay/binance/9{number}/abc/1-2" for number in range(TIMES)]
    for name in names:
        recorded.run(name)

    run.refused("runs", "drop", "replay/no/such", "--yes", *where, sentence="`obflow runs list` lists them")
    for name in names:
        assert name in run("runs", "list", *where)
        run.refused("runs", "drop", name, *where, sentence="say it again with --yes to do so")
        assert f"factors: {EVENTS} rows deleted" in run("runs", "drop", name, "--yes", *where)
        assert name not in run("runs", "list", "--json", *where)
    assert recorded.count("count() FROM factors") == 0


def test_a_dropped_run_is_gone_from_every_table_and_the_older_counts_again(store: Store) -> None:
    recorded = Recorded(store, "DROPPED")
    kept, dropped = "replay/binance/7/abc/1-2", "replay/binance/8/abc/1-2"
    recorded.run(kept)
    once = everything(recorded)
    recorded.run(dropped)
    waited: list[float] = []

    deleted = drop_run(store, dropped, 11.0, waited.append)

    assert waited == [11.0]
    assert +Counter(deleted) == {"factors": EVENTS, "trades": EVENTS, "derivatives": EVENTS, "regimes": EVENTS // 5}
    assert recorded.count("count() FROM factors") == EVENTS
    assert everything(recorded) == once
    assert dropped in dropped_runs(store)
    with pytest.raises(UsageError, match="there is no run"):
        drop_run(store, dropped, 0.0)
