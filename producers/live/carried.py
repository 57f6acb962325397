"""Which instruments a live feed carries: one begins, ends, is another producer's, or is listed otherwise.

Each of these is said by the instrument's own feed, and done over the connections of the venue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import structlog

from producers.books.router import FrameRouter
from producers.books.stream import InstrumentStream, Published
from producers.contract import Exchange
from producers.list_changes import status_sentence
from producers.live.connections import Connection
from producers.live.quality import QualityWindows
from producers.live.silences import ChannelSilences
from producers.live.source import VenueSource
from producers.live.troubles import LISTING, FeedTroubles
from producers.messages import Instrument
from schemas.errors import UsageError
from schemas.messages import FeedQuality

log = structlog.get_logger(__name__)


class CarriedInstruments:
    """The instruments of a live feed.

    Args:
        exchange: The venue.
        router: Their streams.
        emit: Publishes what their feeds say.
        now_ns: The time.
        quality: What their feeds are like.
        troubles: What is wrong with them.
        silences: Which of their channels are silent.
        with_derivatives: Whether what is told of derivatives is subscribed.
        on_left: Is told that an instrument is carried no longer.
    """

    def __init__(
        self,
        exchange: Exchange,
        router: FrameRouter,
        emit: Callable[[Iterable[Published | FeedQuality]], None],
        now_ns: Callable[[], int],
        *,
        quality: QualityWindows,
        troubles: FeedTroubles,
        silences: ChannelSilences,
        with_derivatives: bool,
        on_left: Callable[[str], None],
    ) -> None:
        self._exchange, self._router, self._emit, self._now_ns = exchange, router, emit, now_ns
        self._quality, self._troubles, self._silences = quality, troubles, silences
        self._derivatives = exchange.derivatives if with_derivatives else None
        self._on_left = on_left
        self._source: VenueSource | None = None

    def begin(self, source: VenueSource) -> None:
        """Carry those that there are over these connections."""
        self._source = source
        for stream in self._router.streams.values():
            self._begin(stream)
        for connection in source.book_connections:
            self._router.assign(connection.name, connection.symbols)

    def announce(self, instrument: Instrument, epoch: int = 0) -> None:
        """Say of an instrument that it is produced from here on, above an epoch that somebody else came to."""
        stream = self._router.add(instrument)
        stream.lift_epoch(epoch)
        self._begin(stream)
        self._emit(stream.feed.on_heartbeat(self._now_ns()))
        self._tell_status(instrument)

    def _begin(self, stream: InstrumentStream) -> None:
        self._quality.begin(stream, self._now_ns())
        if self._derivatives is not None and self._derivatives.streams(stream.instrument.symbol):
            stream.derivatives.expect()

    def carry(self, symbols: Sequence[str]) -> None:
        """Subscribe to instruments that were announced, over connections with room for them, or new ones."""
        if self._source is None:
            raise RuntimeError("there is no source yet to carry anything")
        self._note_carried(self._source.add(symbols))

    def ask_again(self, symbols: Sequence[str]) -> None:
        """Subscribe again to those of these that the venue refused, which no other instrument feels."""
        refused = self._troubles.refused
        if self._source is not None and refused:
            self._note_carried(self._source.ask_again([one for one in symbols if one in refused]))

    def _note_carried(self, added: Sequence[tuple[Connection, Sequence[str]]]) -> None:
        for connection, carried in added:
            self._router.assign(connection.name, carried)
            for symbol in carried:
                self._quality.note_carrier(symbol)
            for symbol in carried if connection.is_connected else ():
                self._emit(self._router.streams[symbol].feed.on_connect(self._now_ns()))

    def end(self, symbol: str, why: str = "", *, delisted: bool = False) -> None:
        """Produce an instrument no longer: its feed says so, and the venue is asked to send nothing more of it."""
        quality = self._quality.end(self._router.streams[symbol], self._now_ns())
        self._emit([*self._router.end(symbol, self._now_ns(), why, delisted=delisted), *quality])
        self._leave(symbol)

    def drop(self, symbol: str) -> None:
        """Produce an instrument no longer, without a word: another producer has it."""
        self._router.drop(symbol)
        self._quality.forget(symbol)
        self._leave(symbol)

    def _leave(self, symbol: str) -> None:
        self._silences.forget(symbol)
        self._troubles.forget(symbol)
        self._on_left(symbol)
        if self._source is not None:
            self._source.unsubscribe(symbol)

    # -- what the venue's list says of them

    def relist(self, instrument: Instrument) -> None:
        """Take a changed grid from the venue's list: its book begins anew on it."""
        stream = self._router.streams[instrument.symbol]
        before = stream.instrument
        detail = (
            f"the venue lists ticks of {instrument.tick_size} and lots of {instrument.lot_size}"
            f" in place of {before.tick_size} and {before.lot_size}"
        )
        log.warning("grid_changed", symbol=instrument.symbol, detail=detail)
        self._emit(stream.on_relisting(instrument, self._now_ns(), detail))

    def restate(self, instrument: Instrument) -> None:
        """Take another status from the venue's list."""
        stream = self._router.streams[instrument.symbol]
        stream.instrument = stream.instrument._replace(trading_status=instrument.trading_status)
        self._tell_status(instrument)
        self._troubles.note(instrument.symbol, LISTING, status_sentence(instrument))

    def tell_listing(self) -> None:
        """Say of which instruments the venue's list says that they do not trade, and end those that never will.

        Raises:
            UsageError: None is left.
        """
        listed = [stream.instrument for stream in self._router.streams.values()]
        for instrument in listed:
            self._tell_status(instrument)
        if listed and not self._router.streams:
            raise UsageError(f"{self._exchange.venue} has delisted all of these", next_step="name one that trades")

    def _tell_status(self, instrument: Instrument) -> None:
        sentence, symbol, status = status_sentence(instrument), instrument.symbol, instrument.trading_status
        if not sentence:
            return
        log.warning("instrument_not_trading", symbol=symbol, status=status, delisted=instrument.is_delisted)
        if instrument.is_delisted:
            self.end(symbol, sentence, delisted=True)
        else:
            self._troubles.note(symbol, LISTING, sentence)
