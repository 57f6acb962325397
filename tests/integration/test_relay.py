"""A relay of Tardis's data: a loopback server of its protocol, from the simulator's data."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from producers.live import run
from producers.live.feed import LiveFeed
from producers.live.relay import RelayAccess, low_share
from producers.recordings.opened import venue_of
from producers.recordings.reader import RecordingReplay
from producers.settings import ProducerSettings, RelaySettings
from producers.simulator.relay import QUOTA
from producers.tardis.relay import Quota
from schemas.errors import ExchangeUnreachable, SettingsError, UsageError
from schemas.messages import L2Record, SequenceSource
from tests.integration.advising import TIMES, refused
from tests.integration.relay_server import KEY, RelayServer, relay
from tests.producers.l2_reader import books_of
from tests.support.patience import patient

pytestmark = pytest.mark.integration

SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


def access(server: RelayServer, key_file: Path | None, metrics: Metrics | None = None, **relay: Any) -> RelayAccess:
    return RelayAccess("bybit", settings_for(server.url, key_file, **relay), SystemClock(), metrics)


def settings_for(url: str, key_file: Path | None, **relay: Any) -> Settings:
    return Settings(
        producer=ProducerSettings(rest_url=url), relay=RelaySettings(base_url=url, api_key_file=key_file, **relay)
    )


class Recorded:
    """A recorder of the relay's stream, and its feed."""

    def __init__(self) -> None:
        self.feed: LiveFeed | None = None

    def watch(self, feed: LiveFeed) -> None:
        self.feed = feed

    async def until(self, what: Callable[[LiveFeed], object]) -> None:
        async with asyncio.timeout(patient(20)):
            while self.feed is None or not what(self.feed):  # noqa: ASYNC110 (what a stream knows comes without event)
                await asyncio.sleep(0.02)


@asynccontextmanager
async def recording(path: Path, server: RelayServer, key_file: Path, **relay: Any) -> AsyncIterator[Recorded]:
    recorded, stop = Recorded(), asyncio.Event()
    exchange, provider = await access(server, key_file, **relay).open()
    task = asyncio.create_task(
        run.record(
            exchange,
            SYMBOLS,
            settings_for(server.url, key_file),
            clock=SystemClock(),
            stop=stop,
            path=path,
            on_feed=recorded.watch,
            provider=provider,
        )
    )
    try:
        yield recorded
    finally:
        stop.set()
        await task


def live(feed: LiveFeed) -> int:
    return sum(stream.is_live for stream in feed.router.streams.values())


async def test_credentials_are_renewed_and_connections_replaced_without_a_hole(
    tmp_path: Path, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "live.frames.jsonl.gz"
    async with (
        relay("bybit", "bybit", SYMBOLS, valid_s=6.0) as server,
        recording(path, server, key_file, depth=50) as recorded,
    ):
        await recorded.until(lambda feed: live(feed) == 2)
        await recorded.until(lambda _: len(set(server.relay.opened)) >= 3)
        await recorded.until(lambda feed: live(feed) == 2)
    assert not any(secret in caplog.text for secret in (KEY, *server.relay.opened))
    assert server.relay.refused == 0, "no connection was opened with a key that had ended"
    subscribed = {"type": "subscribe", "channels": ["orderbook", "trades"], "depth": 50, "snapshot": True}
    assert {**server.relay.asked[0], "symbols": []} == {**subscribed, "symbols": []}
    assert venue_of(path) == "bybit"
    replay = RecordingReplay(path, EXCHANGES["bybit"])
    books = [record for record in replay.records() if isinstance(record, L2Record)]
    assert {record.sequence_source for record in books} == {SequenceSource.SYNTHETIC}
    found = books_of(books)
    assert {(book.live, tuple(book.invalid), tuple(book.broken)) for book in found.values()} == {(True, (), ())}
    assert not replay.router.rejected


async def test_what_the_venue_loses_on_the_way_is_a_hole_in_the_relays_ids_too(tmp_path: Path, key_file: Path) -> None:
    async with (
        relay("okex-swap", "okx", ["BTC-USDT-SWAP"]) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        found, stop = Recorded(), asyncio.Event()
        settings = settings_for(server.url, key_file, update_ids="chained")
        exchange, provider = await RelayAccess("okex-swap", settings, SystemClock()).open()
        path, ways = tmp_path / "live.frames.jsonl.gz", {"clock": SystemClock(), "stop": stop, "provider": provider}
        task = asyncio.create_task(
            run.record(exchange, ["BTC-USDT-SWAP"], settings, path=path, on_feed=found.watch, **ways)
        )
        for fault in ("gap", "disorder", "corrupt", "disconnect", "duplicate"):
            await found.until(lambda feed: live(feed) == 1)
            counters = found.feed.router.streams["BTC-USDT-SWAP"].counters if found.feed else None
            assert counters is not None
            before = (counters.gaps, counters.snapshots, counters.duplicates)
            await session.post("/control", json={"fault": fault})
            await found.until(lambda _, was=before, now=counters: (now.gaps, now.snapshots, now.duplicates) != was)
        await found.until(lambda feed: live(feed) == 1)
        stop.set()
        await task
    assert not RecordingReplay(path, EXCHANGES["okx"]).router.rejected


async def test_a_lost_update_is_a_gap_where_the_ids_are_a_chain(tmp_path: Path, key_file: Path) -> None:
    async with (
        relay("bybit", "bybit", SYMBOLS) as server,
        recording(tmp_path / "live.frames.jsonl.gz", server, key_file, update_ids="chained") as recorded,
    ):
        await recorded.until(lambda feed: live(feed) == 2)
        server.relay.lose_update("BTCUSDT")
        await recorded.until(lambda feed: feed.router.streams["BTCUSDT"].counters.gaps == 1)
        await recorded.until(lambda feed: live(feed) == 2)
        assert recorded.feed is not None
        gaps = {symbol: stream.counters.gaps for symbol, stream in recorded.feed.router.streams.items()}
        assert gaps == {"BTCUSDT": 1, "ETHUSDT": 0}
        assert len(server.relay.opened) == 3, "the other one's connection stands"


class Addressed:
    """A source that notes where it is to connect."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def readdress(self, url: str, headers: Mapping[str, str]) -> None:
        assert url.endswith("/tardis/stream/bybit")
        self.keys.append(headers["X-API-Key"])


async def test_a_relay_that_does_not_answer_when_credentials_are_due_is_asked_again(key_file: Path) -> None:
    source = Addressed()
    async with relay("bybit", "bybit", SYMBOLS, valid_s=2.0) as server:
        _, provider = await access(server, key_file).open()
        assert provider.attend is not None
        with capture_logs() as logs:
            task = asyncio.create_task(provider.attend(source))  # type: ignore[arg-type]
            server.relay.status = 500
            async with asyncio.timeout(patient(15)):
                while not any(one["event"] == "relay_not_answering" for one in logs):  # noqa: ASYNC110 (a log)
                    await asyncio.sleep(0.02)
                assert not source.keys
                server.relay.status = 200
                while not source.keys:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        task.cancel()
    assert source.keys == ["of-the-stream-2"]


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server that answers whatever is asked in this way, by its address."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_an_answer_that_comes_in_parts_is_read_whole(key_file: Path) -> None:
    async def in_parts(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b'{"stream_url": "ws://127.0.0.1:1/x", ', b'"api_key": "k", ', b'"quota": {"remaining": 7}}'):
            await response.write(part)
            await asyncio.sleep(0.05)
        return response

    async with answering(in_parts) as url:
        stream, _ = await RelayAccess("bybit", settings_for(url, key_file), SystemClock()).open()
    assert stream.endpoints.websocket == "ws://127.0.0.1:1/x"


async def test_a_relay_that_wants_to_be_left_alone_is_asked_no_sooner(key_file: Path) -> None:
    asked_s: list[float] = []

    async def once(request: web.Request) -> web.StreamResponse:
        if "credentials" not in request.path:
            return web.json_response({})
        asked_s.append(asyncio.get_running_loop().time())
        if len(asked_s) == 2:
            return web.Response(status=429, headers={"Retry-After": "1.5"})
        ends_s = (SystemClock().now_ns() / 1e9) + 2.0
        ends = datetime.fromtimestamp(ends_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return web.json_response({"stream_url": "ws://x/tardis/stream/bybit", "api_key": "k", "expires_at": ends})

    async with answering(once) as url:
        _, provider = await RelayAccess("bybit", settings_for(url, key_file), SystemClock()).open()
        assert provider.attend is not None
        task = asyncio.create_task(provider.attend(Addressed()))  # type: ignore[arg-type]
        async with asyncio.timeout(patient(15)):
            while len(asked_s) < 3:  # noqa: ASYNC110 (what a server noted comes without an event)
                await asyncio.sleep(0.02)
        task.cancel()
    assert asked_s[2] - asked_s[1] >= 1.5


class TestQuota:
    async def test_what_is_left_is_told_and_shown(self, key_file: Path) -> None:
        metrics = Metrics("producer")
        async with relay("bybit", "bybit", SYMBOLS) as server:
            with capture_logs() as logs:
                await access(server, key_file, metrics).open()
        assert [(one["remaining"], one["of"]) for one in logs if one["event"] == "relay_quota"] == [(QUOTA, QUOTA)]
        assert metrics.value("obflow_relay_quota_messages", venue="bybit") == QUOTA

    async def test_little_is_a_warning_once_at_each_share(self, key_file: Path) -> None:
        async with relay("bybit", "bybit", SYMBOLS) as server:
            found = access(server, key_file)
        with capture_logs() as logs:
            for left in (500, 100, 99, 11, 10, 9, 0, 1_000, 90):
                found.note_quota(Quota(left, 1_000))
        told = [(one["event"], one["remaining"]) for one in logs if one["log_level"] == "warning"]
        assert told == [("relay_quota_low", left) for left in (100, 10, 90)]

    def test_a_share_is_of_the_whole(self) -> None:
        assert [low_share(left, 1_000) for left in (101, 100, 11, 10, 0)] == [1.0, 0.1, 0.1, 0.01, 0.01]


class TestRefusals:
    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_refused_key_is_one_sentence_without_the_key(self, key_file: Path, status: int) -> None:
        async with relay("bybit", "bybit", SYMBOLS) as server:
            server.relay.status = status
            with pytest.raises(ExchangeUnreachable, match=rf"refuses the key .HTTP {status}.: check relay") as error:
                await access(server, key_file).open()
        assert KEY not in str(error.value)

    async def test_an_answer_that_repeats_the_key_is_told_without_it(self, key_file: Path) -> None:
        async with relay("bybit", "bybit", SYMBOLS) as server:
            server.relay.status = 500
            with pytest.raises(ExchangeUnreachable, match="HTTP 500: no: …"):
                await access(server, key_file).open()

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"stream_url": "http://x/", "api_key": "k"}, "stream_url is no address of a WebSocket"),
            ({"stream_url": "ws://x/", "api_key": "k\nX: y"}, "api_key is no key"),
            ({"stream_url": "ws://x/", "api_key": "k", "expires_at": "soon"}, "is no moment"),
            ({"stream_url": "ws://x/", "api_key": "k", "expires_at": "2020-01-01T00:00:00Z"}, "they ended .* s ago"),
            ({"error": "none"}, "not what a relay answers"),
        ],
    )
    async def test_credentials_that_are_none_are_one_sentence(
        self, key_file: Path, given: dict[str, Any], sentence: str
    ) -> None:
        async with relay("bybit", "bybit", SYMBOLS) as server:
            server.relay.given = given
            with pytest.raises(ExchangeUnreachable, match=sentence):
                await access(server, key_file).open()

    def test_an_exchange_that_is_no_venue_is_one_sentence(self, key_file: Path) -> None:
        with pytest.raises(UsageError, match="Tardis has no exchange bitmex"):
            RelayAccess("bitmex", settings_for("http://x", key_file), SystemClock())


@pytest.mark.advice("set relay.base_url", "name a file that holds the key", "check relay.api_key_file")
async def test_what_a_relay_asks_for_is_given(tmp_path: Path, key_file: Path) -> None:
    wrong, clock = tmp_path / "wrong", SystemClock()
    wrong.write_text("another")
    async with relay("bybit", "bybit", SYMBOLS) as server:
        refused(lambda: RelayAccess("bybit", settings_for("", key_file), clock), "set relay.base_url")
        with pytest.raises(SettingsError, match="name a file that holds the key"):
            access(server, None)
        with pytest.raises(ExchangeUnreachable, match=r"check relay\.api_key_file"):
            await access(server, wrong).open()
        for _ in range(TIMES):
            await access(server, key_file).open()


@pytest.mark.advice("check relay.base_url")
async def test_a_relay_that_is_elsewhere(key_file: Path) -> None:
    nobody = RelayAccess("bybit", settings_for("http://127.0.0.1:9", key_file), SystemClock())
    async with relay("bybit", "bybit", SYMBOLS) as server:
        for _ in range(TIMES):
            with pytest.raises(ExchangeUnreachable, match=r"check relay\.base_url"):
                await nobody.open()
            await access(server, key_file).open()
