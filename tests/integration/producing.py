"""A live producer inside a test: topics of its own, a simulated venue before it, an independent reader behind it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition

from obflow import kafka, kafka_logs, topics
from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import KafkaSettings, Settings
from producers.books.stream import InstrumentStream
from producers.contract import Exchange
from producers.exchanges import EXCHANGES
from producers.live import run
from producers.live.feed import LiveFeed
from producers.recordings.rotation import Rotation
from producers.selection import Selection
from producers.settings import ProducerSettings
from producers.simulator.venues import SIMULATED
from schemas.codec import decode
from schemas.messages import Coverage, Record
from schemas.topics import DEAD_LETTERS, DERIVATIVES, FEED_QUALITY, FEED_STATUS, L2, TRADES, Topic
from tests.bazaar.server import BazaarServer
from tests.bazaar.venue import BAZAAR
from tests.integration.simulators import Simulator, simulator
from tests.producers.l2_reader import Book, books_of
from tests.support.patience import patient

SYMBOLS = ("BTCUSDT", "ETHUSDT")
VENUES: dict[str, Exchange] = {**EXCHANGES, "bazaar": BAZAAR}
"""The registered venues, and one that is made up; each has a server on loopback."""


def symbols_of(venue_id: str) -> tuple[str, ...]:
    """Two instruments in the venue's own words."""
    return SIMULATED[venue_id].listed[:2] if venue_id in SIMULATED else SYMBOLS


def fresh_topics(broker: str, *, partitions: int = 2, **producer: Any) -> Settings:
    """Settings whose topics are new and empty."""
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=broker, topic_prefix=f"p{uuid.uuid4().hex[:8]}.", partitions=partitions),
        producer=ProducerSettings(**producer),
    )
    topics.apply(settings)
    return settings


def read_topic(settings: Settings, topic: Topic) -> list[Any]:
    """Every record of a topic, each instrument's in order."""
    return [record for record, _, _ in read_positions(settings, topic)]


def read_positions(settings: Settings, topic: Topic) -> list[tuple[Record, int, int]]:
    """The same with partition and offset."""
    name = topics.topic_name(settings, topic)
    ends = {partition: end for (_, partition), end in kafka_logs.end_offsets(settings, [name]).items() if end}
    consumer = kafka.consumer(settings, f"test-{uuid.uuid4().hex}")
    try:
        consumer.assign([TopicPartition(name, partition, 0) for partition in ends])
        found = []
        deadline = time.monotonic() + patient(20)
        left = set(ends)
        while left:
            assert time.monotonic() < deadline, f"{name} could not be read"
            for message in consumer.consume(1000, 0.02):
                assert message.error() is None, message.error()
                if message.offset() < ends[message.partition()]:
                    found.append((decode(message.value()), message.partition(), message.offset()))
                if message.offset() + 1 >= ends[message.partition()]:
                    left.discard(message.partition())
        offsets = sorted((partition, offset) for _, partition, offset in found)
        assert offsets == [(partition, offset) for partition, end in sorted(ends.items()) for offset in range(end)]
        return found
    finally:
        consumer.close()


async def assert_true(venue: Simulator | BazaarServer, symbol: str, book: Book) -> None:
    """The reader's book is LIVE and is the venue's own at its sequence."""
    assert book.live
    status, true = await venue.get("/true-book", symbol=symbol, sequence=book.sequence)
    assert status == 200, true
    tick = Decimal(book.snapshots[-1].tick_size)
    # A snapshot of the venue holds all there is in its range; one from memory may reach further than is known.
    low = tick * max(min(snapshot.bid_ticks) for snapshot in book.snapshots)
    high = tick * min(max(snapshot.ask_ticks) for snapshot in book.snapshots)
    if book.snapshots[-1].coverage is Coverage.TOP_N:  # known as far as its worst level
        low, high = max(low, min(book.sides[0])), min(high, max(book.sides[1]))
    for held, name in zip(book.sides, ("bids", "asks"), strict=True):
        levels = {Decimal(price): Decimal(size) for price, size in true[name]}
        assert {price: levels.get(price) for price in held} == held
        seen = {price for price in levels if low <= price <= high}
        assert seen <= held.keys()


class Running:
    """A venue and the producer that listens to it."""

    def __init__(self, settings: Settings, venue: Simulator | BazaarServer) -> None:
        self.settings = settings
        self.venue = venue
        self.metrics = Metrics("producer")
        self.stop = asyncio.Event()
        self.summary: dict[str, Any] = {}
        self._feed: LiveFeed | None = None

    @property
    def is_up(self) -> bool:
        """Whether the feed runs."""
        return self._feed is not None

    @property
    def feed(self) -> LiveFeed:
        """The running feed."""
        assert self._feed is not None
        return self._feed

    def watch(self, feed: LiveFeed) -> None:
        self._feed = feed

    def stream(self, symbol: str) -> InstrumentStream:
        """The stream of an instrument."""
        return self.feed.router.streams[symbol]

    async def until(self, what: Callable[[], object], seconds: float | None = None) -> None:
        """Wait until something holds, for 10 s on an idle machine unless told otherwise."""
        async with asyncio.timeout(patient(10.0) if seconds is None else seconds):
            while not what():  # noqa: ASYNC110 (what a pure stream knows comes without an event)
                await asyncio.sleep(0.02)

    async def all_live(self) -> None:
        """Wait until every book is LIVE and has taken an update since."""
        await self.until(lambda: self._feed and all(stream.is_live for stream in self.feed.router.streams.values()))
        goal = {symbol: stream.counters.deltas_applied + 1 for symbol, stream in self.feed.router.streams.items()}
        await self.until(lambda: all(self.stream(name).counters.deltas_applied >= most for name, most in goal.items()))

    async def requests(self) -> dict[str, int]:
        """How often each book was fetched."""
        stats = (await self.venue.report())["stats"]
        return {name.removeprefix("depth:"): count for name, count in stats.items() if name.startswith("depth:")}


@asynccontextmanager
async def producing(
    broker: str,
    *,
    venue_id: str = "binance-futures",
    symbols: Sequence[str] | None = None,
    wanted: Selection | None = None,
    recording: Path | None = None,
    rotation: Rotation | None = None,
    rate: float = 100.0,
    **producer: Any,
) -> AsyncIterator[Running]:
    """Produce from a simulated venue while the block runs; then stop in good order, and see that its books are true."""
    symbols = symbols_of(venue_id) if symbols is None else symbols
    served = BazaarServer(symbols).served() if venue_id == "bazaar" else simulator(venue_id, symbols=symbols, rate=rate)
    async with served as venue:
        urls = {"websocket_url": venue.server.websocket_url, "rest_url": venue.server.rest_url}
        settings = await asyncio.to_thread(fresh_topics, broker, source="simulator", **urls, **producer)
        running = Running(settings, venue)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(
                run.produce(
                    VENUES[venue_id],
                    symbols if wanted is None else wanted,
                    settings,
                    clock=SystemClock(),
                    metrics=running.metrics,
                    stop=running.stop,
                    recording=recording,
                    rotation=rotation,
                    on_feed=running.watch,
                )
            )
            try:
                yield running
            finally:
                running.stop.set()
        running.summary = task.result()
        written = (L2, TRADES, DERIVATIVES, FEED_STATUS, FEED_QUALITY, DEAD_LETTERS)
        logs = await asyncio.gather(*(asyncio.to_thread(read_topic, settings, topic) for topic in written))
        for topic, held in zip(written, logs, strict=True):
            assert len(held) == running.summary["acknowledged"].get(topic.name, 0), "what was acknowledged is there"
        for symbol, book in books_of(logs[0]).items():
            assert book.broken == [], "no record may surprise a reader"
            if symbol in running.feed.router.streams and running.stream(symbol).is_live:
                await assert_true(venue, symbol, book)
