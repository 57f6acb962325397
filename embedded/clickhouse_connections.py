"""How many connections there may be, and how long each may take to say what it wants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

CONNECTIONS: Final = 256
HEADERS_S: Final = 10.0
KEEP_ALIVE_S: Final = 60.0


class Connections:
    """Lets connections in, and hangs up on those that do not speak.

    Args:
        most: How many there may be at once.
        headers_s: How long one may take until it has sent the first request's headers.
    """

    def __init__(self, *, most: int = CONNECTIONS, headers_s: float = HEADERS_S) -> None:
        self._most, self._headers_s = most, headers_s
        self._silent: dict[object, asyncio.TimerHandle] = {}

    def protocols_of(self, server: web.Server) -> Callable[[], asyncio.Protocol]:
        """Give the function that an event loop asks for the protocol of each new connection.

        Args:
            server: aiohttp's, which speaks on those that are let in.
        """

        def protocol() -> asyncio.Protocol:
            if len(server.connections) >= self._most:
                return _HangUp()
            spoken = server()
            timer = asyncio.get_running_loop().call_later(self._headers_s, self._hang_up, spoken)
            self._silent[spoken] = timer
            return spoken

        return protocol

    @web.middleware
    async def hear(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Note that a connection has sent a request's headers; aiohttp calls it before each request's handler."""
        if timer := self._silent.pop(request.protocol, None):
            timer.cancel()
        return await handler(request)

    def _hang_up(self, protocol: web.RequestHandler) -> None:
        self._silent.pop(protocol, None)
        if protocol.transport is not None:
            protocol.transport.abort()


class _HangUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
