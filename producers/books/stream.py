"""One instrument's producer side: messages in, records to publish out. No clock, no socket; times are parameters.

`InstrumentStream` serves the live feed, the replay into Kafka and the replay in memory alike. It keeps the book with
the readers' own code (`orderbook.validity`), so that what it publishes is what they will believe.

    frames ─ adapter ─▶ on_delta, on_snapshot, on_trade, on_quote, derivatives ─▶ [L2Record | TradeRecord | …]
    edge   ───────────▶ on_resync_request, on_overload, on_relisting; feed.on_connect, feed.on_heartbeat, …
    edge   ◀─────────── needs_snapshot: come by one, hand it to on_snapshot; until then deltas wait here

This is the doorway; behind it each has its part: `chain` finds the place of an update, `published` says what readers
are told of the book, which `kept` keeps and writes, and `statuses` what they are told of its feed. What they promise
stands there. What holds for all, whatever comes in:
- Every input either is taken whole, or raises a `MessageError` and changes nothing; a refused quote leaves a hole.
- `received_ns` never falls: deltas that waited for a snapshot are lifted to its time, since only then are they known.
- No record is larger than the broker takes: a message with more levels is refused like any other bad input, and a book
  that outgrew a snapshot is fetched afresh.
"""

from __future__ import annotations

from typing import Final

from orderbook.book import Book
from orderbook.validity import Validity
from producers.books.advance import Advance
from producers.books.beside import BookBeside
from producers.books.bridge import Bridge
from producers.books.chain import UpdateChain
from producers.books.derivatives import DerivativeTicks
from producers.books.engine import DeltaEngine
from producers.books.feed_state import FeedTracker, LinkEvent
from producers.books.instrument_feed import InstrumentFeed
from producers.books.judge import Wrong
from producers.books.kept import KeptBook
from producers.books.options import StreamCounters, StreamOptions
from producers.books.published import PublishedBook
from producers.books.records import ProducerRecord
from producers.books.seen_trades import REMEMBERED, SeenTrades
from producers.books.statuses import StatusWriter
from producers.books.templates import FrameTemplate
from producers.contract import Checksum
from producers.messages import BestQuote, DepthDelta, DepthSnapshot, Instrument, SnapshotOrigin, TradeTick
from producers.sequencing import SequenceRule
from schemas.errors import MessageError
from schemas.messages import Reason, ResyncRequest
from schemas.units import NS_PER_MS

Published = ProducerRecord
"""What a stream gives to publish, in order."""

_LIVE: Final = Validity.LIVE  # looked up once: asked of each update


class InstrumentStream:
    """The state of one instrument at its producer.

    Args:
        instrument: The instrument, with the venue's listed grid.
        rule: How the venue's updates connect.
        options: How to behave.
        checksum: How the venue's checksums are made; None where it sends none.
        engine: Takes ordinary updates; None where each is taken record by record.

    Attributes:
        instrument: The instrument.
        counters: What happened so far.
        kept: The book as its readers have it.
        tracked: The book and its validity, as every reader sees it.
        seen_trades: Its trades that came already.
        quotes: The check against the venue's best quotes.
        feed: Its feed: connections, time, trouble.
        derivatives: What the venue tells of it beside book and trades.
    """

    def __init__(
        self,
        instrument: Instrument,
        rule: SequenceRule,
        options: StreamOptions | None = None,
        checksum: Checksum | None = None,
        engine: DeltaEngine | None = None,
    ) -> None:
        options = options or StreamOptions()
        self.instrument = instrument
        self.counters = counters = StreamCounters()
        self.kept = kept = KeptBook(instrument, options, counters, checksum, engine)
        self.tracked, self.quotes = kept.tracked, kept.quotes
        self.seen_trades = SeenTrades()
        self._tracker = tracker = FeedTracker()
        self.derivatives = DerivativeTicks(kept.records, tracker, counters)
        self._bridge = bridge = Bridge(rule, options.delta_buffer, counters)
        self._beside = beside = BookBeside(rule, options.known_bps)
        self._statuses = statuses = StatusWriter(kept, tracker)
        self._published = book = PublishedBook(kept, statuses, beside=beside, bridge=bridge, counters=counters)
        self._chain = chain = UpdateChain(rule, kept, book, statuses=statuses, bridge=bridge, counters=counters)
        self.feed = InstrumentFeed(tracker, kept, chain, bridge=bridge, statuses=statuses, stale_ns=options.stale_ns)

    # -- what the edge may ask

    @property
    def book(self) -> Book:
        """The levels. To be believed only while `is_live`."""
        return self.tracked.book

    @property
    def is_live(self) -> bool:
        """Whether the book is LIVE."""
        return self.tracked.validity is _LIVE

    @property
    def reason(self) -> Reason | None:
        """Why the book is not LIVE, the newest reason; None where it is, or where nothing went wrong yet."""
        return self._statuses.reason

    @property
    def needs_snapshot(self) -> Reason | None:
        """Why a whole book has to be asked for, or None. It stays until `on_snapshot` has taken one."""
        return self._bridge.wanted if self._bridge.receiving else None

    def wants_book_beside(self, now_ns: int) -> bool:
        """Whether a whole book is to be fetched beside the LIVE one, which then waits for it."""
        return self.is_live and self._beside.is_due(self.tracked, now_ns)

    @property
    def waiting(self) -> int:
        """Deltas that wait for a snapshot."""
        return len(self._bridge.waiting)

    @property
    def epoch(self) -> int:
        """The current epoch; 0 before the first snapshot."""
        return self.kept.records.epoch

    def advance(self) -> Advance:
        """How far the venue's numbers went, and how much of that came."""
        return self._published.advance()

    # -- messages of the venue

    def on_delta(self, delta: DepthDelta, received_ns: int) -> list[Published]:
        """Take a change of the book.

        Raises:
            InvalidNumber: A price or size may not be used. The caller says `on_bad_input`: an update is lost.
            FrameTooLarge: It has more levels than a record may carry; as above.
        """
        placed = self.kept.place(delta)
        now = self.kept.clock(received_ns)
        changed = self._tracker.note_depth(now) or not self.is_live
        self._chain.take(delta, placed, now)
        return self._statuses.told() if changed else self.kept.drain()

    def on_ordinary(self, raw: bytes, template: FrameTemplate, received_ns: int) -> list[Published] | None:
        """Take the next update of a LIVE book as `on_delta` would; None where that has to, and then nothing changed.

        Everything but the plain case is left to it: another connection beside this one, a book under way beside the
        LIVE one, an update that does not follow, levels that are not plain or not on the grid.

        Args:
            raw: The frame.
            template: What is known of its instrument's frames.
            received_ns: When it was received.
        """
        kept, tracked = self.kept, self.tracked
        if tracked.validity is not _LIVE or self._chain.overlap is not None or self._beside.is_asked:
            return None
        now = kept.now_ns if kept.now_ns > received_ns else received_ns
        before = tracked.sequence
        judged = kept.apply_ordinary(raw, template, now)
        if judged is None:
            return None
        if tracked.sequence < before:
            self._published.begin_anew(before, tracked.sequence)
        changed = self._tracker.note_depth(now)
        self._bridge.receiving = True
        if judged.wrong is not None or kept.records.received_ns >= kept.routine_due_ns:
            self._published.note_applied(judged.wrong)
        if changed:
            return self._statuses.told()
        out, kept.out = kept.out, []  # as `drain` does, without a call
        return out

    def on_snapshot(self, snapshot: DepthSnapshot, received_ns: int) -> list[Published]:
        """Take a whole book.

        One that was fetched is held until a delta bridges it; beside a LIVE book it is compared with that and widens
        what is known of it, where it was asked for, and else is discarded. One that came in the stream is the book
        from here on.

        Raises:
            InvalidNumber: A price or size may not be used.
            FrameTooLarge: It has more levels than a record may carry.
        """
        placed = self.kept.place_whole(snapshot)
        now = self.kept.clock(received_ns)
        if snapshot.origin is SnapshotOrigin.IN_STREAM:
            self._tracker.note_depth(now)
            self._chain.replace(snapshot, placed, now)
            return self._statuses.told()
        self._tracker.note(LinkEvent.FETCHED)
        if self.is_live:
            self._published.compare(snapshot, now)
        else:
            self._chain.hold(snapshot, now)
        return self._statuses.told()

    def on_trade(self, trade: TradeTick, received_ns: int) -> list[Published]:
        """Take a trade: published at once, and part of the next delta where the book is LIVE and its grid holds it.

        One that came already is counted and told to nobody.

        Raises:
            InvalidNumber: Its price or size may not be used.
        """
        placed = self.kept.listed.place([(trade.price, trade.size)])
        now = self.kept.clock(received_ns)
        self._tracker.note_trade(now, stands_in=bool(trade.stands_in))
        most = REMEMBERED if self._chain.overlap is None else self._chain.trades_to_remember(now)
        if self.seen_trades.is_copy(trade.trade_id, most):
            self.counters.duplicates += 1
            return []
        changed = self._tracker.note_received()
        self._published.publish_trade(trade, placed, now)
        return self._statuses.told() if changed else self.kept.drain()

    def on_quote(self, quote: BestQuote, received_ns: int) -> list[Published]:
        """Take the venue's best quote: checks the book, changes nothing of it.

        Raises:
            InvalidNumber: A price or size may not be used.
        """
        try:
            self.kept.listed.require(quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        except MessageError:
            self.on_missed_quote()
            raise
        self._tracker.quote_ns = now = self.kept.clock(received_ns)
        self._published.take_quote(quote, now)
        return self._statuses.told() if self._tracker.note_received() else self.kept.drain()

    def on_missed_quote(self) -> None:
        """Take note that an update of the best quotes could not be used: what flowed since is not known."""
        self.kept.flow.miss()
        self.quotes.forget()

    def on_bad_input(self, received_ns: int, detail: str = "") -> list[Published]:
        """Take note that a depth update of this instrument could not be used: a LIVE book has lost it."""
        now = self.kept.clock(received_ns)
        self._tracker.note_depth(now)
        self._published.stop_following()
        self._published.invalidate(Reason.BAD_INPUT, now, detail)
        return self.kept.drain()

    # -- what the edge has to tell

    def on_overload(self, received_ns: int) -> list[Published]:
        """Shed in the open, since the way to the broker is full: invalidate the book and ask for a snapshot."""
        self._published.invalidate(Reason.OVERLOAD, self.kept.clock(received_ns))
        return self.kept.drain()

    def on_resync_request(self, request: ResyncRequest, received_ns: int, *, outdated: bool) -> list[Published]:
        """Answer a reader who asks for a snapshot, from memory while the book is LIVE, else by the one being fetched.

        Args:
            request: The request. If it names a higher epoch than ours, some other producer was ahead of us: ours is
                lifted above it, whatever else holds.
            received_ns: Our time now.
            outdated: The reader broke at an offset before our last published snapshot or `invalid`: that is the answer.
        """
        now = self.kept.clock(received_ns)
        if request.epoch > self.epoch:
            self._published.overtake(request.epoch, now)
        elif outdated:
            self.counters.resyncs_outdated += 1
        elif self.is_live:
            self._published.answer(now)
        return self._statuses.told()

    def on_relisting(self, instrument: Instrument, received_ns: int, detail: str = "") -> list[Published]:
        """Take a grid that the venue has changed: the book is INVALID until the next snapshot, on the new grid."""
        now = self.kept.clock(received_ns)
        self._published.stop_following()
        self._published.invalidate(Reason.REGRID, now, detail)
        self.instrument = instrument
        self.kept.relist(instrument)
        return self.kept.drain()

    def on_delisting(self, received_ns: int, detail: str = "") -> list[Published]:
        """Say that the venue trades this no longer: its book ends INVALID, also one of an earlier run."""
        now = self.kept.clock(received_ns)
        self.lift_epoch(now // NS_PER_MS)
        self._published.stop_following()
        if not self.is_live:  # then nobody has to hear in between that there is no book
            self._tracker.note(LinkEvent.STOPPED)
        self._published.publish_invalid(Wrong(Reason.DELISTED, detail), now)
        return self.feed.on_stop(now, detail)

    def lift_epoch(self, epoch: int) -> None:
        """Begin above an epoch that another producer has come to, where no book was published yet."""
        if self.tracked.validity is Validity.AWAITING_SNAPSHOT:
            self.kept.records.epoch = max(self.kept.records.epoch, epoch)
