"""A connection whose end is announced is replaced while it still serves: no book is INVALID, none is fetched anew."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.recordings.reader import RecordingReplay
from schemas.messages import Kind, L2Record, TradeRecord
from tests.bazaar.server import BazaarServer
from tests.bazaar.venue import BAZAAR, Bazaar
from tests.integration.misbehaving import Listening, MisbehavingVenue, listening, misbehaving, until
from tests.support.patience import patient

pytestmark = pytest.mark.integration

SHUTDOWN = {"e": "serverShutdown", "E": 1723161256299}
WRAPPED: list[Any] = [SHUTDOWN, {"event": SHUTDOWN}, {"stream": "", "data": SHUTDOWN}]
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(autouse=True)
def short_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.live.connections.OVERLAP_SECONDS", 0.2)


async def all_live(heard: Listening) -> None:
    await until(lambda: all(stream.is_live for stream in heard.feed.router.streams.values()), 30)


def assert_unbroken(path: Path, venue: MisbehavingVenue) -> None:
    """What was recorded gives one epoch a book, without a hole, and each trade once."""
    records = list(RecordingReplay(path, BINANCE_FUTURES).records())
    books = [record for record in records if isinstance(record, L2Record)]
    assert Counter(record.kind for record in books)[Kind.INVALID] <= len(SYMBOLS), "at the recording's end"
    before_end = books[: next((i for i, record in enumerate(books) if record.kind is Kind.INVALID), None)]
    assert Counter(record.kind for record in before_end)[Kind.SNAPSHOT] == len(SYMBOLS)
    assert len({(record.symbol, record.epoch) for record in before_end}) == len(SYMBOLS)
    trades = Counter((record.symbol, record.trade_id) for record in records if isinstance(record, TradeRecord))
    assert set(trades.values()) == {1}
    assert len(venue.asked_for("/depth")) == len(SYMBOLS), "no book was fetched anew"


@pytest.mark.parametrize("notice", WRAPPED)
@pytest.mark.case("shutdown-notice")
async def test_a_notice_has_a_second_connection_bridged_before_the_first_one_ends(
    tmp_path: Path, notice: object
) -> None:
    path = tmp_path / "a.frames.jsonl"
    async with misbehaving(*SYMBOLS) as venue, listening(venue, path, SYMBOLS) as heard:
        await all_live(heard)
        await venue.say(notice)
        await until(lambda: len(venue.clients) == 2 and venue.clients[0].closed_s, 20)
        first, second = venue.clients
        counters = [stream.counters for stream in heard.feed.router.streams.values()]
        applied = [counted.deltas_applied for counted in counters]
        await until(
            lambda: all(counted.deltas_applied > least for counted, least in zip(counters, applied, strict=True))
        )
        assert all(stream.is_live for stream in heard.feed.router.streams.values())
        assert [counted.gaps for counted in counters] == [0, 0]
        assert min(counted.duplicates for counted in counters) > 0, "both brought the same"

    assert second.opened_s < first.closed_s
    assert first.closed_by_client
    assert [said["method"] for said in first.said] == ["SUBSCRIBE", "UNSUBSCRIBE"]
    assert_unbroken(path, venue)


@pytest.mark.exhaustive
@pytest.mark.case("shutdown-notice")
async def test_thirty_ends_of_life_leave_every_book_live_and_every_trade_once(tmp_path: Path) -> None:
    path, exchange = (
        tmp_path / "a.frames.jsonl",
        replace(BINANCE_FUTURES, limits=BINANCE_FUTURES.limits._replace(lifetime_s=0.4)),
    )
    invalid = Counter[str]()
    async with misbehaving(*SYMBOLS) as venue, listening(venue, path, SYMBOLS, exchange) as heard:
        await all_live(heard)
        deadline = time.monotonic() + patient(120)
        while len(venue.clients) <= 30:
            assert time.monotonic() < deadline
            invalid.update(symbol for symbol, stream in heard.feed.router.streams.items() if not stream.is_live)
            await asyncio.sleep(0.02)
        counters = [stream.counters for stream in heard.feed.router.streams.values()]

    assert invalid == {}
    assert [counted.gaps for counted in counters] == [0, 0]
    assert [counted.snapshots for counted in counters] == [1, 1]
    assert_unbroken(path, venue)


@pytest.mark.case("shutdown-notice")
async def test_successors_that_are_to_end_as_soon_are_replaced_ever_more_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.live.connections.SOON_AT_ONCE", 0)
    path = tmp_path / "a.frames.jsonl"
    async with misbehaving(*SYMBOLS) as venue, listening(venue, path, SYMBOLS) as heard:
        await all_live(heard)
        told = set[int]()
        while len(venue.clients) < 4:
            for client in venue.connected:
                if client.listens and id(client) not in told:
                    told.add(id(client))
                    await client.socket.send_str(json.dumps(SHUTDOWN))
            await asyncio.sleep(0.02)
        assert all(stream.is_live for stream in heard.feed.router.streams.values())

    _, second, third, fourth = (client.opened_s for client in venue.clients)
    assert third - second >= 1.0, "0.2 s, and so on for ten minutes, once"
    assert fourth - third >= 2.0
    assert_unbroken(path, venue)


async def test_a_successor_that_is_refused_leaves_the_old_connection_in_service(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.jsonl"
    async with misbehaving(*SYMBOLS) as venue, listening(venue, path, SYMBOLS) as heard:
        await all_live(heard)
        venue.handshake = lambda _: web.Response(status=500)
        await venue.say(SHUTDOWN)
        await until(lambda: len(venue.knocked_s) >= 3, 20)
        assert all(stream.is_live for stream in heard.feed.router.streams.values())
        venue.handshake = lambda _: None
        await until(lambda: len(venue.clients) == 2 and venue.clients[0].closed_s, 30)
        assert all(stream.is_live for stream in heard.feed.router.streams.values())
    assert_unbroken(path, venue)


async def test_without_shared_ids_a_hand_over_costs_one_epoch_and_is_never_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bazaar, "limits", BAZAAR.limits._replace(lifetime_s=2.0))
    async with BazaarServer(SYMBOLS).served() as venue:
        where = MisbehavingVenue({}, url=venue.server.rest_url)
        async with listening(where, tmp_path / "a.frames.jsonl", SYMBOLS, BAZAAR) as heard:
            await all_live(heard)
            streams = heard.feed.router.streams
            epochs, invalid = {symbol: stream.epoch for symbol, stream in streams.items()}, Counter[str]()
            deadline = time.monotonic() + patient(30)
            while not all(stream.epoch > epochs[symbol] for symbol, stream in streams.items()):
                assert time.monotonic() < deadline
                invalid.update(symbol for symbol, stream in streams.items() if not stream.is_live)
                await asyncio.sleep(0.01)

    assert invalid == {}
    assert venue.stats["connections"] >= 2
