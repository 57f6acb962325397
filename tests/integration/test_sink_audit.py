"""The audit finds what is lost and doubled, and nothing where nothing is."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest
from confluent_kafka import TopicPartition

from obflow import clickhouse as database
from obflow import doctor, kafka, kafka_logs, topics
from obflow.settings import ClickHouseSettings, Settings
from obflow.whole_log import read_log
from processors.factors.reference.engine import ReferenceEngine
from research import contents
from research.audit import Audit, audit
from schemas.codec import decode_as
from schemas.digest import digest
from schemas.logs import short_id
from schemas.messages import FactorEvent, FactorRecord, InstrumentKey, Kind, L2Record, Source
from schemas.topics import FACTORS, L2, TRADES
from sinks.store import Store
from tests.integration.sinking import Feed, opened, pipeline, run_until
from tests.integration.stored import stored_digests
from tests.schemas.examples import EXAMPLES, load

pytestmark = pytest.mark.integration

SYMBOLS = ("A", "B", "C")
EVENTS = 40
THIN_NOTIONAL = 1.0


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    """A pipeline of the test's own, whose workers use another threshold than the default."""
    own = pipeline(broker, clickhouse)
    return own.model_copy(update={"processor": own.processor.model_copy(update={"thin_notional": THIN_NOTIONAL})})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with opened(settings.clickhouse) as found:
        yield found


def book_updates(symbol: str) -> list[L2Record]:
    """A snapshot and deltas, one of them missing: the book breaks, and a later snapshot heals it."""
    return [_update(symbol, n, Kind.SNAPSHOT if n in (0, 25) else Kind.DELTA) for n in range(EVENTS) if n != 20]


def _update(symbol: str, sequence: int, kind: Kind) -> L2Record:
    return L2Record(
        "binance-futures",
        symbol,
        Source.REPLAY,
        kind,
        1,
        sequence,
        1_700_000_000_000_000_000 + sequence,
        "0.1",
        "1",
        previous_sequence=sequence - 1 if kind is Kind.DELTA else None,
        bid_ticks=[100],
        bid_lots=[5],
        ask_ticks=[101],
        ask_lots=[5],
    )


def publish(settings: Settings) -> dict[InstrumentKey, list[FactorEvent]]:
    """Books on the log, their events as a processor would send them, some of them twice; returns the events."""
    feed = Feed(settings, L2)
    events: dict[InstrumentKey, list[FactorEvent]] = {}
    for symbol in SYMBOLS:
        for update in book_updates(symbol):
            feed.send(update)
    feed.flush()
    name = topics.topic_name(settings, L2)
    log = short_id(kafka_logs.topic_ids(settings, [name])[name])
    factors = Feed(settings, FACTORS)
    for record in processed(settings, log):
        factors.send(record)
        events[record.instrument] = record.events
        again = msgspec.structs.replace(record, events=record.events[10:20])
        factors.send(again)
    factors.flush()
    return events


def processed(settings: Settings, log: str) -> Iterator[FactorRecord]:
    """One record an instrument with all of its events."""
    states: dict[InstrumentKey, tuple[int, list[int], list[L2Record]]] = {}
    for logged in read_log(settings, topics.topic_name(settings, L2)):
        record = decode_as(L2Record, logged.value)
        _, offsets, records = states.setdefault(record.instrument, (logged.partition, [], []))
        offsets.append(logged.offset)
        records.append(record)
    engine = ReferenceEngine(THIN_NOTIONAL)
    for instrument, (partition, offsets, records) in states.items():
        columns = engine.step(engine.fresh(), offsets, records)
        yield FactorRecord(*instrument, Source.REPLAY, "a1", log, partition, columns.events())


def send_trades(settings: Settings, trades: int) -> None:
    feed = Feed(settings, TRADES)
    trade = load(EXAMPLES / "trades/v1/buy.json")
    for number in range(trades):
        feed.send(msgspec.structs.replace(trade, trade_id=str(number)))
    feed.send_bytes(b"bad", key="binance-futures:BTCUSDT")
    feed.flush()


def feed_tables(settings: Settings) -> None:
    run_until(
        settings,
        lambda counts: (
            all(found.lags and not any(found.lags.values()) for found in counts.values())
            and counts["dead_letters"].rows >= 1
        ),
    )


def test_an_exact_pipeline_is_audited_as_exact_to_the_bit(settings: Settings) -> None:
    events = publish(settings)
    send_trades(settings, 7)
    feed_tables(settings)
    found = audit(settings, digests=True)

    assert found.contents == {f"binance-futures:{symbol}": "equal" for symbol in SYMBOLS}
    assert (found.lost, found.duplicates, found.reemitted, found.undecodable) == (0, 0, 30, 0)
    assert {name: counts["expected"] for name, counts in found.instruments.items()} == {
        # 20 up to the gap, the record that broke the book, the snapshot that healed it and 14 deltas
        f"binance-futures:{symbol}": 36
        for symbol in SYMBOLS
    }
    assert (found.trades.logged, found.trades.stored, found.trades.dead_lettered) == (8, 7, 1)
    assert doctor.audit_problems(found) == []
    with closing(database.connect(settings.clickhouse)) as client:
        assert stored_digests(client) == {key: (len(one), digest(one)) for key, one in events.items()}


def test_a_lost_a_doubled_and_a_changed_row_are_found_where_they_are(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "PAGE_ROWS", 7)
    monkeypatch.setattr(contents, "BATCH", 5)
    publish(settings)
    send_trades(settings, 7)
    feed_tables(settings)
    store.command("ALTER TABLE factors DELETE WHERE symbol = 'B' AND sequence IN (3, 5) SETTINGS mutations_sync = 1")
    store.command("INSERT INTO factors SELECT * FROM factors WHERE symbol = 'C' AND sequence = 7")
    store.command("INSERT INTO trades SELECT * FROM trades LIMIT 1")
    change = "ALTER TABLE factors UPDATE spread_bps = spread_bps + 1e-9 WHERE symbol = 'A' AND sequence = 5"
    store.command(f"{change} SETTINGS mutations_sync = 1")
    found = audit(settings, digests=True)

    assert (found.lost, found.duplicates) == (2, 2)
    assert found.instruments["binance-futures:B"]["lost"] == 2
    assert found.instruments["binance-futures:C"]["duplicates"] == 1
    assert found.trades.duplicates == 1
    assert found.contents == {
        "binance-futures:A": "different",
        "binance-futures:B": "equal",  # what is left of it
        "binance-futures:C": "equal",
    }
    assert doctor.audit_problems(found) == [
        "binance-futures:A: stored numbers differ from those that the log gives with these settings",
        "binance-futures:B: 2 lost",
        "binance-futures:C: 1 duplicates",
        "trades: 1 duplicates",
    ]


@pytest.mark.exhaustive
def test_events_that_a_sink_dead_lettered_are_not_lost(settings: Settings, store: Store) -> None:
    store.command("ALTER TABLE factors ADD CONSTRAINT test CHECK symbol != 'B'")
    publish(settings)
    feed = Feed(settings, TRADES)
    feed.send_bytes(b"bad", key="x")
    feed.flush()
    run_until(settings, lambda counts: counts["dead_letters"].rows >= 2 and counts["factors"].rows >= 72)
    found = audit(settings, patience_seconds=5)

    assert found.lost == 0
    assert found.instruments["binance-futures:B"] == {
        "expected": 36,
        "stored": 0,
        "dead_lettered": 36,
        "lost": 0,
        "duplicates": 0,
        "unexpected": 0,
    }


@pytest.mark.exhaustive
def test_what_no_sink_has_come_to_is_not_stored_yet_and_not_lost(settings: Settings) -> None:
    publish(settings)
    send_trades(settings, 7)
    found: Audit = audit(settings, patience_seconds=0.6)

    assert (found.lost, found.stored, found.expected) == (0, 0, 36 * len(SYMBOLS))
    assert {counts["pending"] for counts in found.instruments.values()} == {36}
    assert doctor.audit_problems(found)[-1] == "trades: 8 not stored yet"
    assert "binance-futures:A: 36 not processed yet" in doctor.audit_problems(found)


@pytest.mark.exhaustive
def test_book_records_behind_the_workers_are_lost_and_those_before_them_wait(settings: Settings) -> None:
    """Half of the book log is committed by the workers, and none of it gave a factor event."""
    feed = Feed(settings, L2)
    for record in book_updates("A"):
        feed.send(record)
    feed.flush()
    name = topics.topic_name(settings, L2)
    worker = kafka.consumer(settings, settings.kafka.topic_prefix + settings.processor.app_id)
    ends = {part: end for part, end in kafka_logs.end_offsets(settings, [name]).items() if end}
    worker.commit(offsets=[TopicPartition(*part, end // 2) for part, end in ends.items()], asynchronous=False)
    worker.close()
    found = audit(settings)

    [counts] = found.instruments.values()
    assert counts["lost"] + counts["pending"] == counts["expected"]
    assert counts["lost"] == sum(end // 2 for end in ends.values())


@pytest.mark.exhaustive
def test_rows_of_an_older_log_are_audited_for_duplicates_too(settings: Settings, store: Store) -> None:
    publish(settings)
    send_trades(settings, 1)
    feed_tables(settings)
    elsewhere = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"topic_prefix": f"s{uuid.uuid4().hex[:8]}."})}
    )
    topics.apply(elsewhere)
    store.command("INSERT INTO factors SELECT * FROM factors WHERE symbol = 'A' AND sequence = 1")
    found = audit(elsewhere)

    assert (found.expected, found.duplicates) == (0, 1)
