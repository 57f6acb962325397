"""Simulated venues on a loopback port: their WebSockets and REST, the true book, and faults on demand.

the venues' own paths                            streams and requests; see `VenueRules` of each
GET  /true-book?symbol=&venue=&sequence=&limit=  the book as the venue has it, at any recent update id
GET  /control                                    what was served and injected
POST /control                                    a fault on demand, as JSON: see `Control`
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
import structlog
from aiohttp import web

from obflow.clock import NS_PER_SECOND, Clock, SystemClock
from obflow.response_headers import read_count
from producers.simulator.contract import SimulatedVenue
from producers.simulator.events import Damage, MarketEvent
from producers.simulator.exchange import Disconnect, SimulatedExchange
from producers.simulator.faults import Fault
from producers.simulator.sockets import MAX_MESSAGE_BYTES, Gateway
from producers.simulator.true_book import UnknownSequence
from schemas.errors import UsageError

LOOPBACK = "127.0.0.1"
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 (only where it is asked for)
TICK_SECONDS = 0.01
"""How often time is advanced."""
MAX_HELD_FRAMES = 100_000
"""Frames held back by a pause; beyond it the venue drops its clients instead."""
SHUTDOWN_NOTICE_SECONDS = 0.2
MAX_COUNT = 10_000
"""Frames or requests that one fault befalls, and requests that wait to be refused."""
MAX_SECONDS = 3_600.0

log = structlog.get_logger(__name__)


class Control(msgspec.Struct, forbid_unknown_fields=True):
    """A fault asked for. Every number is bounded; what lies beyond is refused and changes nothing.

    Attributes:
        fault: What. `gap`, `duplicate`, `disorder` and `corrupt` befall the next depth frames; `snapshot` follows the
            next one where books come in the stream; `disconnect` cuts every connection, `shutdown` announces it first;
            `pause` holds all frames back; `refuse_connections` turns new connections away; `refuse_requests` answers
            REST requests with an error.
        symbol, venue: What it befalls; empty is everything.
        count: How many depth frames, or REST requests, 1 to 10,000.
        seconds: How long a pause, or the refusal of connections, lasts, up to an hour; of refused requests, what their
            `Retry-After` says.
        status: HTTP status of refused requests, 400 to 599.
        damage: What is wrong with corrupt frames.
    """

    fault: Literal[
        "gap",
        "duplicate",
        "disorder",
        "corrupt",
        "disconnect",
        "snapshot",
        "shutdown",
        "pause",
        "refuse_connections",
        "refuse_requests",
    ]
    symbol: str = ""
    venue: str = ""
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)] = 1
    seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)] = 1.0
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 429
    damage: Damage = Damage.CUT


class _Served:
    """One venue and the state of serving it."""

    def __init__(self, exchange: SimulatedExchange, clock: Clock, stats: Counter[str]) -> None:
        self.exchange = exchange
        self.gateway = Gateway(exchange, clock, stats)
        self.paused_until_ns = 0
        self.no_connections_until_ns = 0
        self.refusals: deque[Control] = deque()
        self._held: deque[MarketEvent] = deque()
        self._span = 0
        self._weight = 0

    def emit(self, event: MarketEvent, now_ns: int) -> None:
        """Send an event, or hold it back during a pause."""
        if now_ns < self.paused_until_ns:
            self._held.append(event)
            if len(self._held) > MAX_HELD_FRAMES:
                self._held.clear()
                self.gateway.cut_all()
            return
        self.release()
        self.gateway.send(event)

    def release(self) -> None:
        """Send what a pause held back."""
        while self._held:
            self.gateway.send(self._held.popleft())

    def charge(self, weight: int, now_ns: int) -> tuple[int, int]:
        """Add to the weight used in this span of time; the sum, and whole seconds until it is counted anew."""
        span_ns = int(self.exchange.venue.rules.weight.seconds * NS_PER_SECOND)
        span, passed_ns = divmod(now_ns, span_ns)
        if span != self._span:
            self._span, self._weight = span, 0
        self._weight += weight
        return self._weight, -((passed_ns - span_ns) // NS_PER_SECOND)


class SimulatorServer:
    """Serves simulated venues until closed.

    Args:
        exchanges: By venue; from `start` on, their time is the clock's.
        clock: The clock they follow.

    Attributes:
        host: The address it is asked at, once started.
        port: Where it listens, once started.
        stats: What was served, by name.
    """

    def __init__(self, exchanges: Mapping[str, SimulatedExchange], clock: Clock | None = None) -> None:
        self.host = LOOPBACK
        self.port = 0
        self.stats: Counter[str] = Counter()
        self._clock = clock or SystemClock()
        self._venues = {venue: _Served(exchange, self._clock, self.stats) for venue, exchange in exchanges.items()}
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def websocket_url(self) -> str:
        """What stands in for a venue's own WebSocket address."""
        return f"ws://{self.host}:{self.port}"

    @property
    def rest_url(self) -> str:
        """What stands in for a venue's own REST address."""
        return f"http://{self.host}:{self.port}"

    async def start(self, port: int = 0, host: str = LOOPBACK) -> None:
        """Listen; port 0 takes a free one.

        Args:
            port: Where.
            host: On loopback, unless told otherwise; in a container, where the network is its own, on all addresses.

        Raises:
            UsageError: Two venues have the same path.
            OSError: The port is taken, or the address is not this machine's.
        """
        app = web.Application(client_max_size=MAX_MESSAGE_BYTES)
        for path, served in _websocket_paths(self._venues.values()).items():
            app.router.add_get(path, partial(self._stream, served))
        for served in self._venues.values():
            for prefix in served.exchange.venue.rules.rest_paths:
                app.router.add_get(prefix + "/{rest:.*}", partial(self._rest, served))
        app.router.add_get("/true-book", self._true_book)
        app.router.add_get("/control", self._report)
        app.router.add_post("/control", self._control)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.host = LOOPBACK if host == ALL_ADDRESSES else host
        self.port = self._runner.addresses[0][1]
        self._ticker = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Cut every connection and stop listening."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        for served in self._venues.values():
            served.gateway.cut_all()
        if self._runner is not None:
            await self._runner.cleanup()

    async def wait(self, stop: asyncio.Event) -> None:
        """Serve until told to stop.

        Raises:
            Exception: Whatever broke here; time does not pass any more.
        """
        asked = asyncio.ensure_future(stop.wait())
        tasks = {asked} | ({self._ticker} if self._ticker else set())
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        for task in done - {asked}:
            task.result()

    def report(self) -> dict[str, Any]:
        """What was served and injected, as JSON can hold it."""
        venues = {
            venue: {
                "connections": served.gateway.connections,
                "injected": {symbol: faults.injected for symbol, faults in served.exchange.faults.items()},
            }
            for venue, served in self._venues.items()
        }
        return {"stats": dict(self.stats), "venues": venues}

    async def _tick(self) -> None:
        while True:
            now = self._clock.now_ns()
            for served in self._venues.values():
                await self._advance(served, now)
                served.gateway.tick()
            await asyncio.sleep(TICK_SECONDS)

    async def _advance(self, served: _Served, now_ns: int) -> None:
        exchange = served.exchange
        if now_ns >= served.paused_until_ns:
            served.release()
        while exchange.now_ns < now_ns:  # in slices: catching up after a stall leaves room for requests
            for item in exchange.advance(min(now_ns, exchange.now_ns + NS_PER_SECOND)):
                if isinstance(item, Disconnect):
                    self.stats["disconnects"] += 1
                    served.gateway.cut_all()
                else:
                    served.emit(item, now_ns)
            await asyncio.sleep(0)

    # -- requests

    async def _stream(self, served: _Served, request: web.Request) -> web.StreamResponse:
        if self._clock.now_ns() < served.no_connections_until_ns:
            self.stats["connections_refused"] += 1
            return web.Response(status=503)
        return await served.gateway.serve(request)

    async def _rest(self, served: _Served, request: web.Request) -> web.Response:
        venue = served.exchange.venue
        if served.refusals:
            control = served.refusals.popleft()
            headers = {"Retry-After": f"{control.seconds:g}"} if control.seconds else {}
            return self._refuse(control.status, venue, headers)
        answer = venue.answer(request.path, request.query, served.exchange)
        used, left_s = served.charge(answer.weight, self._clock.now_ns())
        headers = {venue.rules.weight_header: str(used)} if venue.rules.weight_header else {}
        if used > venue.rules.weight.most:
            return self._refuse(429, venue, {**headers, "Retry-After": str(left_s)})
        self.stats[answer.counted_as] += 1
        return _json(answer.status, answer.body, headers)

    def _refuse(self, status: int, venue: SimulatedVenue, headers: Mapping[str, str]) -> web.Response:
        self.stats["requests_refused"] += 1
        return _json(status, venue.refusal(status), headers)

    async def _true_book(self, request: web.Request) -> web.Response:
        symbol, sequence, limit = (request.query.get(name) for name in ("symbol", "sequence", "limit"))
        try:
            exchange = self._venues[request.query.get("venue") or next(iter(self._venues))].exchange
            levels = _levels(limit) if limit else None
            view = exchange.true_book(symbol or "", int(sequence) if sequence else None, levels)
        except (KeyError, ValueError, UnknownSequence) as error:
            return web.json_response({"error": str(error)}, status=400)
        spec = exchange.specs[symbol or ""]
        bids, asks = spec.level_texts(view.bids), spec.level_texts(view.asks)
        return web.json_response({"symbol": symbol, "sequence": view.sequence, "bids": bids, "asks": asks})

    async def _report(self, _: web.Request) -> web.Response:
        return web.json_response(self.report())

    async def _control(self, request: web.Request) -> web.Response:
        try:
            control = _CONTROL.decode(await request.read())
            befallen = self._befallen(control)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return web.json_response({"error": str(error)}, status=400)
        for served in befallen:
            self._inject(control, served)
        return web.json_response({"ok": True})

    def _befallen(self, control: Control) -> list[_Served]:
        """The venues a fault befalls.

        Raises:
            ValueError: There is none, or no more requests can wait to be refused.
        """
        chosen = [
            served
            for venue, served in self._venues.items()
            if control.venue in ("", venue)
            and (not control.symbol or control.symbol in served.exchange.specs)
            and (control.fault != "snapshot" or served.exchange.venue.rules.book_in_stream)
        ]
        if not chosen:
            raise ValueError("no venue of that name is served here, or none that trades the symbol or can suffer this")
        waiting = max(len(served.refusals) for served in chosen)
        if control.fault == "refuse_requests" and waiting + control.count > MAX_COUNT:
            raise ValueError(f"{waiting} requests wait to be refused already; at most {MAX_COUNT} do")
        return chosen

    def _inject(self, control: Control, served: _Served) -> None:
        until_ns = self._clock.now_ns() + int(control.seconds * NS_PER_SECOND)
        if control.fault in ("disconnect", "shutdown"):
            self.stats["disconnects"] += 1
            if control.fault == "shutdown":
                served.gateway.announce_shutdown()
                asyncio.get_running_loop().call_later(SHUTDOWN_NOTICE_SECONDS, served.gateway.cut_all)
            else:
                served.gateway.cut_all()
        elif control.fault == "pause":
            served.paused_until_ns = until_ns
        elif control.fault == "refuse_connections":
            served.no_connections_until_ns = until_ns
        elif control.fault == "refuse_requests":
            served.refusals.extend([control] * control.count)
        else:
            for symbol in served.exchange.specs:
                if control.symbol in ("", symbol):
                    served.exchange.inject(Fault(control.fault), symbol, control.count, control.damage)


_CONTROL = msgspec.json.Decoder(Control)


def _levels(limit: str) -> int:
    count = read_count(limit)
    if not count:
        raise ValueError("a limit is a number of levels")
    return count


def _websocket_paths(venues: Iterable[_Served]) -> dict[str, _Served]:
    """Who is asked at which path: each at its own, and at its old ones where they are nobody's."""
    paths: dict[str, _Served] = {}
    for served in venues:
        for path in served.exchange.venue.rules.websocket_paths:
            other = paths.setdefault(path, served)
            if other is not served:
                names = f"{other.exchange.venue.name} and {served.exchange.venue.name}"
                raise UsageError(f"{names} both have the path {path}", next_step="simulate them on two ports")
    for served in venues:
        for path in served.exchange.venue.rules.old_websocket_paths:
            paths.setdefault(path, served)
    return paths


def _json(status: int, body: str, headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)
