"""Migrations are numbered, whole and idempotent; an age limit never makes the sink forget."""

from obflow.settings import KafkaSettings, Settings
from schemas.topics import NO_LIMIT_MS
from sinks.migrate import Script, age_limit_days, migrations, ttl_days_of, views
from sinks.settings import SinkSettings
from sinks.tables import TABLES

REPEATABLE = ("IF NOT EXISTS", "IF EXISTS", " COMMENT COLUMN ", " MATERIALIZE PROJECTION ")


def test_migrations_are_numbered_from_one() -> None:
    assert [script.name[:4] for script in migrations()] == [f"{n:04d}" for n in range(1, len(migrations()) + 1)]


def test_every_migration_statement_can_be_applied_twice() -> None:
    for script in migrations():
        for statement in script.statements:
            assert any(words in statement for words in REPEATABLE), (script.name, statement)


def test_every_view_replaces_itself_and_is_named_as_its_file() -> None:
    for view in views():
        [statement] = view.statements
        assert f"CREATE OR REPLACE VIEW {view.name} AS" in statement


def test_a_view_comes_behind_those_that_it_reads() -> None:
    names = [view.name for view in views()]

    assert names.index("runs") < names.index("factors_once") < names.index("factors_1m")


def test_a_script_is_split_into_statements_and_its_digest_follows_its_text() -> None:
    script = Script("migration", "0001_x", "-- why\nCREATE a;\n\nALTER b;\n")

    assert script.statements == ["-- why\nCREATE a", "ALTER b"]
    assert script.digest != script._replace(text="CREATE a;").digest


def test_rows_stay_at_least_as_long_as_their_records_can_be_read() -> None:
    for one in TABLES.values():
        assert age_limit_days(one, 0) == 0
        if one.topic.retention_ms == NO_LIMIT_MS:
            assert age_limit_days(one, 1) == 0, "its log is read from the start whenever there is no table"
            continue
        assert age_limit_days(one, 1) * 24 * 3600 * 1000 > one.topic.retention_ms
        assert age_limit_days(one, 365) == 365


def test_rows_stay_as_long_as_any_topic_is_set_to_keep_its_records() -> None:
    def of(ttl_days: int, **options: str) -> int:
        given = {name.replace("__", "/").replace("_", "."): value for name, value in options.items()}
        settings = Settings(kafka=KafkaSettings(topic_options={f"*/{name}": value for name, value in given.items()}))
        chosen = settings.of(SinkSettings).model_copy(update={"ttl_days": ttl_days})
        return ttl_days_of(settings.model_copy(update={"sink": chosen}))

    assert (of(0), of(30)) == (0, 30)
    assert of(1, retention_ms=str(40 * 24 * 3600 * 1000)) == 41
    assert of(1, retention_ms="-1") == 0
