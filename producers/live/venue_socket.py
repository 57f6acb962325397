"""One WebSocket to a venue: opened, subscribed, read until it is lost or left.

The WebSocket library answers the venue's pings and sends its own, so that a peer that is silently gone is noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, WebSocketException

from producers.live.login import UNLOGGED, SocketLogin
from producers.live.rest import is_loopback
from producers.live.subscription_parts import in_messages
from producers.live.talk import Talk
from producers.messages import Via
from schemas.errors import ExchangeUnreachable

if TYPE_CHECKING:
    from producers.live.connections import Connection

OPEN_SECONDS = 10.0
PING_SECONDS = 20.0
CLOSE_SECONDS = 1.0
QUEUED_FRAMES = 1_024
"""Frames read ahead; beyond it the venue's side of the socket fills up."""
TOO_BIG = 1009
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
LOST = (OSError, TimeoutError, WebSocketException, ExchangeUnreachable)


class _Connect(connect):
    """The library's connection, staying where it was sent: the address is the operator's to choose."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect for a refusal like any other."""
        return exc


class VenueSocket:
    """One socket: opened, subscribed, read until it is lost or left.

    Args:
        name: Its name in recordings and dead letters.
        carrier: Whose it is.
    """

    def __init__(self, name: str, carrier: Connection) -> None:
        self.name = name
        self.talk = Talk(carrier.exchange, name, lambda: carrier.symbols)
        self.stands = asyncio.Event()
        self._carrier = carrier
        self._login = SocketLogin(carrier.login, carrier.exchange.venue)
        self._left = asyncio.Event()

    async def run(self, passed_ns: int) -> None:
        """Keep it until it is lost, which raises, or left."""
        carrier = self._carrier
        async with _Connect(
            carrier.url,
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            max_size=carrier.max_bytes,
            max_queue=QUEUED_FRAMES,
            additional_headers=carrier.headers,
            logger=UNLOGGED if carrier.headers or carrier.login else None,
            proxy=None if is_loopback(carrier.url) else True,
        ) as socket:
            await self._login.begin(socket, self._pass_on)
            await carrier.enqueue(Via.CONNECT, self.name, b"")
            self.talk.say(carrier.exchange.keepalive.begin)
            if not carrier.is_careful:
                for part in in_messages(carrier.exchange, carrier.symbols):
                    self.talk.say(carrier.subscribe(part))
            self.stands.set()
            carrier.attempts.note_stands()
            try:
                talk = self.talk
                talking = (talk.speak(socket), talk.keep_alive(), talk.watch(), self._settle(passed_ns))
                await _first_of(self._read(socket), *talking, self._login.keep(socket), self._leave())
            except LOST as error:
                if isinstance(error, ConnectionClosedError) and error.sent is not None and error.sent.code == TOO_BIG:
                    carrier.on_oversized(self.name)
                await carrier.enqueue(Via.DISCONNECT, self.name, b"")
                raise
            await carrier.enqueue(Via.DISCONNECT, self.name, b"")

    def leave(self) -> None:
        """End it in order: what still comes until the venue has ended the subscriptions is read."""
        self._left.set()

    async def is_subscribed(self) -> None:
        """Return once everything said on it is acknowledged."""
        await self.stands.wait()
        await self.talk.all_acknowledged()

    async def _settle(self, passed_ns: int) -> None:
        """See that all is accepted: only then the venue has welcomed whoever asked. Careful, one after the other."""
        carrier, talk = self._carrier, self.talk
        for number, symbol in enumerate(carrier.symbols if carrier.is_careful else ()):
            talk.asking = symbol if number else ""
            talk.say(carrier.subscribe([symbol]))
            await talk.all_acknowledged()
        await talk.all_acknowledged()
        talk.asking = ""
        carrier.gate.welcome(passed_ns)
        carrier.note_accepted()
        await asyncio.Event().wait()

    async def _read(self, socket: ClientConnection) -> None:
        enqueue, name, took = self._carrier.enqueue, self.name, self._login.took
        while True:
            raw = await socket.recv(decode=False)
            if not took(raw):
                await enqueue(Via.WS, name, raw)

    async def _pass_on(self, raw: bytes) -> None:
        await self._carrier.enqueue(Via.WS, self.name, raw)

    async def _leave(self) -> None:
        await self._left.wait()
        for part in in_messages(self._carrier.exchange, self._carrier.symbols):
            self.talk.say(self._carrier.gives_up(part))
        await self.talk.all_acknowledged()


async def _first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run side by side until the first one ends, and end as it did."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
