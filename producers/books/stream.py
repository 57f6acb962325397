"""One instrument's producer side: messages in, records to publish out. No clock, no socket; times are parameters.

`InstrumentStream` serves the live feed, the replay into Kafka and the replay in memory alike. It keeps the book with
the readers' own code (`orderbook.validity`), so that what it publishes is what they will believe.

    frames ─ adapter ─▶ on_delta, on_snapshot, on_trade, on_quote ─▶ [L2Record | TradeRecord | FeedStatus, …]
    edge   ───────────▶ on_connect, on_disconnect, on_resync_request, on_heartbeat, on_overload, on_stop
    edge   ◀─────────── needs_snapshot: fetch one, hand it to on_snapshot; until then deltas wait here

Every input either is taken whole, or raises a `MessageError` and changes nothing.

What holds, whatever comes in:
- A REST snapshot is held until a delta bridges it; one that no delta can bridge any more is discarded (`no_bridge`).
- After `invalid` nothing of the book is published until the next snapshot; deltas wait in a bounded buffer.
- `received_ns` never falls: deltas that waited for a snapshot are lifted to its time, since only then are they known.
- No record is larger than the broker takes: a message with more levels is refused like any other bad input, and a book
  that outgrew a snapshot is fetched afresh.
- Trades go to `trades.v1` always, and with the next delta where the book is LIVE; a snapshot neither carries nor
  consumes them, an `invalid` drops the pending ones from the book's side.
- Restart, refetch and regrid raise the epoch; snapshots from memory keep it.
- A fetched snapshot returns to the venue's listed grid. Levels alone move a book to a finer one, and only as long as
  `HEADROOM` is left above them. A trade that does not lie on it is in `trades.v1` alone, exact on a grid of its own.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import NamedTuple

import msgspec

from orderbook.book import Book, BookSide
from orderbook.decimals import Levels, Placed, Scale, SideLevels, TextGrid, require_headroom
from orderbook.validity import Outcome as Applied
from orderbook.validity import TrackedBook, Validity
from producers.books.options import SECOND_NS, StreamCounters, StreamOptions
from producers.books.quotes import QuoteCheck, Top
from producers.books.records import MAX_LEVELS, NO_LEVELS, BookLevels, Links, RecordWriter, Times
from producers.messages import BestQuote, DepthDelta, DepthSnapshot, Instrument, TradeTick
from producers.sequencing import Alignment, Outcome, Position, SequenceRule
from schemas.errors import FrameTooLarge, InvalidNumber, MessageError
from schemas.messages import DeadLetter, FeedState, FeedStatus, Kind, L2Record, Reason, ResyncRequest, TradeRecord

MAX_PENDING_TRADES = 10_000
"""Trades waiting for the next delta. More than that means that depth stopped while trading goes on: an overload."""

Published = L2Record | TradeRecord | FeedStatus | DeadLetter
"""What a stream gives to publish, in order."""


class _Waiting(NamedTuple):
    delta: DepthDelta
    received_ns: int


class _Held(NamedTuple):
    snapshot: DepthSnapshot
    received_ns: int


class InstrumentStream:
    """The state of one instrument at its producer.

    Attributes:
        instrument: The instrument, with the venue's listed grid.
        counters: What happened so far.
        quotes: The check against the venue's best quotes.
        tracked: The book and its validity, as every reader sees it.
        epoch: The current epoch; 0 before the first snapshot.
        reason: Why the book is not LIVE, the newest reason; None where it is, or where nothing went wrong yet.
    """

    def __init__(self, instrument: Instrument, rule: SequenceRule, options: StreamOptions | None = None) -> None:
        self.instrument = instrument
        self.counters = StreamCounters()
        self.quotes = QuoteCheck()
        self.tracked = TrackedBook()
        self.epoch = 0
        self.reason: Reason | None = None
        self._rule = rule
        self._options = options or StreamOptions()
        self._records = RecordWriter(instrument, self._options.source)
        self._listed = TextGrid.of(instrument.tick_size, instrument.lot_size)
        self._grid = self._listed  # of the book: finer while a level of a LIVE one asks for it
        self._now_ns = 0  # newest received_ns of any input
        self._published_ns = 0  # received_ns of the last L2 record
        self._snapshot_ns = 0  # received_ns of the last published snapshot
        self._exchange_ns: int | None = None  # venue's time of the last applied update
        self._waiting: deque[_Waiting] = deque()
        self._held: _Held | None = None
        self._wanted: Reason | None = Reason.RESTART  # why a snapshot is to be fetched; None: not, or already held
        self._receiving = False  # whether a delta came on this connection: only then can a snapshot be bridged
        self._connecting = True  # no connection stood yet, and nothing was heard
        self._disconnected = False
        self._stopped = False
        self._depth_ns = 0  # received_ns of the last depth update: trades and quotes do not keep a book fresh
        self._stale = False
        self._trade_ticks: list[int] = []
        self._trade_lots: list[int] = []
        self._told: tuple[FeedState, Reason | None, int] | None = None

    # -- what the edge may ask

    @property
    def book(self) -> Book:
        """The levels. To be believed only while `is_live`."""
        return self.tracked.book

    @property
    def is_live(self) -> bool:
        """Whether the book is LIVE."""
        return self.tracked.is_live

    @property
    def needs_snapshot(self) -> Reason | None:
        """Why a REST snapshot has to be fetched, or None. It stays until `on_snapshot` has taken one."""
        return self._wanted if self._receiving else None

    @property
    def waiting(self) -> int:
        """Deltas that wait for a snapshot."""
        return len(self._waiting)

    @property
    def state(self) -> FeedState:
        """What the feed is now."""
        if self._stopped:
            return FeedState.STOPPED
        if self._disconnected:
            return FeedState.DISCONNECTED
        if self._connecting:
            return FeedState.CONNECTING
        if self.tracked.is_live:
            return FeedState.STALE if self._stale else FeedState.LIVE
        return FeedState.INVALID if self.tracked.validity is Validity.INVALID else FeedState.AWAITING_SNAPSHOT

    def copy(self) -> InstrumentStream:
        """The same stream, independent from here on; costs a copy of the book's levels."""
        twin = copy(self)
        twin.counters, twin.quotes = copy(self.counters), self.quotes.copy()
        twin.tracked = _copied(self.tracked)
        twin._waiting = self._waiting.copy()
        twin._trade_ticks, twin._trade_lots = self._trade_ticks[:], self._trade_lots[:]
        return twin

    # -- messages of the venue

    def on_delta(self, delta: DepthDelta, received_ns: int) -> list[Published]:
        """Take a change of the book.

        Raises:
            InvalidNumber: A price or size may not be used. The caller says `on_bad_input`: an update is lost.
            FrameTooLarge: It has more levels than a record may carry; as above.
        """
        placed = self._placed(delta)
        now = self._hear_depth(received_ns)
        out: list[Published] = []
        self._receiving = True
        if not self.tracked.is_live:
            self._wait(delta, now)
            self._bridge(out)
        else:
            self._follow(delta, placed, now, out)
        self._tell(out)
        return out

    def on_snapshot(self, snapshot: DepthSnapshot, received_ns: int) -> list[Published]:
        """Take a REST snapshot. It is held until a delta bridges it; on a LIVE book it is not needed and discarded.

        Raises:
            InvalidNumber: A price or size may not be used.
            FrameTooLarge: It has more levels than a record may carry.
        """
        self._placed(snapshot)
        now = self._clock(received_ns)  # an answer over REST says nothing of the stream
        self._connecting = False
        out: list[Published] = []
        if self.tracked.is_live or (self._held and snapshot.sequence < self._held.snapshot.sequence):
            self.counters.snapshots_discarded += 1
        else:
            self.counters.snapshots_discarded += self._held is not None
            self._held, self._wanted = _Held(snapshot, now), None
            self._bridge(out)
        self._tell(out)
        return out

    def on_trade(self, trade: TradeTick, received_ns: int) -> list[Published]:
        """Take a trade: published at once, and part of the next delta where the book is LIVE and its grid holds it.

        Raises:
            InvalidNumber: Its price or size may not be used.
        """
        levels, sign = [(trade.price, trade.size)], 1 if trade.buyer_is_aggressor else -1
        placed = self._listed.place(levels)
        now = self._hear(received_ns)
        out: list[Published] = []
        if self.tracked.is_live:
            self._add_trade(levels, sign)
        self.counters.trades += 1
        ticks, lots, times = placed.bids.ticks[0], sign * placed.bids.lots[0], Times(trade.exchange_ns, now)
        out.append(self._records.trade(trade.trade_id, ticks, lots, times, placed.grid))
        if len(self._trade_ticks) > MAX_PENDING_TRADES:
            self._invalidate(Reason.OVERLOAD, now, out)
        self._tell(out)
        return out

    def on_quote(self, quote: BestQuote, received_ns: int) -> list[Published]:
        """Take the venue's best quote: checks the book, changes nothing of it.

        Raises:
            InvalidNumber: A price or size may not be used.
        """
        self._listed.levels([(quote.bid, quote.bid_size), (quote.ask, quote.ask_size)])  # refuses what is no number
        out: list[Published] = []
        self.quotes.on_quote(quote, self._hear(received_ns))
        self._tell(out)
        return out

    def on_bad_input(self, received_ns: int, detail: str = "") -> list[Published]:
        """A depth update of this instrument came that could not be used: a LIVE book has lost it."""
        now = self._hear_depth(received_ns)
        out: list[Published] = []
        self._invalidate(Reason.BAD_INPUT, now, out, detail)
        return out

    # -- what the edge has to tell

    def on_connect(self, received_ns: int) -> list[Published]:
        """The connection stands. A snapshot is needed once the first delta came: an earlier one could not be bridged.

        Without an `on_disconnect` before it, on a book that is LIVE, the connection was lost unseen.
        """
        now = self._clock(received_ns)
        out: list[Published] = []
        if self.tracked.is_live or self._receiving:
            self._lose_connection(now, out)
        self._connecting = self._disconnected = self._stopped = False
        self._tell(out)
        return out

    def on_disconnect(self, received_ns: int) -> list[Published]:
        """The connection is lost, and with it everything that waited."""
        now = self._clock(received_ns)
        out: list[Published] = []
        self._lose_connection(now, out)
        self._disconnected = True
        self._tell(out)
        return out

    def on_overload(self, received_ns: int) -> list[Published]:
        """The way to the broker is full: shed in the open. The book is invalidated and a snapshot asked for."""
        now = self._clock(received_ns)
        out: list[Published] = []
        self._invalidate(Reason.OVERLOAD, now, out)
        return out

    def on_resync_request(self, request: ResyncRequest, received_ns: int, *, outdated: bool) -> list[Published]:
        """A reader asks for a snapshot: answered from memory while the book is LIVE, else by the one being fetched.

        Args:
            request: The request. If it names a higher epoch than ours, some other producer was ahead of us: ours is
                lifted above it, whatever else holds.
            received_ns: Our time now.
            outdated: The reader broke at an offset before our last published snapshot or `invalid`: that is the answer.
        """
        now = self._clock(received_ns)
        out: list[Published] = []
        if request.epoch > self.epoch:
            self.epoch = request.epoch
            if self.tracked.is_live:
                self._raise_epoch()
                self._answer(now, out)
        elif outdated:
            self.counters.resyncs_outdated += 1
        elif self.tracked.is_live:
            self._answer(now, out)
        self._tell(out)
        return out

    def on_heartbeat(self, now_ns: int) -> list[Published]:
        """Say that this feed is alive, or that its book has gone stale. Live feeds only: a replay has no clock.

        Depth alone decides: a book whose updates stopped is not kept fresh by trades or quotes that still come.
        """
        now = self._clock(now_ns)
        out: list[Published] = []
        self._stale = now - self._depth_ns > self._options.stale_ns
        self._tell(out, self._silence(now))
        return out or [self._status(heartbeat=True)]

    def _silence(self, now: int) -> str:
        if not self._stale:
            return ""
        lasted = f" for {(now - self._depth_ns) / SECOND_NS:.0f} s" if self._depth_ns else ""
        return f"no depth update{lasted}"

    def on_stop(self, received_ns: int) -> list[Published]:
        """The producer ends. Readers' books stay what they are and age; a restart raises the epoch."""
        self._clock(received_ns)
        out: list[Published] = []
        self._stopped = True
        self.quotes.finish()
        self._tell(out)
        return out

    # -- onto the grid

    def _placed(self, message: DepthDelta | DepthSnapshot) -> Placed:
        """The levels on the book's grid, or on a finer one it has to move to; refused before anything changes."""
        _require_levels(len(message.bids) + len(message.asks), "a message")
        placed = self._grid.place(message.bids, message.asks)
        if placed.grid is not self._grid:
            book = self._scaled_book(self._grid.scale_to(placed.grid)) if self.tracked.is_live else ()
            require_headroom(self._grid, placed.grid, placed.bids, placed.asks, *book)
        return placed

    def _scaled_book(self, scale: Scale) -> tuple[SideLevels, SideLevels]:
        _require_levels(self._book_levels, "a book")  # it is about to be published as a snapshot
        bid_ticks, bid_lots, ask_ticks, ask_lots = self.tracked.book.arrays()
        return scale.levels(SideLevels(bid_ticks, bid_lots)), scale.levels(SideLevels(ask_ticks, ask_lots))

    def _scale_trades(self, scale: Scale) -> None:
        """Pending trades follow the book; those that cannot are in `trades.v1` alone: no trade stops a book."""
        waited = len(self._trade_ticks)
        self._trade_ticks, self._trade_lots = scale.within_int64(SideLevels(self._trade_ticks, self._trade_lots))
        self.counters.trades_off_grid += waited - len(self._trade_ticks)

    def _add_trade(self, levels: Levels, sign: int) -> None:
        """Let a trade wait for the next delta, where it lies on the book's grid."""
        try:
            placed = self._grid.levels(levels)
        except InvalidNumber:  # beyond int64 in the finer steps of the book: on the listed grid it was read already
            placed = None
        if placed is None:
            self.counters.trades_off_grid += 1
            return
        self._trade_ticks.append(placed.ticks[0])
        self._trade_lots.append(sign * placed.lots[0])

    def _move_to(self, grid: TextGrid, now: int, out: list[Published]) -> None:
        """Regrid a LIVE book: a new epoch, and a snapshot from memory in the finer steps."""
        if grid is self._grid:
            return
        scale = self._grid.scale_to(grid)
        bids, asks = self._scaled_book(scale)
        self._scale_trades(scale)
        self._grid = grid
        self.counters.regrids += 1
        self._raise_epoch()
        self._publish_snapshot(bids, asks, self.tracked.sequence, now, out)
        self._tell(out, f"now in ticks of {grid.price.step} and lots of {grid.size.step}")

    # -- finding the place of an update

    def _follow(self, delta: DepthDelta, placed: Placed, now: int, out: list[Published]) -> None:
        last = Position(self.tracked.sequence, self._exchange_ns)
        outcome = self._rule.follow(delta, last)
        if outcome is Outcome.APPLIED:
            self._apply(delta, placed, now, out)
        elif outcome is Outcome.DUPLICATE:
            self.counters.duplicates += 1
        else:
            self.counters.gaps += 1
            detail = f"update {delta.first_sequence} to {delta.last_sequence} does not follow {last.sequence}"
            self._invalidate(Reason.GAP, now, out, detail)
            self._waiting.appendleft(_Waiting(delta, now))  # it is older than whatever still waits

    def _wait(self, delta: DepthDelta, now: int) -> None:
        self._waiting.append(_Waiting(delta, now))
        if len(self._waiting) > self._options.delta_buffer:
            self._waiting.popleft()
            self.counters.deltas_dropped += 1

    def _bridge(self, out: list[Published]) -> None:
        """Make the book LIVE if a snapshot is held and a waiting delta bridges it."""
        while self._held and self._waiting:
            held, first = self._held, self._waiting[0]
            alignment = self._rule.align(first.delta, held.snapshot.sequence)
            if alignment is Alignment.BRIDGES:
                self._go_live(held, out)
            elif alignment is Alignment.STALE:
                self._waiting.popleft()
                self.counters.deltas_dropped += 1
            else:
                self._discard(held, first.delta, out)

    def _discard(self, held: _Held, first: DepthDelta, out: list[Published]) -> None:
        self._held, self._wanted, self.reason = None, Reason.NO_BRIDGE, Reason.NO_BRIDGE
        self.counters.snapshots_discarded += 1
        self._tell(out, f"update {first.first_sequence} starts too late for snapshot {held.snapshot.sequence}")

    def _go_live(self, held: _Held, out: list[Published]) -> None:
        placed = self._placed(held.snapshot)
        self._held, self._wanted, self.reason, self._grid = None, None, None, placed.grid
        self._exchange_ns = held.snapshot.exchange_ns
        self.counters.snapshots += 1
        self._raise_epoch()
        self._publish_snapshot(placed.bids, placed.asks, held.snapshot.sequence, held.received_ns, out)
        self._tell(out)
        self._apply_waiting(bridging=True, out=out)
        while self._waiting and self.tracked.is_live:
            self._apply_waiting(bridging=False, out=out)

    def _apply_waiting(self, *, bridging: bool, out: list[Published]) -> None:
        delta, received_ns = self._waiting.popleft()
        try:
            placed = self._placed(delta)
        except MessageError as error:  # read once already, but finer than this book can follow
            self.counters.deltas_refused += 1
            out.append(self._records.letter(error, delta.last_sequence, msgspec.json.encode(delta), received_ns))
            self._invalidate(Reason.BAD_INPUT, self._now_ns, out, str(error))
            return
        if bridging:
            self._apply(delta, placed, received_ns, out)
        else:
            self._follow(delta, placed, received_ns, out)

    # -- publishing

    def _apply(self, delta: DepthDelta, placed: Placed, received_ns: int, out: list[Published]) -> None:
        self._move_to(placed.grid, received_ns, out)
        self._exchange_ns = delta.exchange_ns
        record = self._l2(
            Kind.DELTA,
            delta.last_sequence,
            received_ns,
            bids=placed.bids,
            asks=placed.asks,
            previous_sequence=self.tracked.sequence,
            trades=SideLevels(self._trade_ticks, self._trade_lots),
        )
        self._trade_ticks, self._trade_lots = [], []
        outcome = self.tracked.apply(record)
        out.append(record)
        self.counters.deltas_applied += 1
        self.counters.crossed += self.tracked.book.is_crossed
        if outcome is Applied.CROSSED_OUT:
            self._publish_invalid(Reason.CROSSED, record.received_ns, out, "the best bid stayed above the best ask")
            return
        self.quotes.on_book(record.sequence, self._top(), self._grid, record.received_ns)
        if record.received_ns - self._snapshot_ns >= self._options.routine_snapshot_ns:
            self._publish_from_memory(record.received_ns, out)

    def _answer(self, now: int, out: list[Published]) -> None:
        self.counters.resyncs_answered += 1
        self._publish_from_memory(now, out)

    @property
    def _book_levels(self) -> int:
        return self.tracked.book.bid_levels + self.tracked.book.ask_levels

    def _publish_from_memory(self, received_ns: int, out: list[Published]) -> None:
        if self._book_levels > MAX_LEVELS:  # far levels that nobody removes: the venue's own snapshot is shorter
            detail = f"a book of {self._book_levels} levels; a snapshot holds {MAX_LEVELS}"
            self._invalidate(Reason.OVERLOAD, received_ns, out, detail)
            return
        bid_ticks, bid_lots, ask_ticks, ask_lots = self.tracked.book.arrays()
        bids, asks = SideLevels(bid_ticks, bid_lots), SideLevels(ask_ticks, ask_lots)
        self._publish_snapshot(bids, asks, self.tracked.sequence, received_ns, out)

    def _publish_snapshot(
        self, bids: SideLevels, asks: SideLevels, sequence: int, received_ns: int, out: list[Published]
    ) -> None:
        record = self._l2(Kind.SNAPSHOT, sequence, received_ns, bids=bids, asks=asks)
        self.tracked.apply(record)
        self._snapshot_ns = record.received_ns
        out.append(record)

    def _invalidate(self, reason: Reason, now: int, out: list[Published], detail: str = "") -> None:
        if self.tracked.is_live:
            self._publish_invalid(reason, now, out, detail)

    def _publish_invalid(self, reason: Reason, now: int, out: list[Published], detail: str) -> None:
        record = self._l2(Kind.INVALID, self.tracked.sequence, now, reason=reason)
        self.tracked.apply(record)
        out.append(record)
        self._trade_ticks, self._trade_lots, self._grid = [], [], self._listed
        self._wanted = self.reason = reason
        self._tell(out, detail)

    def _l2(
        self,
        kind: Kind,
        sequence: int,
        received_ns: int,
        *,
        bids: SideLevels = NO_LEVELS,
        asks: SideLevels = NO_LEVELS,
        trades: SideLevels = NO_LEVELS,
        previous_sequence: int | None = None,
        reason: Reason | None = None,
    ) -> L2Record:
        self._published_ns = max(self._published_ns, received_ns)
        times = Times(self._exchange_ns, self._published_ns)
        levels = BookLevels(bids, asks, trades)
        links = Links(self.epoch, sequence, previous_sequence, reason)
        return self._records.l2(kind, links, times, self._grid, levels)

    def _tell(self, out: list[Published], detail: str = "") -> None:
        """Publish the feed's state where it differs from the last one told."""
        news = (self.state, self.reason, self.epoch)
        if news != self._told:
            self._told = news
            out.append(self._status(detail=detail))

    def _status(self, *, heartbeat: bool = False, detail: str = "") -> FeedStatus:
        return self._records.status(
            self.state,
            Links(self.epoch, self.tracked.sequence, None, self.reason),
            self._now_ns,
            heartbeat=heartbeat,
            detail=detail,
        )

    # -- small state

    def _clock(self, received_ns: int) -> int:
        self._now_ns = max(self._now_ns, received_ns)
        return self._now_ns

    def _hear(self, received_ns: int) -> int:
        self._connecting = self._disconnected = self._stopped = False
        return self._clock(received_ns)

    def _hear_depth(self, received_ns: int) -> int:
        self._depth_ns = self._hear(received_ns)
        self._stale = False
        return self._depth_ns

    def _lose_connection(self, now: int, out: list[Published]) -> None:
        self._invalidate(Reason.DISCONNECT, now, out)
        self.counters.deltas_dropped += len(self._waiting)
        self.counters.snapshots_discarded += self._held is not None
        self._waiting.clear()
        self._held, self._receiving = None, False
        self._wanted = self.reason = Reason.DISCONNECT
        self.quotes.forget()

    def _raise_epoch(self) -> None:
        floor = self._options.epoch_floor
        self.epoch = max(self.epoch + 1, self._now_ns // 1_000_000 if floor is None else floor)

    def _top(self) -> Top:
        book = self.tracked.book
        return Top(book.best_bid, book.best_bid_lots, book.best_ask, book.best_ask_lots)


def _require_levels(levels: int, what: str) -> None:
    if levels > MAX_LEVELS:
        raise FrameTooLarge(f"{what} of {levels} levels; a record holds {MAX_LEVELS}")


def _copied(tracked: TrackedBook) -> TrackedBook:
    twin = copy(tracked)
    twin.book = copy(tracked.book)
    twin.book.bids, twin.book.asks = _copied_side(tracked.book.bids), _copied_side(tracked.book.asks)
    return twin


def _copied_side(side: BookSide) -> BookSide:
    twin = copy(side)
    twin.lots, twin.prices = side.lots.copy(), side.prices[:]
    return twin
