"""Advice about topics, tables, sinks and servers is done on a real broker and a real engine, and holds each time."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from obflow import kafka, kafka_logs, topics
from obflow.broker_checks import broker_checks
from obflow.metrics import Metrics
from obflow.settings import ClickHouseSettings, KafkaSettings, Settings
from processors.worker.preflight import log_ends, open_source, require_changelog
from processors.worker.watchdog import LogReplaced, Watchdog
from producers.broker.publisher import Publisher
from research.audit import audit
from schemas.errors import DeliveryFailed, FatalError, PipelineError
from schemas.messages import DeadLetter
from schemas.topics import DEAD_LETTERS, FACTORS, L2, TRADES
from sinks import claims, migrate, resume
from sinks import reader as reading
from sinks import writer as writing
from sinks.checks import table_checks
from sinks.counts import Counts
from sinks.reader import TopicReader, look_up
from sinks.store import Store
from tests.integration.advising import TIMES, Command, advice_in, commands_in, flags, refused, settings_in
from tests.integration.backends import free_port
from tests.integration.sinking import Feed, opened, pipeline, read_all, run_until, wait_for
from tests.integration.test_audit_sees import trade
from tests.integration.test_producer_commands import first_line, running
from tests.integration.test_sink import recreate
from tests.integration.test_sink_start import expire, partition_of
from tests.sinks.records import factors
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = [pytest.mark.integration, pytest.mark.new_database]

Done = Callable[[Mapping[str, Counts]], bool]


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings file; and logging as it was, for commands set it up."""
    monkeypatch.chdir(tmp_path)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def bare(broker: str, clickhouse_server: ClickHouseSettings) -> Iterator[Settings]:
    """A broker and an engine with nothing of this test's on them."""
    name = f"bare_{uuid.uuid4().hex[:8]}"
    where = KafkaSettings(bootstrap_servers=broker, topic_prefix=f"{name}.", partitions=3)
    yield Settings(kafka=where, clickhouse=clickhouse_server.model_copy(update={"database": name}))
    with opened(clickhouse_server) as server:
        server.command(f"DROP DATABASE IF EXISTS {name} SYNC")


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    """A pipeline whose topics and tables are made."""
    return pipeline(broker, clickhouse)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with opened(settings.clickhouse) as found:
        yield found


def changed(settings: Settings, **kafka_settings: object) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=kafka_settings)})


def rows(store: Store, table: str) -> int:
    return int(store.query(f"SELECT count() FROM {table}")[0][0])  # noqa: S608


def nothing_left(*tables: str) -> Done:
    return lambda counts: all(counts[name].lags and not any(counts[name].lags.values()) for name in tables)


def send_trades(settings: Settings, *numbers: int) -> None:
    feed = Feed(settings, TRADES)
    for number in numbers:
        feed.send(trade("A", number))
    feed.flush()


# ---- topics


@pytest.mark.advice(
    "`obflow topics apply` creates what is missing", "create it with `obflow topics apply`", "`obflow topics apply`"
)
def test_topics_that_are_missing(run: Command, bare: Settings) -> None:
    [remedy] = [check.remedy for check in broker_checks(bare) if check.name == "topics"]
    advices = [
        refused(lambda: look_up(bare, [TRADES]), "`obflow topics apply` creates what is missing"),
        refused(lambda: open_source(bare, L2, [FACTORS]), "create it with `obflow topics apply`"),
        advice_in(remedy, "`obflow topics apply`"),
    ]
    for advice in advices:
        [advised] = commands_in(advice)
        for _ in range(TIMES):
            run(*advised, *flags(bare))
            assert set(look_up(bare, [TRADES])[TRADES].ends) == {0, 1, 2}
            assert open_source(bare, L2, [FACTORS]).topic == topics.topic_name(bare, L2)
    assert next(check.ok for check in broker_checks(bare) if check.name == "topics")


@pytest.mark.exhaustive
@pytest.mark.advice(
    "nothing was changed, since it would move instruments between workers; "
    "set kafka.partitions to what is there, or kafka.topic_prefix to start new topics",
    "set kafka.partitions to what is there, or a new kafka.topic_prefix",
)
def test_topics_with_another_number_of_partitions(run: Command, bare: Settings) -> None:
    run("topics", "apply", *flags(bare))
    ids = kafka_logs.topic_ids(bare, [topics.topic_name(bare, L2)])
    other = changed(bare, partitions=4)
    sentence = (
        "nothing was changed, since it would move instruments between workers; "
        "set kafka.partitions to what is there, or kafka.topic_prefix to start new topics"
    )
    [remedy] = [check.remedy for check in broker_checks(other) if check.name == "topics"]
    advices = [
        run.refused("topics", "apply", *flags(other), sentence=sentence, code=1),
        advice_in(remedy, "set kafka.partitions to what is there, or a new kafka.topic_prefix"),
        refused(
            lambda: open_source(other, L2, [FACTORS]),
            "set kafka.partitions to what is there, or a new kafka.topic_prefix",
        ),
    ]
    for number, advice in enumerate(advices):
        there = len(look_up(bare, [L2])[L2].ends)
        follow = {
            "kafka.partitions": changed(other, partitions=there),
            "kafka.topic_prefix": changed(other, topic_prefix=f"{bare.kafka.topic_prefix}{number}."),
        }
        for setting in settings_in(advice):
            for _ in range(TIMES):
                run("topics", "apply", *flags(follow[setting]))
                assert topics.check(follow[setting]) == ()
                assert open_source(follow[setting], L2, [FACTORS])
    assert kafka_logs.topic_ids(bare, [topics.topic_name(bare, L2)]) == ids, "what was there is there"


@pytest.mark.exhaustive
@pytest.mark.advice(
    "create it with {…} partitions and cleanup.policy=compact, "
    "or keep the app_id as it was and set kafka.topic_prefix to have a pipeline apart"
)
def test_an_app_id_without_a_changelog(run: Command, settings: Settings) -> None:
    name = f"{settings.kafka.topic_prefix}other-books-changelog"
    sentence = (
        "create it with {…} partitions and cleanup.policy=compact, "
        "or keep the app_id as it was and set kafka.topic_prefix to have a pipeline apart"
    )
    advice = refused(lambda: require_changelog(settings, name), sentence)
    partitions = int(advice.split()[3])
    for _ in range(TIMES):
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config={"cleanup.policy": "compact"})
        accepted = (KafkaError.TOPIC_ALREADY_EXISTS,)
        kafka.ask(settings, lambda client, left: client.create_topics([topic]), accepted=accepted)  # noqa: B023
        wait_for(lambda: name in kafka.admin(settings).list_topics(timeout=patient(10)).topics, 10, "the topic")
        require_changelog(settings, name)
    apart = changed(settings, topic_prefix=f"{settings.kafka.topic_prefix}apart.")
    for _ in range(TIMES):
        run("topics", "apply", *flags(apart))
        require_changelog(apart, f"{apart.kafka.topic_prefix}obflow-processor-books-changelog")


@pytest.mark.exhaustive
@pytest.mark.advice("another version of obflow writes there: upgrade, or set kafka.topic_prefix")
def test_records_of_another_version(run: Command, bare: Settings) -> None:
    run("topics", "apply", *flags(bare))
    producer = kafka.producer(bare)
    producer.produce(topics.topic_name(bare, TRADES), b"\x00\x00\x00\x03\xe7later", key=b"binance:X")
    assert producer.flush(patient(20)) == 0
    [found] = [check for check in broker_checks(bare) if check.name == "records"]
    advice_in(found.remedy, "another version of obflow writes there: upgrade, or set kafka.topic_prefix")
    for number in range(TIMES):
        apart = changed(bare, topic_prefix=f"{bare.kafka.topic_prefix}{number}.")
        run("topics", "apply", *flags(apart))
        assert all(check.ok for check in broker_checks(apart))


@pytest.mark.exhaustive
@pytest.mark.advice("`obflow topics check` names the difference")
def test_a_topic_that_takes_smaller_records_than_declared(run: Command, settings: Settings) -> None:
    name = topics.topic_name(settings, DEAD_LETTERS)
    smaller = ConfigEntry("max.message.bytes", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[smaller])
    kafka.ask(settings, lambda client, left: client.incremental_alter_configs([resource], request_timeout=left))
    letter = DeadLetter("v:1:9", "producer", "DecodeError", "", 0, os.urandom(20_000), 20_000)

    def publish() -> None:
        with closing(Publisher(settings, Metrics("producer"), time.time_ns)) as publisher:
            publisher.offer(letter)
            publisher.flush(patient(20))

    [advised] = commands_in(refused(publish, "`obflow topics check` names the difference"))
    for _ in range(TIMES):
        said = run(*advised, *flags(settings), code=1)
        assert f"{name}: max.message.bytes is 1000" in said
    for words in commands_in(said):
        for _ in range(TIMES):
            run(*words, *flags(settings))
            publish()


@pytest.mark.exhaustive
@pytest.mark.advice("`obflow doctor` looks for the reason")
def test_a_broker_that_refuses(run: Command, settings: Settings) -> None:
    error = kafka.readable(KafkaException(KafkaError(KafkaError.POLICY_VIOLATION)), settings)
    [advised] = commands_in(advice_in(str(error), "`obflow doctor` looks for the reason"))
    for _ in range(TIMES):
        said = run(*advised, *flags(settings), "--json", code=0 if _is_well(settings) else 1)
        assert {"broker", "topics", "records"} <= {
            one["name"] for one in msgspec.json.decode(said.splitlines()[-1])["checks"]
        }


def _is_well(settings: Settings) -> bool:
    from obflow.doctor import examine

    return all(check.ok for check in examine(settings))


# ---- servers


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.advice(
    "start one with `obflow kafka` or `docker compose up`, or set kafka.bootstrap_servers",
    "start again once the broker is well: the next epoch begins with snapshots",
)
def test_a_broker_that_is_not_there(run: Command, bare: Settings, broker: str, tmp_path: Path) -> None:
    port = free_port()
    away = changed(bare, bootstrap_servers=f"127.0.0.1:{port}")
    sentence = "start one with `obflow kafka` or `docker compose up`, or set kafka.bootstrap_servers"
    [advised] = commands_in(run.refused("topics", "apply", *flags(away), sentence=sentence, code=3))
    short = changed(away, outage_seconds=0.5)

    def publish(settings: Settings) -> None:
        with closing(Publisher(settings, Metrics("producer"), time.time_ns)) as publisher:
            publisher.offer(trade("A", 1))
            publisher.flush(patient(20))

    sentence = "start again once the broker is well: the next epoch begins with snapshots"
    refused(lambda: publish(short), sentence, DeliveryFailed)
    with running(*advised, f"--port={port}", f"--data={tmp_path}/kafka") as server:
        assert "listens on" in first_line(server.stderr)
        for _ in range(TIMES):
            run("topics", "apply", *flags(away))
            publish(away)
    for _ in range(TIMES):
        run("topics", "apply", *flags(changed(away, bootstrap_servers=broker)))


@pytest.mark.exhaustive
@pytest.mark.advice(
    "start it (`docker compose up -d clickhouse`, or `obflow clickhouse` for the embedded one), "
    "or set clickhouse.host and clickhouse.port"
)
def test_an_engine_that_is_not_there(run: Command, bare: Settings, tmp_path: Path) -> None:
    port = free_port()
    sentence = (
        "start it (`docker compose up -d clickhouse`, or `obflow clickhouse` for the embedded one), "
        "or set clickhouse.host and clickhouse.port"
    )
    gone = flags(bare, clickhouse__port=port, clickhouse__password="")
    [advised] = commands_in(run.refused("tables", "apply", *gone, sentence=sentence, code=3))
    with running(*advised, f"--port={port}", f"--data={tmp_path}/engine") as server:
        assert "listens on" in first_line(server.stderr)
        for _ in range(TIMES):
            run("tables", "apply", *gone)
    for _ in range(TIMES):
        run("tables", "apply", *flags(bare))


@pytest.mark.advice(
    "check clickhouse.user and clickhouse.password (or password_file); "
    "an embedded engine knows the commands of the user who started it"
)
def test_a_user_whom_the_engine_refuses(run: Command, settings: Settings) -> None:
    sentence = "an embedded engine knows the commands of the user who started it"
    run.refused("query", "SELECT 1", *flags(settings, clickhouse__user="nobody"), sentence=sentence, code=3)
    assert all("1" in run("query", "SELECT 1", *flags(settings)) for _ in range(TIMES))


# ---- tables


@pytest.mark.advice("`obflow tables apply` creates it", "`obflow tables apply`")
def test_a_database_that_is_not_there(run: Command, bare: Settings) -> None:
    sentence = "`obflow tables apply` creates it"
    [advised] = commands_in(run.refused("query", "SHOW TABLES", *flags(bare), sentence=sentence, code=3))
    for _ in range(TIMES):
        run(*advised, *flags(bare))
        assert "factors" in run("query", "SHOW TABLES", *flags(bare))
    with opened(bare.clickhouse) as store:
        store.command("DROP VIEW book_quality")
        [found] = table_checks(bare)
        [advised] = commands_in(advice_in(found.remedy, "`obflow tables apply`"))
        for _ in range(TIMES):
            run(*advised, *flags(bare))
            [found] = table_checks(bare)
            assert found.ok


@pytest.mark.advice(
    "`obflow tables apply` mends this, `obflow tables check` says more", "`obflow tables apply` makes what is missing"
)
@pytest.mark.parametrize(
    ("fault", "named"),
    tiered(
        [
            ("DROP TABLE trades", "table trades does not exist"),
            ("ALTER TABLE trades DROP COLUMN price", "column trades.price does not exist"),
            ("DROP TABLE log_holes", "log_holes"),
        ],
        ("DROP TABLE trades", "table trades does not exist"),
    ),
)
def test_a_sink_whose_tables_are_not_whole(
    run: Command, settings: Settings, store: Store, fault: str, named: str
) -> None:
    send_trades(settings, 1, 2, 3)
    run_until(settings, read_all(3, table="trades"), "trades")
    store.command(fault)
    sentence = "`obflow tables apply` mends this, `obflow tables check` says more"
    advice = refused(lambda: run_until(settings, lambda counts: False, "trades"), sentence)
    apply, check = commands_in(advice)
    assert all(named in run(*check, *flags(settings), code=1) for _ in range(TIMES))
    [found] = table_checks(settings)
    assert (found.ok, named in found.detail, "`obflow tables apply`" in found.remedy) == (False, True, True)
    if fault.startswith("DROP"):
        assert commands_in(refused(lambda: audit(settings), "`obflow tables apply` makes what is missing")) == [apply]
    for _ in range(TIMES):
        run(*apply, *flags(settings))
        run(*check, *flags(settings))
        run_until(settings, nothing_left("trades"), "trades")
        assert rows(store, "trades") == 3, "what the log still has is there again"
        audit(settings)


OTHER_TYPE = (
    "no column's type is changed, for that could lose values: rename the table (RENAME TABLE … TO …_before) and run "
    "`obflow tables apply`, which makes it anew; the sink then fills it from the log"
)


@pytest.mark.exhaustive
@pytest.mark.advice(
    "no column's type is changed, for that could lose values: rename the table (RENAME TABLE … TO …_before) and run "
    "`obflow tables apply`, which makes it anew; the sink then fills it from the log"
)
def test_a_column_of_another_type(run: Command, settings: Settings, store: Store) -> None:
    send_trades(settings, 1, 2, 3)
    run_until(settings, read_all(3, table="trades"), "trades")
    for number in range(TIMES):
        store.command("ALTER TABLE trades MODIFY COLUMN trade_id LowCardinality(String)")
        advice = refused(lambda: run_until(settings, lambda counts: False, "trades"), OTHER_TYPE)
        [found] = table_checks(settings)
        assert (found.ok, found.remedy) == (False, OTHER_TYPE)
        store.command(f"RENAME TABLE trades TO trades_before{number}")
        [advised] = commands_in(advice)
        run(*advised, *flags(settings))
        run_until(settings, read_all(3, table="trades"), "trades")
        assert (rows(store, "trades"), rows(store, f"trades_before{number}")) == (3, 3)


@pytest.mark.exhaustive
@pytest.mark.advice("set clickhouse.database to one of obflow's own")
def test_a_database_that_holds_somebody_elses_tables(run: Command, bare: Settings) -> None:
    migrate.create_database(bare.clickhouse)
    with opened(bare.clickhouse) as store:
        store.command("CREATE TABLE trades (a UInt8) ENGINE = MergeTree ORDER BY a")
        store.command("INSERT INTO trades SELECT 7")
        sentence = "set clickhouse.database to one of obflow's own"
        advice = run.refused("tables", "apply", *flags(bare), sentence=sentence, code=1)
        [setting] = settings_in(advice)
        own = f"{bare.clickhouse.database}_own"
        try:
            for _ in range(TIMES):
                run("tables", "apply", *flags(bare), f"--set={setting}={own}")
                run("tables", "check", *flags(bare), f"--set={setting}={own}")
                assert store.query("SELECT a FROM trades") == [(7,)]
                assert store.query("SHOW TABLES") == [("trades",)]
        finally:
            store.command(f"DROP DATABASE IF EXISTS {own} SYNC")


@pytest.mark.exhaustive
@pytest.mark.advice("upgrade obflow", "restore the file and add a new migration")
def test_migrations_that_are_not_those_of_the_database(
    run: Command, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = migrate.migrations()
    tables = ["tables", "check", *flags(settings)]
    monkeypatch.setattr(migrate, "migrations", lambda: committed[:-1])  # an older version
    run.refused(*tables, sentence="upgrade obflow", code=1)
    monkeypatch.setattr(migrate, "migrations", lambda: committed)
    assert all("as declared" in run(*tables) for _ in range(TIMES))
    edited = committed[1]._replace(text=committed[1].text.replace("price [quote]", "the price [quote]"))
    monkeypatch.setattr(migrate, "migrations", lambda: (committed[0], edited, *committed[2:]))
    run.refused(*tables, sentence="restore the file and add a new migration", code=1)
    statement = "ALTER TABLE trades ADD COLUMN IF NOT EXISTS fee Nullable(Float64) COMMENT 'fee [quote]';"
    new = migrate.Script("migration", f"{len(committed) + 1:04d}_fee", statement)
    monkeypatch.setattr(migrate, "migrations", lambda: (*committed, new))
    for _ in range(TIMES):
        run("tables", "apply", *flags(settings))
    assert "column trades.fee is in the database alone" in run(*tables, code=1), "it is there"


@pytest.mark.exhaustive
@pytest.mark.advice("`obflow tables check` compares the table with the code")
def test_a_table_that_refuses_rows(run: Command, settings: Settings, store: Store) -> None:
    """It is dropped under the sink; or holds a constraint that somebody added, and no record fits it."""
    send_trades(settings, 1, 2)

    def drop_under_it(counts: Mapping[str, Counts]) -> bool:
        if counts["trades"].rows >= 2 and counts["trades"].rows == counts["trades"].records:
            store.command("DROP TABLE IF EXISTS trades SYNC")
            send_trades(settings, 3)
        return counts["trades"].failing

    sentence = "`obflow tables check` compares the table with the code"
    with pytest.raises(PipelineError) as raised:
        run_until(settings, drop_under_it, "trades")
    text = str(raised.value)
    advised = commands_in(advice_in(text, sentence))[0] if sentence in text else ["tables", "check"]
    assert all("table trades does not exist" in run(*advised, *flags(settings), code=1) for _ in range(TIMES))
    run("tables", "apply", *flags(settings))
    run_until(settings, nothing_left("trades"), "trades")
    held = rows(store, "trades")
    assert held >= 3
    store.command("ALTER TABLE dead_letters ADD CONSTRAINT mine CHECK role != 'sink'")
    feed = Feed(settings, TRADES)
    feed.send_bytes(b"bad", key="x")
    feed.flush()
    fails: Done = lambda counts: counts["dead_letters"].failing  # noqa: E731
    advice = refused(lambda: run_until(settings, fails, "trades", "dead_letters"), sentence)
    [advised] = commands_in(advice)
    for _ in range(TIMES):
        assert "constraint dead_letters.mine is in the database alone" in run(*advised, *flags(settings), code=1)


# ---- sinks


@pytest.mark.advice("`obflow dead-letters list` lists the newest")
def test_a_letter_that_is_not_there(run: Command, settings: Settings) -> None:
    feed = Feed(settings, TRADES)
    feed.send_bytes(b"bad", key="x")
    feed.flush()
    run_until(settings, lambda counts: counts["dead_letters"].rows >= 1, "trades", "dead_letters")
    sentence = "`obflow dead-letters list` lists the newest"
    [advised] = commands_in(run.refused("dead-letters", "show", "zzz", *flags(settings), sentence=sentence))
    for _ in range(TIMES):
        listed = run(*advised, *flags(settings)).splitlines()[-1].split()[0]
        assert "DecodeError" in run("dead-letters", "show", listed, *flags(settings))


@pytest.mark.exhaustive
@pytest.mark.advice("lower sink.flush_rows and sink.max_buffered_rows")
def test_an_insert_that_would_not_be_atomic(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_INSERT_ROWS", 1_200)
    send_trades(settings, *range(4_000))
    sentence = "lower sink.flush_rows and sink.max_buffered_rows"
    lower = dict.fromkeys((setting.partition(".")[2] for setting in settings_in(sentence)), 300)
    refused(lambda: run_until(settings, lambda counts: False, "trades"), sentence)
    lowered = settings.model_copy(update={"sink": settings.sink.model_copy(update=lower)})
    for _ in range(TIMES):
        run_until(lowered, nothing_left("trades"), "trades")
        assert rows(store, "trades") == 4_000


@pytest.mark.exhaustive
@pytest.mark.advice("stop the other `obflow sink`, or look at system.processes")
def test_an_insert_of_another_sink_that_still_runs(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_trades(settings, 1)
    busy = [True]
    monkeypatch.setattr(resume, "_inserting", lambda *_: {"an insert"} if busy[0] else set())
    monkeypatch.setattr(claims, "settle", lambda store, table: resume.settle(store, table, 0.3))
    sentence = "stop the other `obflow sink`, or look at system.processes"
    refused(lambda: run_until(settings, lambda counts: False, "trades"), sentence)
    assert store.query("SELECT count() FROM system.processes WHERE query_kind = 'Insert'") == [(0,)]
    busy[0] = False  # it was stopped
    for _ in range(TIMES):
        run_until(settings, nothing_left("trades"), "trades")
        assert rows(store, "trades") == 1


@pytest.mark.exhaustive
@pytest.mark.advice("restart the sink: it counts what is lost and goes on with what is left")
def test_a_log_whose_next_records_are_gone(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    send_trades(settings, 1, 2)
    run_until(settings, read_all(2, table="trades"), "trades")
    partition = partition_of(settings, TRADES)
    assign = TopicReader.assign

    def late(self: TopicReader, stored: Any) -> Any:
        """Retention works between the look at the log and the first read of it."""
        found = assign(self, stored)
        if not expired:
            expired.append(True)
            self._consumer.assign([])
            send_trades(settings, *range(3, 10))
            expire(settings, TRADES, partition, 6)
            assign(self, stored)
        return found

    expired: list[bool] = []
    monkeypatch.setattr(TopicReader, "assign", late)
    sentence = "restart the sink: it counts what is lost and goes on with what is left"
    refused(lambda: run_until(settings, lambda counts: False, "trades"), sentence)
    for number in range(TIMES):
        counts = run_until(settings, nothing_left("trades"), "trades")["trades"]
        assert counts.expired == (4 if number == 0 else 0)
        assert rows(store, "trades") == 5
    assert store.query("SELECT first_offset, end_offset FROM log_holes FINAL") == [(2, 6)]


@pytest.mark.exhaustive
@pytest.mark.advice("restart the sink: it goes on from what the table holds")
def test_an_insert_whose_answer_did_not_come(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from obflow import insert_errors, inserts

    send_trades(settings, *range(10))
    insert, inserted, opens = inserts.insert_arrow, [], []

    def unanswered(client: Any, table: str, arrow: Any, **how: Any) -> None:
        insert(client, table, arrow, **how)
        inserted.append(table)
        if len(inserted) == 1:  # it was stored, and nobody heard of it
            raise insert_errors.InsertUnanswered("timed out", table=table, rows=arrow.num_rows, code=None)

    def opening(store: Any, table: Any) -> None:
        opens.append(table)
        resume.settle(store, table)

    monkeypatch.setattr(inserts, "insert_arrow", unanswered)
    monkeypatch.setattr(claims, "settle", opening)
    run_until(settings, lambda counts: len(opens) > 1 and nothing_left("trades")(counts), "trades")
    assert rows(store, "trades") == 10  # the table was opened again by itself; a sink started again does the same
    for _ in range(TIMES):
        run_until(settings, nothing_left("trades"), "trades")
        assert rows(store, "trades") == 10


@pytest.mark.exhaustive
@pytest.mark.advice("nothing past their records was stored; the sink reads them again by itself")
def test_letters_that_the_broker_did_not_take(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(settings, TRADES)
    feed.send(trade("A", 1))
    feed.send_bytes(b"bad", key="binance-futures:A")
    feed.send(trade("A", 2))
    feed.flush()
    away = iter([True])
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("sinks.feeds._log", SimpleNamespace(error=lambda _event, **fields: told.append(fields)))

    class Away:
        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def flush(self, seconds: float) -> int:
            return 1 if next(away, False) else int(self._real.flush(seconds))

    made = kafka.producer
    monkeypatch.setattr(kafka, "producer", lambda *given, **more: Away(made(*given, **more)))
    sentence = "nothing past their records was stored; the sink reads them again by itself"
    run_until(settings, lambda counts: counts["trades"].rows >= 2 and not counts["trades"].failing, "trades")
    assert [advice_in(line["error"], sentence) for line in told] == [sentence]
    assert rows(store, "trades") == 2, "it read them again"
    for _ in range(TIMES):
        run_until(settings, nothing_left("trades"), "trades")
        # The letter is on its log now: while both tables are fed, that log may be looked at before it is.
        run_until(settings, nothing_left("dead_letters"), "dead_letters")
        assert (rows(store, "trades"), rows(store, "dead_letters FINAL")) == (2, 1)


NEW_LOGS = (
    "set kafka.topic_prefix for every role and run `obflow topics apply`: new topics are other logs, and the rows "
    "stored so far stay"
)


@pytest.mark.exhaustive
@pytest.mark.advice(
    "set kafka.topic_prefix for every role and run `obflow topics apply`: new topics are other logs, and the rows "
    "stored so far stay"
)
def test_a_broker_that_has_lost_records(
    run: Command, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_trades(settings, *range(5))
    run_until(settings, read_all(5, table="trades"), "trades")
    store.command("INSERT INTO trades SELECT * REPLACE (k_off + 90 AS k_off, trade_id || 'x' AS trade_id) FROM trades")
    monkeypatch.setattr(reading, "SHORT_SECONDS", 0.3)
    ended: list[FatalError] = []
    Watchdog(lambda: ({0: 9}, None), lambda: {0: 3}, ended.append, patience_s=60.0)._check()
    advice = refused(lambda: run_until(settings, lambda counts: False, "trades"), NEW_LOGS)
    assert advice == advice_in(str(ended[0]), NEW_LOGS)
    [advised], [setting] = commands_in(advice), settings_in(advice)
    for number in range(1, TIMES + 1):
        other = changed(settings, topic_prefix=f"{settings.kafka.topic_prefix}{number}.")
        assert setting == "kafka.topic_prefix"
        for _ in range(TIMES):
            run(*advised, *flags(other))
        send_trades(other, 100 * number)
        run_until(other, nothing_left("trades"), "trades")
        assert rows(store, "trades") == 10 + number, "what was stored stays"


@pytest.mark.exhaustive
@pytest.mark.advice("restart the worker")
def test_a_topic_that_was_made_anew_under_a_worker(settings: Settings) -> None:
    """What a worker does at its start, it does again."""
    log = open_source(settings, FACTORS, [L2])
    Feed(settings, FACTORS).send(factors("A", [1]))
    recreate(settings)
    refused(lambda: log_ends(settings, log), "restart the worker", LogReplaced)
    for _ in range(TIMES):
        again = open_source(settings, FACTORS, [L2])
        assert again.topic_id != log.topic_id
        assert set(log_ends(settings, again).values()) == {0}
