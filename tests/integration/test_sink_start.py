"""Where a sink begins: never at an end older than its table, and what it can never read is written down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

from obflow import kafka, kafka_logs, topics
from obflow.settings import ClickHouseSettings, Settings
from schemas.errors import TopicMismatch
from schemas.messages import FeedState, FeedStatus, Source
from schemas.topics import FACTORS, FEED_STATUS, TRADES, Topic
from sinks import opening, reader
from sinks.reader import Log
from sinks.store import Store
from tests.integration.sinking import Feed, opened, pipeline, read_all, run_until
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors
from tests.support.patience import patient

pytestmark = pytest.mark.integration

Positions = Mapping[tuple[str, int], int]


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    return pipeline(broker, clickhouse)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with opened(settings.clickhouse) as found:
        yield found


def send(settings: Settings, offsets: list[int]) -> None:
    feed = Feed(settings, FACTORS)
    for offset in offsets:
        feed.send(factors("A", [offset]))
    feed.flush()


def expire(settings: Settings, topic: Topic, partition: int, before: int) -> None:
    """Do what retention does: the log begins at that offset from now on."""
    name = topics.topic_name(settings, topic)
    client = kafka.admin(settings)  # held until the answer is here
    asked = client.delete_records([TopicPartition(name, partition, before)])
    assert [future.result(patient(20)).low_watermark for future in asked.values()] == [before]


def holes(store: Store) -> list[tuple[Any, ...]]:
    return store.query("SELECT table_name, kind, first_offset, end_offset FROM log_holes FINAL ORDER BY ALL")


def partition_of(settings: Settings, topic: Topic) -> int:
    """The one partition that holds anything."""
    ends = kafka_logs.end_offsets(settings, [topics.topic_name(settings, topic)])
    [partition] = [partition for (_, partition), end in ends.items() if end]
    return partition


def test_what_is_written_and_stored_while_a_sink_starts_is_no_record_lost(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another sink, on its way out, stores records between the two look-ups of one that starts."""
    send(settings, [0, 1])
    run_until(settings, read_all(2), "factors")
    asked = opening.stored_positions
    meanwhile = iter([True])

    def positions(store: Store, table: Any) -> Positions:
        if next(meanwhile, False):
            send(settings, [2, 3, 4])
            store.command(
                "INSERT INTO factors SELECT * REPLACE (2 + number AS k_off, 2 + number AS source_offset) EXCEPT number "
                "FROM (SELECT * FROM factors WHERE k_off = 0) AS stored CROSS JOIN numbers(3) AS later"
            )
        return asked(store, table)

    monkeypatch.setattr(opening, "stored_positions", positions)
    counts = run_until(settings, lambda counts: bool(counts["factors"].lags), "factors")

    assert counts["factors"].records == 0
    assert store.query("SELECT count() FROM factors") == [(5,)]


def test_a_broker_that_knows_less_for_a_moment_is_asked_again(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(settings, [0, 1, 2])
    run_until(settings, read_all(3), "factors")
    looked = reader.look_up
    stale = iter([True] * 3)

    def look_up(settings: Settings, wanted: Any) -> dict[Topic, Log]:
        logs = looked(settings, wanted)
        return {
            topic: log._replace(ends=dict.fromkeys(log.ends, 1)) if next(stale, False) else log
            for topic, log in logs.items()
        }

    monkeypatch.setattr(reader, "look_up", look_up)
    assert run_until(settings, lambda counts: bool(counts["factors"].lags), "factors")["factors"].records == 0


def test_a_log_that_stays_short_is_told_with_a_step_that_destroys_nothing(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(settings, [0, 1, 2])
    run_until(settings, read_all(3), "factors")
    store.command("INSERT INTO factors SELECT * REPLACE (k_off + 90 AS k_off) FROM factors")
    monkeypatch.setattr(reader, "SHORT_SECONDS", 0.3)
    with pytest.raises(TopicMismatch, match=r"lost records: set kafka\.topic_prefix .* stay$"):
        run_until(settings, lambda counts: False, "factors")


def test_records_that_expired_unread_are_written_down_and_stay_so(settings: Settings, store: Store) -> None:
    send(settings, list(range(4)))
    run_until(settings, read_all(4), "factors")
    send(settings, list(range(4, 12)))
    partition = partition_of(settings, FACTORS)
    expire(settings, FACTORS, partition, 9)
    for _ in range(2):  # the second start knows nothing of it but what the first wrote down
        run_until(
            settings,
            lambda counts: bool(counts["factors"].lags) and not any(counts["factors"].lags.values()),
            "factors",
        )
        assert holes(store) == [("factors", "expired", 4, 9)]
    assert store.query("SELECT count() FROM factors") == [(7,)]

    send(settings, [12, 13])
    expire(settings, FACTORS, partition, 13)
    counts = run_until(settings, read_all(1), "factors")
    assert counts["factors"].expired == 1
    assert holes(store) == [("factors", "expired", 4, 9), ("factors", "expired", 12, 13)]


@pytest.mark.exhaustive
def test_records_of_a_quiet_partition_that_expired_unread_are_no_less_expired(settings: Settings, store: Store) -> None:
    """The table holds nothing of that partition: that a sink was at this log before, other partitions tell."""
    feed, key = Feed(settings, TRADES), "binance-futures:BTCUSDT"
    trade = load(EXAMPLES / "trades/v1/buy.json")
    feed.send(trade)
    feed.flush()
    quiet = 1 if partition_of(settings, TRADES) == 0 else 0
    run_until(settings, read_all(1, table="trades"), "trades")
    producer: Producer = kafka.producer(settings)
    for _ in range(5):
        producer.produce(topics.topic_name(settings, TRADES), b"x", key=key.encode(), partition=quiet)
    assert producer.flush(patient(20)) == 0
    expire(settings, TRADES, quiet, 5)
    run_until(settings, lambda counts: bool(counts["trades"].lags), "trades")

    assert holes(store) == [("trades", "expired", 0, 5)]


@pytest.mark.exhaustive
def test_heartbeats_that_expired_were_read_and_are_no_hole(settings: Settings, store: Store) -> None:
    change = FeedStatus("binance", "A", Source.LIVE, FeedState.LIVE, 1, 0)
    beat = FeedStatus("binance", "A", Source.LIVE, FeedState.LIVE, 1, 0, heartbeat=True)
    feed = Feed(settings, FEED_STATUS)
    for status in (change, beat, beat, beat):
        feed.send(status)
    feed.flush()
    run_until(settings, read_all(4, table="feed_status"), "feed_status")
    expire(settings, FEED_STATUS, partition_of(settings, FEED_STATUS), 4)
    run_until(settings, lambda counts: bool(counts["feed_status"].lags), "feed_status")

    assert holes(store) == []


def test_a_fresh_table_on_an_old_log_has_no_hole(settings: Settings, store: Store) -> None:
    send(settings, list(range(6)))
    expire(settings, FACTORS, partition_of(settings, FACTORS), 4)
    run_until(settings, read_all(2), "factors")

    assert holes(store) == []


@pytest.mark.exhaustive
def test_offsets_without_a_record_are_written_down(settings: Settings, store: Store) -> None:
    """What a transaction leaves behind: its marker, and records that were taken back, which no reader is given."""
    name = topics.topic_name(settings, FACTORS)
    from schemas.codec import encode

    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers, "transactional.id": name})
    producer.init_transactions(20)
    for offset, kept in ((0, True), (1, False), (2, True)):
        producer.begin_transaction()
        producer.produce(name, encode(factors("A", [offset])), key=b"binance-futures:A")
        producer.flush(patient(20))
        (producer.commit_transaction if kept else producer.abort_transaction)(20)
    run_until(settings, read_all(2), "factors")

    assert holes(store) == [("factors", "absent", 1, 4)]
    assert store.query("SELECT source_offset FROM factors ORDER BY ALL") == [(0,), (2,)]
