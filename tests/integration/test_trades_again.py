"""A venue sends its last trades again with each subscription: none comes twice, over a reconnect or a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from obflow import kafka
from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.broker import last_trades as module
from producers.broker.last_trades import last_trades
from producers.broker.publisher import Publisher
from producers.live.run import produce
from schemas.codec import encode
from schemas.messages import ContractKind, L2Record, Source, TradeRecord
from schemas.partitions import partition_of
from schemas.topics import L2, TRADES
from tests.integration.producing import VENUES, Running, fresh_topics, producing, read_topic, symbols_of
from tests.integration.simulators import simulator
from tests.integration.test_feed import fresh_kafka, identity, replay_into
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

AGAIN = 1_000
"""Trades of an instrument that the venue sends again; some of them went while nobody listened, and are new."""
KNOWN = 10
"""Those among them that were published, at least."""
SIMULATED = [name for name in sorted(VENUES) if name != "bazaar"]
EACH = pytest.mark.parametrize("venue_id", tiered(SIMULATED, "bybit", "binance-futures"))


@EACH
async def test_trades_that_come_again_after_a_reconnect_are_published_once(broker: str, venue_id: str) -> None:
    async with producing(broker, venue_id=venue_id, rate=200.0) as running:
        await traded(running, KNOWN)
        await running.venue.inject("trades_again", count=AGAIN)
        for _ in range(2):
            goal = duplicates(running) + KNOWN
            await running.venue.inject("disconnect")
            await running.until(partial(has_left_out, running, goal))
            await running.all_live()
        await traded(running, 5)
    once(read_topic(running.settings, TRADES), read_topic(running.settings, L2))


@EACH
async def test_a_producer_that_starts_and_a_replay_of_it_leave_out_what_the_log_has(
    broker: str, tmp_path: Path, venue_id: str
) -> None:
    path = tmp_path / "second.frames.jsonl"
    async with simulator(venue_id, symbols=symbols_of(venue_id), rate=200.0) as venue:
        urls: dict[str, Any] = {"websocket_url": venue.server.websocket_url, "rest_url": venue.server.rest_url}
        settings = await asyncio.to_thread(partial(fresh_topics, broker, source="simulator", **urls))
        first, second = Running(settings, venue), Running(settings, venue)
        async with life(first, venue_id):
            await traded(first, KNOWN)
        await venue.inject("trades_again", count=AGAIN)
        async with life(second, venue_id, path):
            await second.until(partial(has_left_out, second, KNOWN))
            await traded(second, 5)
    trades, books = await asyncio.to_thread(both_logs, settings)
    once(trades, books)
    assert '"via":"known"' in path.read_text()

    beside = settings.model_copy(update={"kafka": fresh_kafka(settings)})
    await asyncio.to_thread(replay_into, beside, path, venue_id)
    replayed = await asyncio.to_thread(both_logs, beside)
    assert contents(trades, trades[-1].run) == contents(replayed[0])
    assert contents(books, trades[-1].run) == contents(replayed[1])


def test_what_is_read_of_the_log_is_its_end_and_the_producers_own(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = fresh_topics(broker)
    publisher = Publisher(settings, Metrics("producer"), SystemClock().now_ns)
    for number in range(1, 8):
        publisher.offer(told("BTCUSDT", str(number)))
    publisher.offer(told("BTCUSDT", "8", source=Source.REPLAY))
    publisher.offer(told("BTCUSDT", "9", venue="okx"))
    publisher.offer(told("ETHUSDT", "10"))
    publisher.flush(patient(20))
    publisher.close()
    put_elsewhere(settings, told("BTCUSDT", "11"))

    def known(*symbols: str) -> dict[str, Sequence[str]]:
        return {one.symbol: one.trades for one in last_trades(settings, "bybit", Source.LIVE, symbols)}

    assert known("BTCUSDT", "XRPUSDT") == {"BTCUSDT": ["1", "2", "3", "4", "5", "6", "7"]}
    monkeypatch.setattr(module, "REMEMBERED", 2)
    assert known("BTCUSDT") == {"BTCUSDT": ["6", "7"]}
    assert last_trades(fresh_topics(broker), "bybit", Source.LIVE, ["BTCUSDT"]) == []


@asynccontextmanager
async def life(running: Running, venue_id: str, recording: Path | None = None) -> AsyncIterator[None]:
    """Produce while the block runs; then stop in good order."""
    made = produce(
        VENUES[venue_id],
        symbols_of(venue_id),
        running.settings,
        clock=SystemClock(),
        metrics=running.metrics,
        stop=running.stop,
        recording=recording,
        on_feed=running.watch,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(made)
        try:
            yield
        finally:
            running.stop.set()


async def traded(running: Running, more: int) -> None:
    """Wait until every book is LIVE and so many trades more of each instrument have come."""
    await running.all_live()
    counters = [stream.counters for stream in running.feed.router.streams.values()]
    goals = [one.trades + more for one in counters]
    await running.until(lambda: all(one.trades >= goal for one, goal in zip(counters, goals, strict=True)), patient(30))


def duplicates(running: Running) -> int:
    """How many were left out of that instrument of which fewest were."""
    return min(stream.counters.duplicates for stream in running.feed.router.streams.values())


def has_left_out(running: Running, goal: int) -> bool:
    return running.is_up and duplicates(running) >= goal


def contents(records: Sequence[TradeRecord] | Sequence[L2Record], run: str = "") -> Counter[str]:
    """What records of a run hold, or of all runs."""
    found = Counter(identity(record) for record in records if run in ("", record.run))
    assert found, "a comparison of nothing with nothing"
    return found


def both_logs(settings: Settings) -> tuple[list[TradeRecord], list[L2Record]]:
    return read_topic(settings, TRADES), read_topic(settings, L2)


def once(trades: Sequence[TradeRecord], books: Sequence[L2Record]) -> None:
    """No id comes twice, and no update carries more than was traded."""
    ids = Counter((trade.symbol, trade.trade_id) for trade in trades)
    assert set(ids.values()) == {1}
    for symbol in {trade.symbol for trade in trades}:
        lots = Counter(abs(trade.size_lots) for trade in trades if trade.symbol == symbol)
        carried = Counter(abs(lot) for book in books if book.symbol == symbol for lot in book.trade_lots)
        assert carried <= lots


def put_elsewhere(settings: Settings, trade: TradeRecord) -> None:
    """Put a trade where its instrument does not lie."""
    home = partition_of(f"{trade.venue}:{trade.symbol}", 2)
    producer = kafka.producer(settings)
    producer.produce(settings.kafka.topic_prefix + TRADES.name, encode(trade), partition=1 - home)
    assert producer.flush(patient(10)) == 0
    producer.close()


def told(symbol: str, number: str, venue: str = "bybit", source: Source = Source.LIVE) -> TradeRecord:
    return TradeRecord(venue, symbol, source, number, 1, "0.1", "0.001", 1000, 5, contract_kind=ContractKind.LINEAR)
