"""One instrument's producer side: messages in, records to publish out. No clock, no socket; times are parameters.

`InstrumentStream` serves the live feed, the replay into Kafka and the replay in memory alike. It keeps the book with
the readers' own code (`orderbook.validity`), so that what it publishes is what they will believe.

    frames ─ adapter ─▶ on_delta, on_snapshot, on_trade, on_quote, on_derivative ─▶ [L2Record | TradeRecord | …]
    edge   ───────────▶ on_connect, on_disconnect, on_resync_request, on_heartbeat, on_overload, on_stop
    edge   ◀─────────── needs_snapshot: come by one, hand it to on_snapshot; until then deltas wait here

Every input either is taken whole, or raises a `MessageError` and changes nothing; a refused quote leaves a hole.

What holds, whatever comes in:
- A fetched snapshot is held until a delta bridges it; one that no delta can bridge any more is discarded
  (`no_bridge`). One that comes in the stream replaces the book at once, whatever it was.
- After `invalid` nothing of the book is published until the next snapshot; deltas wait in a bounded buffer.
- `received_ns` never falls: deltas that waited for a snapshot are lifted to its time, since only then are they known.
- No record is larger than the broker takes: a message with more levels is refused like any other bad input, and a book
  that outgrew a snapshot is fetched afresh.
- Trades go to `trades.v1` always, and with the next delta where the book is LIVE; a snapshot neither carries nor
  consumes them, an `invalid` drops the pending ones from the book's side.
- A checksum of the venue that the book does not have makes it INVALID, right after the update that shows it; so do its
  best quotes that contradict the book three times in a row.
- A book whose best price lies beyond what its snapshot knew is INVALID. Its updates are followed all the same: where
  the price comes back before a snapshot does, the book is as good as it was, and is published from memory.
- A book fetched beside a LIVE one is compared with it and widens what is known: the chain of updates goes on.
- Restart, refetch and regrid raise the epoch; snapshots from memory keep it.
- A snapshot of the venue returns to its listed grid. Levels alone move a book to a finer one, and only as long as
  `HEADROOM` is left above them. A trade that does not lie on it is in `trades.v1` alone, exact on a grid of its own.
"""

from __future__ import annotations

from typing import Final

import msgspec

from orderbook.book import Book
from orderbook.decimals import Placed
from orderbook.known import compare_books
from orderbook.validity import TrackedBook, Validity
from producers.books.advance import Advance
from producers.books.beside import BookBeside
from producers.books.bridge import Bridge, Held, NoBridge, Waiting
from producers.books.engine import DeltaEngine
from producers.books.feed_state import FeedTracker, LinkEvent
from producers.books.handover import Overlap
from producers.books.kept import KeptBook, Wrong
from producers.books.options import StreamCounters, StreamOptions
from producers.books.quotes import QuoteCheck
from producers.books.records import ProducerRecord
from producers.books.templates import FrameTemplate
from producers.contract import Channel, Checksum
from producers.messages import (
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    DerivativeTick,
    Instrument,
    SnapshotOrigin,
    TradeTick,
)
from producers.sequencing import Continuity, LastUpdate, SequenceRule
from schemas.bounds import MAX_TRADES
from schemas.errors import MessageError
from schemas.messages import (
    FeedState,
    FeedStatus,
    Reason,
    ResyncRequest,
)
from schemas.units import NS_PER_MS

MAX_PENDING_TRADES = MAX_TRADES
"""Trades waiting for the next delta. More than that means that depth stopped while trading goes on: an overload."""

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
        reason: Why the book is not LIVE, the newest reason; None where it is, or where nothing went wrong yet.
    """

    def __init__(
        self,
        instrument: Instrument,
        rule: SequenceRule,
        options: StreamOptions | None = None,
        checksum: Checksum | None = None,
        engine: DeltaEngine | None = None,
    ) -> None:
        self.instrument = instrument
        self.counters = StreamCounters()
        self.reason: Reason | None = None
        self._options = options or StreamOptions()
        self.kept = KeptBook(instrument, self._options, self.counters, checksum, engine)
        self._rule = rule
        self._feed = FeedTracker()
        self._asked_ns = 0  # when an answer last told of a derivative
        self._advance = Advance()
        self._bridge = Bridge(rule, self._options.delta_buffer, self.counters)
        self._beside = BookBeside(rule, self._options.known_bps)
        self._is_beyond = False  # INVALID since a best price is not known, and followed all the same
        self._overlap: Overlap | None = None

    # -- what the edge may ask

    @property
    def tracked(self) -> TrackedBook:
        """The book and its validity, as every reader sees it."""
        return self.kept.tracked

    @property
    def quotes(self) -> QuoteCheck:
        """The check against the venue's best quotes."""
        return self.kept.quotes

    @property
    def book(self) -> Book:
        """The levels. To be believed only while `is_live`."""
        return self.tracked.book

    @property
    def is_live(self) -> bool:
        """Whether the book is LIVE."""
        return self.tracked.validity is Validity.LIVE

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
        if self.is_live:  # nothing is noted of ordinary updates: the book's own number says it
            self._advance.follow(self.tracked.sequence)
        return self._advance

    @property
    def state(self) -> FeedState:
        """What the feed is now."""
        return self._feed.state(self.tracked.validity)

    @property
    def silences(self) -> tuple[Channel, ...]:
        """Channels that are silent."""
        return self._feed.silences

    def lacks_trades(self, received_ns: int) -> bool:
        """Whether trades of another channel count, since their own is silent."""
        return self._feed.lacks_trades(received_ns, self._options.stale_ns)

    # -- messages of the venue

    def on_delta(self, delta: DepthDelta, received_ns: int) -> list[Published]:
        """Take a change of the book.

        Raises:
            InvalidNumber: A price or size may not be used. The caller says `on_bad_input`: an update is lost.
            FrameTooLarge: It has more levels than a record may carry; as above.
        """
        placed = self.kept.place(delta)
        now = self._clock(received_ns)
        changed = self._feed.note_depth(now)
        self._bridge.receiving = True
        if self.is_live:
            self._follow(delta, placed, now)
        else:
            changed = True
            self.kept.flow.skip()
            self._advance.note(delta)
            was_beyond = self._is_beyond
            self._bridge.wait(delta, now)
            if not self._join() and was_beyond and self._follow_unpublished(delta, placed, now):
                self._bridge.note_in_book()
        if changed:
            self._append_status_if_changed()
        return self._drain()

    def on_ordinary(self, raw: bytes, template: FrameTemplate, received_ns: int) -> list[Published] | None:
        """Take the next update of a LIVE book as `on_delta` would; None where that has to, and then nothing changed.

        Everything but the plain case is left to it: another connection beside this one, a book under way beside the
        LIVE one, an update that does not follow, levels that are not plain or not on the grid.

        Args:
            raw: The frame.
            template: What is known of its instrument's frames.
            received_ns: When it was received.
        """
        kept = self.kept
        tracked = kept.tracked
        if tracked.validity is not _LIVE or self._overlap is not None or self._beside.is_asked:
            return None
        now = kept.now_ns if kept.now_ns > received_ns else received_ns
        before = tracked.sequence
        judged = kept.apply_ordinary(raw, template, now)
        if judged is None:
            return None
        if tracked.sequence < before:
            self._advance.begin_anew(before, tracked.sequence)
        changed = self._feed.note_depth(now)
        self._bridge.receiving = True
        if judged.wrong is not None or kept.is_routine_due:
            self._note_applied(judged.wrong)
        if changed:
            self._append_status_if_changed()
        return self._drain()

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
        now = self._clock(received_ns)
        if snapshot.origin is SnapshotOrigin.IN_STREAM:
            self._feed.note_depth(now)
            self._bridge.receiving = True
            self._replace(snapshot, placed, now)
        else:
            self._feed.note(LinkEvent.FETCHED)
            if self.is_live:
                self._compare(snapshot, now)
            else:
                self._bridge.hold(snapshot, now)
                self._join()
        self._append_status_if_changed()
        return self._drain()

    def on_trade(self, trade: TradeTick, received_ns: int) -> list[Published]:
        """Take a trade: published at once, and part of the next delta where the book is LIVE and its grid holds it.

        Raises:
            InvalidNumber: Its price or size may not be used.
        """
        levels, sign = [(trade.price, trade.size)], 1 if trade.buyer_is_aggressor else -1
        placed = self.kept.listed.place(levels)
        now = self._clock(received_ns)
        if trade.stands_in:
            self._feed.stood_in = True
        else:
            self._feed.trade_ns, self._feed.stood_in = now, False
        if self._overlap is not None and self._is_copy(trade, now):
            self.counters.duplicates += 1
            return []
        changed = self._feed.note(LinkEvent.RECEIVED)
        if self.is_live:
            self.kept.trades.add(levels, sign, self.kept.records.grid)
        self.counters.trades += 1
        self.kept.out.append(self.kept.records.trade(trade, placed, now))
        if len(self.kept.trades.ticks) > MAX_PENDING_TRADES:
            self._invalidate(Reason.OVERLOAD, now)
        if changed:
            self._append_status_if_changed()
        return self._drain()

    def on_quote(self, quote: BestQuote, received_ns: int) -> list[Published]:
        """Take the venue's best quote: checks the book, changes nothing of it.

        Raises:
            InvalidNumber: A price or size may not be used.
        """
        try:
            self.kept.listed.levels([(quote.bid, quote.bid_size), (quote.ask, quote.ask_size)])
        except MessageError:
            self.on_missed_quote()
            raise
        self._feed.quote_ns = now = self._clock(received_ns)
        wrong = self.kept.take_quote(quote, now)
        if wrong is not None:
            self._publish_invalid(wrong, now)
        if self._feed.note(LinkEvent.RECEIVED):
            self._append_status_if_changed()
        return self._drain()

    def on_derivative(self, tick: DerivativeTick, received_ns: int, *, is_asked: bool = False) -> list[Published]:
        """Take what the venue told of a derivative: published as it is. Neither the book nor its feed depends on it.

        Args:
            tick: What it told.
            received_ns: When.
            is_asked: Whether it answered a request: that says nothing of a channel that is silent.

        Raises:
            InvalidNumber: One of its numbers may not be used.
        """
        now = max(received_ns, self._feed.derivative_ns, self._asked_ns)
        record = self.kept.records.derivative(tick, now)
        if is_asked:
            self._asked_ns = now
        else:
            self._feed.derivative_ns = now
        self.counters.derivatives += 1
        return [record]

    def expect_derivatives(self) -> None:
        """Take note that what the venue tells of a derivative is subscribed: from here on its silence is told."""
        self._feed.has_derivatives = True

    def on_missed_quote(self) -> None:
        """Take note that an update of the best quotes could not be used: what flowed since is not known."""
        self.kept.flow.miss()
        self.quotes.forget()

    def on_bad_input(self, received_ns: int, detail: str = "") -> list[Published]:
        """Take note that a depth update of this instrument could not be used: a LIVE book has lost it."""
        now = self._clock(received_ns)
        self._feed.note_depth(now)
        self._stop_following()
        self._invalidate(Reason.BAD_INPUT, now, detail)
        return self._drain()

    # -- what the edge has to tell

    def on_connect(self, received_ns: int) -> list[Published]:
        """Note that the connection stands. A snapshot is needed once a delta came: an earlier one could not be bridged.

        Without an `on_disconnect` before it, on a book that is LIVE, the connection was lost unseen.
        """
        now = self._clock(received_ns)
        if self.is_live or self._bridge.receiving:
            self._lose_connection(now)
        self._feed.since_ns = now
        self._feed.note(LinkEvent.OPENED)
        self._append_status_if_changed()
        return self._drain()

    def on_disconnect(self, received_ns: int) -> list[Published]:
        """Note that the connection is lost, and with it everything that waited."""
        self._lose_connection(self._clock(received_ns))
        self._feed.note(LinkEvent.LOST)
        self._append_status_if_changed()
        return self._drain()

    def on_overlap(self, received_ns: int) -> list[Published]:
        """Note that a second connection brings this instrument from now on, and will stay when the first one ends."""
        self._clock(received_ns)
        if self._overlap is None:
            self._overlap = Overlap(self.tracked.sequence)
        else:
            self._overlap.reopen(self.tracked.sequence)
        self.kept.flow.join()
        return []

    def on_overlap_end(self, received_ns: int) -> list[Published]:
        """Note that one of two connections has ended: what only it could have brought before what waits is missing."""
        now = self._clock(received_ns)
        self.kept.flow.part()
        if self._overlap is not None:
            self._overlap.end(now)
            if ahead := self._overlap.take_ahead():
                self._tell_gap(ahead, now)
        return self._drain()

    def on_overload(self, received_ns: int) -> list[Published]:
        """Shed in the open, since the way to the broker is full: invalidate the book and ask for a snapshot."""
        self._invalidate(Reason.OVERLOAD, self._clock(received_ns))
        return self._drain()

    def on_resync_request(self, request: ResyncRequest, received_ns: int, *, outdated: bool) -> list[Published]:
        """Answer a reader who asks for a snapshot, from memory while the book is LIVE, else by the one being fetched.

        Args:
            request: The request. If it names a higher epoch than ours, some other producer was ahead of us: ours is
                lifted above it, whatever else holds.
            received_ns: Our time now.
            outdated: The reader broke at an offset before our last published snapshot or `invalid`: that is the answer.
        """
        now = self._clock(received_ns)
        if request.epoch > self.epoch:
            self.kept.records.epoch = request.epoch
            if self.is_live:
                self.kept.raise_epoch()
                self._answer(now)
        elif outdated:
            self.counters.resyncs_outdated += 1
        elif self.is_live:
            self._answer(now)
        self._append_status_if_changed()
        return self._drain()

    def on_look(self, now_ns: int) -> list[Published]:
        """Say so once where a channel has fallen silent. Live feeds only: a replay has no clock.

        Depth alone decides about the state: a book whose updates stopped is not kept fresh by trades or quotes.
        """
        self._feed.note_time(self._clock(now_ns), self._options.stale_ns)
        self._append_status_if_changed()
        return self._drain()

    def on_heartbeat(self, now_ns: int) -> list[Published]:
        """Say that this feed is alive, and what is wrong with it; as a change where it changed."""
        return self.on_look(now_ns) or [self._status(heartbeat=True)]

    def on_trouble(self, about: str, sentence: str, now_ns: int) -> list[Published]:
        """Take note of what the edge found to be wrong with this feed; an empty sentence says that it is over."""
        self._clock(now_ns)
        if sentence:
            self._feed.troubles[about] = sentence
        else:
            self._feed.troubles.pop(about, None)
        self._append_status_if_changed()
        return self._drain()

    def on_relisting(self, instrument: Instrument, received_ns: int, detail: str = "") -> list[Published]:
        """Take a grid that the venue has changed: the book is INVALID until the next snapshot, on the new grid."""
        now = self._clock(received_ns)
        self._stop_following()
        self._invalidate(Reason.REGRID, now, detail)
        self.instrument = instrument
        self.kept.relist(instrument)
        return self._drain()

    def on_delisting(self, received_ns: int, detail: str = "") -> list[Published]:
        """Say that the venue trades this no longer: its book ends INVALID, also one of an earlier run."""
        now = self._clock(received_ns)
        self.lift_epoch(now // NS_PER_MS)
        self._stop_following()
        if not self.is_live:  # then nobody has to hear in between that there is no book
            self._feed.note(LinkEvent.STOPPED)
        self._publish_invalid(Wrong(Reason.DELISTED, detail), now)
        self._feed.note(LinkEvent.STOPPED)
        self.quotes.finish()
        self._append_status_if_changed(detail)
        return self._drain()

    def lift_epoch(self, epoch: int) -> None:
        """Begin above an epoch that another producer has come to, where no book was published yet."""
        if self.tracked.validity is Validity.AWAITING_SNAPSHOT:
            self.kept.records.epoch = max(self.kept.records.epoch, epoch)

    def on_stop(self, received_ns: int, detail: str = "") -> list[Published]:
        """Say that the producer ends. Readers' books stay what they are and age; a restart raises the epoch."""
        self._clock(received_ns)
        self._feed.note(LinkEvent.STOPPED)
        self.quotes.finish()
        self._append_status_if_changed(detail)
        return self._drain()

    # -- finding the place of an update

    def _follow(self, delta: DepthDelta, placed: Placed, now: int, *, waited: bool = False) -> None:
        last = LastUpdate(self.tracked.sequence, self.kept.records.exchange_ns)
        outcome = self._rule.follow(delta, last)
        if outcome is Continuity.NEXT:
            if delta.last_sequence < last.sequence and not waited:
                self._advance.begin_anew(last.sequence, delta.last_sequence)
            self._apply(delta, placed, now, waited=waited)
            if self._overlap is not None and self._overlap.ahead:
                self._follow_ahead(self._overlap)
        elif outcome is Continuity.DUPLICATE:
            self.counters.duplicates += 1
        elif self._overlap is None or not self._overlaps(self._overlap, delta, now):
            ahead = self._overlap.take_ahead() if self._overlap is not None else []
            self._tell_gap([*ahead, Waiting(delta, now)], now)

    def _tell_gap(self, late: list[Waiting], now: int) -> None:
        """Invalidate the book: something is missing before these, which wait for the next one."""
        self.counters.gaps += 1
        first = late[0].delta
        begins_anew = first.last_sequence <= self.tracked.sequence
        if begins_anew:
            self.kept.forget_quotes()
        detail = f"update {first.first_sequence} to {first.last_sequence} does not follow {self.tracked.sequence}"
        self._invalidate(Reason.GAP, now, detail)
        self._advance.note_all([waiting.delta for waiting in late], begins_anew=begins_anew)
        for delta, received_ns, _ in reversed(late):
            self._bridge.wait_first(delta, received_ns)  # older than whatever still waits

    def _overlaps(self, overlap: Overlap, delta: DepthDelta, now: int) -> bool:
        """Take an update that one of two connections brought before or after the other; False where one is missing."""
        if overlap.is_over(now):
            self._overlap = None
            return False
        if overlap.is_copy(delta, self.tracked.sequence):
            self.counters.duplicates += 1
            return True
        return overlap.hold(delta, now)

    def _follow_ahead(self, overlap: Overlap) -> None:
        """Apply what waited for the update that was just applied."""
        while (self.is_live or self._is_beyond) and overlap.ahead:
            delta, received_ns, _ = overlap.ahead[0]
            outcome = self._rule.follow(delta, LastUpdate(self.tracked.sequence, self.kept.records.exchange_ns))
            is_copy = outcome is Continuity.DUPLICATE or overlap.is_copy(delta, self.tracked.sequence)
            if outcome is Continuity.GAP and not is_copy:
                return
            overlap.ahead.popleft()
            self.counters.duplicates += is_copy
            if not is_copy and not self._apply_waiting(delta, received_ns):
                return

    def _apply_waiting(self, delta: DepthDelta, received_ns: int) -> bool:
        try:
            placed = self.kept.place(delta)
        except MessageError as error:  # read once already, but finer than this book can follow
            self._refuse_waiting(delta, received_ns, error)
            return False
        if self._is_beyond:
            self._take_unpublished(delta, placed, received_ns)
        else:
            self._apply(delta, placed, received_ns)
        return True

    def _is_copy(self, trade: TradeTick, now: int) -> bool:
        """Tell whether the other of two connections brought a trade already."""
        if self._overlap is not None and self._overlap.is_over(now):
            self._overlap = None
        return self._overlap is not None and self._overlap.is_known_trade(trade.trade_id)

    def _join(self) -> bool:
        """Make the book LIVE if a snapshot is held and a waiting delta bridges it; True where that was taken."""
        joined = self._bridge.join()
        if isinstance(joined, NoBridge):
            self.reason = Reason.NO_BRIDGE
            first, sequence = joined.delta.first_sequence, joined.snapshot.sequence
            self._append_status_if_changed(f"update {first} starts too late for snapshot {sequence}")
        elif joined is not None:
            self._go_live(joined)
        return isinstance(joined, Held)

    def _go_live(self, held: Held) -> None:
        self._begin_epoch(held.snapshot, self.kept.place_whole(held.snapshot), held.received_ns)
        bridging = True
        while self._bridge.waiting and (self.is_live or self._is_beyond):
            delta, received_ns, is_in_book = self._bridge.waiting.popleft()
            self.counters.deltas_applied -= is_in_book  # once more, onto another book
            try:
                placed = self.kept.place(delta)
            except MessageError as error:  # read once already, but finer than this book can follow
                self._refuse_waiting(delta, received_ns, error)
                return
            if self._is_beyond:
                self._follow_unpublished(delta, placed, received_ns)
            elif bridging:
                self._apply(delta, placed, received_ns, waited=True)
            else:
                self._follow(delta, placed, received_ns, waited=True)
            bridging = False

    def _refuse_waiting(self, delta: DepthDelta, received_ns: int, error: MessageError) -> None:
        self.counters.deltas_refused += 1
        self.kept.out.append(
            self.kept.records.letter(error, delta.last_sequence, msgspec.json.encode(delta), received_ns)
        )
        self._invalidate(Reason.BAD_INPUT, self.kept.now_ns, str(error))

    def _replace(self, snapshot: DepthSnapshot, placed: Placed, now: int) -> None:
        """Take a book that came in the stream in place of whatever there was."""
        self.advance().jump(snapshot.sequence, is_known=self._overlap is not None)
        if self.is_live:
            self.kept.forget_quotes()  # its ids may have begun anew
        if placed.grid is not self.kept.records.grid:
            self.counters.trades_off_grid += len(self.kept.trades.drain().ticks)
        self._bridge.drop(wanted=None)
        self._begin_epoch(snapshot, placed, now)
        wrong = self.kept.check(snapshot.checksum)
        if wrong is not None:
            self._publish_invalid(wrong, self.kept.received_ns)

    def _begin_epoch(self, snapshot: DepthSnapshot, placed: Placed, received_ns: int) -> None:
        """Publish a snapshot of the venue as the first record of a new epoch."""
        self.reason = None
        self._is_beyond = False
        if snapshot.sequence < self.tracked.sequence:
            self.kept.forget_quotes()  # its ids have begun anew
        self.kept.begin_epoch(snapshot, placed, received_ns)
        self._beside.widened(self.tracked, received_ns)
        self._append_status_if_changed()

    # -- publishing

    def _apply(self, delta: DepthDelta, placed: Placed, received_ns: int, *, waited: bool = False) -> None:
        if placed.grid is not self.kept.grid:
            self.kept.move_to(placed.grid, received_ns)
            price, size = placed.grid.price.step, placed.grid.size.step
            self._append_status_if_changed(f"now in ticks of {price} and lots of {size}")
        wrong = self.kept.apply(delta, placed, received_ns, waited=waited)
        if wrong is None and self._beside.is_asked:
            self._beside.keep(delta, received_ns)
            self._compare_held(self.kept.received_ns)
        self._note_applied(wrong)

    def _note_applied(self, wrong: Wrong | None) -> None:
        """Say what the update that was just published shows to be wrong; else look whether a snapshot is due."""
        if wrong is not None:
            self._publish_invalid(wrong, self.kept.received_ns)
        elif self.is_live and self.kept.is_routine_due:
            self._publish_from_memory(self.kept.received_ns)

    def _publish_from_memory(self, now: int) -> None:
        wrong = self.kept.publish_from_memory(now)
        if wrong is not None:
            self._publish_invalid(wrong, now)

    # -- beyond what is known

    def _follow_unpublished(self, delta: DepthDelta, placed: Placed, now: int) -> bool:
        """Apply an update to a book that nobody may believe, where it follows; True where the book has it then."""
        outcome = self._rule.follow(delta, LastUpdate(self.tracked.sequence, self.kept.records.exchange_ns))
        if outcome is Continuity.NEXT:
            self._take_unpublished(delta, placed, now)
            if self._overlap is not None and self._overlap.ahead:
                self._follow_ahead(self._overlap)
            return True
        if outcome is Continuity.DUPLICATE:
            self.counters.duplicates += 1
            return True
        if self._overlap is not None and self._overlaps(self._overlap, delta, now):
            return delta.last_sequence <= self.tracked.sequence
        self.counters.gaps += 1
        self._bridge.wanted = self.reason = Reason.GAP
        self._stop_following()
        return False

    def _take_unpublished(self, delta: DepthDelta, placed: Placed, now: int) -> None:
        """Apply the next update; from memory the book is published again once its best prices are known."""
        if placed.grid is not self.kept.grid:
            self._stop_following()
        elif self.kept.follow(delta, placed, now):
            self._bridge.release(self.tracked.sequence)
            self._is_beyond, self.reason = False, None
            self.quotes.begin()
            if self.epoch != self.tracked.epoch:  # lifted meanwhile, for a reader that was ahead
                self.kept.raise_epoch()
            self._publish_from_memory(self.kept.received_ns)

    def _stop_following(self) -> None:
        if self._is_beyond:
            self._is_beyond = False
            self.kept.records.grid = self.kept.listed

    # -- a book beside a LIVE one

    def _compare(self, snapshot: DepthSnapshot, now: int) -> None:
        """Take a book that came beside the LIVE one."""
        if not self._beside.is_asked:
            self.counters.snapshots_discarded += 1
            return
        self._beside.hold(snapshot, now)
        self._compare_held(now)

    def _compare_held(self, now: int) -> None:
        """Compare the LIVE book with one beside it once that has come as far, and take over what it knows more."""
        joined = self._beside.join()
        if joined is None:
            return
        if isinstance(joined, NoBridge):
            self.counters.snapshots_discarded += 1
            return
        beside = self.kept.place_beside(joined)
        if beside is None:
            self.counters.snapshots_discarded += 1
            return
        found = compare_books(self.tracked.book, self.tracked.known, *beside)
        self.counters.comparisons += 1
        self.counters.levels_compared += found.levels
        self.counters.levels_wrong += found.wrong
        if found.wrong:
            detail = f"{found.wrong} of {found.levels} levels differ from the venue's own book"
            self._publish_invalid(Wrong(Reason.SNAPSHOT_MISMATCH, detail), now)
            return
        self.kept.publish_widened(*beside, now)
        self._beside.widened(self.tracked, now)
        self.kept.out.append(self._status(detail=f"{found.levels} levels agree with the venue's own book"))

    def _answer(self, now: int) -> None:
        self.counters.resyncs_answered += 1
        self._publish_from_memory(now)

    def _invalidate(self, reason: Reason, now: int, detail: str = "") -> None:
        if self.is_live:
            self._publish_invalid(Wrong(reason, detail), now)

    def _publish_invalid(self, wrong: Wrong, now: int) -> None:
        """Publish that the book may not be believed. One whose best price is not known is followed all the same."""
        self.advance()  # while the book's number still says it
        self.kept.publish_invalid(wrong.reason, now)
        self._beside.end()
        self._is_beyond = wrong.reason is Reason.BEYOND_SNAPSHOT
        if not self._is_beyond:
            self.kept.records.grid = self.kept.listed
        self._bridge.wanted = self.reason = wrong.reason
        self._append_status_if_changed(wrong.detail)

    def _append_status_if_changed(self, detail: str = "") -> None:
        if self._feed.is_news(self.tracked.validity, self.reason, self.epoch):
            self.kept.out.append(self._status(detail=detail))

    def _status(self, *, heartbeat: bool = False, detail: str = "") -> FeedStatus:
        sequence, now = self.tracked.sequence, self.kept.now_ns
        detail = "; ".join(filter(None, (detail, self._feed.detail(now))))
        return self.kept.records.status(self.state, self.reason, sequence, now, heartbeat=heartbeat, detail=detail)

    def _drain(self) -> list[Published]:
        out, self.kept.out = self.kept.out, []
        return out

    # -- small state

    def _clock(self, received_ns: int) -> int:
        self.kept.now_ns = max(self.kept.now_ns, received_ns)
        return self.kept.now_ns

    def _lose_connection(self, now: int) -> None:
        self._invalidate(Reason.DISCONNECT, now)
        self._bridge.drop(wanted=Reason.DISCONNECT)
        self._bridge.receiving = False
        self._stop_following()
        self.kept.flow.forget()
        self._overlap = None
        self.reason = Reason.DISCONNECT
        self.quotes.forget()
