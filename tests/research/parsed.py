"""A recording parsed once, so that a test can play it many times with lines left out, repeated or swapped."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from producers.books.stream import InstrumentStream
from producers.exchanges import EXCHANGES
from producers.messages import BestQuote, DepthDelta, DepthSnapshot, Instrument, TradeTick, VenueMessage
from producers.recordings.reader import scan
from producers.recordings.recording import Recording
from schemas.messages import L2Record


class ParsedLine(NamedTuple):
    """One line: its message and when it was received."""

    message: VenueMessage
    received_ns: int


class ParsedRecording(NamedTuple):
    """A recording of one instrument, one message a line.

    Attributes:
        lines: All of it.
        updates: Where in `lines` the depth updates are.
        snapshot: Where its one snapshot is.
    """

    venue: str
    instrument: Instrument
    lines: list[ParsedLine]
    updates: list[int]
    snapshot: int

    @property
    def book_lines(self) -> list[int]:
        """Where the updates and the snapshot are: all that can change a book."""
        return sorted([*self.updates, self.snapshot])

    def stream(self) -> InstrumentStream:
        return InstrumentStream(self.instrument, EXCHANGES[self.venue].sequence)


def parse_recording(path: Path, venue: str) -> ParsedRecording:
    """Read and parse; every line of the recorded sessions holds one message."""
    exchange = EXCHANGES[venue]
    (instrument,) = scan(Recording(path), exchange).instruments.values()
    lines = []
    for line in Recording(path).frames():
        (message,) = exchange.parse(line)
        lines.append(ParsedLine(message, line.received_ns))
    updates = [number for number, line in enumerate(lines) if isinstance(line.message, DepthDelta)]
    (snapshot,) = [number for number, line in enumerate(lines) if isinstance(line.message, DepthSnapshot)]
    return ParsedRecording(venue, instrument, lines, updates, snapshot)


def play(stream: InstrumentStream, lines: Iterable[ParsedLine]) -> list[L2Record]:
    """Let a stream take these lines; the L2 records it published."""
    published: list[L2Record] = []
    for message, received_ns in lines:
        if isinstance(message, BestQuote):
            stream.on_quote(message, received_ns)
        elif isinstance(message, TradeTick):
            published += [r for r in stream.on_trade(message, received_ns) if isinstance(r, L2Record)]
        elif isinstance(message, DepthDelta):
            published += [r for r in stream.on_delta(message, received_ns) if isinstance(r, L2Record)]
        elif isinstance(message, DepthSnapshot):
            published += [r for r in stream.on_snapshot(message, received_ns) if isinstance(r, L2Record)]
    return published
