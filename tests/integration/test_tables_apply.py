"""`obflow tables apply` makes what is missing, whatever the ledger says, and leaves alone what is not obflow's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from obflow.settings import ClickHouseSettings, Settings
from schemas.errors import SchemaMismatch
from sinks import migrate
from sinks.checks import table_checks
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.made_tables import make_tables
from tests.integration.sinking import opened
from tests.integration.test_sink_tables import store_all
from tests.schemas.examples import EXAMPLES, load
from tests.support.tiers import tiered

pytestmark = [pytest.mark.integration, pytest.mark.new_database]

OURS = [*TABLES, "log_holes", "dropped_runs"]
LATER = migrate.Script(
    "migration",
    "9999_later",
    "ALTER TABLE trades ADD COLUMN IF NOT EXISTS fee Nullable(Float64) COMMENT 'fee, in [quote]' AFTER size;",
)


@pytest.fixture(scope="module")
def where(clickhouse_server: ClickHouseSettings) -> Iterator[ClickHouseSettings]:
    """One database for all faults that `apply` mends: each test leaves it whole, and says so."""
    settings = clickhouse_server.model_copy(update={"database": "test_tables_apply"})
    migrate.create_database(settings)
    yield settings
    with opened(clickhouse_server) as server:
        server.command("DROP DATABASE test_tables_apply SYNC")


@pytest.fixture
def store(where: ClickHouseSettings) -> Iterator[Store]:
    with opened(where) as found:
        migrate.apply(found, ttl_days=0)
        yield found


def shape(store: Store) -> dict[str, object]:
    """Everything of the database that `apply` answers for: columns, indexes, projections, views."""
    columns = store.query("SELECT table, name, type, comment FROM system.columns WHERE database = currentDatabase()")
    indexes = store.query("SELECT table, name FROM system.data_skipping_indices WHERE database = currentDatabase()")
    projections = store.query("SELECT table, name FROM system.projections WHERE database = currentDatabase()")
    objects = store.query("SELECT name, engine, sorting_key FROM system.tables WHERE database = currentDatabase()")
    return {
        "columns": set(columns),
        "indexes": set(indexes),
        "projections": set(projections),
        "objects": set(objects),
    }


def test_databases_that_tests_copy_are_those_that_migrations_make(store: Store, clickhouse: ClickHouseSettings) -> None:
    make_tables(clickhouse)
    with opened(clickhouse) as copied:
        assert shape(copied) == shape(store)
        assert written(copied) == written(store)
        assert migrate.apply(copied, ttl_days=0) == []


def written(store: Store) -> dict[str, str]:
    """Each table and view as the engine would write it, whatever its database is called."""
    rows = store.query(
        "SELECT name, replaceAll(create_table_query, currentDatabase() || '.', '') FROM system.tables"
        " WHERE database = currentDatabase()"
    )
    return dict(rows)


def apply_thrice(store: Store) -> None:
    """Do what the advice says once, then again and again: only the first time may find something to do."""
    assert migrate.apply(store, ttl_days=0)
    assert migrate.apply(store, ttl_days=0) == migrate.apply(store, ttl_days=0) == []


FAULTS: dict[str, tuple[str, ...]] = {
    **{f"the table {name}": (f"DROP TABLE {name}",) for name in OURS},
    **{f"the view {view.name}": (f"DROP VIEW {view.name}",) for view in migrate.views()},
    "every table and view": tuple(f"DROP TABLE {name}" for name in (*OURS, *(v.name for v in migrate.views()))),
    "the ledger": ("DROP TABLE migrations",),
    "the ledger's rows": ("TRUNCATE TABLE migrations",),
    "the ledger and a table": ("DROP TABLE migrations", "DROP TABLE trades"),
    "a column": ("ALTER TABLE trades DROP COLUMN price",),
    "the first column after the key": (
        "ALTER TABLE factors DROP PROJECTION runs",
        "ALTER TABLE factors DROP COLUMN source",
    ),
    "several columns of several tables": (
        "ALTER TABLE factors DROP COLUMN mid, DROP COLUMN spread",
        "ALTER TABLE regimes DROP COLUMN cost_usd",
        "ALTER TABLE dead_letters DROP COLUMN payload_bytes",
        "ALTER TABLE log_holes DROP COLUMN topic",
    ),
    "a column and the ledger": ("ALTER TABLE trades DROP COLUMN price", "TRUNCATE TABLE migrations"),
    "a projection and an index": (
        "ALTER TABLE trades DROP PROJECTION resume",
        "ALTER TABLE trades DROP INDEX ix_received",
    ),
    "a note of one migration and its table": (
        "ALTER TABLE migrations DELETE WHERE name = '0002_trades' SETTINGS mutations_sync = 1",
        "DROP TABLE trades",
    ),
}

QUICK = ("the table factors", "the ledger and a table", "several columns of several tables")
"""What `make test` takes away: one of each sort; `make test-all` every one."""


@pytest.mark.parametrize("fault", tiered(FAULTS, *QUICK))
def test_whatever_is_missing_is_made_again_as_it_was(store: Store, where: ClickHouseSettings, fault: str) -> None:
    whole = shape(store)
    for statement in FAULTS[fault]:
        store.command(statement)
    [found] = table_checks(Settings(clickhouse=where))
    assert not found.ok
    assert "obflow tables apply" in found.remedy

    apply_thrice(store)
    assert shape(store) == whole
    assert migrate.drift(store) == []
    [mended] = table_checks(Settings(clickhouse=where))
    assert mended.ok, mended


def test_what_other_tables_hold_stays_when_one_is_made_again(store: Store) -> None:
    store_all(store, "trades", [load(EXAMPLES / "trades/v1/buy.json")])
    store.command("CREATE TABLE mine (a UInt8) ENGINE = MergeTree ORDER BY a")
    store.command("INSERT INTO mine SELECT 1")
    store.command("ALTER TABLE trades ADD COLUMN noted String DEFAULT 'mine'")
    store.command("DROP TABLE factors")
    store.command("ALTER TABLE trades DROP COLUMN side")
    apply_thrice(store)

    assert store.query("SELECT trade_id, noted, side FROM trades") == [("5266583935", "mine", "")]
    assert store.query("SELECT * FROM mine") == [(1,)]
    assert store.query("SELECT count() FROM factors") == [(0,)]


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("trades", "TABLE trades (a UInt8) ENGINE = MergeTree ORDER BY a"),
        ("trades", "VIEW trades AS SELECT 7 AS a"),
        ("trades_1m", "TABLE trades_1m (a UInt8) ENGINE = MergeTree ORDER BY a"),
        ("migrations", "TABLE migrations (a UInt8) ENGINE = MergeTree ORDER BY a"),
    ],
)
def test_what_is_not_obflows_is_named_and_never_touched(
    store: Store, where: ClickHouseSettings, name: str, planted: str
) -> None:
    for statement in (f"DROP TABLE {name}", f"CREATE {planted}", "DROP TABLE llm_calls"):
        store.command(statement)
    if planted.startswith("TABLE"):
        store.command(f"INSERT INTO {name} SELECT 7")
    before = shape(store)
    for act in (lambda: migrate.apply(store, ttl_days=0), lambda: table_checks(Settings(clickhouse=where))):
        with pytest.raises(SchemaMismatch, match=rf"has a table {name} .*clickhouse\.database"):
            act()

    assert shape(store) == before
    assert store.query(f"SELECT a FROM {name}") == [(7,)]  # noqa: S608
    store.command(f"DROP TABLE {name}")


@pytest.mark.exhaustive
def test_a_migration_that_comes_later_is_part_of_the_newest_shape(
    clickhouse: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = migrate.migrations()
    make_tables(clickhouse)
    with opened(clickhouse) as store:
        monkeypatch.setattr(migrate, "migrations", lambda: (*committed, LATER))
        first, *others = [step.what for step in migrate.apply(store, ttl_days=0)]
        assert first == "apply migration 9999_later"
        assert "replace view trades_once" in others  # the database keeps the columns that a view was made with
        assert store.query("SELECT fee FROM trades_once") == []
        whole = shape(store)
        for fault in ("DROP TABLE trades", "ALTER TABLE trades DROP COLUMN fee", "TRUNCATE TABLE migrations"):
            store.command(fault)
            apply_thrice(store)
            assert shape(store) == whole, fault


def test_a_migration_not_yet_applied_to_a_table_that_is_missing_finds_it_made(
    clickhouse: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = migrate.migrations()
    make_tables(clickhouse)
    with opened(clickhouse) as store:
        store.command("DROP TABLE trades")
        monkeypatch.setattr(migrate, "migrations", lambda: (*committed, LATER))
        apply_thrice(store)

        assert ("COLUMN", "fee") in migrate._elements(store)["trades"]


@pytest.mark.exhaustive
def test_a_migration_that_stopped_half_way_is_finished(
    clickhouse: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "CREATE TABLE IF NOT EXISTS {} (a UInt8 COMMENT 'a') ENGINE = MergeTree ORDER BY a;\n"
    script = migrate.Script("migration", "9999_two", text.format("one") + text.format("two"))
    committed = migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: (*committed, script))
    with opened(clickhouse) as store:
        send = store.command
        for done in range(
            3
        ):  # statements of it that were sent before the crash: none, the first, both without the note
            fate = iter([True] * done)

            def dies(
                statement: str, parameters: Mapping[str, object] | None = None, fate: Iterator[bool] = fate
            ) -> None:
                of_it = statement in script.statements or "9999_two" in (parameters or {}).values()
                if of_it and not next(fate, False):
                    raise KeyboardInterrupt
                send(statement, parameters)

            monkeypatch.setattr(store, "command", dies)
            with pytest.raises(KeyboardInterrupt):
                migrate.apply(store, ttl_days=0)
            monkeypatch.setattr(store, "command", send)
            apply_thrice(store)
            assert store.query("SELECT count() FROM one, two") == [(0,)]
            for statement in ("DROP TABLE one", "DROP TABLE two", "TRUNCATE TABLE migrations"):
                send(statement)
