"""The WebSocket side of a simulated venue: connections, subscriptions, and frames on their way out."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

from aiohttp import WSCloseCode, WSMsgType, web

from obflow.clock import Clock
from producers.simulator.contract import Form, SessionRules, encode_event
from producers.simulator.events import MarketEvent
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.session import Duty, VenueSession
from schemas.units import NS_PER_SECOND

MAX_QUEUED_FRAMES = 20_000
"""Frames waiting for one client; a slower one is disconnected."""
MAX_MESSAGE_BYTES = 64 * 1024


class Line:
    """The way to one client.

    Args:
        request: The handshake.
        socket: The WebSocket that answers it.
    """

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self._transport = request.transport
        self._queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED_FRAMES)

    def put(self, text: str) -> bool:
        """Queue a frame; False where the client is too slow for more."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            return False
        return True

    async def write(self) -> None:
        """Send what is queued, until cancelled or the client is gone."""
        try:
            while True:
                await self.socket.send_str(await self._queue.get())
        except ConnectionError:
            return

    def cut(self) -> None:
        """End the connection without a word, as a network does."""
        if self._transport is not None:
            self._transport.abort()


class Client(Line):
    """One connection to a venue.

    Args:
        request: The handshake.
        session: What is said on it.
        rules: How long it lives.
    """

    def __init__(self, request: web.Request, session: VenueSession, rules: SessionRules) -> None:
        beat_s = rules.ping_every_s or None
        super().__init__(
            request, web.WebSocketResponse(heartbeat=beat_s, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        )
        self.session = session
        self._limit = rules.messages
        self._sent_ns: deque[int] = deque(maxlen=rules.messages.most)

    def asks_too_often(self, now_ns: int) -> bool:
        """Count a message of the client; True where it has sent more than it may."""
        full = len(self._sent_ns) == self._sent_ns.maxlen
        too_often = full and now_ns - self._sent_ns[0] < self._limit.seconds * NS_PER_SECOND
        self._sent_ns.append(now_ns)
        return too_often


class Gateway:
    """All connections to one venue.

    Args:
        exchange: The venue.
        clock: For limits on messages.
        stats: Counts what happens here.
    """

    def __init__(self, exchange: SimulatedExchange, clock: Clock, stats: Counter[str]) -> None:
        self._exchange = exchange
        self._clock = clock
        self._stats = stats
        self._clients: set[Client] = set()

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._clients)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it ends."""
        session = VenueSession(self._exchange, request.path_qs, self._clock.monotonic_ns())
        client = Client(request, session, self._exchange.venue.rules.session)
        await client.socket.prepare(request)
        self._stats["connections"] += 1
        self._clients.add(client)
        self._say(client, session.begin())
        writer = asyncio.create_task(client.write())
        try:
            await self._read(client)
        finally:
            self._clients.discard(client)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return client.socket

    def send(self, event: MarketEvent) -> None:
        """Send an event to everybody who listens to its stream, written once for all who have it in the same form."""
        texts: dict[Form, str] = {}
        for client in tuple(self._clients):
            if client.session.hears(event):
                form = client.session.form
                if form not in texts:
                    texts[form] = encode_event(self._exchange.venue, event, form)
                self._put(client, texts[form])

    def tick(self) -> None:
        """Do what is due on each connection by now: ask whether its client is there, announce its end, end it."""
        now_ns, venue, time_ns = self._clock.monotonic_ns(), self._exchange.venue, self._exchange.now_ns
        for client in tuple(self._clients):
            duty = client.session.due(now_ns)
            if duty is Duty.ASK:
                self._put(client, venue.heartbeat(time_ns))
            elif duty is Duty.ANNOUNCE_END:
                self._put(client, venue.farewell(time_ns))
            elif duty is Duty.END:
                self._stats["connections_ended"] += 1
                self._cut(client)

    def announce_shutdown(self) -> tuple[Client, ...]:
        """Tell everybody that the connection will end; gives whom."""
        text, told = self._exchange.venue.farewell(self._exchange.now_ns), tuple(self._clients)
        for client in told:
            self._put(client, text)
        return told

    def cut_all(self) -> None:
        """Cut every connection."""
        self.cut_these(tuple(self._clients))

    def cut_these(self, clients: Sequence[Client]) -> None:
        """Cut these, as far as they are there."""
        for client in clients:
            if client in self._clients:
                self._cut(client)

    async def _read(self, client: Client) -> None:
        async for message in client.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            if client.asks_too_often(self._clock.monotonic_ns()):
                await client.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
                return
            self._say(client, client.session.receive(message.data, self._clock.monotonic_ns()))

    def _say(self, client: Client, said: Sequence[str | MarketEvent]) -> None:
        for one in said:
            text = one if isinstance(one, str) else encode_event(self._exchange.venue, one, client.session.form)
            self._put(client, text)

    def _cut(self, client: Client) -> None:
        self._clients.discard(client)
        client.cut()

    def _put(self, client: Client, text: str) -> None:
        if client.put(text):
            self._stats["frames"] += 1
        else:
            self._stats["slow_clients"] += 1
            self._cut(client)
