"""How long a connection may be silent, and how many there may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from embedded.clickhouse_connections import Connections
from tests.support.patience import patient

pytestmark = pytest.mark.integration

ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(text="heard")

    connections = Connections(most=3, headers_s=0.2)
    application = web.Application(middlewares=[connections.hear])
    application.router.add_get("/", handle)
    runner = web.AppRunner(application, keepalive_timeout=0.5)
    await runner.setup()
    assert runner.server is not None
    loop = asyncio.get_running_loop()
    accepting = await loop.create_server(connections.protocols_of(runner.server), "127.0.0.1", 0)
    yield accepting.sockets[0].getsockname()[1]
    accepting.close()
    await runner.cleanup()


class Client:
    """A connection that says what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def say(self, what: bytes) -> None:
        self._writer.write(what)

    async def hears(self) -> bytes:
        """The next bytes; none where the other side hung up."""
        try:
            return await asyncio.wait_for(self._reader.read(65_536), patient(10))
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        self._writer.close()


async def connected(port: int) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", port))


@pytest.mark.parametrize("said", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_who_does_not_finish_the_headers_is_hung_up_on(port: int, said: bytes) -> None:
    client = await connected(port)
    client.say(said)
    assert await client.hears() == b""
    client.close()


async def test_who_has_asked_may_ask_again_and_not_be_slow_about_it(port: int) -> None:
    client = await connected(port)
    client.say(ASKED)
    assert b"heard" in await client.hears()
    await asyncio.sleep(0.3)
    client.say(ASKED)
    assert b"heard" in await client.hears()
    client.say(ASKED[:10])
    assert await client.hears() == b""
    client.close()


async def test_one_connection_too_many_is_hung_up_on_at_once(port: int) -> None:
    clients = [await connected(port) for _ in range(3)]
    for client in clients:
        client.say(ASKED)
        assert b"heard" in await client.hears()
    late = await connected(port)
    late.say(ASKED)
    assert await late.hears() == b""
    for client in (*clients, late):
        client.close()
