"""Migrations are applied once and drift is named; views say what the rows say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from obflow.cli import main
from obflow.doctor import Check
from obflow.settings import ClickHouseSettings, Settings
from schemas.errors import SchemaMismatch
from schemas.factors import FACTOR_INDEX, NO_FACTORS
from schemas.logs import Position
from schemas.messages import (
    DeadLetter,
    FactorEvent,
    FactorRecord,
    FeedQuality,
    FeedState,
    FeedStatus,
    Reason,
    Record,
    Regime,
    RegimeEvent,
    SignalEvent,
    Source,
    Status,
)
from schemas.topics import NO_LIMIT_MS
from sinks import migrate
from sinks.batching import Entry, RowBatch
from sinks.checks import table_checks
from sinks.feed_commands import stored_feeds, stored_hours
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.made_tables import make_tables
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors, origin_of

pytestmark = [pytest.mark.integration, pytest.mark.new_database]

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
T0_NS = 1_723_161_240_000_000_000  # a whole minute


@pytest.fixture
def empty(clickhouse: ClickHouseSettings) -> Iterator[Store]:
    """A database without tables."""
    store = Store(clickhouse)
    yield store
    store.close()


@pytest.fixture
def whole(clickhouse: ClickHouseSettings, empty: Store) -> Store:
    """The same with what the migrations make."""
    make_tables(clickhouse)
    return empty


@pytest.fixture(scope="module")
def migrated(clickhouse_server: ClickHouseSettings) -> Iterator[Store]:
    """A migrated database, shared by the tests of views; each uses a table of its own, or symbols of its own."""
    settings = clickhouse_server.model_copy(update={"database": "test_sink_views"})
    make_tables(settings)
    store = Store(settings)
    yield store
    store.command("DROP DATABASE test_sink_views SYNC")
    store.close()


def store_all(store: Store, name: str, records: Sequence[Record], first: int = 0) -> None:
    table = TABLES[name]
    batch = RowBatch(table)
    for offset, record in enumerate(records, start=first):
        position = Position("readread", 0, offset)
        batch.add(Entry(position, table.rows(record, position), b"", 0, origin_of(position)))
    store.insert(name, batch.arrow(1_763_700_000_000_000_000 + first), f"{name}:{first}:{store}")


# ---- migrations


def test_a_second_apply_finds_nothing_to_do(empty: Store) -> None:
    done = migrate.apply(empty, ttl_days=0)

    assert {step.script.name for step in done if step.script} >= {script.name for script in migrate.migrations()}
    assert migrate.plan(empty, ttl_days=0) == []
    assert migrate.apply(empty, ttl_days=0) == []
    assert migrate.drift(empty) == []


@pytest.mark.exhaustive
def test_a_crash_between_a_migration_and_its_note_is_mended_by_applying_it_again(whole: Store) -> None:
    whole.command("TRUNCATE TABLE migrations")

    assert migrate.plan(whole, ttl_days=0)
    migrate.apply(whole, ttl_days=0)
    assert migrate.plan(whole, ttl_days=0) == []
    assert migrate.drift(whole) == []


def test_an_age_limit_is_set_changed_and_taken_away_in_place(whole: Store) -> None:
    def limits() -> dict[str, str]:
        rows = whole.query("SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()")
        return {name: found.group(1) for name, engine in rows if (found := migrate.AGE_LIMIT.search(engine))}

    assert limits() == {}
    limited = [one for one in TABLES.values() if one.topic.retention_ms != NO_LIMIT_MS]
    assert len(migrate.apply(whole, ttl_days=30)) == len(limited)
    assert limits()["factors"] == "toDateTime(stored_at) + toIntervalDay(30)"
    assert migrate.plan(whole, ttl_days=30) == []
    migrate.apply(whole, ttl_days=1)
    assert limits()["dead_letters"] == "toDateTime(stored_at) + toIntervalDay(15)"  # its topic keeps records for 14
    migrate.apply(whole, ttl_days=0)
    assert limits() == {}


def test_drift_is_named_column_by_column(whole: Store) -> None:
    whole.command("ALTER TABLE trades ADD COLUMN mine UInt8, MODIFY COLUMN trade_id LowCardinality(String)")
    whole.command("ALTER TABLE factors DROP COLUMN spread")
    whole.command("DROP TABLE feed_status")

    assert migrate.drift(whole) == [
        "column factors.spread does not exist",
        "column trades.trade_id is LowCardinality(String), not String",
        "column trades.mine is in the database alone",
        "table feed_status does not exist",
    ]


def test_a_view_that_is_gone_is_made_again(whole: Store) -> None:
    whole.command("DROP VIEW book_quality")

    assert [step.what for step in migrate.apply(whole, ttl_days=0)] == ["replace view book_quality"]


def test_a_migration_edited_after_it_was_applied_is_refused(whole: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: (first._replace(text=first.text + "-- better"), *others))

    with pytest.raises(SchemaMismatch, match="0001_factors was edited after it was applied"):
        migrate.plan(whole, ttl_days=0)


def test_a_database_newer_than_the_code_is_refused(whole: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    *older, _ = migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: tuple(older))

    with pytest.raises(SchemaMismatch, match="this version lacks"):
        migrate.plan(whole, ttl_days=0)


@pytest.mark.exhaustive
def test_the_commands_create_check_and_exit_with_1_at_drift(
    clickhouse_server: ClickHouseSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    database = "test_sink_commands"
    words = [f"--set=clickhouse.{name}={value}" for name, value in _where(clickhouse_server, database).items()]
    store = Store(clickhouse_server)
    try:
        assert main(["tables", "check", *words]) == 3  # no such database yet
        assert "obflow tables apply" in capsys.readouterr().err
        assert main(["tables", "apply", "--json", *words]) == 0
        assert "apply migration 0001_factors" in _json(capsys)["steps"]
        assert main(["tables", "apply", "--json", *words]) == 0
        assert _json(capsys)["steps"] == []
        assert main(["tables", "check", "--json", *words]) == 0
        assert _json(capsys)["differences"] == []
        store.command(f"ALTER TABLE {database}.trades DROP COLUMN price")
        assert main(["tables", "check", "--json", *words]) == 1
        assert _json(capsys)["differences"] == ["column trades.price does not exist"]
    finally:
        store.command(f"DROP DATABASE IF EXISTS {database} SYNC")


def _where(settings: ClickHouseSettings, database: str) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "password": settings.password.get_secret_value(),
        "database": database,
    }


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(msgspec.json.decode(capsys.readouterr().out.splitlines()[-1]))


# ---- views


def at(minute: int, event: FactorEvent, **changes: Any) -> FactorEvent:
    return msgspec.structs.replace(event, received_ns=T0_NS + minute * MINUTE_NS + event.source_offset, **changes)


def event(offset: int, *, status: Status = Status.OK, mid: float | None = None, ofi_l1: float = 0.0) -> FactorEvent:
    values: list[float | None] = list(NO_FACTORS)
    if mid is not None:
        values[FACTOR_INDEX["mid"]], values[FACTOR_INDEX["ofi_l1"]] = mid, ofi_l1
    return FactorEvent(offset, offset, T0_NS, status, tuple(values))


def record(symbol: str, events: list[FactorEvent]) -> FactorRecord:
    return msgspec.structs.replace(factors(symbol, [0]), events=events)


def test_latest_factors_has_the_last_event_of_each_instrument(migrated: Store) -> None:
    records = [
        record("LATE-A", [at(0, event(1, mid=1.0)), at(1, event(2, mid=2.0))]),
        record("LATE-B", [at(0, event(3, mid=3.0)), at(0, event(4, mid=4.0))]),
    ]
    store_all(migrated, "factors", records, first=1000)

    found = migrated.query(
        "SELECT symbol, mid, source_offset FROM latest_factors WHERE symbol LIKE 'LATE-%' ORDER BY symbol"
    )
    assert found == [("LATE-A", 2.0, 2), ("LATE-B", 4.0, 4)]


def test_book_quality_counts_events_by_what_can_be_trusted(migrated: Store) -> None:
    states = [Status.OK, Status.OK, Status.THIN, Status.RESYNCING, Status.LOCKED, Status.EMPTY, Status.OK, Status.OK]
    store_all(
        migrated,
        "factors",
        [record("QUALITY", [event(n, status=status) for n, status in enumerate(states)])],
        first=2000,
    )

    found = migrated.query(
        "SELECT events, ok_ratio, thin, one_sided, crossed_or_locked, resyncing FROM book_quality "
        "WHERE symbol = 'QUALITY'"
    )
    assert found == [(8, 0.5, 1, 1, 1, 1)]


def test_feeds_say_how_long_a_book_was_live_and_how_fast_it_was_whole_again(migrated: Store) -> None:
    """LIVE from 1 to 4 s, whole again after 2 s, LIVE up to the last event at 10 s; trades took 5 and 15 ms."""
    told = [
        (0, FeedState.CONNECTING, None),
        (1, FeedState.LIVE, None),
        (4, FeedState.INVALID, Reason.GAP),
        (5, FeedState.AWAITING_SNAPSHOT, None),
        (6, FeedState.LIVE, None),
    ]
    statuses = [
        FeedStatus("binance", "FEED", Source.REPLAY, state, 1, T0_NS + second * SECOND_NS, reason=reason, run="r")
        for second, state, reason in told
    ]
    of_feed = {"venue": "binance", "symbol": "FEED", "source": Source.REPLAY, "run": "r"}
    trade = msgspec.structs.replace(load(EXAMPLES / "trades/v1/buy.json"), **of_feed)  # type: ignore[call-overload]
    trades = [
        msgspec.structs.replace(trade, received_ns=came_ns, exchange_ns=came_ns - way_ns)
        for came_ns, way_ns in ((T0_NS + 2 * SECOND_NS, 5_000_000), (T0_NS + 10 * SECOND_NS, 15_000_000))
    ]
    store_all(migrated, "feed_status", statuses, first=4000)
    store_all(migrated, "trades", trades, first=4000)

    assert migrated.query("SELECT count() FROM feeds WHERE symbol = 'FEED'") == [(1,)]
    (found,) = (row for row in stored_feeds(migrated, everything=False) if row["symbol"] == "FEED")
    assert found["live_ratio"] == 0.7
    assert (found["gaps"], found["disconnects"], found["recoveries"]) == (1, 0, 1)
    assert (found["recovery_p50_s"], found["recovery_max_s"]) == (2.0, 2.0)
    assert (found["trades"], found["latency_avg_ms"]) == (2, 10.0)
    assert (found["updates"], found["gaps_per_million"]) == (0, None)


def minute_of_feed(number: int, run: str, **told: Any) -> FeedQuality:
    began_ns = T0_NS + number * MINUTE_NS
    return FeedQuality("okx", "HOUR", Source.LIVE, began_ns, began_ns + MINUTE_NS, run=run, **told)


def test_hours_of_a_feed_add_up_over_minutes_and_producers(migrated: Store) -> None:
    """98 updates of 4 ms by one producer, two of 40 by the next; 30 of 1,000 lost; one of four tries failed."""
    first = minute_of_feed(
        0, "1", updates=98, ids_seen=960, ids_lost=0, reopened=1, clock_low_ns=-400_000_000, clock_high_ns=700_000_000,
        depth_latency_us=[4_000, 4_032], depth_latency_counts=[90, 8], depth_latency_sum_us=98 * 4_000,
    )  # fmt: skip
    second = minute_of_feed(
        1, "2", updates=2, gaps=1, ids_seen=10, ids_lost=30, reopened=2, reopen_failed=1, clock_low_ns=-100_000_000,
        clock_high_ns=900_000_000, depth_latency_us=[40_192], depth_latency_counts=[2], depth_latency_sum_us=80_000,
    )  # fmt: skip
    store_all(migrated, "feed_quality", [first, second], first=5000)
    live = FeedStatus("okx", "HOUR", Source.LIVE, FeedState.LIVE, 1, T0_NS, run="2")
    store_all(migrated, "feed_status", [live], first=4500)

    (hour,) = stored_hours(migrated)
    assert migrated.query("SELECT count() FROM feed_hours") == [(1,)]
    assert (hour["told_s"], hour["updates"], hour["gaps"], hour["loss_rate"]) == (120.0, 100, 1, 0.03)
    assert (hour["reopened"], hour["reopen_rate"]) == (3, 0.75)
    assert (hour["clock_ahead_ms"], hour["clock_within_ms"]) == (300.0, 400.0)
    latencies = [hour[f"depth_{which}_ms"] for which in ("avg", "p50", "p95", "p99")]
    assert latencies == [pytest.approx(4.72), 4.0, 4.032, 40.192]
    assert (hour["trades_measured"], hour["trade_avg_ms"], hour["trade_p99_ms"]) == (0, None, None)
    (feed,) = (row for row in stored_feeds(migrated, everything=False) if row["symbol"] == "HOUR")
    assert (feed["loss_rate"], feed["reopened"], feed["clock_ahead_ms"]) == (0.75, 2, 400.0)
    (replayed,) = (row for row in stored_feeds(migrated, everything=False) if row["symbol"] == "FEED")
    assert (replayed["loss_rate"], replayed["reopened"], replayed["clock_ahead_ms"]) == (None, None, None)


def test_factors_by_the_minute_leave_out_what_cannot_be_trusted(migrated: Store) -> None:
    events = [
        at(0, event(1, mid=10.0, ofi_l1=1.0)),
        at(0, event(2, mid=12.0, ofi_l1=2.0)),
        at(0, event(3, mid=99.0, ofi_l1=9.0, status=Status.CROSSED)),
        at(0, event(4, mid=11.0, ofi_l1=-0.5)),
        at(1, event(5, mid=7.0)),
    ]
    store_all(migrated, "factors", [record("MINUTE", events)], first=3000)

    found = migrated.query(
        "SELECT minute, events, open, high, low, close, total_ofi_l1 FROM factors_1m "
        "WHERE symbol = 'MINUTE' ORDER BY minute"
    )
    assert [(row[0].replace(tzinfo=UTC), *row[1:]) for row in found] == [
        (datetime.fromtimestamp(T0_NS / 1e9, UTC), 3, 10.0, 12.0, 10.0, 11.0, 2.5),
        (datetime.fromtimestamp((T0_NS + MINUTE_NS) / 1e9, UTC), 1, 7.0, 7.0, 7.0, 7.0, 0.0),
    ]


def test_trades_by_the_minute_sum_sizes_by_side(migrated: Store) -> None:
    trade = load(EXAMPLES / "trades/v1/buy.json")
    records = [
        msgspec.structs.replace(trade, price_ticks=ticks, size_lots=lots, received_ns=T0_NS + n)
        for n, (ticks, lots) in enumerate([(100, 1000), (130, -2000), (90, 500), (110, 500)])
    ]
    store_all(migrated, "trades", records)

    found = migrated.query(
        "SELECT trades, open, high, low, close, volume, buy_volume FROM trades_1m WHERE symbol != 'FEED'"
    )
    assert found == [(4, 10.0, 13.0, 9.0, 11.0, 4.0, 2.0)]


def test_latest_feed_status_is_what_each_feed_is_now(migrated: Store) -> None:
    states = [FeedState.CONNECTING, FeedState.LIVE, FeedState.INVALID]
    records: list[Record] = [
        FeedStatus("binance", "A", Source.LIVE, state, 1, T0_NS + n) for n, state in enumerate(states)
    ]
    records.append(FeedStatus("binance", "B", Source.LIVE, FeedState.LIVE, 1, T0_NS))
    store_all(migrated, "feed_status", records)

    found = migrated.query("SELECT symbol, state FROM latest_feed_status WHERE symbol IN ('A', 'B') ORDER BY symbol")
    assert found == [("A", "invalid"), ("B", "live")]


def test_dead_letters_by_reason_counts_a_letter_once(migrated: Store) -> None:
    letters: list[Record] = [
        DeadLetter(letter_id, "sink", reason, "no", T0_NS, b"", 0, source_topic="trades.v1")
        for letter_id, reason in [("a:0:1", "DecodeError"), ("a:0:2", "DecodeError"), ("a:0:3", "InvalidNumber")]
    ]
    store_all(migrated, "dead_letters", letters)
    store_all(migrated, "dead_letters", letters[:1], first=10)

    found = migrated.query("SELECT role, source_topic, reason, letters FROM dead_letters_by_reason ORDER BY reason")
    assert found == [("sink", "trades.v1", "DecodeError", 2), ("sink", "trades.v1", "InvalidNumber", 1)]


def judged(
    symbol: str,
    window: int,
    label: Regime,
    *,
    llm: bool = False,
    log: str = "l2logl2l",
    after_s: int = 0,
    version: int = 3,
) -> RegimeEvent:
    event = load(EXAMPLES / f"regimes/v{version}/{'llm' if llm else 'rule'}.json")
    start_ns = T0_NS + window * 5 * 10**9
    where = {"window_start_ns": start_ns, "window_end_ns": start_ns + 5 * 10**9, "source_offset": 100 + window}
    assert isinstance(event, RegimeEvent)
    known = {"decided_ns": start_ns + (5 + after_s) * 10**9}
    return msgspec.structs.replace(event, symbol=symbol, label=label, source_log=log, **where, **known)


BALANCED, VOLATILE, UNKNOWN = Regime.BALANCED, Regime.VOLATILE, Regime.UNKNOWN
FORCE: dict[str, tuple[list[tuple[int, Regime, bool]], tuple[str, int, str | None]]] = {
    # windows as (number, label, whether the model's), and then the label in force, by which window, and the model's
    "RULES-ALONE": ([(0, VOLATILE, False), (1, BALANCED, False)], ("BALANCED", 1, None)),
    "SAME-WINDOW": ([(0, BALANCED, False), (0, VOLATILE, True)], ("BALANCED", 0, "VOLATILE")),
    "NOTHING-CHANGED": (
        [(0, UNKNOWN, False), (1, BALANCED, False), (1, VOLATILE, True), (2, BALANCED, False), (3, BALANCED, False)],
        ("BALANCED", 3, "VOLATILE"),
    ),
    "RULES-CHANGED": ([(0, BALANCED, False), (0, VOLATILE, True), (1, UNKNOWN, False)], ("UNKNOWN", 1, None)),
    "CHANGED-AND-BACK": (
        [(0, BALANCED, False), (0, VOLATILE, True), (1, UNKNOWN, False), (2, BALANCED, False)],
        ("BALANCED", 2, None),
    ),
    "LAST-OF-THE-MINUTE": (
        [(0, BALANCED, False), (0, VOLATILE, True), (11, BALANCED, False)],
        ("BALANCED", 11, "VOLATILE"),
    ),
    "OVER-A-MINUTE": ([(0, BALANCED, False), (0, VOLATILE, True), (12, BALANCED, False)], ("BALANCED", 12, None)),
}


def test_the_rules_are_in_force_and_the_models_label_stands_beside_them(migrated: Store) -> None:
    windows = [(symbol, window) for symbol, (found, _) in FORCE.items() for window in found]
    store_all(migrated, "regimes", [judged(symbol, *window[:2], llm=window[2]) for symbol, window in windows])

    found = migrated.query(
        "SELECT symbol, source, label, intDiv(toUnixTimestamp64Nano(window_end), 1000000000), llm_label"
        " FROM regime_in_force"
    )
    assert {source for _, source, *_ in found} == {"rule"}
    assert {symbol: (label, (end - T0_NS // 10**9) // 5 - 1, llm) for symbol, _, label, end, llm in found} == {
        symbol: expected for symbol, (_, expected) in FORCE.items()
    }


def test_a_regime_is_known_from_its_decision_on_not_from_its_windows_end(migrated: Store) -> None:
    """Joined on its window's end the model would have known four seconds before it said so."""
    records = [
        judged("WHEN", 0, BALANCED),
        judged("WHEN", 0, VOLATILE, llm=True, after_s=4),
        judged("WHEN", 1, UNKNOWN),
        msgspec.structs.replace(judged("WHEN", 2, BALANCED), decided_ns=None),  # of a record of version 1
    ]
    store_all(migrated, "regimes", records, first=4000)

    def known(at_s: float) -> list[tuple[str, str]]:
        at = f"fromUnixTimestamp64Nano({T0_NS + int(at_s * 10**9)}, 'UTC')"
        when = f"decided_at <= {at} AND {at} < until"
        query = f"SELECT source, label FROM regime_at WHERE symbol = 'WHEN' AND {when} ORDER BY source"  # noqa: S608
        return migrated.query(query)  # type: ignore[return-value]

    assert known(4.9) == []
    assert known(5.0) == [("rule", "BALANCED")]
    assert known(8.9) == [("rule", "BALANCED")]
    assert known(9.0) == [("llm", "VOLATILE"), ("rule", "BALANCED")]
    assert known(10.0) == [("llm", "VOLATILE"), ("rule", "UNKNOWN")]
    assert known(60.0) == [("llm", "VOLATILE"), ("rule", "UNKNOWN")]


def test_both_rule_sets_and_both_prompts_lie_in_one_table_told_apart(migrated: Store) -> None:
    records = [
        judged("SETS", n, VOLATILE, llm=llm, version=version) for n, version in ((0, 2), (1, 3)) for llm in (0, 1)
    ]
    store_all(migrated, "regimes", records, first=5000)

    sets = "SELECT splitByChar('-', rule_set)[1] AS rules, source, score, confidence, p_up, outlook FROM regimes"
    assert migrated.query(f"{sets} WHERE symbol = 'SETS' ORDER BY rules, source") == [
        ("r1", "llm", None, 0.7, None, None),
        ("r1", "rule", None, 0.58, None, None),
        ("r2", "llm", None, 0.62, 0.62, "UP"),
        ("r2", "rule", 0.5798, None, None, None),
    ]
    in_force = "SELECT score, summary, llm_confidence, llm_outlook, llm_unfaithful, llm_summary FROM regime_in_force"
    new, old = records[3], records[1]
    assert migrated.query(f"{in_force} WHERE symbol = 'SETS'") == [
        (0.5798, records[2].summary, 0.62, "UP", False, new.summary)
    ]
    store_all(migrated, "regimes", [msgspec.structs.replace(each, symbol="OLD") for each in records[:2]], first=5010)
    assert migrated.query(f"{in_force} WHERE symbol = 'OLD'") == [(None, "", 0.7, None, None, old.sentence)]


def test_a_regime_of_another_log_is_no_longer_in_force(migrated: Store) -> None:
    records = [judged("RECREATED", 9, VOLATILE), judged("RECREATED", 9, VOLATILE, llm=True)]
    store_all(migrated, "regimes", records, first=1000)
    store_all(migrated, "regimes", [judged("RECREATED", 2, BALANCED, log="anotherl")], first=1010)

    found = migrated.query("SELECT label, llm_label FROM regime_in_force WHERE symbol = 'RECREATED'")
    assert found == [("BALANCED", None)]


@pytest.mark.parametrize("lack", ["whole", "usable_events"])
def test_no_regime_of_the_model_outlives_its_book(migrated: Store, lack: str) -> None:
    """While the rules warm up they say UNKNOWN of every window; that a book broke shows elsewhere."""
    first = 3000 if lack == "whole" else 3100
    before = [judged(lack, 0, UNKNOWN), judged(lack, 0, VOLATILE, llm=True)]
    broken = msgspec.structs.replace(judged(lack, 1, UNKNOWN), **{lack: False if lack == "whole" else 0})
    store_all(migrated, "regimes", [*before, broken], first=first)
    in_force = f"SELECT label, llm_label FROM regime_in_force WHERE symbol = '{lack}'"  # noqa: S608 (a name of the list)
    assert migrated.query(in_force) == [("UNKNOWN", None)]

    store_all(migrated, "regimes", [judged(lack, 2, UNKNOWN)], first=first + 10)
    assert migrated.query(in_force) == [("UNKNOWN", None)]
    store_all(migrated, "regimes", [judged(lack, 2, BALANCED, llm=True)], first=first + 20)
    assert migrated.query(in_force) == [("UNKNOWN", "BALANCED")]


def test_a_regime_of_the_run_before_is_not_in_force_where_time_began_anew(migrated: Store) -> None:
    """A recording replayed twice as it was, too short for the rules to say anything but UNKNOWN."""
    before = [judged("REPLAYED", 4, UNKNOWN), judged("REPLAYED", 4, VOLATILE, llm=True)]
    anew = msgspec.structs.replace(judged("REPLAYED", 0, UNKNOWN), source_offset=200)
    store_all(migrated, "regimes", [*before, anew], first=2000)

    found = migrated.query("SELECT label, llm_label FROM regime_in_force WHERE symbol = 'REPLAYED'")
    assert found == [("UNKNOWN", None)]


def test_a_signal_is_what_it_was_from_its_step_to_the_next_or_to_its_horizon(migrated: Store) -> None:
    opened, closed = (load(EXAMPLES / f"signals/v1/{name}.json") for name in ("open", "close"))
    assert isinstance(opened, SignalEvent)
    assert isinstance(closed, SignalEvent)
    symbol, decided_ns = "SIGNALLED", opened.decided_ns
    changes = {"symbol": symbol, "kind": opened.kind, "source_offset": 2, "decided_ns": decided_ns + 10**9}
    steps = [
        msgspec.structs.replace(opened, symbol=symbol, source_offset=1),
        msgspec.structs.replace(closed, **changes),
        msgspec.structs.replace(opened, symbol=symbol, source_offset=3, decided_ns=decided_ns + 20 * 10**9),
    ]
    store_all(migrated, "signals", steps, first=5000)

    once = migrated.query("SELECT action FROM signals_once WHERE symbol = 'SIGNALLED' ORDER BY source_offset")
    assert once == [("open",), ("close",), ("open",)]
    found = migrated.query(
        "SELECT state, toInt64(dateDiff('millisecond', decided_at, until)) FROM signal_at WHERE symbol = 'SIGNALLED' "
        "ORDER BY decided_at"
    )
    side = opened.side.value
    assert found == [(side, 1_000), ("flat", 19_000), (side, opened.horizon_ms)]


def test_an_anomaly_counts_once(migrated: Store) -> None:
    opened = load(EXAMPLES / "anomalies/v1/open.json")
    store_all(migrated, "anomalies", [msgspec.structs.replace(opened, symbol="ODD")], first=6000)  # type: ignore[call-overload]
    assert migrated.query("SELECT count() FROM anomalies_once WHERE symbol = 'ODD'") == [(1,)]


def test_every_view_is_queried_by_a_test() -> None:
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))

    assert [view.name for view in migrate.views() if f"FROM {view.name}" not in tests] == []


@pytest.mark.exhaustive
def test_the_doctor_names_what_the_tables_lack_and_the_command_that_mends_it(
    empty: Store, clickhouse: ClickHouseSettings
) -> None:
    settings = Settings(clickhouse=clickhouse)
    (before,) = table_checks(settings)
    assert not before.ok
    assert before.detail.startswith("not done: apply migration 0001")
    assert before.remedy == "`obflow tables apply` mends this, `obflow tables check` says more"
    migrate.apply(empty, ttl_days=7)
    assert table_checks(settings) == [Check("tables", True, f"all {len(TABLES)} as declared")]
    empty.command("ALTER TABLE trades DROP COLUMN side")
    (drifted,) = table_checks(settings)
    assert (drifted.ok, drifted.detail) == (False, "column trades.side does not exist")


def test_without_a_database_the_tables_are_unknown_and_not_well() -> None:
    (finding,) = table_checks(Settings(clickhouse=ClickHouseSettings(port=1)))
    assert finding == Check("tables", False, "not known while no ClickHouse answers")
