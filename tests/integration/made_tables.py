"""Databases with every table and view, made at an eighth of what the migrations cost, and handed on from test to test.

The migrations make one database a session; what stands in it then is written anew, statement by statement, in each of
the others, by whichever worker needs one (`tests/support/shared.py`). What migrations do, and that a copy is what they
make, is tested for itself (`tests/integration/test_tables_apply.py`). A database whose tables are as they were made is
emptied after its test and given to the next one; another is dropped.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from obflow.clickhouse import connect
from obflow.settings import ClickHouseSettings
from sinks import migrate
from sinks.store import Store
from tests.support.shared import made_once
from tests.support.waiting import eventually

PLACE: Final = "{database}"
OBJECTS: Final = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
NOTED: Final = "SELECT kind, name, digest FROM migrations ORDER BY applied_at"
NOTE: Final = (
    "INSERT INTO migrations (kind, name, digest) SELECT * FROM VALUES('kind String, name String, digest String', {})"
)

STANDING: Final = (
    "SELECT groupBitXor(cityHash64(name, engine, create_table_query)) FROM system.tables"
    " WHERE database = currentDatabase()"
)
"""What stands in a database, as a number."""
FILLED: Final = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    " AND name != 'migrations' AND total_rows != 0"
)
RUNNING: Final = (
    "SELECT count() FROM system.processes WHERE current_database = currentDatabase() AND query_id != queryID()"
)
"""Statements under way: a sink that was killed leaves its last insert behind."""
LEFT_S: Final = 5.0

_made: list[tuple[str, ...]] = []
_standing: dict[str, int] = {}
"""What stood in each database when its tables were made."""
_free: dict[tuple[str, int], list[str]] = {}
"""Databases with every table and no row, by server."""
_whole: set[str] = set()
"""Databases lent with every table, until those are asked for."""


@contextmanager
def lent_database(server: ClickHouseSettings, *, new: bool) -> Iterator[ClickHouseSettings]:
    """A database that nobody else uses, without a row: a new one, or one that may have its tables already."""
    free = _free.setdefault((server.host, server.port), [])
    if free and not new:
        _whole.add(database := free.pop())
    else:
        database = f"test_{uuid.uuid4().hex[:12]}"
    client = connect(server)
    client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    settings = server.model_copy(update={"database": database})
    try:
        yield settings
        if _emptied(settings):
            free.append(database)
    finally:
        _whole.discard(database)
        if database not in free:
            client.command(f"DROP DATABASE IF EXISTS {database} SYNC")
        client.close()


def _emptied(settings: ClickHouseSettings) -> bool:
    """Empty a database, if what stands in it is what was made."""
    if settings.database not in _standing:
        return False
    with closing(Store(settings)) as store:
        if store.query(STANDING) != [(_standing[settings.database],)]:
            return False
        if not eventually(lambda: store.query(RUNNING) == [(0,)], LEFT_S):
            return False
        for (name,) in store.query(FILLED):
            store.command(f"TRUNCATE TABLE {name} SYNC")
    return True


def make_tables(settings: ClickHouseSettings) -> None:
    """Make the database of these settings, and everything in it, as `obflow tables apply` does for a new one."""
    if settings.database in _whole:
        _whole.remove(settings.database)
        return
    if not _made:
        texts = "".join(script.text for script in (*migrate.migrations(), *migrate.views()))
        digest = hashlib.sha256(texts.encode()).hexdigest()[:16]  # a copy of the tree may have others
        _made.append(tuple(made_once(f"tables-{digest}", lambda: _by_migrations(settings))))
    migrate.create_database(settings)
    with closing(Store(settings)) as store:
        for statement in _made[0]:
            store.command(statement.replace(PLACE, settings.database))
        [(_standing[settings.database],)] = store.query(STANDING)


def _by_migrations(settings: ClickHouseSettings) -> list[str]:
    """The statements that make what migrations leave, tables before the views that read them."""
    model = settings.model_copy(update={"database": f"model_{uuid.uuid4().hex[:12]}"})
    migrate.create_database(model)
    with closing(Store(model)) as store:
        migrate.apply(store, ttl_days=0)
        found = {name: text.replace(model.database, PLACE) for name, text in store.query(OBJECTS)}
        noted = ", ".join(map(str, store.query(NOTED)))
        store.command(f"DROP DATABASE {model.database} SYNC")
    views = [view.name for view in migrate.views()]
    return [*(found[name] for name in found if name not in views), *(found[name] for name in views), NOTE.format(noted)]
