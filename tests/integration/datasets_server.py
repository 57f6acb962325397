"""A server of datasets, as Tardis's: ranges, marks of what a file is, keys; and all that may go wrong with it."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

KEY = "TD.secret-of-a-user"


class DatasetsServer:
    """Serves files by path.

    Attributes:
        files: Packed files by path.
        failing: What goes wrong, by how many more answers: `cut` (the connection ends in the middle), `busy` (429 with
            Retry-After), `down` (503), `bad` (400), `no range` (the whole file, whatever was asked for).
        after_cut: Called when a connection was ended in the middle.
        ranges: The ranges that were asked for, in order; empty for the whole file.
        sent: Bytes that were sent.
    """

    def __init__(self, *, wants_key: bool = False) -> None:
        self.files: dict[str, bytes] = {}
        self.failing: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.sent = 0
        self.url = ""
        self.after_cut: Callable[[], None] = lambda: None
        self._wants_key = wants_key

    def put(self, path: str, text: str) -> None:
        self.files[path] = gzip.compress(text.encode(), mtime=0)

    def _fails(self, how: str) -> bool:
        self.failing[how] -= 1
        return self.failing[how] >= 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Serve a file, or a part of it."""
        self.ranges.append(request.headers.get("Range", ""))
        if self._wants_key and request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        if self._fails("busy"):
            return web.Response(status=429, headers={"Retry-After": "0.05"})
        if self._fails("down"):
            return web.Response(status=503, headers={"Retry-After": "0"})
        if self._fails("bad"):
            return web.Response(status=400)
        whole = self.files.get(request.path)
        if whole is None:
            return web.Response(status=404)
        return await self._send(request, whole)

    async def _send(self, request: web.Request, whole: bytes) -> web.StreamResponse:
        mark = f'"{hash(whole):x}"'
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked and request.headers.get("If-Range") == mark else 0
        start = 0 if self._fails("no range") else start
        if start and start >= len(whole):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(whole)}"})
        response = web.StreamResponse(status=206 if start else 200, headers={"ETag": mark})
        response.content_length = len(whole) - start
        await response.prepare(request)
        is_cut = self._fails("cut")
        part = whole[start : start + (len(whole) - start) // 2] if is_cut else whole[start:]
        self.sent += len(part)
        await response.write(part)
        if is_cut:
            assert request.transport is not None
            request.transport.close()
            self.after_cut()
        return response


@asynccontextmanager
async def datasets_server(*, wants_key: bool = False) -> AsyncIterator[DatasetsServer]:
    """Run one on loopback."""
    server = DatasetsServer(wants_key=wants_key)
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
