"""One record, or one table, between a real broker and a real engine: whatever is wrong with it, the rest is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
import pytest

from obflow import kafka, kafka_logs, topics
from obflow.metrics import Metrics
from obflow.settings import ClickHouseSettings, Settings
from schemas.codec import encode
from schemas.logs import ORIGIN_HEADER, short_id
from schemas.messages import FactorRecord, Record, RegimeEvent
from schemas.partitions import partition_of
from schemas.topics import (
    ANOMALIES,
    ARBITRAGE,
    DEAD_LETTERS,
    DERIVATIVES,
    FACTORS,
    FEED_QUALITY,
    FEED_STATUS,
    L2,
    LLM_CALLS,
    QUOTES,
    REGIMES,
    ROLLOUT,
    SIGNALS,
    TRADES,
    Topic,
)
from sinks.counts import Counts
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.sinking import PARTITIONS, Feed, opened, pipeline, run_until
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

GOOD: dict[Topic, str] = {
    TRADES: "trades/v1/buy",
    DERIVATIVES: "derivatives/v1/mark",
    FEED_STATUS: "feed-status/v1/invalid",
    FEED_QUALITY: "feed-quality/v1/healthy",
    DEAD_LETTERS: "dead-letters/v1/frame",
    REGIMES: "regimes/v1/rule",
    LLM_CALLS: "llm-calls/v1/ok",
    ROLLOUT: "rollout/v1/canary",
    SIGNALS: "signals/v1/open",
    ANOMALIES: "anomalies/v1/open",
    QUOTES: "quotes/v1/open",
    ARBITRAGE: "arbitrage/v1/open",
}


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    """A pipeline of the test's own."""
    return pipeline(broker, clickhouse)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with opened(settings.clickhouse) as found:
        yield found


def send(settings: Settings, topic: Topic, *records: Record) -> None:
    feed = Feed(settings, topic)
    for record in records:
        feed.send(record)
    feed.flush()


def send_to_all(settings: Settings) -> None:
    """A good record for each table."""
    send(settings, FACTORS, factors("A", [0]))
    for topic, name in GOOD.items():
        send(settings, topic, load(EXAMPLES / f"{name}.json"))


def books_of(settings: Settings, symbol: str, records: int) -> tuple[str, int]:
    """The books' log with so many records of an instrument; its name, and the instrument's partition."""
    feed = Feed(settings, L2)
    for _ in range(records):
        feed.send_bytes(b"x", key=f"binance-futures:{symbol}")
    feed.flush()
    name = topics.topic_name(settings, L2)
    log = short_id(kafka_logs.topic_ids(settings, [name])[name])
    return log, partition_of(f"binance-futures:{symbol}", PARTITIONS)


def stored(counts: Mapping[str, Counts], **least: int) -> bool:
    return all(counts[table].rows >= rows for table, rows in least.items())


def all_read(**least: int) -> Callable[[Mapping[str, Counts]], bool]:
    """Whether so many rows are stored, and nothing is buffered any more."""
    return lambda counts: stored(counts, **least) and not any(found.buffered_rows for found in counts.values())


def letters_of(store: Store) -> list[tuple[str, str]]:
    return store.query("SELECT reason, source_topic FROM dead_letters FINAL WHERE role = 'sink' ORDER BY source_topic")


@pytest.mark.parametrize("offset", tiered([-1, -(2**63), 2**63 - 1], -1))
def test_a_regime_of_a_place_that_cannot_be_is_a_letter_and_all_tables_go_on(
    settings: Settings, store: Store, offset: int
) -> None:
    log, home = books_of(settings, "BTCUSDT", 1)
    rule = load(EXAMPLES / "regimes/v1/rule.json")
    send(settings, REGIMES, msgspec.structs.replace(rule, source_log=log, source_partition=home, source_offset=offset))
    send_to_all(settings)
    run_until(settings, all_read(**{**dict.fromkeys(TABLES, 1), "dead_letters": 2}), seconds=60)

    [(reason, topic)] = letters_of(store)
    assert reason in ("ImpossibleRecord", "ForeignRecord")
    assert topic == topics.topic_name(settings, REGIMES)


def test_events_that_claim_what_no_record_has_yet_hide_none_that_truly_follow(settings: Settings, store: Store) -> None:
    log, home = books_of(settings, "A", 10)
    poison: list[FactorRecord] = [factors("A", [0, 2**40], home, log), factors("A", [3], (home + 1) % PARTITIONS, log)]
    send(settings, FACTORS, factors("A", [0, 1], home, log), *poison, factors("A", list(range(2, 10)), home, log))
    run_until(settings, all_read(factors=10, dead_letters=2), "factors", "dead_letters", seconds=60)

    assert store.query("SELECT groupArray(source_offset) FROM (SELECT * FROM factors ORDER BY source_offset)") == [
        (list(range(10)),)
    ]
    assert [reason for reason, _ in letters_of(store)] == ["ForeignRecord"] * 2


@pytest.mark.exhaustive
def test_a_place_is_taken_as_soon_as_its_record_is_there(settings: Settings, store: Store) -> None:
    """The sink has asked where the log ends; the log goes on."""
    log, home = books_of(settings, "A", 2)
    send(settings, FACTORS, factors("A", [0, 1], home, log))
    asked = []

    def done(counts: Mapping[str, Counts]) -> bool:
        if counts["factors"].rows == 2 and not asked:
            asked.append(books_of(settings, "A", 3))
            send(settings, FACTORS, factors("A", [2, 3, 4], home, log))
        return counts["factors"].rows == 5

    counts = run_until(settings, done, "factors", seconds=60)
    assert counts["factors"].dead_lettered == 0


@pytest.mark.exhaustive
def test_a_trade_that_claims_to_have_been_sent_before_hides_none_that_follow(settings: Settings, store: Store) -> None:
    trade = load(EXAMPLES / "trades/v1/buy.json")
    name = topics.topic_name(settings, TRADES)
    origin = (
        f"{kafka_logs.topic_ids(settings, [name])[name]}:{partition_of('binance-futures:BTCUSDT', PARTITIONS)}:{2**62}"
    )
    producer = kafka.producer(settings)
    producer.produce(name, encode(trade), key=b"binance-futures:BTCUSDT", headers=[(ORIGIN_HEADER, origin.encode())])
    assert producer.flush(patient(30)) == 0
    send(settings, TRADES, *[msgspec.structs.replace(trade, trade_id=str(n)) for n in range(5)])
    run_until(settings, all_read(trades=5, dead_letters=1), "trades", "dead_letters", seconds=60)

    assert store.query("SELECT count(), max(source_offset) FROM trades") == [(5, 5)]
    assert [reason for reason, _ in letters_of(store)] == ["ForeignRecord"]


def test_a_table_that_cannot_be_fed_stops_no_other_and_is_fed_once_it_is_mended(
    settings: Settings, store: Store
) -> None:
    send_to_all(settings)
    store.command("ALTER TABLE regimes DROP COLUMN whole")
    metrics, seen = Metrics("sink"), list[float]()

    def done(counts: Mapping[str, Counts]) -> bool:
        others = {name: 1 for name in TABLES if name != "regimes"}
        if stored(counts, **others) and counts["regimes"].failing and not seen:
            seen.append(metrics.value("obflow_table_failing", table="regimes"))
            store.command("ALTER TABLE regimes ADD COLUMN whole Bool AFTER usable_events")
        return bool(seen) and all_read(**dict.fromkeys(TABLES, 1))(counts)

    counts = run_until(settings, done, seconds=90, metrics=metrics)
    assert seen == [1.0]
    assert not counts["regimes"].failing
    assert letters_of(store) == []


@pytest.mark.exhaustive
def test_a_table_that_loses_a_column_while_it_is_fed_stops_no_other(settings: Settings, store: Store) -> None:
    send_to_all(settings)
    broken: list[str] = []

    def done(counts: Mapping[str, Counts]) -> bool:
        if not broken and all_read(**dict.fromkeys(TABLES, 1))(counts):
            broken.append("regimes")
            store.command("ALTER TABLE regimes DROP COLUMN whole")
            rule = load(EXAMPLES / "regimes/v1/rule.json")
            assert isinstance(rule, RegimeEvent)
            send(settings, REGIMES, msgspec.structs.replace(rule, source_offset=rule.source_offset + 1))
        if len(broken) == 1 and counts["regimes"].failing:
            broken.append("told")
            send(settings, TRADES, load(EXAMPLES / "trades/v1/buy.json"))
        return len(broken) == 2 and counts["trades"].rows == 2

    with pytest.raises(Exception, match=r"regimes\.whole|regimes"):
        run_until(settings, done, seconds=90)
    assert store.query("SELECT count() FROM trades") == [(2,)]
    assert letters_of(store) == []
