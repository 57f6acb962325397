"""Deribit with credentials: raw books over connections that log in, and stay so; nothing secret is ever told."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve

from obflow.clock import SystemClock
from obflow.settings import Settings
from producers.contract import Exchange
from producers.exchanges.deribit.venue import DERIBIT, RAW_DERIBIT
from producers.live import run
from producers.live.deribit import open_deribit
from producers.live.feed import LiveFeed
from producers.live.login import LoginRefused
from producers.settings import DeribitSettings, ProducerSettings
from producers.simulator.venues.deribit import CLIENT_ID, CLIENT_SECRET, DeribitVenue
from schemas.errors import SettingsError
from tests.integration.advising import TIMES
from tests.integration.simulators import Simulator, simulator
from tests.support.patience import patient

pytestmark = pytest.mark.integration

SYMBOLS = ("BTC-PERPETUAL", "ETH-PERPETUAL")
SECRETS = (CLIENT_SECRET, "an-access-token", "a-refresh-token")


def settings_for(
    venue: Simulator, secret_file: Path | None, *, client_id: str = CLIENT_ID, fallback: bool = False
) -> Settings:
    return Settings(
        producer=ProducerSettings(rest_url=venue.server.rest_url, websocket_url=venue.server.websocket_url),
        deribit=DeribitSettings(client_id=client_id, client_secret_file=secret_file, fallback=fallback),
    )


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{CLIENT_SECRET}\n")
    return path


@pytest.fixture
def wrong_file(tmp_path: Path) -> Path:
    path = tmp_path / "wrong"
    path.write_text("another-secret")
    return path


async def recorded(settings: Settings, path: Path, seconds: float = 0.0, books: int = 1) -> tuple[Exchange, LiveFeed]:
    """Record until each instrument is LIVE and had so many whole books, and for so long after that."""
    exchange, provider = await open_deribit(settings)
    feeds: list[LiveFeed] = []
    stop = asyncio.Event()
    task = asyncio.create_task(
        run.record(
            exchange,
            SYMBOLS,
            settings,
            clock=SystemClock(),
            stop=stop,
            path=path,
            on_feed=feeds.append,
            provider=provider,
        )
    )
    async with asyncio.timeout(patient(20)):
        while not feeds or not all(  # noqa: ASYNC110 (what a stream knows comes without an event)
            stream.is_live and stream.counters.snapshots >= books for stream in feeds[0].router.streams.values()
        ):
            await asyncio.sleep(0.02)
    await asyncio.sleep(seconds)
    stop.set()
    await task
    return exchange, feeds[0]


async def test_raw_books_outlive_the_login_and_hold_no_secret(
    tmp_path: Path, secret_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "raw.frames.jsonl.gz"
    login_s = 3.0
    async with simulator(DeribitVenue(login_s=login_s), symbols=SYMBOLS) as venue:
        with capture_logs() as logs:
            exchange, feed = await recorded(settings_for(venue, secret_file), path, 1.5 * login_s)
    assert exchange is RAW_DERIBIT
    text = gzip.decompress(path.read_bytes()).decode()
    assert "book.BTC-PERPETUAL.raw" in text
    assert "trades.ETH-PERPETUAL.raw" in text
    assert not [one for one in logs if one["event"] == "connection_lost"]
    assert not any(secret in shown for secret in SECRETS for shown in (text, str(logs), caplog.text))
    for stream in feed.router.streams.values():
        assert (stream.is_live, stream.counters.gaps, stream.counters.snapshots) == (True, 0, 1)
        assert stream.counters.deltas_applied > 20
    assert not feed.router.rejected


async def test_a_login_that_nobody_renews_ends_the_connection(tmp_path: Path, secret_file: Path) -> None:
    """What the test above would find, were nothing renewed."""
    path = tmp_path / "raw.frames.jsonl.gz"
    async with simulator(DeribitVenue(login_s=1.0), symbols=SYMBOLS) as venue:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("producers.live.login.RENEWED_AFTER", 100.0)
            _, feed = await recorded(settings_for(venue, secret_file), path, books=2)
    assert all(stream.counters.snapshots > 1 for stream in feed.router.streams.values())


async def test_refused_credentials_are_one_sentence_or_books_of_100_ms(wrong_file: Path) -> None:
    async with simulator("deribit", symbols=SYMBOLS) as venue:
        with pytest.raises(
            LoginRefused, match=r"deribit refuses the credentials \(13004 invalid_credentials\)"
        ) as error:
            await open_deribit(settings_for(venue, wrong_file))
        assert "another-secret" not in str(error.value)
        with capture_logs() as logs:
            found = await open_deribit(settings_for(venue, wrong_file, fallback=True))
    assert found == (DERIBIT, None)
    assert [(one["event"], one["instead"]) for one in logs] == [("login_refused", "100ms")]
    assert "another-secret" not in str(logs)


async def test_a_venue_that_is_away_is_waited_for_with_its_credentials(secret_file: Path) -> None:
    async with simulator("deribit", symbols=SYMBOLS) as venue:
        settings = settings_for(venue, secret_file)
    exchange, provider = await open_deribit(settings)
    assert exchange is RAW_DERIBIT
    assert provider is not None
    assert provider.login is not None


@pytest.mark.parametrize("answer", [{"code": 10028, "message": "too_many_requests"}, {"code": 11051, "message": "x"}])
async def test_a_login_that_is_not_taken_now_is_no_refusal_of_the_credentials(
    secret_file: Path, answer: dict[str, object]
) -> None:
    async def busy(socket: ServerConnection) -> None:
        said = json.loads(await socket.recv())
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": said["id"], "error": answer}))

    async with serve(busy, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        settings = Settings(
            producer=ProducerSettings(websocket_url=f"ws://127.0.0.1:{port}"),
            deribit=DeribitSettings(client_id=CLIENT_ID, client_secret_file=secret_file, fallback=True),
        )
        with capture_logs() as logs:
            exchange, provider = await open_deribit(settings)
    assert exchange is RAW_DERIBIT
    assert provider is not None
    assert [one["event"] for one in logs] == ["login_not_tried"]
    assert "takes no login now" in logs[0]["error"]


async def test_without_credentials_nothing_is_asked() -> None:
    assert await open_deribit(Settings()) == (DERIBIT, None)


@pytest.mark.advice("check {…}", "set both, or neither")
async def test_credentials_that_are_wrong_or_half(secret_file: Path, wrong_file: Path) -> None:
    async with simulator("deribit", symbols=SYMBOLS) as venue:
        with pytest.raises(LoginRefused, match=r"check deribit\.client_id and deribit\.client_secret_file"):
            await open_deribit(settings_for(venue, wrong_file))
        for half in (settings_for(venue, None), settings_for(venue, secret_file, client_id="")):
            with pytest.raises(SettingsError, match="set both, or neither"):
                await open_deribit(half)
        for _ in range(TIMES):
            assert (await open_deribit(settings_for(venue, secret_file)))[0] is RAW_DERIBIT
            assert (await open_deribit(settings_for(venue, None, client_id="")))[0] is DERIBIT
