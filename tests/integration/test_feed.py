"""A live producer against a simulated venue and a real broker: whatever goes wrong, books heal and nothing lies."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from msgspec.structs import asdict

from obflow import kafka, topics
from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import KafkaSettings, Settings
from producers.broker.publisher import Publisher
from producers.exchanges import EXCHANGES
from producers.live.run import produce
from producers.recordings.replay import Replay, ReplayPlan
from producers.recordings.rotation import Rotation
from schemas.codec import encode
from schemas.errors import UsageError
from schemas.messages import FeedState, Kind, L2Record, Reason, ResyncRequest, Source, TradeRecord
from schemas.topics import DEAD_LETTERS, FEED_STATUS, L2, RESYNC, TRADES
from schemas.units import NS_PER_SECOND
from tests.bazaar.server import PATIENCE_SECONDS
from tests.bazaar.venue import BAZAAR, Bazaar
from tests.integration.producing import (
    SYMBOLS,
    VENUES,
    fresh_topics,
    producing,
    read_positions,
    read_topic,
    symbols_of,
)
from tests.producers.l2_reader import books_of
from tests.producers.messages import largest_record
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

VENUE = "binance-futures"


@pytest.mark.parametrize("venue_id", tiered(sorted(VENUES), "binance-futures", "deribit", "bazaar"))
async def test_a_healthy_feed_publishes_the_true_books_and_says_how_it_is(broker: str, venue_id: str) -> None:
    symbols = symbols_of(venue_id)
    async with producing(broker, venue_id=venue_id) as running:
        await running.all_live()
        await running.until(lambda: all(running.stream(symbol).counters.deltas_applied >= 3 for symbol in symbols))
    settings = running.settings
    l2, trades, statuses = (read_topic(settings, topic) for topic in (L2, TRADES, FEED_STATUS))
    books = books_of(l2)

    assert set(books) == set(symbols)
    for symbol, book in books.items():
        assert book.deltas >= 3
        assert book.invalid == []
        told = [status.state for status in statuses if status.symbol == symbol]
        assert told == [FeedState.CONNECTING, FeedState.AWAITING_SNAPSHOT, FeedState.LIVE, FeedState.STOPPED]
    assert {record.source for record in (*l2, *trades, *statuses)} == {Source.SIMULATOR}
    assert running.summary["messages"] == len(l2) + len(trades)
    assert running.summary["rejected"] == running.summary["shed"] == {}
    assert read_topic(settings, DEAD_LETTERS) == []


@pytest.mark.parametrize(
    ("venue_id", "fault", "reason", "letters"),
    tiered(
        [
            ("binance-futures", "gap", "gap", []),
            ("binance-futures", "disorder", "gap", []),
            ("binance-futures", "duplicate", None, []),
            ("binance-futures", "corrupt", "gap", ["DecodeError"]),
            ("bazaar", "gap", "gap", []),
            ("bazaar", "duplicate", None, []),
            ("bazaar", "corrupt", "bad_input", ["DecodeError"]),
            ("bazaar", "checksum", "checksum", []),
        ],
        ("binance-futures", "gap", "gap", []),
        ("binance-futures", "corrupt", "gap", ["DecodeError"]),
        ("bazaar", "checksum", "checksum", []),
    ),
)
async def test_what_happens_to_one_instruments_frames_is_healed_for_that_instrument_alone(
    broker: str, venue_id: str, fault: str, reason: str | None, letters: list[str]
) -> None:
    async with producing(broker, venue_id=venue_id) as running:
        await running.all_live()
        await running.venue.inject(fault, symbol="BTCUSDT")
        stream = running.stream("BTCUSDT")
        epoch = stream.epoch
        await running.until(lambda: stream.epoch > epoch if reason else stream.counters.duplicates)
        await running.all_live()
        requests = await running.requests()
    books = books_of(read_topic(running.settings, L2))

    assert books["BTCUSDT"].invalid == ([reason] if reason else [])
    assert books["ETHUSDT"].invalid == []
    assert requests == {"BTCUSDT": 2 if reason else 1, "ETHUSDT": 1}
    assert [letter.reason for letter in read_topic(running.settings, DEAD_LETTERS)] == letters


async def test_a_number_that_is_none_is_dead_lettered_and_its_book_begins_afresh(broker: str) -> None:
    async with producing(broker) as running:
        await running.all_live()
        await running.venue.inject("corrupt", symbol="ETHUSDT", damage="number")
        await running.until(lambda: running.feed.router.rejected)
        await running.all_live()
    (letter,) = read_topic(running.settings, DEAD_LETTERS)

    assert letter.reason == "InvalidNumber"
    assert b'"1e5"' in letter.payload
    assert (letter.role, letter.venue, letter.symbol) == ("producer", "binance-futures", "ETHUSDT")
    assert books_of(read_topic(running.settings, L2))["ETHUSDT"].invalid == ["bad_input"]
    assert running.metrics.value("obflow_rejected_total", reason="InvalidNumber") == 1


@pytest.mark.parametrize("venue_id", tiered(["binance-futures", "bazaar"], "binance-futures"))
async def test_a_lost_connection_invalidates_its_books_and_comes_back(broker: str, venue_id: str) -> None:
    async with producing(broker, venue_id=venue_id) as running:
        await running.all_live()
        for _ in range(2):
            await running.venue.inject("disconnect")
            await running.until(lambda: not any(running.stream(symbol).is_live for symbol in SYMBOLS))
            await running.all_live()
    books = books_of(read_topic(running.settings, L2))

    assert {symbol: book.invalid for symbol, book in books.items()} == dict.fromkeys(SYMBOLS, ["disconnect"] * 2)
    epochs = [record.epoch for record in books["BTCUSDT"].snapshots]
    assert epochs == sorted(set(epochs))
    assert len(epochs) == 3


async def test_an_announced_end_costs_no_book(broker: str) -> None:
    async with producing(broker) as running:
        await running.all_live()
        for ends in (1, 2):
            await running.venue.inject("shutdown", seconds=3.0)
            await running.until(lambda ends=ends: running.metrics.value("obflow_connections_total", venue=VENUE) > ends)
            await running.all_live()
            await asyncio.sleep(3.5)
        requests = await running.requests()
    books = books_of(read_topic(running.settings, L2))

    assert {symbol: book.invalid for symbol, book in books.items()} == {symbol: [] for symbol in SYMBOLS}
    assert requests == dict.fromkeys(SYMBOLS, 1)


@pytest.mark.exhaustive
async def test_a_book_that_the_venue_begins_anew_in_the_stream_is_the_book(broker: str) -> None:
    async with producing(broker, venue_id="bazaar") as running:
        await running.all_live()
        epoch = running.stream("BTCUSDT").epoch
        await running.venue.inject("restart", symbol="BTCUSDT")
        await running.until(lambda: running.stream("BTCUSDT").epoch > epoch)
        await running.all_live()
        requests = await running.requests()
    books = books_of(read_topic(running.settings, L2))

    assert books["BTCUSDT"].invalid == books["ETHUSDT"].invalid == []
    assert (len(books["BTCUSDT"].snapshots), len(books["ETHUSDT"].snapshots)) == (2, 1)
    assert books["BTCUSDT"].snapshots[-1].sequence == 1
    assert requests == {"BTCUSDT": 1, "ETHUSDT": 1}, "nothing was asked for"


@pytest.mark.exhaustive
async def test_heartbeats_are_answered_and_pings_sent_for_as_long_as_the_feed_runs(broker: str) -> None:
    async with producing(broker, venue_id="bazaar") as running:
        await running.all_live()
        await asyncio.sleep(PATIENCE_SECONDS + 0.5)
        stats = (await running.venue.report())["stats"]

    assert stats["connections"] == 1
    assert stats["alive"] > 10
    assert "cut_off" not in stats
    assert running.feed.router.ignored["pong"] > 5


async def test_an_instrument_that_is_ended_is_given_up_at_the_venue_and_the_others_go_on(broker: str) -> None:
    async with producing(broker, venue_id="bazaar") as running:
        await running.all_live()
        running.feed.carried.end("ETHUSDT")
        await running.all_live()
        watched = [client.watched for client in running.venue.clients]
        await running.venue.inject("disconnect")
        await running.until(lambda: not running.stream("BTCUSDT").is_live)
        await running.all_live()
        again = [client.watched for client in running.venue.clients]
    states = [status.state for status in read_topic(running.settings, FEED_STATUS) if status.symbol == "ETHUSDT"]

    assert watched == again == [set(BAZAAR.streams("BTCUSDT"))]
    assert states[-1] is FeedState.STOPPED
    assert running.feed.router.rejected == {}


@pytest.mark.exhaustive
async def test_where_ids_are_not_shared_a_replaced_connection_costs_one_epoch_and_no_hole(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bazaar, "limits", BAZAAR.limits._replace(lifetime_s=3.0))
    async with producing(broker, venue_id="bazaar") as running:
        await running.all_live()
        epochs = {symbol: running.stream(symbol).epoch for symbol in SYMBOLS}
        await running.until(lambda: all(running.stream(symbol).epoch > epochs[symbol] for symbol in SYMBOLS))
        await running.all_live()
        stats = (await running.venue.report())["stats"]
    books = books_of(read_topic(running.settings, L2))

    assert {symbol: book.invalid for symbol, book in books.items()} == {symbol: [] for symbol in SYMBOLS}
    assert stats["connections"] >= 2


async def test_a_venue_that_turns_connections_away_is_not_hammered(broker: str) -> None:
    async with producing(broker) as running:
        await running.all_live()
        await running.venue.inject("refuse_connections", seconds=0.4)
        await running.venue.inject("disconnect")
        await running.until(lambda: not running.stream("BTCUSDT").is_live)
        await running.all_live()
        stats = (await running.venue.report())["stats"]

    assert 1 <= stats["connections_refused"] <= 8


@pytest.mark.parametrize("status", tiered([429, 418], 429))
async def test_a_refused_request_is_repeated_no_sooner_than_the_venue_says(broker: str, status: int) -> None:
    async with producing(broker) as running:
        await running.all_live()
        await running.venue.inject("refuse_requests", count=1, status=status, seconds=0.4)
        await running.venue.inject("gap", symbol="BTCUSDT")
        await running.until(lambda: not running.stream("BTCUSDT").is_live)
        loop = asyncio.get_running_loop()
        lost = loop.time()
        await running.until(lambda: running.stream("BTCUSDT").is_live)
        waited = loop.time() - lost

    assert 0.35 <= waited <= 3


async def test_a_broker_that_is_behind_makes_books_invalid_in_the_open(broker: str) -> None:
    """A tiny queue whose batches wait long: records do not fit, and what a reader gets is whole or says it is not."""
    async with producing(broker, queue_messages=25, linger_ms=400) as running:
        await running.until(lambda: running.is_up)
        outlet, shed = running.feed.outlet, set[str]()

        def is_over() -> bool:
            """Whether a book that was LIVE was shed, and what says so was let through again."""
            now = {symbol for symbol in SYMBOLS if outlet.is_overloaded(symbol)}
            shed.update(symbol for symbol in now if running.stream(symbol).reason is Reason.OVERLOAD)
            return bool(shed - now)

        await running.until(is_over, 20)
    books = books_of(read_topic(running.settings, L2))
    statuses = read_topic(running.settings, FEED_STATUS)

    assert sum(running.summary["shed"].values()) > 0
    assert Reason.OVERLOAD in {reason for book in books.values() for reason in book.invalid}
    assert any("records were shed" in status.detail for status in statuses)


async def test_a_reader_that_asks_gets_a_snapshot_unless_it_has_one_ahead_of_it(broker: str) -> None:
    async with producing(broker) as running:
        await running.all_live()
        stream, settings = running.stream("BTCUSDT"), running.settings
        positions = await asyncio.to_thread(read_positions, settings, L2)
        snapshot, partition, offset = next(
            found for found in positions if isinstance(found[0], L2Record) and found[0].symbol == "BTCUSDT"
        )
        assert snapshot.kind is Kind.SNAPSHOT
        epoch = stream.epoch

        async def ask(at: int, epoch: int = epoch) -> None:
            request = ResyncRequest("binance-futures", "BTCUSDT", Reason.GAP, epoch, partition, at)
            await asyncio.to_thread(send, settings, request)

        await ask(offset + 1)
        await running.until(lambda: stream.counters.resyncs_answered == 1)
        assert stream.epoch == epoch  # from memory
        await ask(offset + 1)
        await running.until(lambda: stream.counters.resyncs_outdated == 1)
        await ask(offset + 1, epoch + 10**7)
        await running.until(lambda: stream.epoch == epoch + 10**7 + 1)
        await running.all_live()
        requests = await running.requests()
    books = books_of(read_topic(settings, L2))

    assert requests["BTCUSDT"] == 1
    assert len(books["BTCUSDT"].snapshots) == 3
    assert books["BTCUSDT"].epoch == epoch + 10**7 + 1


async def test_a_request_that_is_none_is_dead_lettered_with_where_it_stood(broker: str) -> None:
    async with producing(broker, symbols=["BTCUSDT"]) as running:
        await running.all_live()
        await asyncio.to_thread(send, running.settings, b"\x00\x00\x00\x00\x05nonsense")
        emitted = "obflow_emitted_total"
        await running.until(lambda: running.metrics.value(emitted, topic=DEAD_LETTERS.name))
    (letter,) = read_topic(running.settings, DEAD_LETTERS)

    assert letter.reason == "DecodeError"
    assert letter.source_topic == running.settings.kafka.topic_prefix + RESYNC.name
    assert letter.source_offset == 0
    assert letter.payload.endswith(b"nonsense")


def send(settings: Settings, request: ResyncRequest | bytes) -> None:
    """Put a request, or bytes that are none, onto the topic as a processor would."""
    producer = kafka.producer(settings)
    payload = request if isinstance(request, bytes) else encode(request)
    producer.produce(settings.kafka.topic_prefix + RESYNC.name, payload, b"binance-futures:BTCUSDT")
    assert producer.flush(patient(10)) == 0
    producer.close()


async def test_a_silent_feed_is_reported_stale_and_then_live_again(broker: str) -> None:
    stale_s = patient(0.4)
    async with producing(broker, symbols=["BTCUSDT"], stale_seconds=stale_s) as running:
        await running.all_live()
        await running.venue.inject("pause", seconds=2 * stale_s)
        await running.until(lambda: running.stream("BTCUSDT").feed.state is FeedState.STALE)
        await running.all_live()
    statuses = [status for status in read_topic(running.settings, FEED_STATUS) if not status.heartbeat]
    # A trade that is awaited for as long makes news of a feed that is what it was.
    states = [state for state, _ in groupby(status.state for status in statuses)]
    stale = next(status for status in statuses if status.state is FeedState.STALE)

    assert states[:3] == [FeedState.CONNECTING, FeedState.AWAITING_SNAPSHOT, FeedState.LIVE]
    assert states[3:5] == [FeedState.STALE, FeedState.LIVE]
    assert states[-1] is FeedState.STOPPED
    assert "no depth update for" in stale.detail


@pytest.mark.exhaustive
def test_the_largest_record_there_can_be_reaches_the_log(broker: str) -> None:
    settings = fresh_topics(broker, compression="none")
    publisher = Publisher(settings, Metrics("producer"), SystemClock().now_ns)
    largest = largest_record()
    assert publisher.offer(largest)
    publisher.flush(patient(20))
    publisher.close()

    assert read_topic(settings, L2) == [largest]


@pytest.mark.exhaustive
async def test_routine_snapshots_say_what_the_book_says(broker: str) -> None:
    async with producing(broker, symbols=["BTCUSDT"], routine_snapshot_seconds=0.2) as running:
        await running.all_live()
        counters = running.stream("BTCUSDT").counters
        goal = counters.deltas_applied + 6
        await running.until(lambda: counters.deltas_applied >= goal)
    book = books_of(read_topic(running.settings, L2))["BTCUSDT"]

    assert len(book.snapshots) >= 3
    assert len({record.epoch for record in book.snapshots}) == 1
    assert book.broken == []


@pytest.mark.parametrize("venue_id", tiered(sorted(VENUES), "binance-futures", "deribit", "bazaar"))
async def test_a_symbol_the_venue_does_not_trade_is_refused_with_its_nearest_names(broker: str, venue_id: str) -> None:
    traded = symbols_of(venue_id)[0]
    with pytest.raises(ExceptionGroup) as refused:
        async with producing(broker, venue_id=venue_id, symbols=[traded]) as running:
            await produce(
                VENUES[venue_id],
                [traded[:-1]],
                running.settings,
                clock=SystemClock(),
                metrics=Metrics("producer"),
                stop=running.stop,
            )
    assert refused.group_contains(UsageError, match=f"does not trade {traded[:-1]}.*did you mean {traded}")


@pytest.mark.exhaustive
async def test_a_second_producer_of_an_instrument_is_refused_and_the_first_goes_on(broker: str) -> None:
    async with producing(broker, stale_seconds=0.6) as running:
        await running.all_live()
        with pytest.raises(UsageError, match=r"ETHUSDT of binance-futures is produced .* now \(source simulator\)"):
            await produce(
                EXCHANGES["binance-futures"],
                ["ETHUSDT"],
                running.settings,
                clock=SystemClock(),
                metrics=Metrics("producer"),
                stop=running.stop,
            )
        await running.all_live()
    trades = [(trade.symbol, trade.trade_id) for trade in read_topic(running.settings, TRADES)]

    assert len(set(trades)) == len(trades) > 0
    assert running.metrics.value("obflow_rival_statuses_total", venue="binance-futures") == 0


@pytest.mark.parametrize("rotation", [None, Rotation(2 * NS_PER_SECOND)], ids=["file", "parts"])
@pytest.mark.parametrize("venue_id", tiered(["binance-futures", "bazaar"], "binance-futures"))
async def test_what_is_recorded_while_producing_replays_to_the_same_records(
    broker: str, tmp_path: Path, venue_id: str, rotation: Rotation | None
) -> None:
    path = tmp_path / "live.frames.jsonl.gz"
    async with producing(broker, venue_id=venue_id, recording=path, rotation=rotation) as running:
        await running.all_live()
        await running.venue.inject("gap", symbol="BTCUSDT")
        await running.until(lambda: running.stream("BTCUSDT").counters.gaps)
        await running.all_live()
        await running.venue.inject("disconnect")
        await running.until(lambda: not running.stream("BTCUSDT").is_live)
        await running.all_live()
        await running.until(lambda: running.stream("BTCUSDT").counters.deltas_applied >= 10)
        await running.until(lambda: running.stream("BTCUSDT").counters.trades > 20)
    settings = running.settings.model_copy(
        update={
            "kafka": running.settings.kafka.model_copy(
                update={"topic_prefix": running.settings.kafka.topic_prefix + "r."}
            )
        }
    )
    await asyncio.to_thread(replay_into, settings, path, venue_id)

    for topic in (L2, TRADES):
        live, again = read_topic(running.settings, topic), read_topic(settings, topic)
        assert Counter(map(identity, live)) == Counter(map(identity, again))
        assert len(live) > 15


def fresh_kafka(settings: Settings) -> KafkaSettings:
    """Other topics on the same broker."""
    return settings.kafka.model_copy(update={"topic_prefix": settings.kafka.topic_prefix + "again."})


def replay_into(settings: Settings, path: Path, venue_id: str) -> None:
    topics.apply(settings)
    clock = SystemClock()
    publisher = Publisher(settings, Metrics("replay"), clock.now_ns, each_report=False)
    Replay([path], VENUES[venue_id], ReplayPlan(), clock).run(publisher, threading.Event(), flush_seconds=20)
    publisher.close()


def identity(record: L2Record | TradeRecord) -> str:
    """Everything of a record but which run of a producer wrote it."""
    return str({name: value for name, value in asdict(record).items() if name not in ("source", "epoch", "run")})
