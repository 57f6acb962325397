"""A tardis-machine on loopback, from the simulator's data: its WebSocket, its replays over HTTP, the venue's own list.

Beside it the datasets of the same stretch, as rows.

It can be told to lose its feed, to refuse a key, to cut a replay short and to fail in the middle of one.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from aiohttp import WSCloseCode, web

from obflow.clock import SystemClock
from producers.simulator.derivatives import DerivativeState
from producers.simulator.events import DepthUpdate, MarketEvent
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.market import Fill
from producers.simulator.venues import simulated_venue
from tests.producers.tardis_data import L2_HEADER, Market, as_message, as_rows, iso, said_of

TICK_SECONDS = 0.02
STRETCH_SECONDS = 2.5
KEY = "a-key"


class MachineServer:
    """The machine.

    Args:
        exchange: An exchange of Tardis.
        venue: Its name in the simulator.
        symbols: Instruments.
        wants_key: Whether it stands behind somebody who asks for `KEY`.

    Attributes:
        url: Its address over HTTP, once started.
        streams: Instruments of each WebSocket of books there ever was.
        tickers: The same of those that asked for tickers of derivatives alone.
        plays_replay: Whether its WebSocket gives the same stretch, in place of what happens now.
        asked: Parameters of each replay of raw messages.
        failing: How the next replay fails: `cut`, `broken`, or the machine's own words; empty where it does not.
    """

    def __init__(self, exchange: str, venue: str, symbols: Sequence[str], *, wants_key: bool = False) -> None:
        self.exchange = exchange
        self.market = SimulatedExchange(
            simulated_venue(venue), symbols, seed=3, start_ns=SystemClock().now_ns(), changes_per_second=100
        )
        self.url = ""
        self.streams: list[tuple[str, ...]] = []
        self.tickers: list[tuple[str, ...]] = []
        self._venue = venue
        self.plays_replay = False
        self.asked: list[dict[str, Any]] = []
        self.failing = ""
        self._wants_key = wants_key
        self._open: dict[web.WebSocketResponse, tuple[str, ...]] = {}
        self._telling: dict[web.WebSocketResponse, tuple[str, ...]] = {}

    @cached_property
    def replay(self) -> Market:
        """The stretch of the past."""
        return Market(self.exchange, self._venue, tuple(self.market.specs), STRETCH_SECONDS)

    async def lose_feed(self) -> None:
        """Lose the connection to the venue, tell it, and begin anew with whole books."""
        now_us = SystemClock().now_ns() // 1000
        for socket, symbols in tuple(self._open.items()):
            await socket.send_json({"type": "disconnect", "exchange": self.exchange, "localTimestamp": iso(now_us)})
            await self._send_books(socket, symbols)

    async def say(self, symbol: str, message: dict[str, Any]) -> None:
        """Send a message on the connection of an instrument."""
        for socket, symbols in tuple(self._open.items()):
            if symbol in symbols:
                await socket.send_json(message)

    async def drop_all(self) -> None:
        """Drop every connection, as for a slow client."""
        for socket in (*self._open, *self._telling):
            await socket.close(code=WSCloseCode.POLICY_VIOLATION)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Serve `/ws-stream-normalized`."""
        if not self._may(request):
            return web.Response(status=401)
        options = json.loads(request.query["options"])
        assert options["exchange"] == self.exchange
        assert options["withDisconnectMessages"] is True
        symbols = tuple(options["symbols"])
        is_of_tickers = options["dataTypes"] == ["derivative_ticker"]
        (self.tickers if is_of_tickers else self.streams).append(symbols)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if is_of_tickers:
            self._telling[socket] = symbols
        elif self.plays_replay:
            for said in self.replay.said:
                if said.symbol in symbols:
                    await socket.send_json(as_message(self.exchange, said))
        else:
            await self._send_books(socket, symbols)
            self._open[socket] = symbols
        try:
            async for _ in socket:
                raise AssertionError("the machine is told nothing")
        finally:
            self._open.pop(socket, None)
            self._telling.pop(socket, None)
        return socket

    async def history(self, request: web.Request) -> web.StreamResponse:
        """Serve `/replay-normalized`."""
        if not self._may(request):
            return web.json_response({"message": "unauthorized"}, status=401)
        options = json.loads(request.query["options"])
        if any(symbol not in self.market.specs for symbol in options["symbols"]):
            return web.json_response({"message": "no such symbol"}, status=400)
        lines = [json.dumps(as_message(self.exchange, said)) for said in self.replay.said]
        return await self._tell_past(request, "\n".join(lines) + "\n")

    async def raw_history(self, request: web.Request) -> web.StreamResponse:
        """Serve `/replay`."""
        if not self._may(request):
            return web.json_response({"message": "unauthorized"}, status=401)
        self.asked.append(json.loads(request.query["options"]))
        return await self._tell_past(request, b"".join(self.replay.raw).decode())

    async def dataset(self, request: web.Request) -> web.Response:
        """Serve a day of a dataset of books."""
        symbol = request.path.rpartition("/")[2].removesuffix(".csv.gz")
        books = [said for said in self.replay.said if said.symbol == symbol and said.trade is None]
        rows = [row for said in books for row in as_rows(self.exchange, said)]
        return web.Response(body=gzip.compress("\n".join([L2_HEADER, *rows, ""]).encode(), mtime=0))

    async def _tell_past(self, request: web.Request, text: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-json-stream"})
        if self.failing == "cut":
            response.content_length = len(text)
        await response.prepare(request)
        is_split = self.failing in ("cut", "broken")  # in the middle of a line
        await response.write(text[:-400].encode() if is_split else text.encode())
        if self.failing == "cut":
            assert request.transport is not None
            request.transport.close()
        elif self.failing not in ("", "broken"):
            await response.write(json.dumps({"message": self.failing}).encode())
        return response

    async def answer(self, request: web.Request) -> web.Response:
        """Serve the venue's own REST."""
        found = self.market.get(str(request.rel_url))
        return web.Response(status=found.status, text=found.body, content_type="application/json")

    async def health(self, request: web.Request) -> web.Response:
        """Serve `/health-check`."""
        return web.json_response({"status": "Healthy"}, status=200 if self._may(request) else 403)

    async def run(self) -> None:
        """Let time pass."""
        while True:
            for item in self.market.advance(SystemClock().now_ns()):
                if isinstance(item, MarketEvent) and isinstance(item.what, DepthUpdate | Fill):
                    await self.say(item.spec.symbol, as_message(self.exchange, said_of(item)))
                elif isinstance(item, MarketEvent) and isinstance(item.what, DerivativeState):
                    await self._tell(item.spec.symbol, item.what, item.sent_ns // 1000)
            await asyncio.sleep(TICK_SECONDS)

    async def _tell(self, symbol: str, state: DerivativeState, now_us: int) -> None:
        times = {"timestamp": iso(now_us), "localTimestamp": iso(now_us)}
        numbers = {"markPrice": float(state.mark_text), "fundingRate": float(state.rate_text)}
        message = {"type": "derivative_ticker", "exchange": self.exchange, "symbol": symbol, **numbers, **times}
        for socket, symbols in tuple(self._telling.items()):
            if symbol in symbols:
                await socket.send_json(message)

    async def _send_books(self, socket: web.WebSocketResponse, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            await socket.send_json(as_message(self.exchange, said_of(self.market.snapshot(symbol))))

    def _may(self, request: web.Request) -> bool:
        return not self._wants_key or request.headers.get("Authorization") == f"Bearer {KEY}"


@asynccontextmanager
async def machine(
    exchange: str, venue: str, symbols: Sequence[str], *, wants_key: bool = False
) -> AsyncIterator[MachineServer]:
    """Serve it on a free port of loopback."""
    server = MachineServer(exchange, venue, symbols, wants_key=wants_key)
    app = web.Application()
    app.router.add_get("/ws-stream-normalized", server.stream)
    app.router.add_get("/replay-normalized", server.history)
    app.router.add_get("/replay", server.raw_history)
    app.router.add_get("/days/{path:.*}", server.dataset)
    app.router.add_get("/health-check", server.health)
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
