"""One instrument's producer side: messages in, records to publish out. No clock, no socket; times are parameters.

`InstrumentStream` serves the live feed, the replay into Kafka and the replay in memory alike. It keeps the book with
the readers' own code (`orderbook.validity`), so that what it publishes is what they will believe.

    frames ─ adapter ─▶ on_delta, on_snapshot, on_trade, on_quote ─▶ [L2Record | TradeRecord | FeedStatus, …]
    edge   ───────────▶ on_connect, on_disconnect, on_resync_request, on_heartbeat, on_overload, on_stop
    edge   ◀─────────── needs_snapshot: come by one, hand it to on_snapshot; until then deltas wait here

Every input either is taken whole, or raises a `MessageError` and changes nothing.

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

import msgspec

from orderbook.book import Book
from orderbook.decimals import Placed, Scale, SideLevels, TextGrid, plain, require_headroom
from orderbook.known import Known, compare_books, covering, widened
from orderbook.validity import Outcome, TrackedBook, Validity
from producers.books.beside import BookBeside, Joined
from producers.books.bridge import Bridge, Held, NoBridge, Waiting
from producers.books.feed_state import FeedTracker, LinkEvent
from producers.books.handover import Overlap
from producers.books.options import StreamCounters, StreamOptions
from producers.books.quote_flow import NOT_KNOWN, QuoteFolder
from producers.books.quotes import CONTRADICTIONS, BestLevels, QuoteCheck
from producers.books.records import MAX_LEVELS, NO_LEVELS, RecordWriter
from producers.books.trades import PendingTrades
from producers.contract import Channel, Checksum
from producers.messages import BestQuote, DepthDelta, DepthSnapshot, Instrument, SnapshotOrigin, TradeTick
from producers.sequencing import Continuity, LastUpdate, SequenceRule
from schemas.bounds import MAX_TRADES
from schemas.errors import FrameTooLarge, MessageError
from schemas.messages import DeadLetter, FeedState, FeedStatus, Kind, L2Record, Reason, ResyncRequest, TradeRecord
from schemas.units import NS_PER_MS

MAX_PENDING_TRADES = MAX_TRADES
"""Trades waiting for the next delta. More than that means that depth stopped while trading goes on: an overload."""

Published = L2Record | TradeRecord | FeedStatus | DeadLetter
"""What a stream gives to publish, in order."""


class InstrumentStream:
    """The state of one instrument at its producer.

    Args:
        instrument: The instrument, with the venue's listed grid.
        rule: How the venue's updates connect.
        options: How to behave.
        checksum: How the venue's checksums are made; None where it sends none.

    Attributes:
        instrument: The instrument.
        counters: What happened so far.
        quotes: The check against the venue's best quotes.
        tracked: The book and its validity, as every reader sees it.
        reason: Why the book is not LIVE, the newest reason; None where it is, or where nothing went wrong yet.
    """

    def __init__(
        self,
        instrument: Instrument,
        rule: SequenceRule,
        options: StreamOptions | None = None,
        checksum: Checksum | None = None,
    ) -> None:
        self.instrument = instrument
        self.counters = StreamCounters()
        self.quotes = QuoteCheck()
        self.tracked = TrackedBook()
        self.reason: Reason | None = None
        self._rule = rule
        self._options = options or StreamOptions()
        self._checksum = checksum
        self._listed = TextGrid.of(instrument.tick_size, instrument.lot_size)
        self._records = RecordWriter(instrument, self._options.source, self._listed, run=self._options.run)
        self._feed = FeedTracker()
        self._bridge = Bridge(rule, self._options.delta_buffer, self.counters)
        self._trades = PendingTrades(self.counters)
        self._quote_flow = QuoteFolder(self._options.stale_ns)
        self._beside = BookBeside(rule, self._options.known_bps)
        self._is_beyond = False  # INVALID since a best price is not known, and followed all the same
        self._overlap: Overlap | None = None
        self._out: list[Published] = []  # of the input at hand
        self._now_ns = 0  # newest received_ns of any input
        self._snapshot_ns = 0  # received_ns of the last published snapshot

    # -- what the edge may ask

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
        return self._records.epoch

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
        placed = self._placed(delta)
        now = self._clock(received_ns)
        changed = self._feed.note_depth(now)
        self._bridge.receiving = True
        if self.is_live:
            self._follow(delta, placed, now)
        else:
            changed = True
            self._quote_flow.skip()
            self._bridge.wait(delta, now)
            self._join()
            if self._is_beyond:
                self._follow_unpublished(delta, placed, now)
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
        placed = self._placed_whole(snapshot)
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
        placed = self._listed.place(levels)
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
            self._trades.add(levels, sign, self._records.grid)
        self.counters.trades += 1
        self._out.append(self._records.trade(trade, placed, now))
        if len(self._trades.ticks) > MAX_PENDING_TRADES:
            self._invalidate(Reason.OVERLOAD, now)
        if changed:
            self._append_status_if_changed()
        return self._drain()

    def on_quote(self, quote: BestQuote, received_ns: int) -> list[Published]:
        """Take the venue's best quote: checks the book, changes nothing of it.

        Raises:
            InvalidNumber: A price or size may not be used.
        """
        self._listed.levels([(quote.bid, quote.bid_size), (quote.ask, quote.ask_size)])  # refuses what is no number
        self._feed.quote_ns = now = self._clock(received_ns)
        self.quotes.on_quote(quote, now)
        self._quote_flow.add(quote, now)
        self._look_at_contradictions(now)
        if self._feed.note(LinkEvent.RECEIVED):
            self._append_status_if_changed()
        return self._drain()

    def on_bad_input(self, received_ns: int, detail: str = "") -> list[Published]:
        """Take note that a depth update of this instrument could not be used: a LIVE book has lost it."""
        now = self._clock(received_ns)
        self._feed.note_depth(now)
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
        self._quote_flow.join()
        return []

    def on_overlap_end(self, received_ns: int) -> list[Published]:
        """Note that one of two connections has ended: what only it could have brought before what waits is missing."""
        now = self._clock(received_ns)
        self._quote_flow.part()
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
            self._records.epoch = request.epoch
            if self.is_live:
                self._raise_epoch()
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

    def on_stop(self, received_ns: int, detail: str = "") -> list[Published]:
        """Say that the producer ends. Readers' books stay what they are and age; a restart raises the epoch."""
        self._clock(received_ns)
        self._feed.note(LinkEvent.STOPPED)
        self.quotes.finish()
        self._append_status_if_changed(detail)
        return self._drain()

    # -- onto the grid

    def _placed(self, delta: DepthDelta) -> Placed:
        """Place levels on the book's grid, or on a finer one it has to move to; refuse them before anything changes."""
        _require_levels(len(delta.bids) + len(delta.asks), "a message")
        placed = self._records.grid.place(delta.bids, delta.asks)
        if placed.grid is not self._records.grid:
            book = self._scaled_book(self._records.grid.scale_to(placed.grid)) if self.is_live else ()
            require_headroom(self._records.grid, placed.grid, placed.bids, placed.asks, *book)
        return placed

    def _placed_whole(self, snapshot: DepthSnapshot) -> Placed:
        """Place the levels of a whole book, which begins on the listed grid."""
        _require_levels(len(snapshot.bids) + len(snapshot.asks), "a message")
        placed = self._listed.place(snapshot.bids, snapshot.asks)
        if placed.grid is not self._listed:
            require_headroom(self._listed, placed.grid, placed.bids, placed.asks)
        return placed

    def _scaled_book(self, scale: Scale) -> tuple[SideLevels, SideLevels]:
        _require_levels(self._book_levels, "a book")  # it is about to be published as a snapshot
        bid_ticks, bid_lots, ask_ticks, ask_lots = self.tracked.book.arrays()
        return scale.levels(SideLevels(bid_ticks, bid_lots)), scale.levels(SideLevels(ask_ticks, ask_lots))

    def _move_to(self, grid: TextGrid, now: int) -> None:
        """Regrid a LIVE book: a new epoch, and a snapshot from memory in the finer steps."""
        scale = self._records.grid.scale_to(grid)
        bids, asks = self._scaled_book(scale)
        self._trades.scale(scale)
        self._records.grid, self._records.known = grid, self._records.known.scaled(scale.ticks)
        self.counters.regrids += 1
        self._raise_epoch()
        self._publish_snapshot(bids, asks, self.tracked.sequence, now)
        self._append_status_if_changed(f"now in ticks of {grid.price.step} and lots of {grid.size.step}")

    # -- finding the place of an update

    def _follow(self, delta: DepthDelta, placed: Placed, now: int, *, waited: bool = False) -> None:
        last = LastUpdate(self.tracked.sequence, self._records.exchange_ns)
        outcome = self._rule.follow(delta, last)
        if outcome is Continuity.NEXT:
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
        detail = f"update {first.first_sequence} to {first.last_sequence} does not follow {self.tracked.sequence}"
        self._invalidate(Reason.GAP, now, detail)
        for delta, received_ns in reversed(late):
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
        while self.is_live and overlap.ahead:
            delta, received_ns = overlap.ahead[0]
            outcome = self._rule.follow(delta, LastUpdate(self.tracked.sequence, self._records.exchange_ns))
            is_copy = outcome is Continuity.DUPLICATE or overlap.is_copy(delta, self.tracked.sequence)
            if outcome is Continuity.GAP and not is_copy:
                return
            overlap.ahead.popleft()
            self.counters.duplicates += is_copy
            if not is_copy and not self._apply_waiting(delta, received_ns):
                return

    def _apply_waiting(self, delta: DepthDelta, received_ns: int) -> bool:
        try:
            placed = self._placed(delta)
        except MessageError as error:  # read once already, but finer than this book can follow
            self._refuse_waiting(delta, received_ns, error)
            return False
        self._apply(delta, placed, received_ns)
        return True

    def _is_copy(self, trade: TradeTick, now: int) -> bool:
        """Tell whether the other of two connections brought a trade already."""
        if self._overlap is not None and self._overlap.is_over(now):
            self._overlap = None
        return self._overlap is not None and self._overlap.is_known_trade(trade.trade_id)

    def _join(self) -> None:
        """Make the book LIVE if a snapshot is held and a waiting delta bridges it."""
        joined = self._bridge.join()
        if isinstance(joined, NoBridge):
            self.reason = Reason.NO_BRIDGE
            first, sequence = joined.delta.first_sequence, joined.snapshot.sequence
            self._append_status_if_changed(f"update {first} starts too late for snapshot {sequence}")
        elif joined is not None:
            self._go_live(joined)

    def _go_live(self, held: Held) -> None:
        counted, self._bridge.is_spare = self._bridge.is_spare, False
        if counted:  # once more, onto another book
            self.counters.deltas_applied -= len(self._bridge.waiting)
        self._begin_epoch(held.snapshot, self._placed_whole(held.snapshot), held.received_ns)
        bridging = True
        while self._bridge.waiting and self.is_live:
            delta, received_ns = self._bridge.waiting.popleft()
            try:
                placed = self._placed(delta)
            except MessageError as error:  # read once already, but finer than this book can follow
                self._refuse_waiting(delta, received_ns, error)
                return
            if bridging:
                self._apply(delta, placed, received_ns, waited=True)
            else:
                self._follow(delta, placed, received_ns, waited=True)
            bridging = False

    def _refuse_waiting(self, delta: DepthDelta, received_ns: int, error: MessageError) -> None:
        self.counters.deltas_refused += 1
        self._out.append(self._records.letter(error, delta.last_sequence, msgspec.json.encode(delta), received_ns))
        self._invalidate(Reason.BAD_INPUT, self._now_ns, str(error))

    def _replace(self, snapshot: DepthSnapshot, placed: Placed, now: int) -> None:
        """Take a book that came in the stream in place of whatever there was."""
        if self.is_live:
            self.quotes.forget()  # its ids may have begun anew
        if placed.grid is not self._records.grid:
            self.counters.trades_off_grid += len(self._trades.drain().ticks)
        self._bridge.drop(wanted=None)
        self._begin_epoch(snapshot, placed, now)
        self._check(snapshot.checksum)

    def _begin_epoch(self, snapshot: DepthSnapshot, placed: Placed, received_ns: int) -> None:
        """Publish a snapshot of the venue as the first record of a new epoch."""
        self.reason, self._records.grid, self._records.exchange_ns = None, placed.grid, snapshot.exchange_ns
        self._records.known = covering(snapshot.coverage, placed.bids.ticks, placed.asks.ticks)
        self._is_beyond = self._bridge.is_spare = False
        self.counters.snapshots += 1
        self.quotes.begin()
        self._raise_epoch()
        self._publish_snapshot(placed.bids, placed.asks, snapshot.sequence, received_ns)
        self._beside.widened(self.tracked, received_ns)
        self._append_status_if_changed()

    # -- publishing

    def _apply(self, delta: DepthDelta, placed: Placed, received_ns: int, *, waited: bool = False) -> None:
        if placed.grid is not self._records.grid:
            self._move_to(placed.grid, received_ns)
        self._records.exchange_ns = delta.exchange_ns
        record = self._records.l2(
            Kind.DELTA,
            delta.last_sequence,
            received_ns,
            bids=placed.bids,
            asks=placed.asks,
            previous_sequence=self.tracked.sequence,
            trades=self._trades.drain() if self._trades.ticks else NO_LEVELS,
            quotes=NOT_KNOWN if waited else self._quote_flow.take(self._records.grid, self._now_ns),
        )
        outcome = self.tracked.apply(record)
        self._out.append(record)
        self.counters.deltas_applied += 1
        crossed_out = outcome is Outcome.CROSSED_OUT
        self.counters.crossed += crossed_out or self.tracked.crossed_since_ns is not None
        if crossed_out:
            self._publish_invalid(Reason.CROSSED, record.received_ns, "the best bid stayed above the best ask")
            return
        if outcome is Outcome.WENT_BEYOND:
            self._look_at_quotes(record, is_believed=False)
            self._go_beyond(record.received_ns)
            return
        if not self._check(delta.checksum):
            return
        self._look_at_quotes(record, is_believed=True)
        if self._look_at_contradictions(record.received_ns):
            return
        if self._beside.is_asked:
            self._beside.keep(delta, received_ns)
            self._compare_held(record.received_ns)
        if record.received_ns - self._snapshot_ns >= self._options.routine_snapshot_ns:
            self._publish_from_memory(record.received_ns)

    def _look_at_quotes(self, record: L2Record, *, is_believed: bool) -> None:
        top = _best_levels(self.tracked.book)
        self.quotes.on_book(record.sequence, top, self._records.grid, record.received_ns, is_believed=is_believed)

    def _look_at_contradictions(self, now: int) -> bool:
        """Invalidate a book that the venue's own quotes have contradicted too often; True where they have."""
        if not self.is_live or not self.quotes.is_contradicted:
            return False
        self.counters.contradicted += 1
        detail = f"the venue's best quotes contradict the book {CONTRADICTIONS} times in a row"
        self._publish_invalid(Reason.QUOTE_MISMATCH, now, detail)
        return True

    # -- beyond what is known

    def _go_beyond(self, now: int) -> None:
        """Invalidate a book whose best price is not known, and go on following its updates."""
        self.counters.went_beyond += 1
        self._is_beyond = self._bridge.is_spare = True
        self._publish_invalid(Reason.BEYOND_SNAPSHOT, now, "its best price lies beyond what its snapshot knew")

    def _follow_unpublished(self, delta: DepthDelta, placed: Placed, now: int) -> None:
        """Apply an update to a book that nobody may believe; from memory, once its best prices are known again."""
        outcome = self._rule.follow(delta, LastUpdate(self.tracked.sequence, self._records.exchange_ns))
        if outcome is Continuity.DUPLICATE:
            self.counters.duplicates += 1
            return
        if outcome is Continuity.GAP or placed.grid is not self._records.grid:
            if outcome is Continuity.GAP:
                self.counters.gaps += 1
                self._bridge.wanted = self.reason = Reason.GAP
            self._stop_following()
            return
        self._records.exchange_ns = delta.exchange_ns
        record = self._records.l2(Kind.DELTA, delta.last_sequence, now, bids=placed.bids, asks=placed.asks)
        is_back = self.tracked.follow(record)
        self.counters.deltas_applied += 1
        self._look_at_quotes(record, is_believed=False)
        if is_back and not self.tracked.book.is_crossed:
            self._bridge.drop(wanted=None)
            self._is_beyond, self.reason = False, None
            self._bridge.is_spare = False
            self.quotes.begin()
            self._publish_from_memory(record.received_ns)

    def _stop_following(self) -> None:
        self._is_beyond = self._bridge.is_spare = False
        self._records.grid = self._listed

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
        beside = self._book_beside(joined)
        if beside is None:
            self.counters.snapshots_discarded += 1
            return
        found = compare_books(self.tracked.book, self.tracked.known, *beside)
        self.counters.comparisons += 1
        self.counters.levels_compared += found.levels
        self.counters.levels_wrong += found.wrong
        if found.wrong:
            detail = f"{found.wrong} of {found.levels} levels differ from the venue's own book"
            self._publish_invalid(Reason.SNAPSHOT_MISMATCH, now, detail)
            return
        self._publish_widened(*beside, now)

    def _book_beside(self, joined: Joined) -> tuple[Book, Known] | None:
        """Bring the fetched book to where the LIVE one stands; None where it does not lie on the same grid."""
        book, grid = Book(), self._records.grid
        try:
            whole = self._listed.place(joined.snapshot.bids, joined.snapshot.asks)
            if whole.grid is not grid:
                whole = grid.place(joined.snapshot.bids, joined.snapshot.asks)
            changes = [grid.place(delta.bids, delta.asks) for delta, _ in joined.deltas]
        except MessageError:
            return None
        if any(placed.grid is not grid for placed in (whole, *changes)):
            return None
        book.replace(whole.bids.ticks, whole.bids.lots, whole.asks.ticks, whole.asks.lots)
        known = covering(joined.snapshot.coverage, whole.bids.ticks, whole.asks.ticks)
        for placed in changes:
            book.update(placed.bids.ticks, placed.bids.lots, placed.asks.ticks, placed.asks.lots)
        return book, known

    def _publish_widened(self, beside: Book, theirs: Known, now: int) -> None:
        """Publish a routine snapshot that knows what either of the two books knows."""
        sides = widened(self.tracked.book, self.tracked.known, beside, theirs)
        self._records.known = sides.known
        bids, asks = (SideLevels([tick for tick, _ in side], [lots for _, lots in side]) for side in sides.levels)
        self._publish_snapshot(bids, asks, self.tracked.sequence, now)
        self._beside.widened(self.tracked, now)

    def _check(self, claimed: int | None) -> bool:
        """Compare the book with the venue's checksum; one that differs has lost something without a gap."""
        if claimed is None or self._checksum is None or self.tracked.grid is None:
            return True
        grid, book, most = self.tracked.grid, self.tracked.book, self._checksum.levels
        bids, asks = (
            [(plain(grid.price_text(ticks)), plain(grid.size_text(lots))) for ticks, lots in side]
            for side in (book.top_bids(most), book.top_asks(most))
        )
        if self._checksum.of(bids, asks) == claimed:
            self.counters.checksums_ok += 1
            return True
        self.counters.checksums_bad += 1
        self._publish_invalid(Reason.CHECKSUM, self._records.received_ns, f"the venue's checksum is {claimed}")
        return False

    def _answer(self, now: int) -> None:
        self.counters.resyncs_answered += 1
        self._publish_from_memory(now)

    @property
    def _book_levels(self) -> int:
        return self.tracked.book.bid_levels + self.tracked.book.ask_levels

    def _publish_from_memory(self, received_ns: int) -> None:
        if self._book_levels > MAX_LEVELS:  # far levels that nobody removes: the venue's own snapshot is shorter
            detail = f"a book of {self._book_levels} levels; a snapshot holds {MAX_LEVELS}"
            self._invalidate(Reason.OVERLOAD, received_ns, detail)
            return
        bid_ticks, bid_lots, ask_ticks, ask_lots = self.tracked.book.arrays()
        bids, asks = SideLevels(bid_ticks, bid_lots), SideLevels(ask_ticks, ask_lots)
        self._publish_snapshot(bids, asks, self.tracked.sequence, received_ns)

    def _publish_snapshot(self, bids: SideLevels, asks: SideLevels, sequence: int, received_ns: int) -> None:
        record = self._records.l2(Kind.SNAPSHOT, sequence, received_ns, bids=bids, asks=asks)
        self.tracked.apply(record)
        self._snapshot_ns = record.received_ns
        self._out.append(record)

    def _invalidate(self, reason: Reason, now: int, detail: str = "") -> None:
        if self.is_live:
            self._publish_invalid(reason, now, detail)

    def _publish_invalid(self, reason: Reason, now: int, detail: str) -> None:
        record = self._records.l2(Kind.INVALID, self.tracked.sequence, now, reason=reason)
        self.tracked.apply(record)
        self._out.append(record)
        self._trades.drain()
        self._beside.end()
        if not self._is_beyond:
            self._records.grid = self._listed
        self._bridge.wanted = self.reason = reason
        self._append_status_if_changed(detail)

    def _append_status_if_changed(self, detail: str = "") -> None:
        if self._feed.is_news(self.tracked.validity, self.reason, self.epoch):
            self._out.append(self._status(detail=detail))

    def _status(self, *, heartbeat: bool = False, detail: str = "") -> FeedStatus:
        sequence, now = self.tracked.sequence, self._now_ns
        detail = "; ".join(filter(None, (detail, self._feed.detail(now))))
        return self._records.status(self.state, self.reason, sequence, now, heartbeat=heartbeat, detail=detail)

    def _drain(self) -> list[Published]:
        out, self._out = self._out, []
        return out

    # -- small state

    def _clock(self, received_ns: int) -> int:
        self._now_ns = max(self._now_ns, received_ns)
        return self._now_ns

    def _lose_connection(self, now: int) -> None:
        self._invalidate(Reason.DISCONNECT, now)
        self._bridge.drop(wanted=Reason.DISCONNECT)
        self._bridge.receiving = False
        self._stop_following()
        self._quote_flow.forget()
        self._overlap = None
        self.reason = Reason.DISCONNECT
        self.quotes.forget()

    def _raise_epoch(self) -> None:
        floor = self._options.epoch_floor
        self._records.epoch = max(self.epoch + 1, self._now_ns // NS_PER_MS if floor is None else floor)


def _require_levels(levels: int, what: str) -> None:
    if levels > MAX_LEVELS:
        raise FrameTooLarge(f"{what} of {levels} levels; a record holds {MAX_LEVELS}")


def _best_levels(book: Book) -> BestLevels:
    bids, asks = book.bids, book.asks
    bid, ask = bids.prices[-1] if bids.prices else None, asks.prices[0] if asks.prices else None
    return BestLevels(bid, None if bid is None else bids.lots[bid], ask, None if ask is None else asks.lots[ask])
