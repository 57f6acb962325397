"""The Bazaar on loopback: a real WebSocket server and its REST interface, and side doors as the simulator has them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from aiohttp import WSMsgType, web

from tests.bazaar.market import Json, Market

TICK_SECONDS = 0.05
BEAT_SECONDS = 0.1
PATIENCE_SECONDS = 2.0
"""A client that leaves a heartbeat without an answer for so long, or sends no ping, is cut off."""


class Client:
    """One connection."""

    def __init__(self, socket: web.WebSocketResponse, now_s: float) -> None:
        self.socket = socket
        self.watched: set[str] = set()
        self.beats = False
        self.unanswered: dict[int, float] = {}
        self.pinged_s = now_s

    async def say(self, message: Json) -> None:
        if not self.socket.closed:
            await self.socket.send_str(json.dumps(message))


class BazaarServer:
    """The venue; what may be asked of it is what `tests.integration.simulators.Simulator` offers."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.markets = {symbol: Market(symbol) for symbol in symbols}
        self.clients: set[Client] = set()
        self.stats: Counter[str] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()
        self.held: dict[str, Json] = {}
        self.server = SimpleNamespace(websocket_url="", rest_url="")
        self._beat = 0
        self._paused_until_s = 0.0

    async def get(self, path: str, **query: object) -> tuple[int, Any]:
        assert path == "/true-book"
        bids, asks = self.markets[str(query["symbol"])].states[int(str(query["sequence"]))]
        return 200, {"bids": list(bids.items()), "asks": list(asks.items())}

    async def inject(self, fault: str, symbol: str = "", seconds: float = 1.0, **_: object) -> None:
        if fault in ("disconnect", "shutdown"):
            for client in tuple(self.clients):
                await client.socket.close()
        elif fault == "pause":
            self._paused_until_s = asyncio.get_running_loop().time() + seconds
        else:
            for name in self.markets:
                self.faults[fault, name] += symbol in ("", name)

    async def report(self) -> Json:
        return {"stats": dict(self.stats)}

    async def run(self) -> None:
        """Let the markets trade, and tell everybody who watches."""
        loop = asyncio.get_running_loop()
        while True:
            if loop.time() >= self._paused_until_s:
                books = [said for symbol in self.markets for said in self._changes(symbol)]
                others = [(market.trade(), market.best()) for market in self.markets.values()]
                for client in tuple(self.clients):
                    await self._tell(client, books, others)
            await asyncio.sleep(TICK_SECONDS)

    async def beat(self) -> None:
        """Ask everybody who wants it whether he is alive, and cut off who does not say so."""
        loop = asyncio.get_running_loop()
        while True:
            self._beat += 1
            for client in tuple(self.clients):
                oldest = min([client.pinged_s, *client.unanswered.values()])
                if client.beats and loop.time() - oldest > PATIENCE_SECONDS:
                    self.stats["cut_off"] += 1
                    await client.socket.close()
                elif client.beats:
                    client.unanswered[self._beat] = loop.time()
                    await client.say({"beat": self._beat})
            await asyncio.sleep(BEAT_SECONDS)

    def _changes(self, symbol: str) -> list[Json]:
        """The update of this tick, or what a fault makes of it."""
        said = self.markets[symbol].change()
        found = next((fault for fault, name in self.faults if name == symbol and self.faults[fault, name]), "")
        if found:
            self.faults[found, symbol] -= 1
        changes = {
            "": [said],
            "gap": [],
            "duplicate": [said, said],
            "corrupt": [{**said, "n": -1}],
            "checksum": [{**said, "sum": said["sum"] ^ 1}],
        }
        if found == "restart":
            return [said, self.markets[symbol].restart()]
        return changes[found]

    async def _tell(self, client: Client, books: list[Json], others: list[tuple[Json, Json]]) -> None:
        wanted = {name.partition(":")[2] for name in client.watched if name.startswith("book:")}
        if not wanted:
            return
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        sound = [said for said in books if said["s"] in wanted and said["n"] >= 0]
        trades = [trade for trade, _ in others if f"tape:{trade['s']}" in client.watched]
        best = [quote for _, quote in others if f"best:{quote['s']}" in client.watched]
        await client.say({"at": now_ms, "books": sound, "trades": trades, "best": best})
        for said in books:
            if said["s"] in wanted and said["n"] < 0:
                await client.say({"at": now_ms, "books": [said]})

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        loop = asyncio.get_running_loop()
        client = Client(socket, loop.time())
        self.clients.add(client)
        self.stats["connections"] += 1
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._hear(client, message.data, loop.time())
        finally:
            self.clients.discard(client)
        return socket

    async def _hear(self, client: Client, text: str, now_s: float) -> None:
        if text == "ping":
            client.pinged_s = now_s
            await client.socket.send_str("pong")
            return
        asked = json.loads(text)
        self.stats[asked["do"]] += 1
        if asked["do"] == "beat":
            client.beats = True
            await client.say({"done": asked["key"]})
        elif asked["do"] == "alive":
            client.unanswered.pop(asked["n"], None)
        else:
            await self._watch(client, asked["do"], asked["what"])

    async def _watch(self, client: Client, what: str, names: list[str]) -> None:
        for symbol in dict.fromkeys(name.partition(":")[2] for name in names):
            if symbol not in self.markets:
                await client.say({"no": f"{what}:{symbol}", "why": f"there is no market {symbol}"})
                continue
            await client.say({"done": f"{what}:{symbol}"})
            if what == "unwatch":
                client.watched.difference_update(names)
                continue
            client.watched.update(names)
            self.stats[f"depth:{symbol}"] += 1
            await client.say({"at": int(now_ms()), "books": [self.markets[symbol].whole()]})

    async def _list(self, request: web.Request) -> web.Response:
        half = (len(self.markets) + 1) // 2
        markets = list(self.markets.values())
        part = markets[:half] if request.query.get("part") == "1" else markets[half:]
        return web.json_response({"markets": [market.listed() for market in part]})

    @asynccontextmanager
    async def served(self) -> AsyncIterator[BazaarServer]:
        """Serve on a free port of loopback."""
        app = web.Application()
        app.router.add_get("/feed", self._serve)
        app.router.add_get("/markets", self._list)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        self.server = SimpleNamespace(websocket_url=f"ws://127.0.0.1:{port}", rest_url=f"http://127.0.0.1:{port}")
        tasks = [asyncio.create_task(self.run()), asyncio.create_task(self.beat())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for client in tuple(self.clients):
                await client.socket.close()
            await runner.cleanup()


def now_ms() -> float:
    """The venue's clock."""
    return asyncio.get_running_loop().time() * 1000
