"""A venue whose headers and redirects cannot be meant: waits are bounded, junk is ignored, nothing is followed."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import web
from aiolimiter import AsyncLimiter
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from obflow.clock import SystemClock
from producers.contract import Fetch
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.live.connections import Connection
from producers.live.gate import FIRST_WAIT_S, REGION_WAIT_S
from producers.live.listing import find_instruments
from producers.live.rest import RestClient
from schemas.errors import Backpressure, ExchangeUnreachable
from tests.integration.test_connections import Notes
from tests.producers.test_binance_frames import entry
from tests.support.patience import patient

pytestmark = pytest.mark.integration

EXCHANGE = BINANCE_FUTURES
PING = Fetch("/fapi/v1/ping", 1)
QUARTER_S = 15 * 60.0
REDIRECTS = [300, 301, 302, 303, 307, 308]
JUNK = ["inf", "-inf", "nan", "-1", "1e10", "9" * 5_000, "soon", "0x10", "٣"]
ABSURD = ["10000000000", formatdate(4e9, usegmt=True), "Fri, 31 Dec 9999 23:59:59 GMT"]
FAR = ["901", *ABSURD]


class Venue:
    """A REST interface that answers as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self.body = b"{}"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        return web.Response(status=self.status, headers=self.headers, body=self.body)


@asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    found = Venue()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("told", JUNK)
@pytest.mark.parametrize("status", [429, 418, 503])
async def test_a_retry_after_that_cannot_be_meant_is_counted_and_the_first_wait_holds(status: int, told: str) -> None:
    async with venue() as rest, RestClient(EXCHANGE, rest.url, 1_000) as client:
        rest.status, rest.headers = status, {"Retry-After": told}
        with pytest.raises(Backpressure) as refused:
            await client.get(PING)
        with pytest.raises(Backpressure, match="refuses requests for now"):
            await client.get(PING)

    assert refused.value.retry_after_s == FIRST_WAIT_S
    assert client.ignored == {"retry_after": 1}
    assert len(rest.asked) == 1


@pytest.mark.parametrize(("told", "status"), [*((told, 429) for told in FAR), *((told, 418) for told in ABSURD)])
async def test_no_venue_is_left_alone_for_longer_than_a_quarter_of_an_hour(told: str, status: int) -> None:
    async with venue() as rest, RestClient(EXCHANGE, rest.url, 1_000) as client:
        rest.status, rest.headers = status, {"Retry-After": told}
        with pytest.raises(Backpressure) as first:
            await client.get(PING)
        with pytest.raises(Backpressure) as second:
            await client.get(PING)

    assert first.value.retry_after_s == QUARTER_S
    assert QUARTER_S - 10 < second.value.retry_after_s <= QUARTER_S
    assert client.ignored == {}


@pytest.mark.parametrize("told", ["9" * 5_000, "-1", "1e9", "many", "٣", "²", "12345678901"])
async def test_a_weight_that_cannot_be_meant_is_counted_and_ignored(told: str) -> None:
    async with venue() as rest, RestClient(EXCHANGE, rest.url, 1_000) as client:
        rest.headers = {EXCHANGE.limits.weight_header: told}
        assert await client.get(PING) == b"{}"
        assert await client.get(PING) == b"{}"

    assert client.ignored == {"weight_header": 2}


@pytest.mark.parametrize("limit", ["0", "1", "-5", "9" * 18, "9" * 400, "9" * 5_000, '"many"', "1.5"])
async def test_a_weight_limit_that_cannot_be_meant_is_ignored_and_the_list_is_used(limit: str) -> None:
    rule = '{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":' + limit + "}"
    listed = json.dumps([entry("BTCUSDT", "0.10", "0.001")])
    async with venue() as rest, RestClient(EXCHANGE, rest.url, 100_000) as client:
        rest.body = f'{{"rateLimits":[{rule}],"symbols":{listed}}}'.encode()
        found = await find_instruments(
            client, EXCHANGE, ["BTCUSDT"], clock=SystemClock(), stop=asyncio.Event(), tap=None, patience_s=0.0
        )
        async with asyncio.timeout(patient(5)):
            await client.get(EXCHANGE.recover("BTCUSDT"))

    assert list(found) == ["BTCUSDT"]
    assert client.ignored == {"weight_limit": 1}


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_of_a_request_is_not_followed(status: int) -> None:
    async with venue() as rest, venue() as elsewhere, RestClient(EXCHANGE, rest.url, 1_000) as client:
        rest.status, rest.headers = status, {"Location": elsewhere.url + "/fapi/v1/ping"}
        with pytest.raises(ExchangeUnreachable, match=f"HTTP {status}: a redirect, which is not followed"):
            await client.get(PING)

    assert (len(rest.asked), elsewhere.asked) == (1, [])


async def test_an_answer_that_unpacks_to_much_more_is_cut_at_the_bound() -> None:
    async with venue() as rest, RestClient(EXCHANGE, rest.url, 1_000_000) as client:
        rest.headers, rest.body = {"Content-Encoding": "gzip"}, gzip.compress(b" " * 100_000_000)
        assert len(await client.get(PING)) == 1_000_001


async def test_credentials_of_an_address_are_in_no_error() -> None:
    async with venue() as rest:
        url = rest.url.replace("http://", "http://user:hunter2@")
        async with RestClient(EXCHANGE, url, 1_000) as client:
            said = []
            for status, headers in ((500, {}), (404, {}), (302, {"Location": url}), (429, {"Retry-After": "60"})):
                rest.status, rest.headers = status, headers
                with pytest.raises((ExchangeUnreachable, Backpressure)) as refused:
                    await client.get(PING)
                said.append(f"{refused.value} {refused.value.context} {refused.value.args}")
        async with RestClient(EXCHANGE, "http://user:hunter2@127.0.0.1:1", 1_000) as client:
            with pytest.raises(ExchangeUnreachable) as refused:
                await client.get(PING)
            said.append(str(refused.value))

    assert all("127.0.0.1" in text and "hunter2" not in text for text in said), said


class Gate:
    """A WebSocket server that refuses every handshake in one way."""

    def __init__(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.headers = headers
        self.asked = 0

    def refuse(self, socket: ServerConnection, request: Request) -> Response:
        del socket, request
        self.asked += 1
        return Response(
            self.status, HTTPStatus(self.status).phrase, Headers([*self.headers, ("Content-Length", "0")]), b""
        )


@asynccontextmanager
async def knocking(gate: Gate, naps: list[float], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connection]:
    """A connection that knocks at a gate; its waits are written down and take no time."""

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await asyncio.Event().wait()

    async def nobody(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with serve(nobody, "127.0.0.1", 0, process_request=gate.refuse) as server:
        port, notes = server.sockets[0].getsockname()[1], Notes(EXCHANGE)
        connection = Connection(
            "c1",
            EXCHANGE,
            f"ws://user:hunter2@127.0.0.1:{port}/public/stream",
            ["BTCUSDT"],
            enqueue=notes.enqueue,
            on_oversized=notes.on_oversized,
            max_bytes=1_000,
            connects=AsyncLimiter(100, 1),
            life_s=1e6,
        )
        monkeypatch.setattr("producers.live.connections.asyncio.sleep", nap)
        task = asyncio.create_task(connection.run())
        try:
            yield connection
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


HANDSHAKES: list[Any] = [
    (429, ["120"], 120.0, 0),
    (503, ["120"], 120.0, 0),
    (418, [], FIRST_WAIT_S, 0),
    (403, [], FIRST_WAIT_S, 0),
    (451, [], REGION_WAIT_S, 0),
    (500, [], 0.0, 0),
    (429, ["10000000000"], QUARTER_S - 5.0, 0),
    (429, ["Fri, 31 Dec 9999 23:59:59 GMT"], QUARTER_S - 5.0, 0),
    (403, ["inf"], FIRST_WAIT_S, 1),
    (429, ["9" * 5_000], FIRST_WAIT_S, 1),
    (429, ["60", "inf"], 60.0, 0),
]


@pytest.mark.parametrize(("status", "told", "least_s", "ignored"), HANDSHAKES)
async def test_a_refused_handshake_waits_as_long_as_it_says_within_bounds(
    monkeypatch: pytest.MonkeyPatch, status: int, told: list[str], least_s: float, ignored: int
) -> None:
    gate, naps = Gate(status, [("Retry-After", text) for text in told]), list[float]()
    async with knocking(gate, naps, monkeypatch) as connection, asyncio.timeout(patient(5)):
        while not naps:
            await _turn()

    assert least_s <= naps[0] <= min(least_s + 5.0, QUARTER_S)
    assert connection.gate.ignored.total() == ignored
    assert gate.asked == 1


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_of_a_handshake_is_not_followed(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    reached: list[str] = []

    async def elsewhere(socket: ServerConnection) -> None:
        reached.append("here")
        await socket.wait_closed()

    async with serve(elsewhere, "127.0.0.1", 0) as server:
        where = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        gate, naps = Gate(status, [("Location", where)]), list[float]()
        async with knocking(gate, naps, monkeypatch), asyncio.timeout(patient(5)):
            while not naps:
                await _turn()

    assert (reached, gate.asked) == ([], 1)


async def _turn() -> None:
    """Let the loop work for a moment; `asyncio.sleep` is the test's own here."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_later(0.01, done.set_result, None)
    await done
