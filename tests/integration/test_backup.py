"""What docs/operations/backup.md says: a table put back from a copy is filled from the log, and no row is doubled."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.client import Client

from obflow.clickhouse import connect
from obflow.settings import ClickHouseSettings, Settings
from schemas.topics import FACTORS
from sinks import migrate
from sinks.store import Store
from tests.integration.sinking import Feed, opened, pipeline, read_all, run_until
from tests.sinks.records import factors

pytestmark = pytest.mark.integration

FIRST, MORE = 40, 60


def send(settings: Settings, offsets: range) -> None:
    feed = Feed(settings, FACTORS)
    for offset in offsets:
        feed.send(factors("A", [offset]))
    feed.flush()


def held(store: Store) -> tuple[int, int, int]:
    """Rows, identities, and the highest of them."""
    ((rows, identities, highest),) = store.query(
        "SELECT count(), uniqExact(source_offset), max(source_offset) FROM factors"
    )
    return rows, identities, highest


def test_a_table_put_back_is_filled_from_the_log_without_loss_or_doubling(
    broker: str, clickhouse: ClickHouseSettings
) -> None:
    settings = pipeline(broker, clickhouse)
    send(settings, range(FIRST))
    run_until(settings, read_all(FIRST), "factors")
    client: Client = connect(clickhouse)
    try:
        copy = client.raw_query("SELECT * FROM factors", fmt="Native")
        send(settings, range(FIRST, FIRST + MORE))
        run_until(settings, read_all(MORE), "factors")

        client.command("DROP TABLE factors SYNC")
        with opened(clickhouse) as store:
            migrate.apply(store, ttl_days=0)
            assert held(store)[0] == 0
            client.raw_insert("factors", insert_block=copy, fmt="Native")
            assert held(store) == (FIRST, FIRST, FIRST - 1)
            run_until(settings, read_all(MORE), "factors")
            assert held(store) == (FIRST + MORE, FIRST + MORE, FIRST + MORE - 1)
    finally:
        client.close()
