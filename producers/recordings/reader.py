"""Recordings: finding their instruments and grids, replaying them.

Replaying is pure but for reading the file: the same lines give the same records. A file without an instrument list gets
the finest grid that its numbers need; one without any `request` holds one instrument, unless its books come in the
stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from orderbook.decimals import FinestGrid
from producers.books.engine import DeltaEngine
from producers.books.options import StreamOptions
from producers.books.quotes import top_of
from producers.books.records import ProducerRecord
from producers.books.router import FrameRouter
from producers.contract import MAX_FRAME_BYTES, DeltaForm, FrameReader, FrameSource
from producers.messages import (
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    DerivativeTick,
    Frame,
    Instrument,
    InstrumentList,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    Via,
)
from producers.recordings.depth_channels import DepthChannels, DepthSpans, OneDepth
from producers.recordings.joined import open_joined
from schemas.errors import MessageError


class Scan(NamedTuple):
    """What a recording holds.

    Attributes:
        instruments: By symbol; with the grid of the file's instrument list, else the finest its numbers need.
        quoted: Those of which the venue's best quotes are all there is.
        lines: Lines in the file.
        first_ns, last_ns: Received times of the first and last line; 0 in an empty file.
        depths: When which channel brings the depth of instruments that several of them bring.
    """

    instruments: dict[str, Instrument]
    lines: int
    first_ns: int
    last_ns: int
    quoted: frozenset[str] = frozenset()
    depths: DepthSpans = MappingProxyType({})


def scan(source: FrameSource, exchange: FrameReader) -> Scan:
    """Read a source once to know its instruments and grids. Errors as of its `frames`."""
    scanner = _Scanner(exchange)
    lines = first_ns = last_ns = 0
    for frame in source.frames():
        first_ns = first_ns or frame.received_ns
        last_ns = frame.received_ns
        lines += 1
        scanner.note_frame(frame)
    instruments = scanner.instruments()
    quoted = scanner.quoted & instruments.keys()
    return Scan(instruments, lines, first_ns, last_ns, quoted, scanner.depths.spans())


class _Scanner:
    """Collects what `scan` reports. Messages that may not be used are passed over: the replay refuses them."""

    def __init__(self, exchange: FrameReader) -> None:
        self._exchange = exchange
        self._listed: dict[str, Instrument] = {}
        self._grids: dict[str, FinestGrid] = {}  # "" holds snapshots that name no instrument
        self._updates: Counter[str] = Counter()  # depth updates by symbol
        self._tops: dict[str, FinestGrid] = {}  # of numbered best quotes
        self._names_books = False
        self.depths = DepthChannels(exchange)

    @property
    def quoted(self) -> frozenset[str]:
        """Instruments without depth, whose numbered best quotes are their book."""
        return frozenset(self._tops.keys() - self._updates.keys())

    def note_frame(self, frame: Frame) -> None:
        self._names_books = self._names_books or bool(frame.request)
        if frame.via not in (Via.WS, Via.REST) or len(frame.raw) > MAX_FRAME_BYTES:
            return
        try:
            messages = self._exchange.parse(frame)
        except MessageError:
            return
        for message in messages:
            self._note_message(message)
            if isinstance(message, DepthDelta | DepthSnapshot):
                self.depths.note(frame, message)

    def _note_message(self, message: VenueMessage) -> None:
        if isinstance(message, InstrumentList):
            self._listed.update({instrument.symbol: instrument for instrument in message.instruments})
        elif isinstance(message, DepthDelta | DepthSnapshot):
            in_stream = isinstance(message, DepthSnapshot) and message.origin is SnapshotOrigin.IN_STREAM
            self._names_books = self._names_books or in_stream
            self._updates[message.symbol or ""] += isinstance(message, DepthDelta)
            self._grid(message.symbol).add(message.bids)
            self._grid(message.symbol).add(message.asks)
        elif isinstance(message, DerivativeTick):
            self._grid(message.symbol)  # its numbers lie on no grid
        elif isinstance(message, TradeTick):
            self._grid(message.symbol).add_trade(message.price, message.size)
        elif isinstance(message, BestQuote) and message.number is not None:
            top = top_of(message)
            self._names_books = True
            self._tops.setdefault(message.symbol, FinestGrid()).add([*top.bids, *top.asks])

    def _grid(self, symbol: str | None) -> FinestGrid:
        return self._grids.setdefault(symbol or "", FinestGrid())

    def instruments(self) -> dict[str, Instrument]:
        for symbol in sorted(self.quoted):
            self._grid(symbol).include(self._tops[symbol])
        symbols = [symbol for symbol in self._grids if symbol]
        if not self._names_books:
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
            contract_kind=self._exchange.contract_kind(symbol),
        )


class ReplayStep(NamedTuple):
    """What one line of a recording gave to publish, and when it was received."""

    received_ns: int
    records: list[ProducerRecord]


class RecordingReplay:
    """A recording as the records its producer would publish. Iterate it once.

    Args:
        path: The file, or the folder of its parts: frames as recorded, or whatever else `open_recording` knows.
        venue: The venue it is of.
        options: How the streams behave; `epoch_floor` lets a later replay fence an earlier one.
        found: What a scan of this file found; without it the file is scanned now.
        max_frame_bytes: A larger frame is refused.
        until_damage: Whether a damaged file ends before its damage.
        engine: As of `FrameRouter`; deltas are then `EncodedDelta`.
        beside: Other datasets of the same instruments, or parts of the same recording, which are read with it as one.

    Attributes:
        found: What the scan found.
        router: The streams; after the last record, the books and counters at the recording's end.

    Raises:
        UsageError, FatalError: As `open_recording`, and as `Recording.frames`, also while iterating.
    """

    def __init__(
        self,
        path: Path,
        venue: FrameReader,
        options: StreamOptions | None = None,
        *,
        found: Scan | None = None,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        until_damage: bool = False,
        engine: Callable[[DeltaForm], DeltaEngine] | None = None,
        beside: Sequence[Path] = (),
    ) -> None:
        self._source, reader = open_joined((path, *beside), venue, until_damage=until_damage)
        self.found = found or scan(self._source, reader)
        found_there, quoted = self.found.instruments, self.found.quoted
        if self.found.depths:
            reader = OneDepth(reader, self.found.depths)
        self.router = FrameRouter(
            reader, found_there, options, max_frame_bytes=max_frame_bytes, quoted=quoted, engine=engine
        )

    def __iter__(self) -> Iterator[ReplayStep]:
        for frame in self._source.frames():
            yield ReplayStep(frame.received_ns, self.router.handle(frame).records)
        for stream in self.router.streams.values():
            stream.quotes.finish()  # no later quote will come

    def records(self) -> Iterator[ProducerRecord]:
        """Give all records, in order."""
        for step in self:
            yield from step.records
