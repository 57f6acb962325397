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
from producers.live.carried import CarriedInstruments
from producers.live.field_watch import FieldWatch
from producers.live.gate import TRIAL_S, HostGate
from producers.live.meters import FeedMeters, GateLook
from producers.live.quality import QualityWindows, Reopenings, VenueClock
from producers.live.silences import ChannelSilences
from producers.live.snapshots import BookRecovery
from producers.live.source import VenueSource
from producers.live.troubles import FeedTroubles
from producers.live.venue_socket import NO_HEADERS
from producers.messages import Frame, Instrument, VenueNotice, Via
from producers.settings import ProducerSettings
from schemas.dead_letters import letter_about_frame
from schemas.errors import FrameTooLarge
from schemas.messages import DeadLetter, InstrumentKey, ResyncRequest, Source
from schemas.units import NS_PER_SECOND

HEARTBEAT_SECONDS = 10.0
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
        carried: Which instruments it carries.
        troubles: What is wrong with their feeds.
        gate: Who may ask the venue anything; None before `connect`.
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
        self._silences = ChannelSilences(settings.stale_seconds, self._subscribe_instead)
        streams, now_ns = self.router.streams, self._clock.now_ns
        self.troubles = FeedTroubles(streams, self.outlet.emit, now_ns)
        self.carried = CarriedInstruments(
            exchange,
            self.router,
            self.outlet.emit,
            now_ns,
            quality=self._quality,
            troubles=self.troubles,
            silences=self._silences,
            with_derivatives=settings.derivatives,
            on_left=self._forget,
        )

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
            on_refused=self.troubles.note_refused,
            on_away=self.troubles.note_away,
            headers=headers,
            login=login,
            with_derivatives=self._settings.derivatives,
            on_derivatives_refused=self.troubles.note_derivatives_refused,
        )
        self.carried.begin(source)
        return source

    def _forget(self, symbol: str) -> None:
        if self._recovery is not None:
            self._recovery.forget(symbol)

    def know_trades(self, known: Iterable[KnownTrades]) -> None:
        """Take note of trades that are on the log already.

        That is an input like a frame, and recorded like one, so that a replay leaves out the same.
        """
        for one in known:
            self.handle(Frame(self._clock.now_ns(), Via.KNOWN, raw=msgspec.json.encode(one)))

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
                if symbol in self.troubles.refused:
                    self.troubles.note_refused(symbol, "")
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
        self._source.hand_over([symbol for symbol in live if not self._recovery.request_anew(symbol)])

    def send_heartbeats(self) -> None:
        """Say of every feed that it is alive, or that it is not."""
        self._look(lambda stream, now: stream.feed.on_heartbeat(now))

    def look(self) -> None:
        """Notice which channels have fallen silent, and which are heard again; each is told once. The gate too."""
        self.troubles.note_gate(self.gate.why if self.gate is not None and self.gate.wait_s() > TRIAL_S else "")
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
            self.outlet.emit(how(stream, now))
            self._silences.note(symbol, stream.feed.silences)

    def _subscribe_instead(self, channel: Channel, symbol: str) -> bool:
        return self._source is not None and self._source.subscribe_instead(channel, symbol)

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
