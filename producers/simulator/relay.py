"""A relay of a simulated venue's data: somebody who passes it on under keys of his own, in words of his own.

GET  /auth/verify                                 whether a key is good, and what is left of its quota
GET  /tardis/credentials?exchange=&channels=      a key for the stream, its address, and when it ends
GET  /tardis/stream/EXCHANGE                      the stream: `snapshot`, `delta` with `update_id`, `trade`, `ping`

Whoever is asked for a key wants `Authorization: Bearer`; the stream wants the other one as `X-API-Key`. The venue's own
list is the venue's own to give: it is served beside.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import WSMsgType, web

from obflow.clock import Clock
from producers.simulator.events import Damage, DepthUpdate, MarketEvent
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.market import Fill
from producers.simulator.sockets import MAX_MESSAGE_BYTES, Line
from producers.simulator.true_book import WholeBook
from schemas.units import NS_PER_SECOND, NS_PER_US

QUOTA: Final = 10_000_000
"""Messages that a key is good for."""
REMEMBERED: Final = 1_000
"""Updates whose number is known: one that comes late has the number that it would have had."""


class UpdateNumbers:
    """Numbers the updates of one instrument from 1, one above the one before; one that is lost leaves a hole."""

    def __init__(self) -> None:
        self._newest = 0
        self._known: OrderedDict[int, int] = OrderedDict()  # by the venue's own id

    def of_update(self, update: DepthUpdate) -> int:
        """The number of an update: one above the one that it follows, as far as that came by."""
        before = self._known.get(update.previous_id)
        return self._note(update.last_id, self._newest + (2 if self._known else 1) if before is None else before + 1)

    def of_book(self, sequence: int) -> int:
        """The number of the update that a whole book holds last."""
        return self._note(sequence, self._known.get(sequence, self._newest + 1))

    def skip(self) -> None:
        """Lose an update before anybody sees it."""
        self._newest += 1
        self._known.clear()

    def _note(self, sequence: int, number: int) -> int:
        self._newest = max(self._newest, number)
        self._known[sequence] = number
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return number


class RelayClient(Line):
    """One connection to the stream."""

    symbols: frozenset[str] = frozenset()


class SimulatedRelay:
    """A relay of one venue.

    Args:
        exchange: What the relay calls the venue.
        market: The venue.
        clock: When keys end.
        stats: Counts what was served.

    Attributes:
        key: The one that is good; empty: any.
        valid_s: How long a key for the stream is good for.
        quota: Messages that are left.
        status: Of each answer about keys; 200 where it is well.
        given: What it gives in place of a key, where that is something.
        keys: Keys for the stream, and when they end, ns UTC.
        opened: The key of each connection there ever was.
        asked: What each of them subscribed to.
        refused: Connections that had no key, or one that had ended.
    """

    def __init__(self, exchange: str, market: SimulatedExchange, clock: Clock, stats: Counter[str]) -> None:
        self.exchange = exchange
        self.key = ""
        self.valid_s = 3_600.0
        self.quota = QUOTA
        self.status = 200
        self.given: dict[str, Any] | None = None
        self.keys: dict[str, int] = {}
        self.opened: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.refused = 0
        self._market = market
        self._clock = clock
        self._stats = stats
        self._clients: set[RelayClient] = set()
        self._numbers: dict[str, UpdateNumbers] = {}

    # -- keys

    def verify(self, request: web.Request) -> web.Response:
        """Answer whether a key is good."""
        quota = {"limit": QUOTA, "remaining": self.quota}
        answer = {"valid": True, "features": ["stream"], "quota": quota}
        return self._refusal(request) or web.json_response(answer)

    def credentials(self, request: web.Request, websocket_url: str) -> web.Response:
        """Give a key for the stream."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        key = f"of-the-stream-{len(self.keys) + 1}"
        ends_ns = self.keys[key] = self._clock.now_ns() + int(self.valid_s * NS_PER_SECOND)
        found = {
            "stream_url": f"{websocket_url}/tardis/stream/{self.exchange}",
            "api_key": key,
            "expires_at": _iso(ends_ns),
            "message_quota_remaining": self.quota,
        }
        return web.json_response(found if self.given is None else self.given)

    def _refusal(self, request: web.Request) -> web.Response | None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not key or (self.key and key != self.key):
            return web.json_response({"error": "unauthorized"}, status=401)
        return None if self.status == 200 else web.Response(status=self.status, text=f"no: {key}")

    # -- the stream

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        key = request.headers.get("X-API-Key", "") or request.query.get("api_key", "")
        if self.keys.get(key, 0) < self._clock.now_ns():
            self.refused += 1
            return web.json_response({"error": "unauthorized"}, status=401)
        self.opened.append(key)
        client = RelayClient(request, web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, compress=False))
        await client.socket.prepare(request)
        self._stats["connections"] += 1
        self._clients.add(client)
        self._put(client, {"type": "ping"})
        writer = asyncio.create_task(client.write())
        try:
            async for message in client.socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(client, message.data)
        finally:
            self._clients.discard(client)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return client.socket

    def _receive(self, client: RelayClient, text: str) -> None:
        try:
            said = json.loads(text)
            kind, symbols = said["type"], said.get("symbols", [])
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            self._put(client, {"type": "error", "message": "not a message"})
            return
        if kind == "ping":
            self._put(client, {"type": "pong"})
        elif kind == "subscribe" and isinstance(symbols, list):
            self.asked.append(said)
            self._subscribe(client, [symbol for symbol in symbols if isinstance(symbol, str)])

    def _subscribe(self, client: RelayClient, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            if symbol not in self._market.specs:
                self._put(client, {"type": "error", "message": "no such symbol", "symbol": symbol})
                continue
            self._put(client, {"type": "subscribed", "symbols": [symbol]})
            self._put_event(client, self._market.snapshot(symbol))
            client.symbols |= {symbol}

    def send(self, event: MarketEvent) -> None:
        """Send an event to everybody who subscribed to its instrument."""
        if isinstance(event.what, DepthUpdate | Fill):
            text = self._written(event)
            for client in tuple(self._clients):
                if event.spec.symbol in client.symbols:
                    self._put_text(client, text)

    def lose_update(self, symbol: str) -> None:
        """Number an update that nobody gets: a fault, as all of the simulator's are, for whoever tests a reader."""
        self._numbers_of(symbol).skip()

    def cut_all(self) -> None:
        """Cut every connection."""
        for client in tuple(self._clients):
            self._clients.discard(client)
            client.cut()

    def _written(self, event: MarketEvent) -> str:
        spec, what = event.spec, event.what
        head = {"symbol": spec.symbol, "timestamp": _iso(event.sent_ns)}
        if isinstance(what, Fill):
            side = "buy" if what.buyer_is_aggressor else "sell"
            deal = {"side": side, "price": spec.price_text(what.tick), "amount": spec.size_text(what.lots)}
            return json.dumps({"type": "trade", **head, "id": str(what.trade_id), **deal})
        bids, asks = event.level_texts()
        numbers = self._numbers_of(spec.symbol)
        if isinstance(what, WholeBook):
            told = {"type": "snapshot", **head, "bids": bids, "asks": asks, "update_id": numbers.of_book(what.sequence)}
        else:
            assert isinstance(what, DepthUpdate)  # noqa: S101 (nothing else has levels)
            told = {"type": "delta", **head, "bids": bids, "asks": asks, "update_id": numbers.of_update(what)}
        text = json.dumps(told)
        return text[: len(text) // 2] if event.damage is Damage.CUT else text

    def _numbers_of(self, symbol: str) -> UpdateNumbers:
        return self._numbers.setdefault(symbol, UpdateNumbers())

    def _put_event(self, client: RelayClient, event: MarketEvent) -> None:
        self._put_text(client, self._written(event))

    def _put(self, client: RelayClient, said: dict[str, Any]) -> None:
        self._put_text(client, json.dumps(said))

    def _put_text(self, client: RelayClient, text: str) -> None:
        if client.put(text):
            self._stats["frames"] += 1
            self.quota = max(0, self.quota - 1)
        else:
            self._stats["slow_clients"] += 1
            self._clients.discard(client)
            client.cut()


def _iso(ns: int) -> str:
    """A moment as a relay writes it, to the microsecond."""
    seconds, us = divmod(ns // NS_PER_US, NS_PER_SECOND // NS_PER_US)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{us:06d}Z"
