"""Brings the database to the shape the code expects, and says where it has another.

Migrations are numbered SQL files, append-only: the only place where columns are created. Each is applied once and noted
in the ledger with its digest; its statements are idempotent, so that a crash between the two is mended by applying it
again. The ledger says what was done, not what is there: a table, column, index, projection or view that is missing is
made again at its newest shape. Views are replaced when their text changes. A table's age limit follows the settings.
A second `apply` finds nothing to do; `check` says what it would do, and what it must not do by itself.

What obflow did not make is left alone: where a table of that name is ordered otherwise, or stands where a view
belongs, nothing at all is done.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from obflow.settings import ClickHouseSettings, Settings
from obflow.settings.topic_options import options_of
from schemas.errors import SchemaMismatch
from schemas.topics import NO_LIMIT_MS
from schemas.units import MS_PER_DAY
from sinks.contract import Table
from sinks.describe import comment_view
from sinks.migrate_scripts import Script as Script
from sinks.migrate_scripts import migrations, ordered_views
from sinks.settings import SinkSettings
from sinks.shape import COLUMN, INDEX, PROJECTION, TableShape, added_by, shapes, target
from sinks.store import SERVER_DATABASE, Store
from sinks.tables import TABLES

LEDGER: Final = "migrations"
CREATE_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS migrations (
    kind LowCardinality(String) COMMENT 'migration or view',
    name String COMMENT 'the file''s name',
    digest String COMMENT 'SHA-256 of its text as applied',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'when'
)
ENGINE = MergeTree
ORDER BY (kind, name, applied_at)
"""
CONSTRAINT: Final = re.compile(r"\bCONSTRAINT (`[^`]+`|\w+) (?:CHECK|ASSUME)")
AGE_LIMIT: Final = re.compile(r" TTL (.*?) SETTINGS ")
DAYS: Final = re.compile(r"toIntervalDay\((\d+)\)")
SECONDS_PER_DAY: Final = MS_PER_DAY // 1000
ALONE: Final = "is in the database alone"
DOES_NOT_EXIST: Final = "does not exist"
NO_TABLE: Final = f"table {{}} {DOES_NOT_EXIST}"
NO_COLUMN: Final = f"column {{}}.{{}} {DOES_NOT_EXIST}"
OTHER_TYPE: Final = (
    "no column's type is changed, for that could lose values: rename the table (RENAME TABLE … TO …_before) and run "
    "`obflow tables apply`, which makes it anew; the sink then fills it from the log"
)
APART: Final = "set clickhouse.database to one of obflow's own"
ELEMENTS: Final = (
    f"SELECT table, '{COLUMN}', name FROM system.columns WHERE database = currentDatabase() "  # noqa: S608 (our own words)
    f"UNION ALL SELECT table, '{INDEX}', name FROM system.data_skipping_indices WHERE database = currentDatabase() "
    f"UNION ALL SELECT table, '{PROJECTION}', name FROM system.projections WHERE database = currentDatabase()"
)


class Step(NamedTuple):
    """One thing `apply` does.

    Attributes:
        what: The step as a sentence.
        statements: What is sent for it, in order.
        script: The file to note in the ledger, if it is one.
        mends: The sentence of `drift` that is true no longer afterwards, if there is one.
        ages: Whether it only sets an age limit.
    """

    what: str
    statements: tuple[str, ...]
    script: Script | None = None
    mends: str = ""
    ages: bool = False


class Found(NamedTuple):
    """What the database holds under its name now.

    Attributes:
        engine: `View`, or a table's engine.
        sorted_by: A table's sorting key.
    """

    engine: str
    sorted_by: str


def views() -> tuple[Script, ...]:
    """The committed views, each behind those that it reads."""
    return ordered_views(migrations())


def create_database(settings: ClickHouseSettings) -> None:
    """Create the database of the settings where it does not exist.

    Raises:
        StoreUnreachable: No ClickHouse answers.
        QueryFailed: The user may not.
    """
    server = Store(settings, database=SERVER_DATABASE)
    try:
        server.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", {"name": settings.database})
    finally:
        server.close()


def plan(store: Store, ttl_days: int) -> list[Step]:
    """What has to be done to the database, in order. Changes nothing.

    Args:
        store: The database to look at.
        ttl_days: Age at which rows are deleted; 0 keeps them.

    Raises:
        SchemaMismatch: A migration was edited after it was applied, the database is newer than the code, or something
            in it has a name of ours and is not ours.
    """
    existing = _objects(store)
    _refuse_foreign(existing)
    applied = _ledger(store, existing)
    _refuse_rewritten(applied)
    steps = [step for script in migrations() for step in _script_steps(script, applied, existing)]
    steps += _additions(store, applied, existing)
    steps += [step for table in TABLES.values() if (step := _age_step(store, table, ttl_days))]
    for view in views():
        if applied.get(("view", view.name)) != view.digest or view.name not in existing:
            steps.append(Step(f"replace view {view.name}", tuple(view.statements), view))
    return steps


def apply(store: Store, ttl_days: int) -> list[Step]:
    """Do what `plan` says and return what was done."""
    steps = plan(store, ttl_days)
    store.command(CREATE_LEDGER)
    for step in steps:
        for statement in step.statements:
            store.command(statement)
        if step.script:
            if step.script.kind == "view":
                comment_view(store, step.script)
            _note(store, step.script)
    return steps


def drift(store: Store, tables: Iterable[Table[Any]] = TABLES.values()) -> list[str]:
    """Where the tables differ from the code, a sentence each: their columns, and constraints that may refuse rows."""
    return [sentence for table in tables for sentence in (*lacking(store, table), *_unknown(store, table))]


def lacking(store: Store, table: Table[Any]) -> list[str]:
    """What keeps rows from being inserted, a sentence each; columns that only the database knows do not."""
    found = _columns(store, table)
    if not found:
        return [NO_TABLE.format(table.name)]
    sentences = []
    for name, kind, _ in table.columns:
        if name not in found:
            sentences.append(NO_COLUMN.format(table.name, name))
        elif found[name] != kind:
            sentences.append(f"column {table.name}.{name} is {found[name]}, not {kind}")
    return sentences


def missing(store: Store, names: Iterable[str]) -> list[str]:
    """Which of these tables do not exist, a sentence each."""
    existing = _objects(store)
    return [NO_TABLE.format(name) for name in names if name not in existing]


def advice(sentences: Iterable[str]) -> str:
    """What mends the differences that `drift`, `lacking` and `missing` name."""
    makes_anew = all(sentence.endswith(DOES_NOT_EXIST) for sentence in sentences)
    return "`obflow tables apply` mends this, `obflow tables check` says more" if makes_anew else OTHER_TYPE


def ttl_days_of(settings: Settings) -> int:
    """Age at which rows are deleted, by the settings; 0 keeps them.

    The limit is never below what any topic is set to keep, by `kafka.topic_options`: a table remembers what was read.
    """
    ttl_days = settings.of(SinkSettings).ttl_days
    given = [options_of(table.topic, settings.kafka.topic_options).get("retention.ms") for table in TABLES.values()]
    kept_ms = [int(value) for value in given if value is not None]
    if not ttl_days or -1 in kept_ms:
        return 0
    return max([ttl_days, *(-(-value // MS_PER_DAY) + 1 for value in kept_ms)])


def age_limit_days(table: Table[Any], ttl_days: int) -> int:
    """Age limit of a table; 0 is none.

    The table is the sink's memory of what it has read, so that no row may go while its record can still be read:
    the limit is never below the topic's retention and a day, and there is none where the topic keeps for ever.
    """
    if table.topic.retention_ms == NO_LIMIT_MS:
        return 0
    retention_days = -(-table.topic.retention_ms // MS_PER_DAY)
    return max(ttl_days, retention_days + 1) if ttl_days else 0


def _script_steps(
    script: Script, applied: Mapping[tuple[str, str], str], existing: Mapping[str, Found]
) -> Iterator[Step]:
    """A migration that was not applied; of one that was, what it did to tables that are missing."""
    if ("migration", script.name) not in applied:
        yield Step(f"apply migration {script.name}", tuple(script.statements), script)
        return
    for table in sorted({target(statement) for statement in script.statements} - existing.keys() - {""}):
        again = tuple(statement for statement in script.statements if target(statement) == table)
        what = f"apply migration {script.name} to {table} again, which is missing"
        yield Step(what, again, mends=NO_TABLE.format(table))


def _additions(store: Store, applied: Mapping[tuple[str, str], str], existing: Mapping[str, Found]) -> Iterator[Step]:
    """What existing tables lack of their newest shape, but for what migrations to be applied add to them."""
    pending = [script for script in migrations() if ("migration", script.name) not in applied]
    coming = added_by(statement for script in pending for statement in script.statements)
    found = _elements(store)
    for shape in (shape for shape in _shapes().values() if shape.table in existing):
        for element, statements in shape.additions(found[shape.table]):
            kind, name, _ = element
            if (shape.table, kind, name) in coming:
                continue
            what = f"add {kind.lower()} {shape.table}.{name}, which is missing"
            if kind == COLUMN:
                what += ": rows stored so far hold its default"
            yield Step(what, statements, mends=NO_COLUMN.format(shape.table, name) if kind == COLUMN else "")


def _shapes() -> dict[str, TableShape]:
    return shapes(statement for script in migrations() for statement in script.statements)


def _refuse_foreign(existing: Mapping[str, Found]) -> None:
    ours = {LEDGER: shapes([CREATE_LEDGER])[LEDGER], **_shapes()}
    for name, found in existing.items():
        if name in ours and not found.sorted_by.startswith(ours[name].sorted_by):
            is_what = f"ordered by {found.sorted_by}" if found.sorted_by else f"of the kind {found.engine}"
            raise SchemaMismatch(
                f"the database has a table {name} that obflow did not make ({is_what})", next_step=APART
            )
        if name in {view.name for view in views()} and found.engine != "View":
            raise SchemaMismatch(f"the database has a table {name} where a view of obflow belongs", next_step=APART)


def _ledger(store: Store, existing: Mapping[str, Found]) -> dict[tuple[str, str], str]:
    if LEDGER not in existing:
        return {}
    rows = store.query("SELECT kind, name, argMax(digest, applied_at) FROM migrations GROUP BY kind, name")
    return {(kind, name): digest for kind, name, digest in rows}


def _refuse_rewritten(applied: dict[tuple[str, str], str]) -> None:
    committed = {script.name: script.digest for script in migrations()}
    for (kind, name), digest in sorted(applied.items()):
        if kind != "migration":
            continue
        if name not in committed:
            raise SchemaMismatch(
                f"the database has migration {name}, which this version lacks", next_step="upgrade obflow"
            )
        if committed[name] != digest:
            raise SchemaMismatch(
                f"migration {name} was edited after it was applied",
                next_step="restore the file and add a new migration",
            )


def _note(store: Store, script: Script) -> None:
    store.command(
        "INSERT INTO migrations (kind, name, digest) SELECT {kind:String}, {name:String}, {digest:String}",
        {"kind": script.kind, "name": script.name, "digest": script.digest},
    )


def _objects(store: Store) -> dict[str, Found]:
    rows = store.query("SELECT name, engine, sorting_key FROM system.tables WHERE database = currentDatabase()")
    return {name: Found(engine, sorted_by) for name, engine, sorted_by in rows}


def _elements(store: Store) -> dict[str, set[tuple[str, str]]]:
    """Kind and name of every column, index and projection, by table."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for table, kind, name in store.query(ELEMENTS):
        found[table].add((kind, name))
    return found


def _age_step(store: Store, table: Table[Any], ttl_days: int) -> Step | None:
    engine = _engine(store, table)
    days = age_limit_days(table, ttl_days)
    found = AGE_LIMIT.search(engine)
    now = found.group(1) if found else ""
    wanted = f"toDateTime(stored_at) + toIntervalDay({days})" if days else ""
    if now == wanted:
        return None
    if not days:
        return Step(f"keep the rows of {table.name} for ever", (f"ALTER TABLE {table.name} REMOVE TTL",), ages=True)
    what = f"delete rows of {table.name} {days} days after they were stored"
    return Step(what, (f"ALTER TABLE {table.name} MODIFY TTL {wanted}",), ages=True)


def _engine(store: Store, table: Table[Any]) -> str:
    rows = store.query(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
        {"name": table.name},
    )
    return str(rows[0][0]) if rows else ""


def age_limit_of(store: Store, table: Table[Any]) -> int:
    """Age at which the database deletes rows of a table, as it stands there, seconds; 0 where it keeps them."""
    found = AGE_LIMIT.search(_engine(store, table))
    days = DAYS.search(found.group(1)) if found else None
    return int(days.group(1)) * SECONDS_PER_DAY if days else 0


def _unknown(store: Store, table: Table[Any]) -> list[str]:
    known = {column.name for column in table.columns}
    columns = [f"column {table.name}.{name} {ALONE}" for name in _columns(store, table) if name not in known]
    rows = store.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
        {"name": table.name},
    )
    constraints = CONSTRAINT.findall(str(rows[0][0])) if rows else []
    return [*columns, *(f"constraint {table.name}.{name.strip('`')} {ALONE}" for name in constraints)]


def _columns(store: Store, table: Table[Any]) -> dict[str, str]:
    rows = store.query(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {name:String} "
        "ORDER BY position",
        {"name": table.name},
    )
    return dict(rows)
