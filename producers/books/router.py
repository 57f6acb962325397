"""Frames of one venue to its instruments: what live feeds, replays and the replay in memory all drive.

    router = FrameRouter(exchange, instruments, options)
    handled = router.handle(frame)
    handled.records   to publish, in order: L2Record, TradeRecord, DerivativeRecord, FeedStatus, DeadLetter
    handled.notices   for the edge: Ack, Reply, Notice (a refusal, a shutdown to come), InstrumentList
    router.streams    one `InstrumentStream` a symbol; ask each `needs_snapshot` after every call

A frame that cannot be used is counted by reason and becomes a dead letter; the book it belonged to is invalidated if,
and only if, it was an update of that book. Nothing that a venue sends makes this raise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from producers.books.arrivals import ArrivalNumbers
from producers.books.carriers import Carriers
from producers.books.engine import DeltaEngine
from producers.books.options import PastStreams, StreamCounters, StreamOptions
from producers.books.refused import Refusals, located
from producers.books.seen_trades import read_known
from producers.books.stream import InstrumentStream, Published
from producers.books.taker import Handled, MessageTaker
from producers.books.templates import FrameTemplates
from producers.contract import MAX_FRAME_BYTES, DeltaForm, FrameReader
from producers.messages import (
    DepthDelta,
    Frame,
    Instrument,
    Notice,
    NoticeKind,
    VenueMessage,
    Via,
)
from schemas.errors import FrameTooLarge, MessageError, UnknownSymbol

_WS: Final = Via.WS  # looked up once: asked of each frame


class FrameRouter:
    """The instruments of one venue at one producer.

    Args:
        exchange: The venue.
        instruments: What is subscribed, by symbol; anything else is an `UnknownSymbol`.
        options: How the streams behave.
        max_frame_bytes: A larger frame is refused before it is parsed.
        quoted: Instruments of which best quotes are all there is: these are their books.
        engine: Makes what takes ordinary updates, for how the venue writes them; None: each is read and taken
            record by record. Its records are then `EncodedDelta`, of the same bytes.

    Attributes:
        exchange: The venue.
        streams: One a symbol.
        rejected: Refused messages by reason (the error's class name).
        ignored: Messages known and not needed, by kind.
        past: What was counted of instruments that are carried no longer.
    """

    def __init__(
        self,
        exchange: FrameReader,
        instruments: Mapping[str, Instrument],
        options: StreamOptions | None = None,
        *,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        quoted: frozenset[str] = frozenset(),
        engine: Callable[[DeltaForm], DeltaEngine] | None = None,
    ) -> None:
        self.exchange = exchange
        self._options = options
        self._engine = None if engine is None or exchange.deltas is None else engine(exchange.deltas)
        self._templates = None if self._engine is None else self._engine.templates
        self.streams = {symbol: self._stream_of(instrument) for symbol, instrument in instruments.items()}
        self._carriers = Carriers(self.streams.keys(), exchange)
        self._arrivals = ArrivalNumbers()
        self._refusals = Refusals(exchange.venue, self.streams, self._carriers, self._arrivals.counts)
        self.rejected = self._refusals.rejected
        self._taker = MessageTaker(self.streams, self._carriers, self._arrivals, quoted, self.rejected)
        self.ignored = self._taker.ignored
        self.past = PastStreams(StreamCounters())
        self._max_frame_bytes = max_frame_bytes
        self._frames_of: defaultdict[str, int] = defaultdict(int)  # by connection: the counter in a dead letter's id
        self._ended: set[str] = set()

    @property
    def frames(self) -> int:
        """Frames handled, connections opened and lost apart."""
        return sum(self._frames_of.values())

    def assign(self, connection: str, symbols: Iterable[str]) -> None:
        """Know beforehand which connection carries these instruments; else it is learned from their updates."""
        self._carriers.assign(connection, symbols)

    def add(self, instrument: Instrument) -> InstrumentStream:
        """Carry an instrument more."""
        self._ended.discard(instrument.symbol)
        stream = self.streams[instrument.symbol] = self._stream_of(instrument)
        return stream

    def end(self, symbol: str, received_ns: int, why: str = "", *, delisted: bool = False) -> list[Published]:
        """Carry an instrument no longer: what it says last, and what still comes of it is ignored and counted."""
        stream = self.streams[symbol]
        last = stream.on_delisting(received_ns, why) if delisted else stream.feed.on_stop(received_ns, why)
        self.drop(symbol)
        return last

    def drop(self, symbol: str) -> None:
        """Carry an instrument no longer, without a word: it is another producer's."""
        self._ended.add(symbol)
        self._carriers.forget(symbol)
        stream, past = self.streams.pop(symbol), self.past
        past.counters.add(stream.counters)
        past.checked += stream.quotes.checked
        past.wrong += stream.quotes.wrong
        past.compared += stream.quotes.compared
        past.different += stream.quotes.different

    def handle(self, frame: Frame) -> Handled:
        """Handle whatever came: a frame, an answer over REST, a connection that stands or is lost."""
        if self._templates is not None and frame.via is _WS:
            records = self._take_ordinary(frame, self._templates)
            if records is not None:
                return Handled(records, [])
        handled = Handled([], [])
        if frame.via is Via.CONNECT:
            self._open(frame, handled)
        elif frame.via is Via.DISCONNECT:
            self._close(frame, handled)
        elif frame.via is Via.KNOWN:
            self._note_known(frame, handled)
        else:
            self._handle_messages(frame, handled)
        return handled

    def _take_ordinary(self, frame: Frame, templates: FrameTemplates) -> list[Published] | None:
        """Take a frame that is one ordinary update; None where it is not, and then nothing has changed."""
        raw = frame.raw
        template = templates.find(raw)
        if template is None or len(raw) > self._max_frame_bytes:
            return None
        symbol = template.symbol
        stream = self.streams.get(symbol)
        if stream is None or self._carriers.source_of.get(symbol) != frame.connection:
            return None
        records = stream.on_ordinary(raw, template, frame.received_ns)
        if records is not None:
            self._frames_of[frame.connection] += 1
        return records

    def comes_over(self, connection: str) -> bool:
        """Tell whether all that its carrier carries has come over this connection."""
        return self._carriers.comes_over(connection)

    def _open(self, frame: Frame, handled: Handled) -> None:
        """A connection stands: the only one, or the successor of one that still serves."""
        is_successor = self._carriers.open(frame.connection)
        for symbol in self._carriers.carried_by(frame.connection):
            stream = self.streams[symbol]
            open_it = stream.feed.on_overlap if is_successor else stream.feed.on_connect
            handled.records.extend(open_it(frame.received_ns))

    def _close(self, frame: Frame, handled: Handled) -> None:
        """A connection is lost: the only one, or one of two, of which the other goes on."""
        for symbol, goes_on in self._carriers.close(frame.connection):
            feed = self.streams[symbol].feed
            handled.records.extend((feed.on_overlap_end if goes_on else feed.on_disconnect)(frame.received_ns))

    def _note_known(self, frame: Frame, handled: Handled) -> None:
        """Trades were published before this run: they are not taken again."""
        try:
            known = read_known(frame.raw)
        except MessageError as error:
            self._refuse(error, frame, handled)
            return
        if known.symbol in self.streams:
            self.streams[known.symbol].seen_trades.note(known.trades)

    def _handle_messages(self, frame: Frame, handled: Handled) -> None:
        self._frames_of[frame.connection] += 1
        try:
            messages = self._parse(frame)
        except MessageError as error:
            self._refuse(error, frame, handled)
            return
        for message in messages:
            try:
                self._taker.take(message, frame, handled)
            except MessageError as error:
                if isinstance(error, UnknownSymbol) and error.context["symbol"] in self._ended:
                    self.ignored["ended"] += 1
                else:
                    self._refuse(located(error, message), frame, handled)
        if self._templates is not None and frame.via is _WS and len(messages) == 1:
            [message] = messages
            if isinstance(message, DepthDelta):
                self._templates.learn(frame.raw, message)

    def _refuse(self, error: MessageError, frame: Frame, handled: Handled) -> None:
        handled.records.extend(self._refusals.refuse(error, frame, self._frames_of[frame.connection]))
        if frame.via is Via.REST:  # whoever asked is to know that nothing came of it
            handled.notices.append(Notice(NoticeKind.UNREADABLE, f"its answer cannot be used: {error.cause}"))

    def _parse(self, frame: Frame) -> list[VenueMessage]:
        if len(frame.raw) > self._max_frame_bytes:
            raise FrameTooLarge(f"a frame of {len(frame.raw)} bytes; {self._max_frame_bytes} are allowed")
        return self.exchange.parse(frame)

    def _stream_of(self, instrument: Instrument) -> InstrumentStream:
        return InstrumentStream(instrument, self.exchange.sequence, self._options, self.exchange.checksum, self._engine)
