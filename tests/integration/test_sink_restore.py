"""Rows that somebody takes out of a table are missed within seconds, and put back from the log: once, to the bit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from obflow import doctor
from obflow.metrics import Metrics
from obflow.settings import ClickHouseSettings, Settings
from research.audit import audit
from schemas.errors import UsageError
from schemas.topics import DEAD_LETTERS, FACTORS, TRADES
from sinks import missing_rows
from sinks.contract import selection
from sinks.counts import Counts
from sinks.presence import Presence
from sinks.recheck import row_digest
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.advising import TIMES, Command, advice_in, commands_in, flags
from tests.integration.sinking import Feed, Sink, opened, pipeline, read_all, run_until, wait_for
from tests.integration.test_sink import _own_logging
from tests.integration.test_sink_audit import feed_tables, publish, send_trades
from tests.integration.test_sink_audit import settings as audited
from tests.integration.test_sink_start import expire, partition_of, send
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration
__all__ = ["_own_logging", "audited"]

TAKEN = 750
STEP = "stop the sink and run `obflow sink --restore {…}`: it puts back what the log still has"


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    return pipeline(broker, clickhouse)


@pytest.fixture
def store(clickhouse: ClickHouseSettings) -> Iterator[Store]:
    with opened(clickhouse) as found:
        yield found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes no 20 seconds."""
    monkeypatch.setattr(missing_rows, "LOOK_SECONDS", 0.2)


def digests(store: Store, table: str) -> list[bytes]:
    """Every row of a table, in no order."""
    rows = store.query(f"SELECT {selection(TABLES[table])} FROM {table}")  # noqa: S608 (our own names)
    return sorted(map(row_digest, rows))


def take(store: Store, statement: str) -> Callable[[], None]:
    return lambda: store.command(f"{statement} SETTINGS mutations_sync = 2" if "DELETE" in statement else statement)


def missed(settings: Settings, table: str, act: Callable[[], None], rows: int, metrics: Metrics | None = None) -> None:
    """Do something to a table under a running sink, until the sink misses so many rows."""
    acted: list[bool] = []

    def done(counts: Mapping[str, Counts]) -> bool:
        if counts[table].lags and not acted:
            act()
            acted.append(True)
        return counts[table].missing == rows

    run_until(settings, done, table, metrics=metrics)


def restored(run: Command, settings: Settings, table: str, *words: str) -> dict[str, Any]:
    """What `--restore` says of a table."""
    out = run("sink", f"--restore={table}", "--json", *words, *flags(settings))
    [line] = [line for line in out.splitlines() if line.startswith('{"restored"')]
    [found] = json.loads(line)["restored"]
    return dict(found)


def test_750_rows_truncated_under_a_running_sink_are_put_back_to_the_bit(
    audited: Settings, store: Store, run: Command
) -> None:
    settings = audited
    publish(settings)
    send_trades(settings, TAKEN)
    feed_tables(settings)
    before = digests(store, "trades")
    metrics = Metrics("sink")

    def later_rows() -> None:
        take(store, "TRUNCATE TABLE trades")()
        feed = Feed(settings, TRADES)
        for number in range(TAKEN, TAKEN + 3):  # the sink goes on behind the gap: whoever starts next does not see it
            feed.send(msgspec.structs.replace(load(EXAMPLES / "trades/v1/buy.json"), trade_id=str(number)))
        feed.flush()

    missed(settings, "trades", later_rows, TAKEN, metrics)
    assert metrics.value("obflow_missing_rows", table="trades") == TAKEN
    feed_tables(settings)
    assert audit(settings, patience_seconds=0.5).trades.lost == TAKEN

    found = restored(run, settings, "trades")
    assert (found["rows"], found["whole"], found["gone"]) == (TAKEN, True, [])
    assert set(before) <= set(digests(store, "trades"))
    feed_tables(settings)
    exact = audit(settings)
    assert (exact.lost, exact.duplicates, exact.trades.stored) == (0, 0, TAKEN + 3)
    assert doctor.audit_problems(exact) == []
    assert restored(run, settings, "trades")["rows"] == 0


@pytest.mark.exhaustive
def test_some_deleted_rows_are_put_back_and_events_sent_twice_are_stored_once(
    settings: Settings, store: Store, run: Command
) -> None:
    feed = Feed(settings, FACTORS)
    for symbol in ("A", "B"):
        for first in range(0, 60, 3):
            feed.send(factors(symbol, [first, first + 1, first + 2]))
            feed.send(factors(symbol, [first + 1, first + 2]))  # as after a worker's crash
    feed.flush()
    run_until(settings, read_all(80), "factors")
    before = digests(store, "factors")
    missed(settings, "factors", take(store, "ALTER TABLE factors DELETE WHERE source_offset % 7 = 2"), 18)

    assert restored(run, settings, "factors")["rows"] == 18
    assert digests(store, "factors") == before
    assert run_until(settings, lambda counts: bool(counts["factors"].lags), "factors")["factors"].rows == 0


@pytest.mark.exhaustive
def test_rows_of_a_run_that_was_dropped_are_not_missed_and_not_put_back(
    settings: Settings, store: Store, run: Command
) -> None:
    feed = Feed(settings, FACTORS)
    for number, name in enumerate(("kept", "dropped")):
        feed.send(msgspec.structs.replace(factors(f"S{number}", [1, 2, 3]), run=name))
    feed.flush()
    run_until(settings, read_all(2), "factors")

    def drop_one_and_take_another() -> None:
        store.command("INSERT INTO dropped_runs (run, dropped_at) SELECT 'dropped', now64(9)")
        take(store, "ALTER TABLE factors DELETE WHERE run = 'dropped' OR source_offset = 2")()

    missed(settings, "factors", drop_one_and_take_another, 1)
    found = restored(run, settings, "factors")
    assert (found["rows"], found["dropped"]) == (1, 1)
    assert store.query("SELECT run, count() FROM factors GROUP BY run") == [("kept", 3)]


@pytest.mark.exhaustive
def test_what_the_log_has_no_more_is_named_and_the_rest_is_put_back(
    settings: Settings, store: Store, run: Command
) -> None:
    send(settings, list(range(10)))
    run_until(settings, read_all(10), "factors")
    partition = partition_of(settings, FACTORS)
    expire(settings, FACTORS, partition, 4)
    store.command("TRUNCATE TABLE factors")
    out = run("sink", "--restore=factors", *flags(settings))

    assert "factors: 6 rows put back from 6 records read again" in out
    assert f"partition {partition} of {settings.kafka.topic_prefix}factors.v1 begins at 4" in out
    assert store.query("SELECT min(source_offset), count() FROM factors") == [(4, 6)]


def test_letters_are_put_back_once(settings: Settings, store: Store, run: Command) -> None:
    letter = load(EXAMPLES / "dead-letters/v1/frame.json")
    feed = Feed(settings, DEAD_LETTERS)
    feed.send(letter)
    feed.send_bytes(b"no letter", key="x")
    feed.flush()
    run_until(settings, read_all(2, table="dead_letters"), "dead_letters")
    ids = "SELECT DISTINCT letter_id, role FROM dead_letters ORDER BY ALL"
    before = store.query(ids)
    missed(settings, "dead_letters", take(store, "TRUNCATE TABLE dead_letters"), 2)

    assert restored(run, settings, "dead_letters")["rows"] == 2
    assert store.query(ids) == before
    assert restored(run, settings, "dead_letters")["rows"] == 0


def refused_beside_a_sink(settings: Settings, run: Command, log: Path) -> None:
    with Sink(settings, log, "--table=trades", "--table=factors") as sink:
        wait_for(lambda: sink.log.count("table_opened") == 2, 20, "a sink that feeds them")
        words = ("sink", "--restore=trades", *flags(settings))
        run.refused(*words, sentence="stop it first; one that was killed is forgotten after some seconds")
        assert sink.stop()[0] == 0, sink.log


@pytest.mark.exhaustive
@pytest.mark.advice(
    "stop the sink and run `obflow sink --restore {…}`: it puts back what the log still has",
    "stop it first; one that was killed is forgotten after some seconds",
    "leave out --table",
)
def test_the_advice_about_missing_rows_holds_beside_a_sink_and_after_it(
    settings: Settings, store: Store, run: Command, tmp_path: Path
) -> None:
    run.refused("sink", "--restore=trades", "--table=trades", sentence="leave out --table")
    trade = load(EXAMPLES / "trades/v1/buy.json")
    feed = Feed(settings, TRADES)
    for _ in range(20):
        feed.send(trade)
    feed.flush()
    run_until(settings, read_all(20, table="trades"), "trades")
    for time in range(TIMES):
        with structlog.testing.capture_logs() as logs:
            missed(settings, "trades", take(store, "ALTER TABLE trades DELETE WHERE source_offset < 5"), 5)
        [told] = [line for line in logs if line["event"] == "rows_missing"]
        [words] = commands_in(advice_in(told["next_step"], STEP))
        if time == 0:
            refused_beside_a_sink(settings, run, tmp_path / "sink.log")
        assert "trades: 5 rows put back" in run(*words, *flags(settings))
    assert store.query("SELECT count() FROM trades") == [(20,)]


@pytest.mark.advice("start the sink when that has ended")
def test_a_sink_that_is_started_while_rows_are_put_back_is_refused(settings: Settings, store: Store) -> None:
    over = threading.Event()
    with Presence(settings, [TABLES["trades"]], restores=True) as restoring:
        beating = threading.Thread(target=lambda: [restoring.beat() for _ in iter(lambda: over.wait(0.02), True)])
        beating.start()
        try:
            assert eventually(lambda: restoring.is_settled)
            for _ in range(TIMES):
                with pytest.raises(UsageError, match="rows of trades are being put back now") as refused:
                    run_until(settings, lambda counts: False, "trades")
                assert refused.value.next_step == "start the sink when that has ended"
        finally:
            over.set()
            beating.join()
    for _ in range(TIMES):
        run_until(settings, lambda counts: bool(counts["trades"].lags), "trades")
