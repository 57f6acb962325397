"""Recordings: reading them line by line, finding their instruments and grids, replaying them.

A recording is `*.frames.jsonl.gz` (or the same unpacked): one JSON object a line, in order of receipt, with
`received_ns`, `via` (`ws`, `rest`, `connect`, `disconnect`) and `raw`, the frame's text as received. Own recordings add
`connection`, and `request` (path and query) on `rest` lines, and begin with the instrument list. A file without any
`request` holds one instrument. Replaying is pure but for reading the file: the same lines give the same records.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import msgspec

from orderbook.decimals import FinestGrid
from producers.books.options import StreamOptions
from producers.books.records import ProducerRecord
from producers.books.router import FrameRouter
from producers.contract import MAX_FRAME_BYTES, Exchange
from producers.messages import DepthDelta, DepthSnapshot, Instrument, InstrumentList, TradeTick, VenueMessage, Via
from schemas.errors import FatalError, MessageError, UsageError

MAX_LINE_BYTES = 8 * MAX_FRAME_BYTES
"""A line longer than this cannot hold a frame of the allowed size, however it is escaped."""
GZIP_MAGIC = b"\x1f\x8b"


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of a recording; see the module's text."""

    received_ns: int
    via: Via
    raw: str = ""
    connection: str = ""
    request: str = ""

    @property
    def frame(self) -> bytes:
        """The frame's bytes as received."""
        return self.raw.encode()


_LINE = msgspec.json.Decoder(Line)


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a recording, in order.

    Raises:
        UsageError: There is no such file.
        FatalError: The file is cut short or damaged, or a line is not one of a recording: it is named.
    """
    number = 0
    try:
        with _opened(path) as file:
            while text := file.readline(MAX_LINE_BYTES):
                number += 1
                yield _line(text, number, path)
    except FileNotFoundError:
        raise UsageError(f"there is no recording {path}", next_step="check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FatalError(
            f"the recording {path} is cut short or damaged after line {number} ({error})",
            next_step="fetch it again; the lines before are readable with any gzip that ignores its end",
        ) from None
    except OSError as error:
        raise FatalError(
            f"the recording {path} cannot be read after line {number} ({error.strerror or error})",
            next_step="check the file and its permissions",
        ) from None


class Scan(NamedTuple):
    """What a recording holds.

    Attributes:
        instruments: By symbol; with the grid of the file's instrument list, else the finest its numbers need.
        lines: Lines in the file.
        first_ns, last_ns: Received times of the first and last line; 0 in an empty file.
    """

    instruments: dict[str, Instrument]
    lines: int
    first_ns: int
    last_ns: int


def scan(path: Path, exchange: Exchange) -> Scan:
    """Read a recording once to know its instruments and grids. Errors as of `read_lines`."""
    scanner = _Scanner(exchange)
    lines = first_ns = last_ns = 0
    for line in read_lines(path):
        first_ns = first_ns or line.received_ns
        last_ns = line.received_ns
        lines += 1
        scanner.take(line)
    return Scan(scanner.instruments(), lines, first_ns, last_ns)


class _Scanner:
    """Collects what `scan` reports. Messages that may not be used are passed over: the replay refuses them."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._listed: dict[str, Instrument] = {}
        self._grids: dict[str, FinestGrid] = {}  # "" holds snapshots that name no instrument
        self._updates: Counter[str] = Counter()  # depth updates by symbol
        self._names_requests = False

    def take(self, line: Line) -> None:
        self._names_requests = self._names_requests or bool(line.request)
        if line.via not in (Via.WS, Via.REST) or len(line.raw) > MAX_FRAME_BYTES:
            return
        try:
            messages = self._exchange.parse(line.frame, line.via, line.request)
        except MessageError:
            return
        for message in messages:
            self._look_at(message)

    def _look_at(self, message: VenueMessage) -> None:
        if isinstance(message, InstrumentList):
            self._listed.update({instrument.symbol: instrument for instrument in message.instruments})
        elif isinstance(message, DepthDelta | DepthSnapshot):
            self._updates[message.symbol or ""] += isinstance(message, DepthDelta)
            self._grid(message.symbol).add(message.bids)
            self._grid(message.symbol).add(message.asks)
        elif isinstance(message, TradeTick):
            self._grid(message.symbol).add_trade(message.price, message.size)

    def _grid(self, symbol: str | None) -> FinestGrid:
        return self._grids.setdefault(symbol or "", FinestGrid())

    def instruments(self) -> dict[str, Instrument]:
        symbols = [symbol for symbol in self._grids if symbol]
        if not self._names_requests:
            # One instrument a file: the one with the most depth updates; whatever else is named is a stray.
            symbols = sorted(symbols, key=lambda symbol: -self._updates[symbol])[:1]
        if self._listed:
            return {symbol: self._listed[symbol] for symbol in symbols if symbol in self._listed}
        return {symbol: self._instrument(symbol) for symbol in symbols}

    def _instrument(self, symbol: str) -> Instrument:
        grid = self._grids[symbol]
        if "" in self._grids:
            grid.include(self._grids[""])
        return Instrument(
            venue=self._exchange.venue,
            symbol=symbol,
            tick_size=grid.tick_size,
            lot_size=grid.lot_size,
            contract_kind=self._exchange.contract_kind,
        )


class Step(NamedTuple):
    """What one line of a recording gave to publish, and when it was received."""

    received_ns: int
    records: list[ProducerRecord]


class RecordingReplay:
    """A recording as the records its producer would publish. Iterate it once.

    Args:
        path: The file.
        exchange: The venue it was recorded from.
        options: How the streams behave; `epoch_floor` lets a later replay fence an earlier one.
        found: What a scan of this file found; without it the file is scanned now.
        max_frame_bytes: A larger frame is refused.

    Attributes:
        found: What the scan found.
        router: The streams; after the last record, the books and counters at the recording's end.

    Raises:
        UsageError, FatalError: As `read_lines`, also while iterating.
    """

    def __init__(
        self,
        path: Path,
        exchange: Exchange,
        options: StreamOptions | None = None,
        *,
        found: Scan | None = None,
        max_frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        self.path = path
        self.found = found or scan(path, exchange)
        self.router = FrameRouter(exchange, self.found.instruments, options, max_frame_bytes=max_frame_bytes)

    def __iter__(self) -> Iterator[Step]:
        name = self.path.name.partition(".")[0]
        for line in read_lines(self.path):
            yield Step(line.received_ns, take_line(self.router, line, name))
        finish(self.router)

    def records(self) -> Iterator[ProducerRecord]:
        """All records, in order."""
        for step in self:
            yield from step.records


def take_line(router: FrameRouter, line: Line, name: str = "") -> list[ProducerRecord]:
    """Let a router take one line; `name` tells recordings apart in the ids of dead letters."""
    connection = f"{name}/{line.connection}" if line.connection else name
    if line.via is Via.CONNECT:
        return router.on_connect(line.received_ns, connection=connection)
    if line.via is Via.DISCONNECT:
        return router.on_disconnect(line.received_ns, connection=connection)
    taken = router.on_frame(line.frame, line.via, line.received_ns, connection=connection, request=line.request)
    return taken.records


def finish(router: FrameRouter) -> None:
    """The recording is over: judge the updates that waited for a later quote."""
    for stream in router.streams.values():
        stream.quotes.finish()


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader | gzip.GzipFile]:
    with path.open("rb") as file:
        packed = file.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] == GZIP_MAGIC
        if packed:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        else:
            yield file


def _line(text: bytes, number: int, path: Path) -> Line:
    try:
        return _LINE.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FatalError(
            f"line {number} of the recording {path} is not a frame as recorded ({error})",
            next_step="a line is one JSON object with received_ns, via and raw",
        ) from None
