"""Every table keeps the same promises: columns as declared, rows to the bit, one copy, its names documented."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from importlib import resources
from typing import Any

import msgspec
import pytest

from schemas.codec import encode
from schemas.logs import Position
from schemas.messages import Record
from schemas.topics import TOPICS
from sinks import migrate
from sinks.batching import Entry, RowBatch
from sinks.contract import IDENTITY_COLUMNS, SINK_COLUMNS, Row, Table, selection
from sinks.identities import Identities
from sinks.resume import stored_identities, stored_offsets, stored_positions, stored_rows
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.backends import choose
from tests.integration.clickhouse_backend import clickhouse_of
from tests.schemas.examples import example_files, load
from tests.sinks.records import entry, factors, origin_of
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration
tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
identified = pytest.mark.parametrize(
    "table", [table for table in TABLES.values() if table.identified], ids=lambda table: table.name
)


@pytest.fixture(scope="module")
def migrated() -> Iterator[Store]:
    """A migrated database of this file's own."""
    with clickhouse_of(choose()) as server:
        settings = server.model_copy(update={"database": f"contract_{uuid.uuid4().hex[:12]}"})
        migrate.create_database(settings)
        store = Store(settings)
        migrate.apply(store, ttl_days=0)
        yield store
        store.command("DROP DATABASE {name:Identifier} SYNC", {"name": settings.database})
        store.close()


@pytest.fixture
def store(migrated: Store) -> Store:
    """The same with empty tables."""
    for name in TABLES:
        migrated.command("TRUNCATE TABLE {name:Identifier}", {"name": name})
    return migrated


def examples(table: Table[Any]) -> list[Record]:
    """The committed examples of the table's record, and variants with every optional value missing."""
    found = [load(path) for path in example_files() if path.parents[1].name == table.topic.record]
    optional = {
        field.name: None
        for field in msgspec.structs.fields(table.record)
        if field.default is None and field.name in {"exchange_ns", "reason", "sequence"}
    }
    without = [msgspec.structs.replace(record, **optional) for record in found] if optional else []
    return [*found, *without]


def batch_of(table: Table[Any], records: list[Record], *, first: int = 0) -> RowBatch:
    batch = RowBatch(table)
    for offset, record in enumerate(records, start=first):
        position = Position("readread", 3, offset)
        batch.passed(position, 0.0)
        rows = table.read(encode(record), position)
        if rows:
            batch.add(Entry(position, rows, b"", 0, origin_of(position)))
    return batch


def insert(store: Store, batch: RowBatch, *, token: str = "", stored_ns: int = 1_763_700_000_000_000_000) -> None:
    store.insert(batch.table.name, batch.arrow(stored_ns), token or uuid.uuid4().hex)


def bits(row: Row) -> tuple[object, ...]:
    return tuple(map(_bits, row))


def _bits(value: object) -> object:
    """A value that compares bit by bit, and can be part of a set."""
    if isinstance(value, list):
        return tuple(map(_bits, value))
    return struct.pack(">d", value) if isinstance(value, float) else value


def test_every_table_has_a_file_a_migration_and_a_topic_that_names_the_sinks() -> None:
    files = {path.name for path in (resources.files("sinks") / "tables").iterdir() if path.name.endswith(".py")}
    created = {script.name[5:] for script in migrate.migrations()}

    assert files - {"__init__.py"} == {f"{name}.py" for name in TABLES}
    assert created >= set(TABLES)
    assert {table.topic for table in TABLES.values()} == {topic for topic in TOPICS if "sinks" in topic.read_by}
    assert all(name == table.name for name, table in TABLES.items())


@tables
def test_column_names_are_unique_and_end_with_the_sinks_own(table: Table[Any]) -> None:
    names = [column.name for column in table.columns]

    assert len(set(names)) == len(names)
    assert table.columns[-len(SINK_COLUMNS) :] == SINK_COLUMNS
    assert (set(IDENTITY_COLUMNS) <= set(table.columns)) == table.identified


@tables
def test_the_database_describes_the_table_as_the_code_does(store: Store, table: Table[Any]) -> None:
    described = store.query("DESCRIBE TABLE {t:Identifier}", {"t": table.name})

    assert {(row[0], row[1]) for row in described} == {(column.name, column.kind) for column in table.columns}
    assert [row[0] for row in described if not row[4]] == [], "a column without a comment"


@tables
def test_rows_come_back_bit_for_bit(store: Store, table: Table[Any]) -> None:
    records = examples(table)
    batch = batch_of(table, records if table.identified else records[:1])  # equal letters are replaced
    insert(store, batch)
    given = [row for entry in batch.entries for row in entry.rows]

    assert sorted(map(repr, map(bits, read_back(store, table)))) == sorted(map(repr, map(bits, given)))


def read_back(store: Store, table: Table[Any]) -> list[Row]:
    """Every row, without the sink's columns, binary where the table holds bytes."""
    final = "" if table.identified else " FINAL"
    binary = [column.name for column in table.row_columns if str(column.arrow) == "binary"]
    statement = f"SELECT {selection(table)} FROM {table.name}{final}"  # noqa: S608 (our own names)
    rows = store.query(statement, formats={"String": "bytes"} if binary else {})
    if not binary:
        return rows
    names = [column.name for column in table.row_columns]
    return [
        tuple(
            value.decode() if isinstance(value, bytes) and name not in binary else value
            for name, value in zip(names, row, strict=True)
        )
        for row in rows
    ]


@tables
def test_sending_one_insert_twice_under_its_token_stores_it_once(store: Store, table: Table[Any]) -> None:
    batch = batch_of(table, examples(table)[:1])
    token = uuid.uuid4().hex
    insert(store, batch, token=token)
    insert(store, batch, token=token)

    assert store.query("SELECT count() FROM {t:Identifier}", {"t": table.name}) == [(batch.rows,)]


@identified
def test_reading_the_log_again_adds_nothing(store: Store, table: Table[Any]) -> None:
    batch = batch_of(table, examples(table)[:1])
    insert(store, batch)
    again = batch_of(table, examples(table)[:1])
    identities = Identities(table, stored_identities(store, table))

    assert [identities.sort(entry.rows).new for entry in again.entries] == [[]]
    assert stored_positions(store, table) == {("readread", 3): 0}


@identified
def test_stored_rows_are_found_by_their_stream_and_no_others(store: Store, table: Table[Any]) -> None:
    """By what a sink looks for a record that was sent again, and a restore for rows that are gone."""
    batch = batch_of(table, examples(table)[:1])
    insert(store, batch)
    rows = batch.entries[0].rows
    stream, offsets = table.stream(rows[0]), {table.source_offset(row) for row in rows}

    assert stored_rows(store, table, rows).keys() == offsets
    assert stored_offsets(store, table, stream, min(offsets), max(offsets)) == offsets
    assert stored_offsets(store, table, stream._replace(log="another1"), min(offsets), max(offsets)) == set()


def test_a_letter_written_twice_is_read_once_even_months_apart(store: Store) -> None:
    table = TABLES["dead_letters"]
    batch = batch_of(table, examples(table)[:1])
    for months in range(2):
        insert(store, batch, stored_ns=(1_763_700_000 + months * 31 * 86_400) * 10**9)

    assert store.query("SELECT count() FROM dead_letters") == [(2,)]
    assert store.query("SELECT count() FROM dead_letters FINAL") == [(1,)]
    assert store.query("SELECT letters FROM dead_letters_by_reason") == [(1,)]


@pytest.mark.parametrize("table", tiered(TABLES.values(), TABLES["factors"], TABLES["trades"]), ids=TABLES)
def test_one_insert_is_one_part(store: Store, table: Table[Any]) -> None:
    """What an insert stores is stored as a whole or not at all only if it is a single part."""
    batch = RowBatch(table)
    [record, *_] = examples(table)
    payload = encode(record)
    for offset in range(30_000):
        position = Position("readread", offset % 8, offset)
        batch.add(Entry(position, table.read(payload, position), payload, 0, origin_of(position)))
    insert(store, batch)

    parts = store.query(
        "SELECT min(min_block_number) = max(max_block_number) FROM system.parts "
        "WHERE database = currentDatabase() AND table = {t:String} AND active AND rows",
        {"t": table.name},
    )
    assert parts == [(1,)]


@identified
def test_positions_and_identities_are_answered_by_projections(store: Store, table: Table[Any]) -> None:
    insert(store, batch_of(table, examples(table)))
    for projection, keys, value in (
        ("resume", "k_log, k_part", "k_off"),
        ("identities", ", ".join((*table.owner_columns, "source_log", "source_partition")), "source_offset"),
    ):
        found = store.query(
            f"SELECT {keys}, max({value}) FROM {table.name} GROUP BY {keys} "  # noqa: S608 (our own names)
            f"SETTINGS force_optimize_projection = 1, force_optimize_projection_name = '{projection}'"
        )
        assert found


def test_old_records_replayed_today_are_in_todays_partition(store: Store) -> None:
    """Partitions and age limits go by when a row was stored: a recording of last year is not deleted on arrival."""
    table = TABLES["factors"]
    batch = RowBatch(table)
    for offset in range(3):
        batch.add(entry(Position("readread", 0, offset), factors("X", [offset])))
    insert(store, batch)

    found = store.query(
        "SELECT DISTINCT partition FROM system.parts WHERE database = currentDatabase() AND active AND rows"
    )
    assert ("202511",) in found
