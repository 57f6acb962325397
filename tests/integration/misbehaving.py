"""A venue that misbehaves as real ones do: real sockets, Binance's own words, and a note of all it was asked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from obflow.clock import SystemClock
from obflow.settings import Settings
from producers.contract import Exchange
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.live import run
from producers.live.feed import LiveFeed
from producers.settings import ProducerSettings
from tests.support.patience import patient

TICK_SECONDS = 0.05
CHANNELS = ("depth@100ms", "trade", "bookTicker")

Answer = Callable[[web.Request], "web.StreamResponse | None"]


@dataclass(eq=False)
class Client:
    """One connection: what it listens to, and when it came and went, in seconds of the venue."""

    socket: web.WebSocketResponse
    path: str
    opened_s: float
    listens: set[str] = field(default_factory=set)
    said: list[dict[str, Any]] = field(default_factory=list)
    closed_s: float = 0.0
    closed_by_client: bool = False


@dataclass
class MisbehavingVenue:
    """Trades every symbol it is asked for, unless told otherwise.

    Attributes:
        symbols: What it trades, with the word that its list has for each.
        silent: Whether a stream, by name, brings nothing though its subscription is acknowledged.
        answer: Looks at each REST request, and answers in the venue's place where it wants to.
        handshake: The same for handshakes.
        ends: Tells how a socket is ended as soon as it stands, by code and reason, where it is to be.
        refuses: Looks at what a client says, and answers in place of an acknowledgement where it gives something.
        clients: Every connection there was.
        asked: Every REST request: when, and its path and query.
        knocked_s: When there was a handshake, refused ones too.
    """

    symbols: dict[str, str]
    silent: Callable[[str], bool] = lambda _: False
    answer: Answer = lambda _: None
    handshake: Answer = lambda _: None
    ends: Callable[[], tuple[int, str] | None] = lambda: None
    refuses: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda _: None
    clients: list[Client] = field(default_factory=list)
    asked: list[tuple[float, str]] = field(default_factory=list)
    knocked_s: list[float] = field(default_factory=list)
    url: str = ""
    port: int = 0
    _ids: dict[str, int] = field(default_factory=dict)
    _began_s: float = field(default_factory=time.monotonic)

    @property
    def now_s(self) -> float:
        """Seconds since it opened."""
        return time.monotonic() - self._began_s

    def asked_for(self, text: str) -> list[float]:
        """When something was asked for over REST."""
        return [asked_s for asked_s, path in self.asked if text in path]

    async def say(self, message: object) -> None:
        """Tell everybody something."""
        for client in self.connected:
            await client.socket.send_str(json.dumps(message))

    @property
    def connected(self) -> list[Client]:
        """Connections that stand."""
        return [client for client in self.clients if not client.socket.closed]

    async def run(self) -> None:
        """Trade: an update, a trade and a quote of each symbol with each tick."""
        while True:
            for symbol in self.symbols:
                last = self._ids.setdefault(symbol, 100)
                self._ids[symbol] = last + 2
                for channel in (*CHANNELS, "aggTrade"):
                    await self._send(f"{symbol.lower()}@{channel}", self._event(symbol, channel, last))
            await asyncio.sleep(TICK_SECONDS)

    def _event(self, symbol: str, channel: str, last: int) -> dict[str, Any]:
        now, size = int(time.time() * 1000), f"{1 + last % 7}.000"
        head = {"E": now, "T": now, "s": symbol}
        if channel == "bookTicker":
            quote = {"u": last + 2, "s": symbol, "b": "100.0", "B": size, "a": "100.1", "A": "1.000"}
            return quote | {"e": "bookTicker", "E": now, "T": now}
        if channel == "trade":
            return {"e": "trade", **head, "t": last, "p": "100.0", "q": "0.001", "X": "MARKET", "m": True}
        if channel == "aggTrade":
            return {"e": "aggTrade", **head, "a": last, "f": last, "l": last, "p": "100.0", "q": "0.001", "m": True}
        update = {"U": last + 1, "u": last + 2, "pu": last, "b": [["100.0", size]], "a": []}
        return {"e": "depthUpdate", **head, **update}

    async def _send(self, stream: str, event: dict[str, Any]) -> None:
        if self.silent(stream):
            return
        text = json.dumps({"stream": stream, "data": event})
        for client in self.connected:
            if stream in client.listens:
                await client.socket.send_str(text)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.knocked_s.append(self.now_s)
        if (refusal := self.handshake(request)) is not None:
            return refusal
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = Client(socket, request.path, self.now_s)
        self.clients.append(client)
        if (end := self.ends()) is not None:
            await socket.close(code=end[0], message=end[1].encode())
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            client.said.append(asked)
            if (refusal := self.refuses(asked)) is not None:
                await socket.send_str(json.dumps(refusal))
                continue
            named = set(asked["params"])
            client.listens = client.listens | named if asked["method"] == "SUBSCRIBE" else client.listens - named
            await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
        client.closed_s, client.closed_by_client = (
            self.now_s,
            socket.close_code is not None and socket.close_code < 1006,
        )
        return socket

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((self.now_s, request.path_qs))
        if (answer := self.answer(request)) is not None:
            return answer
        if request.path.endswith("/exchangeInfo"):
            return web.json_response(
                {"rateLimits": [], "symbols": [self._entry(*item) for item in self.symbols.items()]}
            )
        symbol = request.query["symbol"]
        if symbol not in self.symbols:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        book = {"bids": [["100.0", "1.000"], ["99.9", "2.000"]], "asks": [["100.1", "1.000"]]}
        return web.json_response({"lastUpdateId": self._ids.get(symbol, 100), "E": 1, "T": 1, **book})

    def _entry(self, symbol: str, status: str) -> dict[str, Any]:
        price = {"filterType": "PRICE_FILTER", "tickSize": "0.10"}
        size = {"filterType": "LOT_SIZE", "stepSize": "0.001"}
        names = {"symbol": symbol, "status": status, "baseAsset": symbol[:-4], "quoteAsset": symbol[-4:]}
        return {**names, "contractType": "PERPETUAL", "filters": [price, size]}


@asynccontextmanager
async def misbehaving(*symbols: str, **ways: Any) -> AsyncIterator[MisbehavingVenue]:
    """The venue on a free port of loopback."""
    venue = MisbehavingVenue(dict.fromkeys(symbols or ("BTCUSDT",), "TRADING"), **ways)
    app = web.Application()
    for path in ("/public/stream", "/market/stream", "/stream"):
        app.router.add_get(path, venue._stream)
    app.router.add_get("/{path:.*}", venue._rest)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue.port = runner.addresses[0][1]
    venue.url = f"http://127.0.0.1:{venue.port}"
    trading = asyncio.create_task(venue.run())
    try:
        yield venue
    finally:
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
        for client in venue.connected:
            await client.socket.close()
        await runner.cleanup()


class Listening:
    """A recorder that listens to such a venue: the live feed with all its edges, but for a broker."""

    feed: LiveFeed
    summary: dict[str, Any]

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.is_up = False

    def watch(self, feed: LiveFeed) -> None:
        self.feed, self.is_up = feed, True


@asynccontextmanager
async def listening(
    venue: MisbehavingVenue,
    path: Path,
    symbols: Sequence[str] = ("BTCUSDT",),
    exchange: Exchange = BINANCE_FUTURES,
    **producer: Any,
) -> AsyncIterator[Listening]:
    """Record from it while the block runs: books alone, so that its clients are those that carry them."""
    made, heard = venue.url, Listening()
    producer = {"derivatives": False, **producer}
    settings = Settings(producer=ProducerSettings(websocket_url=made.replace("http", "ws"), rest_url=made, **producer))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            run.record(
                exchange, symbols, settings, clock=SystemClock(), stop=heard.stop, path=path, on_feed=heard.watch
            )
        )
        try:
            while not (heard.is_up or task.done()):  # noqa: ASYNC110 (a feed that begins makes no event)
                await asyncio.sleep(0.01)
            yield heard
        finally:
            heard.stop.set()
    heard.summary = task.result()


async def until(what: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(patient(seconds)):
        while not what():  # noqa: ASYNC110 (what a server noted comes without an event)
            await asyncio.sleep(0.02)
