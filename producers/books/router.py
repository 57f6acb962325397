"""Frames of one venue to its instruments: what live feeds, replays and the replay in memory all drive.

    router = FrameRouter(exchange, instruments, options)
    taken = router.on_frame(frame, Via.WS, received_ns)
    taken.records   to publish, in order: L2Record, TradeRecord, FeedStatus, DeadLetter
    taken.notices   for the edge: Ack, Notice (a refusal, a shutdown to come), InstrumentList
    router.streams  one `InstrumentStream` a symbol; ask each `needs_snapshot` after every call

A frame that cannot be used is counted by reason and becomes a dead letter; the book it belonged to is invalidated if,
and only if, it was an update of that book. Nothing that a venue sends makes this raise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from producers.books.options import StreamOptions
from producers.books.records import ProducerRecord
from producers.books.stream import InstrumentStream, Published
from producers.contract import MAX_FRAME_BYTES, Channel, Exchange, damaged_symbol
from producers.messages import (
    Ack,
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    Ignored,
    Instrument,
    InstrumentList,
    Notice,
    TradeTick,
    VenueMessage,
    Via,
)
from schemas.errors import FrameTooLarge, MessageError, UnknownSymbol
from schemas.messages import MAX_PAYLOAD_BYTES, DeadLetter

MAX_CAUSE = 1_000
MAX_SYMBOL = 80
"""Characters of a dead letter's sentence: it may quote the frame."""

VenueNotice = Ack | Notice | InstrumentList


class Taken(NamedTuple):
    """What became of a frame."""

    records: list[ProducerRecord]
    notices: list[VenueNotice]


class FrameRouter:
    """The instruments of one venue at one producer.

    Args:
        exchange: The venue.
        instruments: What is subscribed, by symbol; anything else is an `UnknownSymbol`.
        options: How the streams behave.
        max_frame_bytes: A larger frame is refused before it is parsed.

    Attributes:
        exchange: The venue.
        streams: One a symbol.
        frames: Frames taken.
        rejected: Refused messages by reason (the error's class name).
        ignored: Messages known and not needed, by kind.
    """

    def __init__(
        self,
        exchange: Exchange,
        instruments: Mapping[str, Instrument],
        options: StreamOptions | None = None,
        *,
        max_frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        self.exchange = exchange
        self.streams = {
            symbol: InstrumentStream(instrument, exchange.sequence_rule, options)
            for symbol, instrument in instruments.items()
        }
        self.frames = 0
        self.rejected: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self._max_frame_bytes = max_frame_bytes
        self._frames_of: Counter[str] = Counter()  # by connection: the counter in a dead letter's id
        self._connection_of: dict[str, str] = {}  # by symbol: over which connection its updates came last

    def on_frame(self, frame: bytes, via: Via, received_ns: int, *, connection: str = "", request: str = "") -> Taken:
        """Take one frame.

        Args:
            frame: The bytes as received.
            via: `WS` or `REST`.
            received_ns: When they were received, ns UTC.
            connection: Which connection they came over, as in `on_disconnect`; part of a dead letter's id.
            request: Path and query that a `REST` frame answers.
        """
        self.frames += 1
        self._frames_of[connection] += 1
        taken = Taken([], [])
        try:
            messages = self._parse(frame, via, request)
        except MessageError as error:
            self._refuse(error, frame, received_ns, connection, taken)
            return taken
        for message in messages:
            try:
                self._route(message, received_ns, connection, taken)
            except MessageError as error:
                self._refuse(_located(error, message), frame, received_ns, connection, taken)
        return taken

    def on_connect(
        self, received_ns: int, *, connection: str = "", symbols: Iterable[str] | None = None
    ) -> list[ProducerRecord]:
        """A connection stands.

        Args:
            received_ns: When, ns UTC.
            connection: Which.
            symbols: Whose updates will come over it; None where that is not known: every instrument whose updates do
                not come over another one.
        """
        return [
            record
            for symbol in self._concerned(connection, symbols)
            for record in self.streams[symbol].on_connect(received_ns)
        ]

    def on_disconnect(
        self, received_ns: int, *, connection: str = "", symbols: Iterable[str] | None = None
    ) -> list[ProducerRecord]:
        """A connection is lost; arguments as of `on_connect`."""
        records: list[ProducerRecord] = []
        for symbol in self._concerned(connection, symbols):
            self._connection_of.pop(symbol, None)
            records.extend(self.streams[symbol].on_disconnect(received_ns))
        return records

    def copy(self) -> FrameRouter:
        """The same router and streams, independent from here on."""
        twin = FrameRouter(self.exchange, {}, max_frame_bytes=self._max_frame_bytes)
        twin.streams = {symbol: stream.copy() for symbol, stream in self.streams.items()}
        twin.frames = self.frames
        twin.rejected, twin.ignored = self.rejected.copy(), self.ignored.copy()
        twin._frames_of = self._frames_of.copy()
        twin._connection_of = self._connection_of.copy()
        return twin

    def _parse(self, frame: bytes, via: Via, request: str) -> list[VenueMessage]:
        if len(frame) > self._max_frame_bytes:
            raise FrameTooLarge(f"a frame of {len(frame)} bytes; {self._max_frame_bytes} are allowed")
        return self.exchange.parse(frame, via, request)

    def _route(self, message: VenueMessage, received_ns: int, connection: str, taken: Taken) -> None:
        if isinstance(message, BestQuote):
            taken.records.extend(self._stream(message.symbol).on_quote(message, received_ns))
        elif isinstance(message, TradeTick):
            taken.records.extend(self._stream(message.symbol).on_trade(message, received_ns))
        elif isinstance(message, DepthDelta):
            stream = self._stream(message.symbol)
            self._connection_of[message.symbol] = connection
            self._keep(stream.on_delta(message, received_ns), taken)
        elif isinstance(message, DepthSnapshot):
            self._keep(self._stream(self._asked_for(message)).on_snapshot(message, received_ns), taken)
        elif isinstance(message, Ignored):
            self.ignored[message.kind] += 1
        else:
            taken.notices.append(message)

    def _keep(self, records: list[Published], taken: Taken) -> None:
        """Take what depth gave; a stream refuses an update that waited by a dead letter of its own."""
        self.rejected.update(record.reason for record in records if isinstance(record, DeadLetter))
        taken.records.extend(records)

    def _stream(self, symbol: str) -> InstrumentStream:
        try:
            return self.streams[symbol]
        except KeyError:
            raise UnknownSymbol("nobody subscribed to this instrument", symbol=symbol[:80]) from None

    def _asked_for(self, snapshot: DepthSnapshot) -> str:
        """A snapshot that names no instrument belongs to the only one there is."""
        if snapshot.symbol is None and len(self.streams) == 1:
            return next(iter(self.streams))
        return snapshot.symbol or ""

    def _refuse(self, error: MessageError, frame: bytes, received_ns: int, connection: str, taken: Taken) -> None:
        self.rejected[error.reason] += 1
        symbol = str(error.context.get("symbol", ""))[:MAX_SYMBOL]
        taken.records.append(
            DeadLetter(
                letter_id=f"{self.exchange.venue}:{connection}:{received_ns}:{self._frames_of[connection]}",
                role="producer",
                reason=error.reason,
                error=str(error)[:MAX_CAUSE],
                received_ns=received_ns,
                payload=frame[:MAX_PAYLOAD_BYTES],
                payload_bytes=len(frame),
                venue=self.exchange.venue,
                symbol=symbol,
            )
        )
        damaged = damaged_symbol(error)
        if damaged in self.streams:
            taken.records.extend(self.streams[damaged].on_bad_input(received_ns, str(error)[:MAX_CAUSE]))

    def _concerned(self, connection: str, symbols: Iterable[str] | None) -> list[str]:
        if symbols is not None:
            return [symbol for symbol in symbols if symbol in self.streams]
        return [symbol for symbol in self.streams if self._connection_of.get(symbol, connection) == connection]


def _located(error: MessageError, message: VenueMessage) -> MessageError:
    """The error, with what the message was where its numbers turned out bad."""
    if isinstance(message, DepthDelta):
        error.context.setdefault("channel", Channel.DEPTH)
    symbol = getattr(message, "symbol", None)
    if symbol:
        error.context.setdefault("symbol", symbol)
    return error
