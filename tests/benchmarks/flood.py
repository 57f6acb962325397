"""A venue that sends a recording of USD-M futures as fast as it is read, as one instrument or as many, and its books.

    python -m tests.benchmarks.flood RECORDING COPIES

It prints its addresses and how many frames and trades it has, waits for a line of input, and plays once. Frames are
made before they are asked for, so that it costs little beside the producer that reads them.
"""

from __future__ import annotations

import asyncio
import bisect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from websockets.frames import Frame as SocketFrame
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from producers.exchanges import EXCHANGES
from producers.messages import Via
from producers.recordings.opened import open_recording

VENUE = "binance-futures"
RECORDED = b"BTCUSDT"
BOOK_EVERY = 250
"""Frames between two books that can be asked for."""
TOGETHER = 64
"""Frames that are written at once."""
LEVELS = 1_000


class WholeBook(NamedTuple):
    """A book to be asked for: after which frame, and as the venue writes it."""

    frame: int
    answer: bytes


def answer_of(sequence: int, bids: dict[str, str], asks: dict[str, str]) -> bytes:
    """Write a book as the venue does."""
    best_bids = sorted(_held(bids), key=lambda level: -float(level[0]))[:LEVELS]
    best_asks = sorted(_held(asks), key=lambda level: float(level[0]))[:LEVELS]
    return msgspec.json.encode({"lastUpdateId": sequence, "bids": best_bids, "asks": best_asks})


def frames_of(path: Path) -> tuple[list[bytes], list[WholeBook]]:
    """Read the frames of a recording, and books between them, by nothing but the venue's rule."""
    source, _ = open_recording(path, EXCHANGES[VENUE])
    frames, books, waiting = list[bytes](), list[WholeBook](), list[Any]()
    bids, asks, sequence = dict[str, str](), dict[str, str](), 0
    for frame in source.frames():
        if frame.via is Via.REST:
            whole = msgspec.json.decode(frame.raw)
            bids, asks, sequence = dict(whole["bids"]), dict(whole["asks"]), whole["lastUpdateId"]
        elif frame.via is Via.WS:
            frames.append(frame.raw)
            if b"depthUpdate" in frame.raw[:80]:
                told = msgspec.json.decode(frame.raw)
                waiting.append(told.get("data", told))
        while sequence and waiting:
            update = waiting.pop(0)
            if update["u"] > sequence:
                sequence = update["u"]
                for side, levels in ((bids, update["b"]), (asks, update["a"])):
                    side.update(levels)
        if sequence and len(frames) >= (books[-1].frame if books else 0) + BOOK_EVERY:
            books.append(WholeBook(len(frames), answer_of(sequence, bids, asks)))
    return frames, books


def _held(side: dict[str, str]) -> list[tuple[str, str]]:
    return [level for level in side.items() if float(level[1])]


def symbol_of(copy: int) -> str:
    """Name a copy; as long as the name that was recorded."""
    return f"BTC{copy:04}"


def framed(raw: bytes) -> bytes:
    """Write a message as a frame of the WebSocket protocol."""
    return SocketFrame(Opcode.TEXT, raw).serialize(mask=False)


class Flood:
    """The server.

    Attributes:
        sent: Frames of each copy that were sent.
    """

    def __init__(self, path: Path, copies: int) -> None:
        self.frames, self.books = frames_of(path)
        self.copies = copies
        self.sent = 0
        self.begun = asyncio.Event()

    def chunks(self) -> Iterator[bytes]:
        """Give what is sent, some frames of each copy in turn."""
        names = [symbol_of(copy).encode() for copy in range(self.copies)]
        for start in range(0, len(self.frames), TOGETHER):
            text = b"".join(map(framed, self.frames[start : start + TOGETHER]))
            for name in names:  # as long as the recorded name, so the lengths in it stay true
                yield text.replace(RECORDED, name).replace(RECORDED.lower(), name.lower())
            self.sent = start + TOGETHER

    async def on_socket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Shake hands, acknowledge what is subscribed, and play where that was books."""
        protocol, flooding = ServerProtocol(), None
        while data := await reader.read(65_536):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                elif event.opcode is Opcode.TEXT:
                    said = msgspec.json.decode(event.data)
                    protocol.send_text(msgspec.json.encode({"result": None, "id": said["id"]}))
                    flooding = flooding or asyncio.create_task(self._play(writer))
            writer.write(b"".join(protocol.data_to_send()))
        if flooding is not None:
            flooding.cancel()
        writer.close()

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        await self.begun.wait()
        for chunk in self.chunks():
            writer.write(chunk)
            await writer.drain()

    async def depth(self, request: web.Request) -> web.Response:
        """Give the next book that was kept: the updates that come from now on bridge it."""
        del request
        found = bisect.bisect_left(self.books, self.sent, key=lambda book: book.frame)
        return web.Response(body=self.books[min(found, len(self.books) - 1)].answer, content_type="application/json")

    async def listing(self, request: web.Request) -> web.Response:
        """List the copies."""
        del request
        filters = [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001"},
        ]
        entry = {"baseAsset": "BTC", "quoteAsset": "USDT", "status": "TRADING", "filters": filters}
        symbols = [{**entry, "symbol": symbol_of(copy)} for copy in range(self.copies)]
        return web.json_response({"symbols": symbols})


async def serve(path: Path, copies: int) -> None:
    """Serve until the input ends."""
    flood = Flood(path, copies)
    application = web.Application()
    application.router.add_get("/fapi/v1/depth", flood.depth)
    application.router.add_get("/fapi/v1/exchangeInfo", flood.listing)
    runner = web.AppRunner(application)
    await runner.setup()
    rest = web.TCPSite(runner, "127.0.0.1", 0)
    await rest.start()
    sockets = await asyncio.start_server(flood.on_socket, "127.0.0.1", 0)
    trades = sum(b'"e":"trade"' in frame[:80] and b'"X":"MARKET"' in frame for frame in flood.frames)
    told = {
        "rest": f"http://127.0.0.1:{runner.addresses[0][1]}",
        "sockets": f"ws://127.0.0.1:{sockets.sockets[0].getsockname()[1]}",
        "frames": len(flood.frames) * copies,
        "trades": trades * copies,
    }
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    flood.begun.set()
    await asyncio.to_thread(sys.stdin.read)
    sockets.close()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
