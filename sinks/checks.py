"""What `obflow doctor` asks about the tables."""

from __future__ import annotations

from obflow.doctor import Check
from obflow.settings import Settings
from schemas.errors import StoreUnreachable
from sinks import migrate
from sinks.store import Store
from sinks.tables import TABLES


def table_checks(settings: Settings) -> list[Check]:
    """Whether the database's tables are those this version writes.

    Their age limit is left out: it is a setting of the process that applied them.

    Raises:
        DependencyError: The database is not there.
        SchemaMismatch: The database is newer than the code.
    """
    try:
        store = Store(settings.clickhouse, readonly=True)
    except StoreUnreachable:  # the check of the store says why
        return [Check("tables", False, "not known while no ClickHouse answers")]
    try:
        undone = [f"not done: {step.what}" for step in migrate.plan(store, settings.sink.ttl_days) if step.script]
        drifted = migrate.drift(store)
    finally:
        store.close()
    if undone:
        return [Check("tables", False, "; ".join(undone), "`obflow tables apply`")]
    if drifted:
        return [
            Check("tables", False, "; ".join(drifted), "another version of obflow made them: upgrade the older one")
        ]
    return [Check("tables", True, f"all {len(TABLES)} as declared")]
