"""The WebSocket side of a simulated venue: connections, subscriptions, and frames on their way out."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Annotated

import msgspec
import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from obflow.clock import NS_PER_SECOND, Clock
from producers.simulator.catalogue import FUTURES, SPOT
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.protocol import MS, US, Channel, Frame, encode_frame, encode_refusal, encode_shutdown

MAX_QUEUED_FRAMES = 20_000
"""Frames waiting for one client; a slower one is disconnected."""
MAX_STREAMS = 1024
MAX_MESSAGE_BYTES = 64 * 1024
MESSAGES_PER_S = {FUTURES: 10, SPOT: 5}
PING_S = {FUTURES: 180.0, SPOT: 20.0}


class Client:
    """One connection.

    Args:
        request: The handshake.
        unit_ns: Nanoseconds in a unit of time on this connection.
        combined: Whether frames come in the envelope that names their stream.
        messages_per_s: How many messages it may send.
    """

    def __init__(
        self, request: web.Request, *, unit_ns: int, combined: bool, messages_per_s: int, ping_s: float
    ) -> None:
        self.socket = web.WebSocketResponse(heartbeat=ping_s, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        self.unit_ns = unit_ns
        self.combined = combined
        self.streams: set[str] = set()
        self._transport = request.transport
        self._queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED_FRAMES)
        self._sent_ns: deque[int] = deque(maxlen=messages_per_s)

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

    def asks_too_often(self, now_ns: int) -> bool:
        """Count a message of the client; True where it has sent more than it may within a second."""
        full = len(self._sent_ns) == self._sent_ns.maxlen
        too_often = full and now_ns - self._sent_ns[0] < NS_PER_SECOND
        self._sent_ns.append(now_ns)
        return too_often


class _Request(msgspec.Struct):
    method: str
    id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    params: list[str] = []


_REQUEST = msgspec.json.Decoder(_Request)


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
        self._listeners: dict[str, set[Client]] = {}

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._clients)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it ends."""
        venue = self._exchange.venue
        microseconds = venue == SPOT and request.query.get("timeUnit", "").lower() == "microsecond"
        client = Client(
            request,
            unit_ns=US if microseconds else MS,
            combined=request.path.endswith("/stream"),
            messages_per_s=MESSAGES_PER_S[venue],
            ping_s=PING_S[venue],
        )
        await client.socket.prepare(request)
        self._stats["connections"] += 1
        self._clients.add(client)
        self._listen(client, [name for name in request.query.get("streams", "").split("/") if self._is_stream(name)])
        writer = asyncio.create_task(client.write())
        try:
            await self._read(client)
        finally:
            self._forget(client)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return client.socket

    def send(self, frame: Frame) -> None:
        """Send a frame to everybody who listens to its stream."""
        texts: dict[tuple[int, bool], str] = {}
        for client in tuple(self._listeners.get(frame.stream, ())):
            form = (client.unit_ns, client.combined)
            if form not in texts:
                texts[form] = encode_frame(frame, unit_ns=client.unit_ns, combined=client.combined)
            self._put(client, texts[form])

    def announce_shutdown(self) -> None:
        """Tell everybody that the connection will end."""
        text = encode_shutdown(self._exchange.now_ns)
        for client in tuple(self._clients):
            self._put(client, text)

    def cut_all(self) -> None:
        """Cut every connection."""
        for client in tuple(self._clients):
            self._forget(client)
            client.cut()

    async def _read(self, client: Client) -> None:
        async for message in client.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            if client.asks_too_often(self._clock.monotonic_ns()):
                await client.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
                return
            self._put(client, self._answer(client, message.data))

    def _answer(self, client: Client, text: str) -> str:
        try:
            request = _REQUEST.decode(text)
        except msgspec.DecodeError as error:
            return encode_refusal(2, f"Invalid request: {error}", None)
        if request.method == "LIST_SUBSCRIPTIONS":
            return orjson.dumps({"result": sorted(client.streams), "id": request.id}).decode()
        unknown = [name for name in request.params if not self._is_stream(name)]
        if unknown or request.method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return encode_refusal(2, f"Invalid request: {' '.join(unknown) or 'unknown method'}", request.id)
        if request.method == "UNSUBSCRIBE":
            self._unlisten(client, request.params)
        elif len(client.streams.union(request.params)) > MAX_STREAMS:
            return encode_refusal(3, "Invalid request: too many streams on one connection", request.id)
        else:
            self._listen(client, request.params)
        return orjson.dumps({"result": None, "id": request.id}).decode()

    def _is_stream(self, name: str) -> bool:
        symbol, _, channel = name.partition("@")
        return symbol.islower() and symbol.upper() in self._exchange.specs and channel in set(Channel)

    def _listen(self, client: Client, names: Sequence[str]) -> None:
        for name in names:
            client.streams.add(name)
            self._listeners.setdefault(name, set()).add(client)

    def _unlisten(self, client: Client, names: Sequence[str]) -> None:
        for name in names:
            client.streams.discard(name)
            self._listeners.get(name, set()).discard(client)

    def _forget(self, client: Client) -> None:
        self._unlisten(client, tuple(client.streams))
        self._clients.discard(client)

    def _put(self, client: Client, text: str) -> None:
        if client.put(text):
            self._stats["frames"] += 1
        else:
            self._stats["slow_clients"] += 1
            self._forget(client)
            client.cut()
