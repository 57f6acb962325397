"""Simulated venues on a loopback port: their WebSockets and REST, the true book, and faults on demand.

the venues' own paths                            streams and requests; see `VenueRules` of each
GET  /true-book?symbol=&venue=&sequence=&limit=  the book as the venue has it, at any recent update id
GET  /auth/verify, /tardis/…                     those who pass a venue's data on, see `relay`
GET  /control                                    what was served and injected
POST /control                                    a fault on demand, as JSON: see `Control`
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec
from aiohttp import web

from obflow.clock import Clock, SystemClock
from obflow.response_headers import read_count
from producers.simulator.contract import SimulatedVenue, VenueRules
from producers.simulator.control import CONTROL, MAX_COUNT, Control
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.relay import SimulatedRelay
from producers.simulator.served import ServedVenue
from producers.simulator.sockets import MAX_MESSAGE_BYTES
from producers.simulator.true_book import UnknownSequence
from schemas.errors import UsageError

LOOPBACK = "127.0.0.1"
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 (only where it is asked for)
NO_RELAYS: Mapping[str, str] = MappingProxyType({})
TICK_SECONDS = 0.01
"""How often time is advanced."""


class SimulatorServer:
    """Serves simulated venues until closed.

    Args:
        exchanges: By venue; from `start` on, their time is the clock's.
        clock: The clock they follow.
        relays: Venues whose data are also passed on, by what whoever passes them on calls each.

    Attributes:
        relays: Those who pass data on, by the same names.
        host: The address it is asked at, once started.
        port: Where it listens, once started.
        stats: What was served, by name.
    """

    def __init__(
        self,
        exchanges: Mapping[str, SimulatedExchange],
        clock: Clock | None = None,
        relays: Mapping[str, str] = NO_RELAYS,
    ) -> None:
        self.host = LOOPBACK
        self.port = 0
        self.stats: Counter[str] = Counter()
        self._clock = clock or SystemClock()
        self._venues = {venue: ServedVenue(exchange, self._clock, self.stats) for venue, exchange in exchanges.items()}
        self.relays = {
            name: SimulatedRelay(name, exchanges[venue], self._clock, self.stats) for name, venue in relays.items()
        }
        for name, venue in relays.items():
            self._venues[venue].relays.append(self.relays[name])
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
        for prefix, served in _owners(self._venues.values(), lambda rules: rules.rest_paths).items():
            app.router.add_get(prefix + "/{rest:.*}", partial(self._rest, served))
        if self.relays:
            app.router.add_get("/auth/verify", self._verify)
            app.router.add_get("/tardis/credentials", self._credentials)
            app.router.add_get("/tardis/stream/{exchange}", self._relayed)
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
            served.cut_all()
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
                "dislocations": {name: some.planted for name, some in served.exchange.dislocations.items()},
            }
            for venue, served in self._venues.items()
        }
        return {"stats": dict(self.stats), "venues": venues}

    async def _tick(self) -> None:
        while True:
            now = self._clock.now_ns()
            for served in self._venues.values():
                await served.advance(now)
                served.gateway.tick()
            await asyncio.sleep(TICK_SECONDS)

    # -- requests

    async def _stream(self, served: ServedVenue, request: web.Request) -> web.StreamResponse:
        if self._clock.now_ns() < served.no_connections_until_ns:
            self.stats["connections_refused"] += 1
            return web.Response(status=503)
        return await served.gateway.serve(request)

    async def _rest(self, served: ServedVenue, request: web.Request) -> web.Response:
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

    async def _verify(self, request: web.Request) -> web.Response:
        return next(iter(self.relays.values())).verify(request)

    async def _credentials(self, request: web.Request) -> web.Response:
        relay = self.relays.get(request.query.get("exchange", ""))
        if relay is None:
            return web.json_response({"error": "no such exchange"}, status=404)
        return relay.credentials(request, f"ws://{request.host}")

    async def _relayed(self, request: web.Request) -> web.StreamResponse:
        relay = self.relays.get(request.match_info["exchange"])
        if relay is None:
            return web.Response(status=404)
        return await relay.serve(request)

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
            control = CONTROL.decode(await request.read())
            befallen = self._befallen(control)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return web.json_response({"error": str(error)}, status=400)
        for served in befallen:
            served.suffer(control)
        return web.json_response({"ok": True})

    def _befallen(self, control: Control) -> list[ServedVenue]:
        """The venues a fault befalls.

        Raises:
            ValueError: There is none, or no more requests can wait to be refused.
        """
        chosen = [served for served in self._venues.values() if served.can_suffer(control)]
        if not chosen:
            raise ValueError("no venue of that name is served here, or none that trades the symbol or can suffer this")
        waiting = max(len(served.refusals) for served in chosen)
        if control.fault == "refuse_requests" and waiting + control.count > MAX_COUNT:
            raise ValueError(f"{waiting} requests wait to be refused already; at most {MAX_COUNT} do")
        return chosen


def _levels(limit: str) -> int:
    count = read_count(limit)
    if not count:
        raise ValueError("a limit is a number of levels")
    return count


def _websocket_paths(venues: Iterable[ServedVenue]) -> dict[str, ServedVenue]:
    """Who is asked at which path: each at its own, and at its old ones where they are nobody's."""
    paths = _owners(venues, lambda rules: rules.websocket_paths)
    for served in venues:
        for path in served.exchange.venue.rules.old_websocket_paths:
            paths.setdefault(path, served)
    return paths


def _owners(venues: Iterable[ServedVenue], paths_of: Callable[[VenueRules], Sequence[str]]) -> dict[str, ServedVenue]:
    """Whose each path is; two venues with the same one cannot be told apart on one port."""
    paths: dict[str, ServedVenue] = {}
    for served in venues:
        for path in paths_of(served.exchange.venue.rules):
            other = paths.setdefault(path, served)
            if other is not served:
                names = f"{other.exchange.venue.name} and {served.exchange.venue.name}"
                raise UsageError(f"{names} both have the path {path}", next_step="simulate them on two ports")
    return paths


def _json(status: int, body: str, headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)
