"""TLS before a server that has none: a port that takes it off and passes on what is inside, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.certificates import Issued
from tests.support.patience import patient

CHUNK = 64 * 1024


@contextmanager
def tls_front(target: int, shown: Issued, *, clients: Path | None = None) -> Iterator[int]:
    """Serve a loopback port with TLS; yields the front's port.

    Args:
        target: The port behind it.
        shown: The front's certificate.
        clients: Authority of the certificates that clients have to show; without it they show none.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.load_cert_chain(shown.certificate, shown.key)
    context.verify_mode = ssl.CERT_REQUIRED if clients is not None else ssl.CERT_NONE
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # clients that turn away are what is tested
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(_serve(target, context), loop).result(patient(10))
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(patient(10))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(patient(10))
        loop.close()


async def _serve(target: int, context: ssl.SSLContext) -> asyncio.Server:
    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", target)
        try:
            await asyncio.gather(_copy(reader, behind_writer), _copy(behind_reader, writer))
        finally:
            behind_writer.transport.abort()
            writer.transport.abort()

    return await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for _ in range(3):  # what was closed is told in the rounds after
        await asyncio.sleep(0)
