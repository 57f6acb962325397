"""Databases with every table and view, made at an eighth of what the migrations cost.

The migrations make one database a session; what stands in it then is written anew, statement by statement, in each of
the others, by whichever worker needs one (`tests/support/shared.py`). What migrations do, and that a copy is what they
make, is tested for itself (`tests/integration/test_tables_apply.py`).
"""

from __future__ import annotations

import hashlib
import uuid
from contextlib import closing
from typing import Final

from obflow.settings import ClickHouseSettings
from sinks import migrate
from sinks.store import Store
from tests.support.shared import made_once

PLACE: Final = "{database}"
OBJECTS: Final = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
NOTED: Final = "SELECT kind, name, digest FROM migrations ORDER BY applied_at"
NOTE: Final = (
    "INSERT INTO migrations (kind, name, digest) SELECT * FROM VALUES('kind String, name String, digest String', {})"
)

_made: list[tuple[str, ...]] = []


def make_tables(settings: ClickHouseSettings) -> None:
    """Make the database of these settings, and everything in it, as `obflow tables apply` does for a new one."""
    if not _made:
        texts = "".join(script.text for script in (*migrate.migrations(), *migrate.views()))
        digest = hashlib.sha256(texts.encode()).hexdigest()[:16]  # a copy of the tree may have others
        _made.append(tuple(made_once(f"tables-{digest}", lambda: _by_migrations(settings))))
    migrate.create_database(settings)
    with closing(Store(settings)) as store:
        for statement in _made[0]:
            store.command(statement.replace(PLACE, settings.database))


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
