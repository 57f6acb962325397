"""A list too large, and a name in it that is wrong: an end with a sentence, not a request for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from obflow.clock import SystemClock
from obflow.settings import Settings
from producers.contract import Exchange
from producers.exchanges.binance.spot import BINANCE
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.live import run
from producers.live.listing import find_instruments
from producers.live.rest import RestClient
from producers.selection import Selection
from producers.settings import ProducerSettings
from schemas.errors import EXIT_USAGE, UsageError
from tests.integration.advising import TIMES, advice_in, settings_in
from tests.integration.misbehaving import Answer, MisbehavingVenue, listening, misbehaving, until
from tests.support.patience import patient

pytestmark = pytest.mark.integration

NAMES = ("BTCUSDT", "ETHUSDT", "BTCUSDTT", "SOLUSDT", "XRPUSDT")
TOO_LARGE = b" " * 1_000_001


def refused() -> web.Response:
    return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)


def refuses_wrong_names(request: web.Request) -> web.Response | None:
    """Refuse a list that names the wrong one; the whole one is too large."""
    wanted = request.query.get("symbols", "")
    if not wanted:
        return web.Response(body=TOO_LARGE)
    return refused() if '"BTCUSDTT"' in wanted else None


def refuses_every_name(request: web.Request) -> web.Response:
    return refused() if "symbols" in request.query else web.Response(body=TOO_LARGE)


def is_too_large(_: web.Request) -> web.Response:
    return web.Response(body=TOO_LARGE)


async def end_of(path: Path, answer: Answer, exchange: Exchange) -> tuple[UsageError, MisbehavingVenue]:
    """How a recorder ends that asks such a venue."""
    async with misbehaving(answer=answer) as venue:
        settings = Settings(producer=ProducerSettings(rest_url=venue.url, max_frame_bytes=1_000_000))
        with pytest.raises(UsageError) as ended:
            async with asyncio.timeout(patient(10)):
                await run.record(
                    exchange, NAMES, settings, clock=SystemClock(), stop=asyncio.Event(), path=path / "a.frames.jsonl"
                )
    return ended.value, venue


@pytest.mark.parametrize("answer", [refuses_wrong_names, refuses_every_name])
@pytest.mark.case("list-too-large")
async def test_a_wrong_name_is_named_where_the_whole_list_is_too_large(
    tmp_path: Path, answer: Callable[[web.Request], web.Response | None]
) -> None:
    error, venue = await end_of(tmp_path, answer, BINANCE)

    assert error.exit_code == EXIT_USAGE
    assert "BTCUSDTT" in error.cause
    assert ("ETHUSDT" in error.cause) == (answer is refuses_every_name)
    assert len(venue.asked) <= 10
    assert all("showPermissionSets=false" in path for _, path in venue.asked)


@pytest.mark.case("list-too-large")
async def test_a_list_too_large_ends_and_says_what_to_do(tmp_path: Path) -> None:
    error, venue = await end_of(tmp_path, is_too_large, BINANCE_FUTURES)

    assert error.exit_code == EXIT_USAGE
    assert "has more than 1000000 bytes" in error.cause
    assert "raise producer.max_frame_bytes" in error.next_step
    assert len(venue.asked) == 1


@pytest.mark.advice("raise producer.max_frame_bytes; asking again would change nothing")
async def test_a_raised_bound_takes_the_list(tmp_path: Path) -> None:
    async def record(name: str, **bound: int) -> None:
        settings = Settings(
            producer=ProducerSettings(rest_url=venue.url, websocket_url=venue.url.replace("http", "ws"), **bound)
        )
        stop, clock = asyncio.Event(), SystemClock()
        path = tmp_path / f"{name}.frames.jsonl"
        await run.record(BINANCE_FUTURES, ["BTCUSDT"], settings, clock=clock, stop=stop, path=path, seconds=0.3)

    async with misbehaving("BTCUSDT") as venue:
        with pytest.raises(UsageError) as ended:
            await record("small", max_frame_bytes=200)
        [setting] = settings_in(advice_in(ended.value.next_step, "raise producer.max_frame_bytes"))
        for number in range(TIMES):
            await record(str(number), **{setting.removeprefix("producer."): 1_000_000})
            assert (tmp_path / f"{number}.frames.jsonl").stat().st_size > 0


async def test_an_empty_list_is_a_venue_that_is_not_itself_and_no_end(tmp_path: Path) -> None:
    empty = [b'{"symbols":[]}', b'{"symbols":null}', b"<html>", b'{"symbols":[]}']

    def answer(request: web.Request) -> web.Response | None:
        return web.Response(body=empty.pop()) if "exchangeInfo" in request.path and empty else None

    async with misbehaving(answer=answer) as venue, listening(venue, tmp_path / "a.frames.jsonl") as heard:
        await until(lambda: heard.feed.router.streams["BTCUSDT"].is_live, 15)
    assert empty == []


async def test_an_entry_without_a_name_is_not_subscribed_to() -> None:
    async with misbehaving("BTCUSDT", "ETHUSDT") as venue, RestClient(BINANCE_FUTURES, venue.url, 10**6) as rest:
        nameless = venue._entry("BTCUSDT", "TRADING") | {"symbol": ""}
        body = {"rateLimits": [], "symbols": [nameless, venue._entry("ETHUSDT", "TRADING")]}
        venue.answer = lambda _: web.json_response(body)
        clock, stop = SystemClock(), asyncio.Event()
        found = await find_instruments(rest, BINANCE_FUTURES, Selection(), clock=clock, stop=stop, tap=None)
    assert list(found) == ["ETHUSDT"]
