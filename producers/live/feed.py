"""A venue, live: what its source brings goes through the streams to the outlet; what streams need is asked for.

    VenueSource ─ frames ─▶ FrameRouter ─ records ─▶ Outlet ─▶ broker
    BookRecovery ◀─ needs_snapshot ─ streams ◀─ resync requests, heartbeats, overload

Everything here happens on one event loop, in the order in which it was received.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from obflow.clock import Clock, RisingClock
from obflow.metrics import Metrics
from producers.books.options import StreamOptions
from producers.books.records import ROLE
from producers.books.router import FrameRouter
from producers.books.seen_trades import KnownTrades
from producers.books.stream import InstrumentStream, Published
from producers.broker.overload import Outlet, Sink
from producers.compilation import MakeEngine
from producers.contract import Channel, Exchange, Login
from producers.list_changes import status_sentence
from producers.live.connections import Connection
from producers.live.field_watch import FieldWatch
from producers.live.gate import TRIAL_S, HostGate
from producers.live.meters import FeedMeters, GateLook
from producers.live.quality import QualityWindows, Reopenings, VenueClock
from producers.live.snapshots import BookRecovery
from producers.live.source import VenueSource
from producers.live.venue_socket import NO_HEADERS
from producers.messages import Frame, Instrument, VenueNotice, Via
from producers.settings import ProducerSettings
from schemas.dead_letters import letter_about_frame
from schemas.errors import FrameTooLarge, UsageError
from schemas.messages import DeadLetter, InstrumentKey, ResyncRequest, Source
from schemas.units import NS_PER_SECOND

HEARTBEAT_SECONDS = 10.0
LISTING = "listing"
"""What a trouble is about that the venue's list tells."""
RECEIVABLE = 2
"""Frames up to so many times the allowed size are received, to be refused with their payload; beyond it without."""
_WS: Final = Via.WS  # looked up once: asked of each frame

log = structlog.get_logger(__name__)


class LiveFeed:
    """The instruments of one venue, live.

    Args:
        exchange: The venue.
        instruments: What to produce, by symbol, with their grids.
        settings: How.
        clock: When things are received.
        metrics: Where counts are shown.
        sink: Where records go.
        is_outdated: Whether a resync request is answered by what its reader has yet to read.
        run: Name of this run, written into every record.
        tap: Is given what is received, as a recording is.
        engine: Makes what takes ordinary updates; None where they are taken record by record.
        venue_clock: What is known of the venue's clock.

    Attributes:
        router: The streams.
        outlet: The way out.
    """

    def __init__(
        self,
        exchange: Exchange,
        instruments: Mapping[str, Instrument],
        settings: ProducerSettings,
        *,
        clock: Clock,
        metrics: Metrics,
        sink: Sink,
        is_outdated: Callable[[ResyncRequest], bool],
        run: str = "",
        tap: Callable[[Frame], None] | None = None,
        engine: MakeEngine | None = None,
        venue_clock: VenueClock | None = None,
    ) -> None:
        options = StreamOptions(
            source=Source(settings.source),
            routine_snapshot_ns=int(settings.routine_snapshot_seconds * NS_PER_SECOND),
            delta_buffer=settings.delta_buffer,
            stale_ns=int(settings.stale_seconds * NS_PER_SECOND),
            run=run,
            known_bps=settings.known_bps,
        )
        self.router = FrameRouter(
            exchange, instruments, options, max_frame_bytes=settings.max_frame_bytes, engine=engine
        )
        self.outlet = Outlet(sink, self._invalidate, resume_below=settings.queue_messages // 2)
        self._exchange = exchange
        self._settings = settings
        # Frames and looks share it: a frame is recorded with the time that its records have, also after a step back.
        self._clock = RisingClock(clock)
        self._is_outdated = is_outdated
        self._tap = tap
        self._sink = sink
        self._source: VenueSource | None = None
        self._recovery: BookRecovery | None = None
        self._oversized = 0
        self._gate_told = ""
        self._silences: dict[str, tuple[Channel, ...]] = {}
        self._refused: set[str] = set()
        self.gate: HostGate | None = None
        self._meters = FeedMeters(metrics, exchange.venue)
        self._quality = QualityWindows(
            settings.quality_seconds,
            options.source,
            run,
            reopenings=self._reopenings,
            clock=venue_clock or VenueClock(),
        )
        self._fields = FieldWatch(exchange, metrics)

    @property
    def heartbeat_seconds(self) -> float:
        """Time between two heartbeats: often enough to notice a stale feed in time."""
        return min(HEARTBEAT_SECONDS, self._settings.stale_seconds / 2)

    @property
    def look_seconds(self) -> float:
        """Time between two looks for silent channels: a small part of the time after which one is."""
        return min(1.0, self._settings.stale_seconds / 10)

    def connect(
        self,
        url: str,
        gate: HostGate | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        login: Login | None = None,
    ) -> VenueSource:
        """Make the connections that carry all instruments, not yet opened.

        Args:
            url: The venue's WebSocket address, without a path.
            gate: Who may ask the venue anything; by default its own.
            headers: Sent with each handshake.
            login: How each connection makes itself known; None where it need not.
        """
        self.gate = gate or HostGate(self._exchange.limits)
        source = self._source = VenueSource(
            self._exchange,
            list(self.router.streams),
            url,
            clock=self._clock,
            max_bytes=RECEIVABLE * self._settings.max_frame_bytes,
            on_oversized=self.on_oversized,
            gate=self.gate,
            comes_over=self._has_come_over,
            on_refused=self._on_refused,
            on_away=self._on_away,
            headers=headers,
            login=login,
            with_derivatives=self._settings.derivatives,
            on_derivatives_refused=self._on_derivatives_refused,
        )
        self._expect_derivatives()
        for stream in self.router.streams.values():
            self._quality.begin(stream, self._clock.now_ns())
        for connection in source.book_connections:
            self.router.assign(connection.name, connection.symbols)
        return source

    def _expect_derivatives(self) -> None:
        derivatives = self._exchange.derivatives if self._settings.derivatives else None
        for symbol, stream in self.router.streams.items():
            if derivatives is not None and derivatives.streams(symbol):
                stream.derivatives.expect()

    def end(self, symbol: str, why: str = "", *, delisted: bool = False) -> None:
        """Produce an instrument no longer: its feed says so, and the venue is asked to send nothing more of it."""
        quality = self._quality.end(self.router.streams[symbol], self._clock.now_ns())
        self.outlet.emit([*self.router.end(symbol, self._clock.now_ns(), why, delisted=delisted), *quality])
        self._leave(symbol)

    def drop(self, symbol: str) -> None:
        """Produce an instrument no longer, without a word: another producer has it."""
        self.router.drop(symbol)
        self._quality.forget(symbol)
        self._leave(symbol)

    def _leave(self, symbol: str) -> None:
        self._silences.pop(symbol, None)
        self._refused.discard(symbol)
        if self._recovery is not None:
            self._recovery.forget(symbol)
        if self._source is not None:
            self._source.unsubscribe(symbol)

    def announce(self, instrument: Instrument, epoch: int = 0) -> None:
        """Say of an instrument that it is produced from here on, above an epoch that somebody else came to."""
        stream = self.router.add(instrument)
        stream.lift_epoch(epoch)
        self._quality.begin(stream, self._clock.now_ns())
        derivatives = self._exchange.derivatives if self._settings.derivatives else None
        if derivatives is not None and derivatives.streams(instrument.symbol):
            stream.derivatives.expect()
        self.outlet.emit(stream.feed.on_heartbeat(self._clock.now_ns()))
        self._tell_status(instrument)

    def know_trades(self, known: Iterable[KnownTrades]) -> None:
        """Take note of trades that are on the log already.

        That is an input like a frame, and recorded like one, so that a replay leaves out the same.
        """
        for one in known:
            self.handle(Frame(self._clock.now_ns(), Via.KNOWN, raw=msgspec.json.encode(one)))

    def carry(self, symbols: Sequence[str]) -> None:
        """Subscribe to instruments that were announced, over connections with room for them, or new ones."""
        if self._source is None:
            raise RuntimeError("there is no source yet to carry anything")
        self._note_carried(self._source.add(symbols))

    def ask_again(self, symbols: Sequence[str]) -> None:
        """Subscribe again to those of these that the venue refused, which no other instrument feels."""
        if self._source is not None and self._refused:
            self._note_carried(self._source.ask_again([one for one in symbols if one in self._refused]))

    def _note_carried(self, added: Sequence[tuple[Connection, Sequence[str]]]) -> None:
        for connection, carried in added:
            self.router.assign(connection.name, carried)
            for symbol in carried if connection.is_connected else ():
                self.outlet.emit(self.router.streams[symbol].feed.on_connect(self._clock.now_ns()))

    def relist(self, instrument: Instrument) -> None:
        """Take a changed grid from the venue's list: its book begins anew on it."""
        stream = self.router.streams[instrument.symbol]
        before = stream.instrument
        detail = (
            f"the venue lists ticks of {instrument.tick_size} and lots of {instrument.lot_size}"
            f" in place of {before.tick_size} and {before.lot_size}"
        )
        log.warning("grid_changed", symbol=instrument.symbol, detail=detail)
        self.outlet.emit(stream.on_relisting(instrument, self._clock.now_ns(), detail))

    def restate(self, instrument: Instrument) -> None:
        """Take another status from the venue's list."""
        stream = self.router.streams[instrument.symbol]
        stream.instrument = stream.instrument._replace(trading_status=instrument.trading_status)
        self._tell_status(instrument)
        self.note_trouble(instrument.symbol, LISTING, status_sentence(instrument))

    def tell_listing(self) -> None:
        """Say of which instruments the venue's list says that they do not trade, and end those that never will.

        Raises:
            UsageError: None is left.
        """
        listed = [stream.instrument for stream in self.router.streams.values()]
        for instrument in listed:
            self._tell_status(instrument)
        if listed and not self.router.streams:
            raise UsageError(f"{self._exchange.venue} has delisted all of these", next_step="name one that trades")

    def _tell_status(self, instrument: Instrument) -> None:
        sentence, symbol, status = status_sentence(instrument), instrument.symbol, instrument.trading_status
        if not sentence:
            return
        log.warning("instrument_not_trading", symbol=symbol, status=status, delisted=instrument.is_delisted)
        if instrument.is_delisted:
            self.end(symbol, sentence, delisted=True)
        else:
            self.note_trouble(symbol, LISTING, sentence)

    def note_trouble(self, symbol: str, about: str, sentence: str) -> None:
        """Say what is wrong with a feed, or with an empty sentence that it is over."""
        if (stream := self.router.streams.get(symbol)) is not None:
            self.outlet.emit(stream.feed.on_trouble(about, sentence, self._clock.now_ns()))

    def _on_refused(self, symbol: str, why: str) -> None:
        """Say that the venue does not send an instrument, or with an empty reason that it does now."""
        if why:
            self._refused.add(symbol)
            log.warning("subscription_refused", symbol=symbol, why=why)
        else:
            self._refused.discard(symbol)
        self.note_trouble(symbol, "subscription", why and f"the venue refuses to send this symbol ({why})")

    def _on_away(self, symbol: str, why: str) -> None:
        """Say why nothing carries an instrument, or with an empty reason that something does again."""
        self.note_trouble(symbol, "connection", why)

    def _on_derivatives_refused(self, symbol: str, why: str) -> None:
        """Say that the venue does not tell of a derivative, or does again; its book is none the worse for it."""
        if why:
            log.warning("derivatives_refused", symbol=symbol, why=why)
        self.note_trouble(symbol, "derivatives", why and f"the venue refuses to send funding and mark prices ({why})")

    @property
    def lacks_books(self) -> bool:
        """Whether a book is being asked for: whatever else is asked of the venue waits for it."""
        return any(stream.needs_snapshot for stream in self.router.streams.values())

    def has_room(self, symbol: str) -> bool:
        """Tell whether a book of this instrument could be published now; else it is asked for again later."""
        return not self.outlet.is_overloaded(symbol)

    def recover_with(self, recovery: BookRecovery) -> None:
        """Ask there for the books that streams need."""
        self._recovery = recovery

    # -- what the source brings

    def handle(self, frame: Frame) -> Sequence[VenueNotice]:
        """Handle a frame; what it told besides data is given back."""
        if self._tap:
            self._tap(frame)
        meters = self._meters
        if frame.via is _WS:
            meters.frames = number = meters.frames + 1
            self._fields.came(frame.raw, number)
        else:
            meters.note_change(frame.via)
        handled = self.router.handle(frame)
        if records := handled.records:  # most frames are best quotes, which give none
            if meters.is_sampling:
                meters.sample_latency(frame, records[-1])
            self._quality.came(frame, records)
            self.outlet.emit(records)
        return handled.notices

    def on_oversized(self, connection: str) -> None:
        """Refuse a frame that was too large to be received: its payload is not known, that it was is."""
        self._oversized += 1
        error = FrameTooLarge(f"a frame of more than {RECEIVABLE * self._settings.max_frame_bytes} bytes")
        self.router.rejected[error.reason] += 1
        frame_id = f"{self._exchange.venue}:{connection}:oversized-{self._oversized}"
        instrument = InstrumentKey(self._exchange.venue, "")
        letter = letter_about_frame(frame_id, b"", self._clock.now_ns(), error, role=ROLE, instrument=instrument)
        self.outlet.emit([letter])

    # -- what has to be done from time to time

    def request_snapshots(self) -> None:
        """Ask for the books that streams need, and go on where there is room again. To be called often."""
        self.outlet.release()
        self._meters.is_sampling = True
        if self._recovery is None:
            return
        lacking = 0
        for symbol, stream in self.router.streams.items():
            if stream.is_live:
                self._recovery.note_live(symbol)
                if symbol in self._refused:
                    self._on_refused(symbol, "")
            elif stream.needs_snapshot and self.has_room(symbol):
                lacking += self._recovery.request(symbol)
        if not lacking:
            self._request_books_beside(self._recovery)

    def _request_books_beside(self, recovery: BookRecovery) -> None:
        """Fetch books beside LIVE ones where what is known grows narrow; books that are lacking come first."""
        now = self._clock.now_ns()
        for symbol, stream in self.router.streams.items():
            if self.has_room(symbol) and stream.wants_book_beside(now):
                recovery.request_beside(symbol)

    def ask_for_books(self) -> None:
        """Have a whole book of each LIVE instrument come again: fetched beside it, or from its connection's successor.

        Nothing is lost either way. A book that is not LIVE is being asked for already.
        """
        if self._recovery is None or self._source is None:
            return
        live = [symbol for symbol, stream in self.router.streams.items() if stream.is_live]
        self._source.hand_over([symbol for symbol in live if not self._recovery.request_beside(symbol)])

    def _tell_gate(self) -> None:
        """Say of every feed that its venue has closed the gate, and that it is open again."""
        why = self.gate.why if self.gate is not None and self.gate.wait_s() > TRIAL_S else ""
        if why != self._gate_told:
            self._gate_told = why
            for symbol in self.router.streams:
                self.note_trouble(symbol, "gate", why)

    def send_heartbeats(self) -> None:
        """Say of every feed that it is alive, or that it is not."""
        self._look(lambda stream, now: stream.feed.on_heartbeat(now))

    def look(self) -> None:
        """Notice which channels have fallen silent, and which are heard again; each is told once. The gate too."""
        self._tell_gate()
        self._tell_quality()
        self._look(lambda stream, now: stream.feed.on_look(now))

    def _tell_quality(self) -> None:
        """Tell what feeds were like, once a window; one that waits for room tells of a longer one afterwards."""
        streams = [stream for symbol, stream in self.router.streams.items() if self.has_room(symbol)]
        self.outlet.emit(self._quality.due(streams, self._clock.now_ns()))

    def _reopenings(self, symbol: str) -> Reopenings:
        return Reopenings() if self._source is None else self._source.reopenings(symbol)

    def _look(self, how: Callable[[InstrumentStream, int], Iterable[Published]]) -> None:
        now = self._clock.now_ns()
        for symbol, stream in self.router.streams.items():
            before = self._silences.get(symbol, ())
            self.outlet.emit(how(stream, now))
            self._silences[symbol] = after = stream.feed.silences
            if after != before:
                self._tell_silences(symbol, before, after)

    def _tell_silences(self, symbol: str, before: Sequence[Channel], after: Sequence[Channel]) -> None:
        for channel in after:
            if channel not in before:
                seconds = self._settings.stale_seconds
                log.warning("channel_silent", symbol=symbol, channel=channel.value, for_s=seconds)
                if self._source is not None and self._source.subscribe_instead(channel, symbol):
                    log.info("alternative_subscribed", symbol=symbol, channel=channel.value)
        for channel in before:
            if channel not in after:
                log.info("channel_heard", symbol=symbol, channel=channel.value)

    def on_requests(self, requests: Sequence[ResyncRequest], letters: Sequence[DeadLetter]) -> None:
        """Readers ask for snapshots; `letters` are what stood there and was no request."""
        self.outlet.emit(letters)
        now = self._clock.now_ns()
        for request in requests:
            stream = self.router.streams.get(request.symbol)
            if stream is not None:  # else another producer's
                self._meters.resync_asked()
                self.outlet.emit(stream.on_resync_request(request, now, outdated=self._is_outdated(request)))

    def stop(self) -> None:
        """Say of every feed that it ends here, and give up what is being fetched."""
        if self._recovery is not None:
            self._recovery.cancel()
        now = self._clock.now_ns()
        self.outlet.release()
        for stream in self.router.streams.values():
            self.outlet.emit([*stream.feed.on_stop(now), *self._quality.end(stream, now)])
        self.publish_metrics()

    def publish_metrics(self) -> None:
        """Bring the metrics up to what the pure parts have counted, and say whether the venue is connected."""
        self._fields.publish()
        lost = "no connection was opened yet" if self._source is None else self._source.trouble
        waits = GateLook(self.gate.wait_s(), self.gate.ignored) if self.gate else GateLook(0.0, Counter())
        self._meters.publish(self.router, self.outlet.shed, waits, lost=lost, waiting=self._sink.waiting)

    def _has_come_over(self, connection: str) -> bool:
        """Tell whether the older of two connections may go: where ids are shared, as soon as both brought the same."""
        return self._exchange.shares_update_ids or self.router.comes_over(connection)

    def _invalidate(self, symbol: str) -> Sequence[Any]:
        stream = self.router.streams.get(symbol)  # one that was ended meanwhile has no book to invalidate
        return [] if stream is None else stream.on_overload(self._clock.now_ns())
