"""What the audit does not see, it does not call well: each fault has a line, a problem and an exit code."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition

from obflow import doctor, kafka, kafka_logs, topics
from obflow.cli import main
from obflow.clock import SystemClock
from obflow.doctor import audit_problems
from obflow.metrics import Metrics
from obflow.settings import ClickHouseSettings, Settings
from processors.regimes.state import RegimeState, close_windows
from producers.broker.publisher import Publisher
from research import unseen
from research.audit import audit
from research.derived_steps import DERIVED, DerivedTable
from research.evaluate_follow import VerdictWriter
from schemas.codec import encode
from schemas.errors import SchemaMismatch
from schemas.evaluations import RegimeEval
from schemas.logs import ORIGIN_HEADER, short_id
from schemas.messages import (
    FactorRecord,
    FeedState,
    FeedStatus,
    Kind,
    L2Record,
    Regime,
    RegimeEvent,
    RegimeSource,
    Source,
    TradeRecord,
)
from schemas.rollouts import RolloutRecord
from schemas.topics import (
    DEAD_LETTERS,
    DERIVATIVES,
    FACTORS,
    FEED_QUALITY,
    FEED_STATUS,
    L2,
    LLM_CALLS,
    REGIMES,
    ROLLOUT,
    TRADES,
    Topic,
)
from sinks.counts import Counts
from sinks.runs import drop_run
from sinks.store import Store
from tests.integration.sinking import Feed, opened, pipeline, run_until
from tests.integration.test_sink_audit import feed_tables, processed
from tests.processors.regimes.generated import RULES, event_of
from tests.schemas.examples import EXAMPLES, load
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

VENUE = "binance-futures"
SYMBOLS = ("A", "B")
SECOND_NS = 10**9
EVENTS = 40
WINDOWS = EVENTS // 5 - 1  # one event a second, and the last window stays open
T0_NS = 1_700_000_000 * SECOND_NS


def book_updates(symbol: str) -> Iterator[L2Record]:
    for sequence in range(EVENTS):
        kind = Kind.DELTA if sequence else Kind.SNAPSHOT
        yield L2Record(
            VENUE,
            symbol,
            Source.LIVE,
            kind,
            1,
            sequence,
            T0_NS + sequence * SECOND_NS,
            "0.1",
            "1",
            previous_sequence=sequence - 1 if sequence else None,
            bid_ticks=[100],
            bid_lots=[5 + sequence],
            ask_ticks=[101],
            ask_lots=[5],
        )


def judged(records: list[FactorRecord]) -> Iterator[RegimeEvent]:
    """What the workers publish of these: the rules' event of every window, and two arms' of the first of each."""
    for record in records:
        closed = close_windows(RegimeState(), record, RULES, lambda _: None)
        events = [event_of(record.instrument, one) for one in closed]
        yield from events
        for arm in ("blue", "green"):
            yield msgspec.structs.replace(events[0], source=RegimeSource.LLM, label=Regime.BALANCED, arm=arm)


def steps_on(records: list[FactorRecord], table: DerivedTable, log: str) -> Iterator[Any]:
    """Two steps of a derived stream an instrument: examples, moved onto these events."""
    example = load(EXAMPLES / f"{table.topic.record}/v1/open.json")
    for record in records:
        where = {"source_log": log, "source_partition": record.source_partition}
        for event in (record.events[0], record.events[-1]):
            moved = {"venue": record.venue, "symbol": record.symbol, "source_offset": event.source_offset}
            yield msgspec.structs.replace(example, **where, **moved)  # type: ignore[arg-type] # of any derived table


def trade(symbol: str, number: int, *, source: Source = Source.LIVE, received_ns: int = 0) -> TradeRecord:
    example = load(EXAMPLES / "trades/v1/buy.json")
    assert isinstance(example, TradeRecord)
    changes = {"symbol": symbol, "trade_id": str(number), "source": source}
    moved = {"received_ns": received_ns} if received_ns else {}
    return msgspec.structs.replace(example, **changes, **moved)


def send(settings: Settings, topic: Topic, *records: Any) -> None:
    feed = Feed(settings, topic)
    for record in records:
        feed.send(record) if not isinstance(record, bytes) else feed.send_bytes(record, key="x")
    feed.flush()


def statuses(symbol: str) -> list[FeedStatus]:
    words = [(FeedState.CONNECTING, False), (FeedState.LIVE, False), (FeedState.LIVE, True), (FeedState.STOPPED, False)]
    return [FeedStatus(VENUE, symbol, Source.LIVE, state, 1, T0_NS, heartbeat=beat) for state, beat in words]


def publish_all(settings: Settings) -> None:
    """A whole pipeline's logs."""
    for symbol in SYMBOLS:
        send(settings, L2, *book_updates(symbol))
        send(settings, TRADES, *(trade(symbol, number) for number in range(5)))
        send(settings, FEED_STATUS, *statuses(symbol))
    send(settings, TRADES, b"bad")
    send(settings, DERIVATIVES, *(load(path) for path in sorted((EXAMPLES / "derivatives/v1").iterdir())))
    send(settings, FEED_QUALITY, *(load(path) for path in sorted((EXAMPLES / "feed-quality/v1").iterdir())))
    records = list(processed(settings, source_log(settings)))
    send(settings, FACTORS, *records)
    send(settings, REGIMES, *judged(records))
    for table in DERIVED.values():
        send(settings, table.topic, *steps_on(records, table, source_log(settings, table.source)))
    calls = [load(EXAMPLES / f"llm-calls/v1/{name}.json") for name in ("ok", "timeout")]
    send(settings, ROLLOUT, *changes_of_a_rollout())
    send(settings, LLM_CALLS, *(msgspec.structs.replace(one, call_id=str(n)) for n, one in enumerate(calls)))


def changes_of_a_rollout() -> list[RolloutRecord]:
    """Three changes, and before the last what was asked for by hand."""
    state, request = (load(EXAMPLES / f"rollout/v2/{name}.json") for name in ("canary", "request"))
    assert isinstance(state, RolloutRecord)
    assert isinstance(request, RolloutRecord)
    first, second, third = (msgspec.structs.replace(state, step=step) for step in (1, 2, 3))
    return [first, second, request, third]


def write_verdicts(settings: Settings) -> None:
    """Verdicts on a model after two marks, the first of them twice, as whoever judges writes them."""
    verdict = load(EXAMPLES / "regime-eval/v1/better.json")
    assert isinstance(verdict, RegimeEval)
    later = msgspec.structs.replace(verdict, mark_ns=verdict.mark_ns + 60 * 10**9)
    with opened(settings.clickhouse) as store:
        writer = VerdictWriter(settings, store, Metrics("evaluate"))
        for one in (verdict, later, verdict):
            writer.write(one)
        writer.close()


def source_log(settings: Settings, topic: Topic = L2) -> str:
    name = topics.topic_name(settings, topic)
    return short_id(kafka_logs.topic_ids(settings, [name])[name])


def expire(settings: Settings, topic: Topic, before: dict[int, int]) -> None:
    """Do what retention does: the log begins there from now on."""
    client = kafka.admin(settings)  # held until the answer is here
    name = topics.topic_name(settings, topic)
    asked = client.delete_records([TopicPartition(name, part, offset) for part, offset in before.items()])
    for future in asked.values():
        future.result(patient(20))


@pytest.fixture(scope="module")
def whole(broker: str, clickhouse_server: ClickHouseSettings) -> Iterator[Settings]:
    """A pipeline that is exact, shared: each test plants a fault in its tables and takes it away again."""
    database = f"audit_{uuid.uuid4().hex[:8]}"
    settings = pipeline(broker, clickhouse_server.model_copy(update={"database": database}))
    publish_all(settings)
    feed_tables(settings)
    write_verdicts(settings)
    yield settings
    with opened(clickhouse_server) as server:
        server.command(f"DROP DATABASE {database} SYNC")


@pytest.fixture
def store(whole: Settings) -> Iterator[Store]:
    with opened(whole.clickhouse) as found:
        yield found


def counts_of(settings: Settings, **more: Any) -> dict[str, dict[str, int]]:
    return {line.name: dict(line.counts) for line in audit(settings, **more).lines}


def test_an_exact_pipeline_is_well_in_every_line(whole: Settings) -> None:
    found = audit(whole)
    lines = {line.name: dict(line.counts) for line in found.lines}
    none = {"dead_lettered": 0, "lost": 0, "duplicates": 0}

    assert audit_problems(found) == []
    assert (found.expected, found.stored, found.lost, found.duplicates) == (2 * EVENTS, 2 * EVENTS, 0, 0)
    assert lines == {
        "derivatives": {"expected": 3, "stored": 3, **none},
        "feed_quality": {"expected": 2, "stored": 2, **none},
        "trades": {"expected": 11, "stored": 10, "dead_lettered": 1, "lost": 0, "duplicates": 0},
        "feed_status": {"expected": 6, "stored": 6, **none},
        "llm_calls": {"expected": 2, "stored": 2, **none},
        "dead_letters": {"expected": 1, "stored": 1, **none},
        "rollout": {"expected": 3, "stored": 3, **none, "compacted": 0},
        "regime_eval": {"expected": 2, "stored": 2, **none},
        "regimes": {"expected": 2 * WINDOWS, "stored": 2 * WINDOWS, **none},
        "regimes of the model": {"expected": 4, "stored": 4, **none},
        **{name: {"expected": 4, "stored": 4, **none} for name in DERIVED},
        "other logs": {"rows": 0, "accepted": 0},
        "producers": {"live": 0, "stopped": 2, "silent": 0},
        "retention": {"expired": 0, "expired_unread": 0, "absent": 0},
        "runs": {"overlapping": 0},
    }


OFFSET = "source_offset = (SELECT max(source_offset) FROM {0})"
FAULTS: dict[str, tuple[str, str, str]] = {
    # the table, what is done to it, and the problem that must be told
    "a window without a judgement": (
        "regimes",
        "ALTER TABLE regimes DELETE WHERE source = 'rule' AND symbol = 'A' AND window_end = "
        "(SELECT min(window_end) FROM regimes) SETTINGS mutations_sync = 1",
        "regimes: 1 lost",
    ),
    "all judgements of an instrument": (
        "regimes",
        "ALTER TABLE regimes DELETE WHERE symbol = 'B' AND source = 'rule' SETTINGS mutations_sync = 1",
        f"regimes: {WINDOWS} lost",
    ),
    "a judgement of the model": (
        "regimes",
        "ALTER TABLE regimes DELETE WHERE symbol = 'A' AND arm = 'green' SETTINGS mutations_sync = 1",
        "regimes of the model: 1 lost",
    ),
    "a window judged twice": (
        "regimes",
        "INSERT INTO regimes SELECT * FROM regimes WHERE source = 'rule' LIMIT 1",
        "regimes: 1 duplicates",
    ),
    "a verdict on a model that is gone": (
        "regime_eval",
        "ALTER TABLE regime_eval DELETE WHERE mark_at = (SELECT min(mark_at) FROM regime_eval) "
        "SETTINGS mutations_sync = 1",
        "regime_eval: 1 lost",
    ),
    "a request that is gone": (
        "llm_calls",
        "ALTER TABLE llm_calls DELETE WHERE call_id = '1' SETTINGS mutations_sync = 1",
        "llm_calls: 1 lost",
    ),
    "a request stored under two offsets": (
        "llm_calls",
        "INSERT INTO llm_calls SELECT * REPLACE (source_offset + 90 AS source_offset) FROM llm_calls LIMIT 1",
        "llm_calls: 1 duplicates",
    ),
    "a change of a feed that is gone": (
        "feed_status",
        "ALTER TABLE feed_status DELETE WHERE state = 'live' AND symbol = 'A' SETTINGS mutations_sync = 1",
        "feed_status: 1 lost",
    ),
    "a change of a feed stored twice": (
        "feed_status",
        "INSERT INTO feed_status SELECT * FROM feed_status WHERE state = 'live'",
        "feed_status: 2 duplicates",
    ),
    "trades stored twice, as two producers would": (
        "trades",
        "INSERT INTO trades SELECT * REPLACE (source_offset + 90 AS source_offset, k_off + 90 AS k_off, "
        "received_at + 1 AS received_at) FROM trades WHERE symbol = 'A'",
        "trades: 5 duplicates",
    ),
    "a trade that is gone": (
        "trades",
        "ALTER TABLE trades DELETE WHERE trade_id = '3' AND symbol = 'B' SETTINGS mutations_sync = 1",
        "trades: 1 lost",
    ),
    "what was told of derivatives stored twice": (
        "derivatives",
        "INSERT INTO derivatives SELECT * FROM derivatives WHERE venue = 'okx'",
        "derivatives: 1 duplicates",
    ),
    "what was told of a derivative and is gone": (
        "derivatives",
        "ALTER TABLE derivatives DELETE WHERE venue = 'bybit' SETTINGS mutations_sync = 1",
        "derivatives: 1 lost",
    ),
    "a minute of a feed stored twice": (
        "feed_quality",
        "INSERT INTO feed_quality SELECT * FROM feed_quality WHERE venue = 'okx'",
        "feed_quality: 1 duplicates",
    ),
    "a minute of a feed that is gone": (
        "feed_quality",
        "ALTER TABLE feed_quality DELETE WHERE venue = 'okx' SETTINGS mutations_sync = 1",
        "feed_quality: 1 lost",
    ),
    "a letter that is gone": (
        "dead_letters",
        "ALTER TABLE dead_letters DELETE WHERE role = 'sink' SETTINGS mutations_sync = 1",
        "dead_letters: 1 lost",
    ),
    "a change of the rollout that is gone": (
        "rollout",
        "ALTER TABLE rollout DELETE WHERE step = 2 SETTINGS mutations_sync = 1",
        "rollout: 1 lost",
    ),
    "a change of the rollout stored twice": (
        "rollout",
        "INSERT INTO rollout SELECT * FROM rollout WHERE step = 3",
        "rollout: 1 duplicates",
    ),
    "a change of the rollout that lies in neither": (
        "rollout",
        "INSERT INTO rollout SELECT * REPLACE (5 AS step, source_offset + 90 AS source_offset) FROM rollout LIMIT 1",
        "rollout: 1 changes were taken out of the log before they were stored",
    ),
    **{
        f"a step that is gone from {name}": (
            name,
            f"ALTER TABLE {name} DELETE WHERE symbol = 'A' AND k_off = 0 SETTINGS mutations_sync = 1",
            f"{name}: 1 lost",
        )
        for name in DERIVED
    },
    **{
        f"a step twice in {name}": (
            name,
            f"INSERT INTO {name} SELECT * FROM {name} LIMIT 1",  # noqa: S608 (our own names)
            f"{name}: 1 duplicates",
        )
        for name in DERIVED
    },
    "rows of another log": (
        "factors",
        "INSERT INTO factors SELECT * REPLACE ('foreign1' AS source_log) FROM factors LIMIT 3",
        "other logs: 3 rows of factors are of the log foreign1, which the broker has not",
    ),
    "judgements on another log": (
        "regimes",
        "INSERT INTO regimes SELECT * REPLACE ('foreign2' AS source_log) FROM regimes WHERE source = 'llm'",
        "other logs: 4 rows of regimes are of the log foreign2, which the broker has not",
    ),
    "a hole that a sink wrote down": (
        "log_holes",
        "INSERT INTO log_holes SELECT 'trades', 't', (SELECT any(k_log) FROM trades), 1, 'expired', 100, 120, now64(9)",
        "retention: 20 records of trades.v1 expired before they were stored (partition 1 from 100 to 119)",
    ),
}

QUICK = (
    "a window without a judgement",
    "a request that is gone",
    "a trade that is gone",
)
"""What `make test` plants: one of each sort; `make test-all` every one."""


@pytest.mark.parametrize("fault", tiered(FAULTS, *QUICK))
def test_a_fault_is_told_and_ends_the_doctor_with_1(
    whole: Settings, store: Store, fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, statement, problem = FAULTS[fault]
    monkeypatch.setattr(doctor, "examine", lambda settings: [])
    monkeypatch.setattr(doctor, "PATIENCE_SECONDS", 0.0)
    store.command(f"CREATE TABLE saved AS {table}")
    store.command(f"INSERT INTO saved SELECT * FROM {table}")  # noqa: S608
    try:
        store.command(statement)
        assert main(["doctor", "--audit", *flags(whole)]) == 1
        told = capsys.readouterr().out.splitlines()
    finally:
        store.command(f"TRUNCATE TABLE {table}")
        store.command(f"INSERT INTO {table} SELECT * FROM saved")  # noqa: S608
        store.command("DROP TABLE saved")

    name, _, words = problem.partition(": ")
    assert [line for line in told if line.startswith("FAIL") and f"{name}: " in line and line.endswith(words)], told


@pytest.mark.exhaustive
def test_a_fault_is_told_to_programs_too(
    whole: Settings, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda settings: [])
    monkeypatch.setattr(doctor, "PATIENCE_SECONDS", 0.0)
    store.command("INSERT INTO factors SELECT * REPLACE ('foreign3' AS source_log) FROM factors LIMIT 3")
    try:
        assert main(["doctor", "--audit", "--json", *flags(whole)]) == 1
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
    finally:
        store.command("ALTER TABLE factors DELETE WHERE source_log = 'foreign3' SETTINGS mutations_sync = 1")
    problem = "other logs: 3 rows of factors are of the log foreign3, which the broker has not"
    assert (result["ok"], problem in result["audit"]["problems"]) == (False, True), result["audit"]["problems"]
    assert audit_problems(audit(whole)) == []  # and all that was planted before is gone


def flags(settings: Settings) -> list[str]:
    shown = {
        "kafka.bootstrap_servers": settings.kafka.bootstrap_servers,
        "kafka.topic_prefix": settings.kafka.topic_prefix,
        "kafka.partitions": settings.kafka.partitions,
        "clickhouse.host": settings.clickhouse.host,
        "clickhouse.port": settings.clickhouse.port,
        "clickhouse.database": settings.clickhouse.database,
        "clickhouse.password": settings.clickhouse.password.get_secret_value(),
    }
    return [f"--set={key}={value}" for key, value in shown.items()]


@pytest.mark.exhaustive
def test_rows_of_a_log_that_is_known_to_be_gone_are_counted_and_accepted(
    whole: Settings, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda settings: [])
    monkeypatch.setattr(doctor, "PATIENCE_SECONDS", 0.0)
    store.command(
        "INSERT INTO trades SELECT * REPLACE ('foreign1' AS source_log, trade_id || 'x' AS trade_id) FROM trades"
    )
    try:
        assert main(["doctor", "--audit", *flags(whole)]) == 1
        assert main(["doctor", "--audit", "--known-log", "foreign1", *flags(whole)]) == 0
        assert "other logs: rows 10, accepted 10" in capsys.readouterr().out
    finally:
        store.command("ALTER TABLE trades DELETE WHERE source_log = 'foreign1' SETTINGS mutations_sync = 1")


def test_a_table_that_is_gone_is_named_with_what_makes_it_again(whole: Settings, store: Store) -> None:
    store.command("RENAME TABLE llm_calls TO elsewhere")
    try:
        with pytest.raises(SchemaMismatch, match=r"llm_calls.*`obflow tables apply`"):
            audit(whole)
    finally:
        store.command("RENAME TABLE elsewhere TO llm_calls")


@pytest.mark.exhaustive
def test_a_replay_once_more_with_its_times_moved_is_no_duplicate_and_without_it_is(
    whole: Settings, store: Store
) -> None:
    """Times are moved where a recording is played again on purpose; a trade at the same time is the same one."""
    replaced = "'replay' AS source, 'R' AS symbol, {0} AS source_offset, {1} AS received_at"
    row = f"INSERT INTO trades SELECT * REPLACE ({replaced}) FROM (SELECT * FROM trades WHERE symbol = 'A')"  # noqa: S608
    try:
        store.command(row.format("source_offset + 100", "received_at"))
        store.command(row.format("source_offset + 200", "received_at + 60"))
        assert counts_of(whole)["trades"]["duplicates"] == 0
        store.command(row.format("source_offset + 300", "received_at"))
        assert counts_of(whole)["trades"]["duplicates"] == 5
    finally:
        store.command("ALTER TABLE trades DELETE WHERE symbol = 'R' SETTINGS mutations_sync = 1")


# ---- faults of the log: each with a pipeline of its own


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    return pipeline(broker, clickhouse)


@pytest.mark.exhaustive
def test_windows_that_no_worker_has_come_to_are_pending_and_not_well(settings: Settings) -> None:
    for symbol in SYMBOLS:
        send(settings, L2, *book_updates(symbol))
    send(settings, FACTORS, *processed(settings, source_log(settings)))
    run_until(settings, lambda counts: counts["factors"].rows >= 2 * EVENTS, "factors")
    found = audit(settings)
    [regimes] = [line for line in found.lines if line.name == "regimes"]

    assert found.lost == 0
    assert (regimes.counts["pending"], regimes.counts["lost"]) == (2 * WINDOWS, 0)
    assert audit_problems(found) == [
        f"regimes: {2 * WINDOWS} closed windows not judged yet: is `obflow regimes` at work?"
    ]


@pytest.mark.exhaustive
def test_a_window_that_the_workers_have_passed_is_lost(settings: Settings) -> None:
    send(settings, L2, *book_updates("A"))
    send(settings, FACTORS, *processed(settings, source_log(settings)))
    name = topics.topic_name(settings, FACTORS)
    ends = kafka_logs.end_offsets(settings, [name])
    worker = kafka.consumer(settings, settings.kafka.topic_prefix + settings.regimes.app_id)
    worker.commit(offsets=[TopicPartition(*part, end) for part, end in ends.items() if end], asynchronous=False)
    worker.close()
    run_until(settings, lambda counts: counts["factors"].rows >= EVENTS, "factors")
    found = audit(settings)

    assert found.lost == WINDOWS
    assert audit_problems(found) == [f"regimes: {WINDOWS} lost"]


@pytest.mark.exhaustive
def test_a_factor_record_that_the_workers_refused_closes_no_window(settings: Settings) -> None:
    send(settings, L2, *book_updates("A"))
    [record] = processed(settings, source_log(settings))
    bad = msgspec.structs.replace(record, events=[msgspec.structs.replace(record.events[-1], received_ns=-1)])
    halves = [msgspec.structs.replace(record, events=part) for part in (record.events[:20], record.events[20:])]
    send(settings, FACTORS, halves[0], bad, halves[1])
    name = topics.topic_name(settings, FACTORS)
    topic_id = kafka_logs.topic_ids(settings, [name])[name]
    [partition] = [part for (_, part), end in kafka_logs.end_offsets(settings, [name]).items() if end]
    letter = load(EXAMPLES / "dead-letters/v1/frame.json")
    place = {"source_topic": name, "source_partition": partition, "source_offset": 1}
    about = msgspec.structs.replace(letter, letter_id=f"{topic_id}:{partition}:1", role="regimes", **place)
    send(settings, DEAD_LETTERS, about)
    send(settings, REGIMES, *(one for one in judged([record]) if one.source is RegimeSource.RULE))
    run_until(settings, lambda counts: counts["regimes"].rows >= WINDOWS and counts["dead_letters"].rows >= 1)

    assert counts_of(settings)["regimes"] == {
        "expected": WINDOWS,
        "stored": WINDOWS,
        "dead_lettered": 0,
        "lost": 0,
        "duplicates": 0,
    }


def test_a_producer_that_fell_silent_without_a_farewell_is_a_fault(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishers = [Publisher(settings, Metrics("producer"), SystemClock().now_ns) for _ in range(3)]
    words = [
        (0, "KILLED", FeedState.LIVE),
        (0, "STOPPED", FeedState.LIVE),
        (0, "STOPPED", FeedState.STOPPED),
        (0, "REPLACED", FeedState.LIVE),
        (1, "REPLACED", FeedState.LIVE),
        (1, "REPLACED", FeedState.STOPPED),
    ]
    for number, symbol, state in words:
        assert publishers[number].offer(FeedStatus(VENUE, symbol, Source.LIVE, state, 1, 0))
        publishers[number].flush(patient(20))
    monkeypatch.setattr(unseen, "SILENT_S", 1.0)
    time.sleep(1.2)
    assert publishers[2].offer(FeedStatus(VENUE, "ALIVE", Source.LIVE, FeedState.LIVE, 1, 0))
    publishers[2].flush(patient(20))
    for publisher in publishers:
        publisher.close()
    [line] = [line for line in audit(settings).lines if line.name == "producers"]

    assert line.counts == {"live": 1, "stopped": 2, "silent": 1}
    [problem] = line.problems
    assert problem.startswith(f"{VENUE}:KILLED (live) is not audited to its end: its producer has said nothing for ")


@pytest.mark.exhaustive
def test_a_dropped_run_stays_away_and_the_audit_misses_nothing_of_it(settings: Settings) -> None:
    """Its records are still on the log: a sink that starts again stores none of them, and what is new of others."""
    runs = {symbol: f"live/{VENUE}/{number}/a" for number, symbol in enumerate(SYMBOLS)}

    def of_its_run(record: Any) -> Any:
        return msgspec.structs.replace(record, run=runs[record.symbol])

    for symbol in SYMBOLS:
        sent = {L2: book_updates(symbol), TRADES: [trade(symbol, n) for n in range(5)], FEED_STATUS: statuses(symbol)}
        for topic, records in sent.items():
            send(settings, topic, *map(of_its_run, records))
    records = list(map(of_its_run, processed(settings, source_log(settings))))
    send(settings, FACTORS, *records)
    send(settings, REGIMES, *map(of_its_run, judged(records)))
    run_until(settings, has_read_all)
    assert audit_problems(audit(settings)) == []

    with opened(settings.clickhouse) as store:
        deleted = drop_run(store, runs["B"], wait_seconds=0.0)
    assert +Counter(deleted) == {"factors": EVENTS, "trades": 5, "feed_status": 3, "regimes": WINDOWS + 2}
    run_until(settings, has_read_all)
    found = audit(settings)

    assert audit_problems(found) == []
    assert (found.expected, found.stored) == (EVENTS, EVENTS)
    assert {line.name: line.counts["expected"] for line in found.lines[:4]} == {
        "trades": 5,
        "derivatives": 0,
        "feed_quality": 0,
        "feed_status": 3,
    }


def has_read_all(counts: Mapping[str, Counts]) -> bool:
    return all(found.lags and not any(found.lags.values()) and not found.buffered_rows for found in counts.values())


@pytest.mark.exhaustive
def test_records_that_expired_unread_are_apart_from_lost_also_after_a_restart(
    settings: Settings,
) -> None:
    send(settings, TRADES, *(trade("A", number) for number in range(10)))
    run_until(settings, lambda counts: counts["trades"].rows >= 10, "trades")
    send(settings, TRADES, *(trade("A", number) for number in range(10, 30)))
    name = topics.topic_name(settings, TRADES)
    [partition] = [part for (_, part), end in kafka_logs.end_offsets(settings, [name]).items() if end]
    expire(settings, TRADES, {partition: 25})
    expected = f"20 records of trades.v1 expired before they were stored (partition {partition} from 10 to 24)"
    expected = expected.replace("20 records", "15 records")

    def told() -> tuple[dict[str, int], int, list[str]]:
        found = audit(settings)
        lines = {line.name: line for line in found.lines}
        late = lines["trades"].counts.get("pending", 0)
        return dict(lines["retention"].counts), found.lost + late, list(lines["retention"].problems)

    assert told() == ({"expired": 25, "expired_unread": 15, "absent": 0}, 5, [expected])
    run_until(settings, lambda counts: counts["trades"].rows >= 5, "trades")
    for before in (25, 30):  # what is known of it stays, though the log holds ever less
        expire(settings, TRADES, {partition: before})
        assert told() == ({"expired": before, "expired_unread": 15, "absent": 0}, 0, [expected])


@pytest.mark.exhaustive
def test_records_that_expired_after_they_were_stored_are_no_fault(settings: Settings) -> None:
    send(settings, TRADES, *(trade("A", number) for number in range(10)))
    run_until(settings, lambda counts: counts["trades"].rows >= 10, "trades")
    name = topics.topic_name(settings, TRADES)
    [partition] = [part for (_, part), end in kafka_logs.end_offsets(settings, [name]).items() if end]
    expire(settings, TRADES, {partition: 6})
    lines = {line.name: line for line in audit(settings).lines}

    assert lines["retention"].counts == {"expired": 6, "expired_unread": 0, "absent": 0}
    assert lines["retention"].problems == ()
    assert (lines["trades"].counts["expected"], lines["trades"].counts["lost"]) == (4, 0)


@pytest.mark.exhaustive
def test_offsets_without_a_record_are_not_lost_and_not_well(settings: Settings) -> None:
    """A transaction leaves its marker, and records that were taken back: the log ends in one of them, too."""
    name = topics.topic_name(settings, TRADES)
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers, "transactional.id": name})
    producer.init_transactions(20)
    for number, kept in ((0, True), (1, False), (2, True)):
        producer.begin_transaction()
        producer.produce(name, encode(trade("A", number)), key=f"{VENUE}:A".encode())
        producer.flush(patient(20))
        (producer.commit_transaction if kept else producer.abort_transaction)(20)
    run_until(settings, lambda counts: counts["trades"].rows >= 2, "trades")
    began = time.monotonic()
    lines = {line.name: line for line in audit(settings).lines}

    assert time.monotonic() - began < 25, "the last offset holds no record, and none is waited for"
    assert (lines["trades"].counts["expected"], lines["trades"].counts["lost"]) == (2, 0)
    assert lines["retention"].counts["absent"] == 4
    assert "4 offsets of trades.v1 hold no record" in lines["retention"].problems[0]


@pytest.mark.exhaustive
def test_a_record_sent_again_by_hand_is_stored_where_the_first_one_was(settings: Settings) -> None:
    feed = Feed(settings, TRADES)
    feed.send(trade("A", 0))
    feed.send_bytes(b"bad", key=f"{VENUE}:A")
    feed.flush()
    run_until(settings, lambda counts: counts["trades"].rows >= 1 and counts["dead_letters"].rows >= 1)
    name = topics.topic_name(settings, TRADES)
    topic_id = kafka_logs.topic_ids(settings, [name])[name]
    with opened(settings.clickhouse) as store:
        [(partition, offset)] = store.query("SELECT source_partition, source_offset FROM dead_letters FINAL")
    producer = kafka.producer(settings)
    origin = f"{topic_id}:{partition}:{offset}".encode()
    producer.produce(name, encode(trade("A", 1)), key=f"{VENUE}:A".encode(), headers=[(ORIGIN_HEADER, origin)])
    assert producer.flush(patient(20)) == 0
    run_until(settings, lambda counts: counts["trades"].rows >= 1, "trades")

    assert counts_of(settings)["trades"] == {
        "expected": 2,
        "stored": 2,
        "dead_lettered": 0,
        "lost": 0,
        "duplicates": 0,
    }
