"""A table that is dropped under a sink is waited for in one sentence, and filled from the log once it is back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from obflow.settings import ClickHouseSettings, Settings
from schemas.topics import FACTORS, TRADES
from sinks import migrate
from sinks.store import Store
from tests.integration.sinking import Feed, Sink, opened, pipeline, wait_for
from tests.integration.test_sink import rows_of
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors

pytestmark = pytest.mark.integration

EVENTS = 30
TABLES = ("--table=factors", "--table=trades")


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    return pipeline(broker, clickhouse)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with opened(settings.clickhouse) as found:
        yield found


def send_event(feed: Feed, offset: int) -> None:
    feed.send(factors("A", [offset]))
    feed.flush()


def send_trade(settings: Settings) -> None:
    feed = Feed(settings, TRADES)
    feed.send(load(EXAMPLES / "trades/v1/buy.json"))
    feed.flush()


def filled(store: Store, table: str, rows: int) -> None:
    wait_for(lambda: rows_of(store, table) == rows, 20, f"{rows} rows of {table}")


def told(sink: Sink) -> list[str]:
    return [line for line in sink.log.splitlines() if "table_failed" in line]


def test_a_dropped_table_is_waited_for_filled_from_the_log_and_stops_no_other(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    feed = Feed(settings, FACTORS)
    for offset in range(EVENTS):
        send_event(feed, offset)
    with Sink(settings, tmp_path / "sink.log", *TABLES) as sink:
        filled(store, "factors", EVENTS)
        store.command("DROP TABLE factors SYNC")
        send_event(feed, EVENTS)
        wait_for(lambda: bool(told(sink)), 20, "that it is told")
        send_trade(settings)
        filled(store, "trades", 1)
        assert sink.process.poll() is None
        migrate.apply(store, ttl_days=0)
        filled(store, "factors", EVENTS + 1)
        lines = told(sink)
        assert sink.stop()[0] == 0, sink.log
    errors = [json.loads(line)["error"] for line in lines]
    assert len(errors) == len(set(errors)), "each once; while it is made, columns of later migrations are missing"
    assert "table factors does not exist" in lines[0]
    assert "`obflow tables apply` mends this" in lines[0]
    assert store.query("SELECT uniqExact(source_offset) FROM factors") == [(EVENTS + 1,)]


@pytest.mark.exhaustive
def test_a_table_made_anew_between_two_inserts_is_filled_from_the_log(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    feed = Feed(settings, FACTORS)
    for offset in range(EVENTS):
        send_event(feed, offset)
    with Sink(settings, tmp_path / "sink.log", "--table=factors") as sink:
        filled(store, "factors", EVENTS)
        store.command("DROP TABLE factors SYNC")
        migrate.apply(store, ttl_days=0)
        send_event(feed, EVENTS)
        filled(store, "factors", EVENTS + 1)
        assert sink.stop()[0] == 0, sink.log
    assert "the table factors was made anew" in sink.log


@pytest.mark.exhaustive
def test_a_dropped_database_is_waited_for_and_filled_from_the_log(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    database = settings.clickhouse.database
    feed = Feed(settings, FACTORS)
    for offset in range(EVENTS):
        send_event(feed, offset)
    send_trade(settings)
    with Sink(settings, tmp_path / "sink.log", *TABLES) as sink:
        filled(store, "factors", EVENTS)
        filled(store, "trades", 1)
        with opened(settings.clickhouse.model_copy(update={"database": "default"})) as server:
            server.command(f"DROP DATABASE {database} SYNC")
        send_event(feed, EVENTS)
        send_trade(settings)
        wait_for(lambda: len(told(sink)) == len(TABLES), 20, "that it is told")
        migrate.create_database(settings.clickhouse)
        migrate.apply(store, ttl_days=0)
        filled(store, "factors", EVENTS + 1)
        filled(store, "trades", 2)
        assert sink.stop()[0] == 0, sink.log
    assert all("does not exist" in line for line in told(sink))
    errors = [(line["table"], line["error"]) for line in map(json.loads, told(sink))]
    assert len(errors) == len(set(errors)), "each once: a table that is being made lacks one thing after the other"
