"""Gives each message of a frame to the instrument it is of, where its connection may bring it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from producers.books.arrivals import ArrivalNumbers
from producers.books.carriers import Carriers
from producers.books.quotes import top_of
from producers.books.records import ProducerRecord
from producers.books.stream import InstrumentStream, Published
from producers.messages import (
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    DerivativeTick,
    Frame,
    Ignored,
    Interrupted,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    VenueNotice,
    Via,
)
from schemas.errors import UnknownSymbol
from schemas.messages import DeadLetter


class Handled(msgspec.Struct, frozen=True, gc=False):
    """What became of a frame."""

    records: list[ProducerRecord]
    notices: list[VenueNotice]


class MessageTaker:
    """Has the instruments of a venue take its messages.

    Args:
        streams: By symbol; instruments come and go.
        carriers: Whose connection brings what.
        arrivals: Numbers updates that have none.
        quoted: Instruments of which best quotes are all there is: these are their books.
        rejected: Where what a stream refuses by itself is counted, by reason.

    Attributes:
        ignored: Messages known and not needed, by kind.
    """

    def __init__(
        self,
        streams: Mapping[str, InstrumentStream],
        carriers: Carriers,
        arrivals: ArrivalNumbers,
        quoted: frozenset[str],
        rejected: Counter[str],
    ) -> None:
        self.ignored: Counter[str] = Counter()
        self._streams = streams
        self._carriers = carriers
        self._arrivals = arrivals
        self._quoted = quoted
        self._rejected = rejected
        # Looked up, not asked one kind after the other: it is done for each message.
        self._takes: dict[type[VenueMessage], Callable[[Any, Frame, Handled], None]] = {
            DepthDelta: self._take_delta,
            DepthSnapshot: self._take_snapshot,
            BestQuote: self._take_quote,
            TradeTick: self._take_trade,
            DerivativeTick: self._take_derivative,
            Interrupted: self._interrupt,
            Ignored: self._ignore,
        }

    def take(self, message: VenueMessage, frame: Frame, handled: Handled) -> None:
        """Take a message; what it gave is added to what became of its frame.

        Raises:
            MessageError: It cannot be used.
        """
        take = self._takes.get(type(message))
        if take is None:
            handled.notices.append(message)  # type: ignore[arg-type] # what no instrument takes is for the edge
        else:
            take(message, frame, handled)

    def _take_delta(self, delta: DepthDelta, frame: Frame, handled: Handled) -> None:
        stream = self._stream(delta.symbol)
        if not self._carriers.brings(delta, frame.connection):
            self.ignored["other_connection"] += 1
            return
        self._keep(stream.on_delta(self._arrivals.of_delta(delta), frame.received_ns), handled)

    def _take_snapshot(self, snapshot: DepthSnapshot, frame: Frame, handled: Handled) -> None:
        stream = self._stream(self._asked_for(snapshot))
        if snapshot.origin is SnapshotOrigin.IN_STREAM and not self._carriers.is_source(snapshot, frame.connection):
            self.ignored["other_connection"] += 1
            return
        self._keep(stream.on_snapshot(self._arrivals.of_snapshot(snapshot), frame.received_ns), handled)

    def _take_quote(self, quote: BestQuote, frame: Frame, handled: Handled) -> None:
        if quote.symbol in self._quoted:
            self._take_top(quote, frame, handled)
        elif self._carriers.brings(quote, frame.connection):
            handled.records.extend(self._stream(quote.symbol).on_quote(quote, frame.received_ns))
        else:
            self.ignored["other_connection"] += 1

    def _take_trade(self, trade: TradeTick, frame: Frame, handled: Handled) -> None:
        if trade.stands_in and not self._lacks_trades(trade.symbol, frame.received_ns):
            self.ignored[trade.stands_in] += 1
            return
        handled.records.extend(self._stream(trade.symbol).on_trade(trade, frame.received_ns))

    def _take_derivative(self, tick: DerivativeTick, frame: Frame, handled: Handled) -> None:
        derivatives = self._stream(tick.symbol).derivatives
        handled.records.extend(derivatives.take(tick, frame.received_ns, is_asked=frame.via is Via.REST))

    def _ignore(self, message: Ignored, frame: Frame, handled: Handled) -> None:
        del frame, handled
        self.ignored[message.kind] += 1

    def _interrupt(self, message: Interrupted, frame: Frame, handled: Handled) -> None:
        """Believe no book that missed something, where the connection itself stands; a whole book follows by itself.

        A connection that carries no books, but what is told beside them, says nothing of any.
        """
        carried = self._carriers.carried_by(frame.connection)
        for symbol in message.symbols or carried:
            if symbol in carried:
                handled.records.extend(self._streams[symbol].feed.on_disconnect(frame.received_ns))

    def _take_top(self, quote: BestQuote, frame: Frame, handled: Handled) -> None:
        """Take a best quote for a whole book of one level a side; one that comes again changes nothing."""
        stream = self._stream(quote.symbol)
        if stream.is_live and stream.tracked.sequence == quote.number:
            stream.counters.duplicates += 1
            return
        top = top_of(quote)
        if self._carriers.is_source(top, frame.connection):
            self._keep(stream.on_snapshot(top, frame.received_ns), handled)

    def _lacks_trades(self, symbol: str, received_ns: int) -> bool:
        stream = self._streams.get(symbol)
        return stream is not None and stream.feed.lacks_trades(received_ns)

    def _keep(self, records: list[Published], handled: Handled) -> None:
        """Keep what depth gave; a stream refuses an update that waited by a dead letter of its own."""
        self._rejected.update(record.reason for record in records if isinstance(record, DeadLetter))
        handled.records.extend(records)

    def _stream(self, symbol: str) -> InstrumentStream:
        try:
            return self._streams[symbol]
        except KeyError:
            raise UnknownSymbol("nobody subscribed to this instrument", symbol=symbol[:80]) from None

    def _asked_for(self, snapshot: DepthSnapshot) -> str:
        """Give a snapshot that names no instrument to the only one there is."""
        if snapshot.symbol is None and len(self._streams) == 1:
            return next(iter(self._streams))
        return snapshot.symbol or ""
