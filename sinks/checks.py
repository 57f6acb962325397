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
        SchemaMismatch: The database is newer than the code, or a table of another's stands in the way.
    """
    try:
        store = Store(settings.clickhouse, readonly=True)
    except StoreUnreachable:  # the check of the store says why
        return [Check("tables", False, "not known while no ClickHouse answers")]
    try:
        steps = [step for step in migrate.plan(store, migrate.ttl_days_of(settings)) if not step.ages]
        drifted = migrate.drift(store)
    finally:
        store.close()
    undone = [f"not done: {step.what}" for step in steps if step.mends not in drifted]
    alone = [sentence for sentence in drifted if sentence.endswith(migrate.ALONE)]
    lacking = [sentence for sentence in drifted if sentence not in alone]
    if lacking:
        return [Check("tables", False, "; ".join([*undone, *lacking]), migrate.advice(lacking))]
    if undone:
        return [Check("tables", False, "; ".join(undone), "`obflow tables apply`")]
    # Rows go in beside a column that somebody added: nothing is to be mended.
    return [Check("tables", True, "; ".join([f"all {len(TABLES)} as declared", *alone]))]
