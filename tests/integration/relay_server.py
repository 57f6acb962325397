"""A relay of Tardis's data on loopback, from the simulator's data: its key, its credentials, its WebSocket.

It can be told to lose an update, to let credentials end soon, and to refuse a key.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSCloseCode, web

from obflow.clock import SystemClock
from producers.simulator.events import DepthUpdate, MarketEvent
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.market import Fill
from producers.simulator.true_book import WholeBook
from producers.simulator.venues import simulated_venue
from tests.producers.tardis_data import iso, said_of

TICK_SECONDS = 0.02
KEY = "a-relays-key"


class RelayServer:
    """The relay.

    Args:
        exchange: An exchange of Tardis.
        venue: Its name in the simulator.
        symbols: Instruments.
        valid_s: How long credentials are good for.

    Attributes:
        url: Its address over HTTP, once started.
        status: Of every answer to a request with the key; 200 where it is well.
        quota: Messages that are left of 1,000.
        opened: Keys of each WebSocket there ever was.
        asked: What each of them subscribed to.
        refused: WebSockets that had no key, or one that had ended.
        given: What it answers in place of credentials, where that is something.
    """

    def __init__(self, exchange: str, venue: str, symbols: Sequence[str], valid_s: float) -> None:
        self.exchange = exchange
        self.url = ""
        self.status = 200
        self.quota = 500
        self.opened: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.refused = 0
        self.given: dict[str, Any] | None = None
        self._valid_s = valid_s
        self._ends_ns: dict[str, int] = {}
        self._numbers: Counter[str] = Counter()
        self._open: dict[web.WebSocketResponse, tuple[str, ...]] = {}
        self._clock = SystemClock()
        self._market = SimulatedExchange(
            simulated_venue(venue), symbols, seed=3, start_ns=self._clock.now_ns(), changes_per_second=100
        )

    def lose_update(self, symbol: str) -> None:
        """Number an update that nobody gets."""
        self._numbers[symbol] += 1

    async def verify(self, request: web.Request) -> web.Response:
        """Serve `/auth/verify`."""
        if (refused := self._refusal(request)) is not None:
            return refused
        quota = {"limit": 1_000, "remaining": self.quota}
        return web.json_response({"valid": True, "features": ["stream"], "quota": quota})

    async def credentials(self, request: web.Request) -> web.Response:
        """Serve `/tardis/credentials`."""
        if (refused := self._refusal(request)) is not None:
            return refused
        assert request.query["exchange"] == self.exchange
        assert request.query["channels"] == "orderbook,trades"
        key = f"of-the-stream-{len(self._ends_ns) + 1}"
        self._ends_ns[key] = self._clock.now_ns() + int(self._valid_s * 1e9)
        found = {
            "stream_url": self.url.replace("http", "ws") + "/stream",
            "api_key": key,
            "expires_at": iso(self._ends_ns[key] // 1000),
            "message_quota_remaining": self.quota,
        }
        return web.json_response(found if self.given is None else self.given)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Serve the WebSocket."""
        key = request.headers.get("X-API-Key", "")
        if self._ends_ns.get(key, 0) < self._clock.now_ns():
            self.refused += 1
            return web.Response(status=401)
        self.opened.append(key)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            await socket.send_json({"type": "ping"})
            async for message in socket:
                said = json.loads(message.data)
                if said["type"] == "subscribe":
                    self.asked.append(said)
                    await self._begin(socket, tuple(said["symbols"]))
        finally:
            self._open.pop(socket, None)
        return socket

    async def _begin(self, socket: web.WebSocketResponse, symbols: tuple[str, ...]) -> None:
        await socket.send_json({"type": "subscribed", "symbols": symbols})
        for symbol in symbols:
            await socket.send_json(self._written(self._market.snapshot(symbol)))
        self._open[socket] = symbols

    async def answer(self, request: web.Request) -> web.Response:
        """Serve the venue's own REST."""
        found = self._market.get(str(request.rel_url))
        return web.Response(status=found.status, text=found.body, content_type="application/json")

    async def run(self) -> None:
        """Let time pass."""
        while True:
            for item in self._market.advance(self._clock.now_ns()):
                if isinstance(item, MarketEvent) and isinstance(item.what, DepthUpdate | Fill):
                    self._numbers[item.spec.symbol] += isinstance(item.what, DepthUpdate)
                    await self._say(item.spec.symbol, self._written(item))
            await asyncio.sleep(TICK_SECONDS)

    async def _say(self, symbol: str, message: dict[str, Any]) -> None:
        for socket, symbols in tuple(self._open.items()):
            if symbol in symbols and not socket.closed:
                await socket.send_json(message)

    def _written(self, event: MarketEvent) -> dict[str, Any]:
        said = said_of(event)
        head = {"symbol": said.symbol, "timestamp": iso(said.time_us)}
        if said.trade is not None:
            number, side, price, amount = said.trade
            return {"type": "trade", **head, "id": number, "side": side, "price": price, "amount": amount}
        sides = {"bids": said.bids, "asks": said.asks, "update_id": self._numbers[said.symbol]}
        return {"type": "snapshot" if isinstance(event.what, WholeBook) else "delta", **head, **sides}

    async def drop_all(self) -> None:
        """Drop every connection."""
        for socket in tuple(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": "unauthorized"}, status=401)
        return None if self.status == 200 else web.Response(status=self.status, text=f"no: {KEY}")


@asynccontextmanager
async def relay(
    exchange: str, venue: str, symbols: Sequence[str], *, valid_s: float = 3600.0
) -> AsyncIterator[RelayServer]:
    """Serve it on a free port of loopback."""
    server = RelayServer(exchange, venue, symbols, valid_s)
    app = web.Application()
    app.router.add_get("/auth/verify", server.verify)
    app.router.add_get("/tardis/credentials", server.credentials)
    app.router.add_get("/stream", server.stream)
    app.router.add_get("/{rest:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    ticker = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)
        await server.drop_all()
        await runner.cleanup()
