"""One instrument's book as it is published: from the first record of an epoch to `invalid`, and from memory again.

`kept` writes the book's records and finds what is wrong with it; here that is acted upon, and told. Where an update
belongs is not known here (`chain`).

What holds, whatever comes in:
- After `invalid` nothing of the book is published until the next snapshot.
- A checksum of the venue that the book does not have makes it INVALID, right after the update that shows it; so do its
  best quotes that contradict the book three times in a row.
- A book whose best price lies beyond what its snapshot knew is INVALID. Its updates are followed all the same: where
  the price comes back before a snapshot does, the book is as good as it was, and is published from memory. So it is
  where the venue's own best quotes show that a side had no orders at all: since then nothing of that side is unknown.
- A book fetched beside a LIVE one is compared with it and widens what is known: the chain of updates goes on.
- Restart, refetch and regrid raise the epoch; snapshots from memory keep it.
- A snapshot of the venue returns to its listed grid. Levels alone move a book to a finer one, and only as long as
  `HEADROOM` is left above them.
- Trades go to `trades.v1` always, and with the next delta where the book is LIVE; a snapshot neither carries nor
  consumes them, an `invalid` drops the pending ones from the book's side. One that does not lie on the book's grid is
  in `trades.v1` alone, exact on a grid of its own.
"""

from __future__ import annotations

from orderbook.decimals import Placed
from orderbook.known import compare_books
from producers.books.advance import Advance
from producers.books.beside import BookBeside, Joined, place_beside
from producers.books.bridge import Bridge
from producers.books.judge import Wrong
from producers.books.kept import KeptBook
from producers.books.options import StreamCounters
from producers.books.quotes import shows_empty
from producers.books.statuses import StatusWriter
from producers.books.trades import MAX_PENDING_TRADES
from producers.messages import BestQuote, DepthDelta, DepthSnapshot, TradeTick
from schemas.messages import Reason


class PublishedBook:
    """The book of one instrument as its readers are told of it.

    Args:
        kept: The book, and the records that give it to its readers.
        statuses: What is said of the feed.
        beside: What concerns a book beside the LIVE one.
        bridge: There a snapshot is wanted of the venue once the book may not be believed.
        counters: What happened is counted there.

    Attributes:
        is_beyond: Whether it is INVALID since a best price is not known, and followed all the same.
    """

    def __init__(
        self, kept: KeptBook, statuses: StatusWriter, *, beside: BookBeside, bridge: Bridge, counters: StreamCounters
    ) -> None:
        self.is_beyond = False
        self._kept = kept
        self._statuses = statuses
        self._beside = beside
        self._bridge = bridge
        self._counters = counters
        self._advance = Advance()
        self._began = 0  # sequence of the book that came last

    def advance(self) -> Advance:
        """How far the venue's numbers went, and how much of that came."""
        if self._kept.is_live:  # nothing is noted of ordinary updates: the book's own number says it
            self._advance.follow(self._kept.tracked.sequence)
        return self._advance

    def begin_anew(self, before: int, sequence: int) -> None:
        """Note that the venue's numbers begin anew on a LIVE book, after all up to one of them came."""
        self._advance.begin_anew(before, sequence)

    # -- a LIVE book

    def begin_epoch(self, snapshot: DepthSnapshot, placed: Placed, received_ns: int) -> None:
        """Publish a snapshot of the venue as the first record of a new epoch."""
        self._statuses.reason = None
        self.is_beyond = False
        if snapshot.sequence < self._kept.tracked.sequence:
            self._kept.forget_quotes()  # its ids have begun anew
        self._began = snapshot.sequence
        self._kept.begin_epoch(snapshot, placed, received_ns)
        self._beside.widened(self._kept.tracked, received_ns)
        self._statuses.append_if_changed()

    def replace(self, snapshot: DepthSnapshot, placed: Placed, now: int) -> None:
        """Begin an epoch with a book that came in the stream, in place of whatever there was."""
        kept = self._kept
        if kept.is_live:
            kept.forget_quotes()  # its ids may have begun anew
        if placed.grid is not kept.grid:
            self._counters.trades_off_grid += len(kept.trades.drain().ticks)
        self.begin_epoch(snapshot, placed, now)
        wrong = kept.judge.check(snapshot.checksum)
        if wrong is not None:
            self.publish_invalid(wrong, kept.received_ns)

    def apply(self, delta: DepthDelta, placed: Placed, received_ns: int, *, waited: bool = False) -> None:
        """Publish an update that follows a LIVE book, on a finer grid where it needs one."""
        kept = self._kept
        if placed.grid is not kept.grid:
            kept.move_to(placed.grid, received_ns)
            price, size = placed.grid.price.step, placed.grid.size.step
            self._statuses.append_if_changed(f"now in ticks of {price} and lots of {size}")
        wrong = kept.apply(delta, placed, received_ns, waited=waited)
        if wrong is None and self._beside.is_asked:
            self._beside.keep(delta, received_ns)
            self._compare_held(kept.received_ns)
        self.note_applied(wrong)

    def note_applied(self, wrong: Wrong | None) -> None:
        """Say what the update that was just published shows to be wrong; else look whether a snapshot is due."""
        if wrong is not None:
            self.publish_invalid(wrong, self._kept.received_ns)
        elif self._kept.is_live and self._kept.records.received_ns >= self._kept.routine_due_ns:
            self._publish_from_memory(self._kept.received_ns)

    def publish_trade(self, trade: TradeTick, placed: Placed, now: int) -> None:
        """Publish a trade, which the next delta of a LIVE book carries; more of them than that may is an overload."""
        kept = self._kept
        if kept.is_live:
            sign = 1 if trade.buyer_is_aggressor else -1
            kept.trades.add([(trade.price, trade.size)], sign, kept.grid)
        self._counters.trades += 1
        kept.out.append(kept.records.trade(trade, placed, now))
        if len(kept.trades.ticks) > MAX_PENDING_TRADES:
            self.invalidate(Reason.OVERLOAD, now)

    def take_quote(self, quote: BestQuote, now: int) -> None:
        """Check the book with the venue's best quote; one that such contradict too often may not be believed."""
        wrong = self._kept.take_quote(quote, now)
        if wrong is not None:
            self.publish_invalid(wrong, now)
        elif self.is_beyond and shows_empty(quote):
            self._return_where_empty(now)

    def answer(self, now: int) -> None:
        """Answer a reader who asks for a snapshot of a LIVE book."""
        self._counters.resyncs_answered += 1
        self._publish_from_memory(now)

    def overtake(self, epoch: int, now: int) -> None:
        """Go above an epoch that a reader has seen of another producer: nothing below it reaches that reader."""
        self._kept.records.epoch = epoch
        if self._kept.is_live:
            self._kept.raise_epoch()
            self.answer(now)

    def _publish_from_memory(self, now: int) -> None:
        wrong = self._kept.publish_from_memory(now)
        if wrong is not None:
            self.publish_invalid(wrong, now)

    # -- one that may not be believed

    def invalidate(self, reason: Reason, now: int, detail: str = "") -> None:
        """Publish that a LIVE book may not be believed; of another one that was said already."""
        if self._kept.is_live:
            self.publish_invalid(Wrong(reason, detail), now)

    def publish_invalid(self, wrong: Wrong, now: int) -> None:
        """Publish that the book may not be believed. One whose best price is not known is followed all the same."""
        self.advance()  # while the book's number still says it
        self._kept.publish_invalid(wrong.reason, now)
        self._beside.end()
        self.is_beyond = wrong.reason is Reason.BEYOND_SNAPSHOT
        if not self.is_beyond:
            self._kept.records.grid = self._kept.listed
        self.want(wrong.reason)
        self._statuses.append_if_changed(wrong.detail)
        if self.is_beyond:
            self._return_where_empty(now)

    def want(self, reason: Reason) -> None:
        """Want a snapshot of the venue: the book is not LIVE for this reason."""
        self._bridge.wanted = self._statuses.reason = reason

    def follow(self, delta: DepthDelta, placed: Placed, now: int) -> None:
        """Apply the next update to a book that is beyond; publish it from memory once its best prices are known."""
        kept = self._kept
        if placed.grid is not kept.grid:
            self.stop_following()
        elif kept.follow(delta, placed, now):
            self._return(now)
        else:
            self._return_where_empty(now)

    def _return(self, now: int) -> None:
        """Believe a book again that was beyond."""
        kept = self._kept
        self._bridge.release(kept.tracked.sequence)
        self.is_beyond, self._statuses.reason = False, None
        kept.quotes.begin()
        if kept.records.epoch != kept.tracked.epoch:  # lifted meanwhile, for a reader that was ahead
            kept.raise_epoch()
        self._publish_from_memory(now)

    def _return_where_empty(self, now: int) -> None:
        """Believe a book again that is beyond, where the venue showed a side empty and so its best prices are known."""
        tracked = self._kept.tracked
        no_bids, no_asks = self._kept.quotes.empty_between(self._began, tracked.sequence)
        bid, ask = None if no_bids else tracked.known.bid, None if no_asks else tracked.known.ask
        known = tracked.known._replace(bid=bid, ask=ask)
        if (no_bids or no_asks) and known.holds_best(tracked.book) and not tracked.book.is_crossed:
            self._kept.records.known = known
            self._return(now)

    def stop_following(self) -> None:
        """Follow a book no longer that is beyond: an update of it is missing, or cannot be used."""
        if self.is_beyond:
            self.is_beyond = False
            self._kept.records.grid = self._kept.listed

    # -- a book beside a LIVE one

    def compare(self, snapshot: DepthSnapshot, now: int) -> None:
        """Take a book that came beside the LIVE one; discard it where none was asked for."""
        if not self._beside.is_asked:
            self._counters.snapshots_discarded += 1
            return
        self._beside.hold(snapshot, now)
        self._compare_held(now)

    def _compare_held(self, now: int) -> None:
        """Compare the LIVE book with one beside it once that has come as far, and take over what it knows more."""
        joined, kept = self._beside.join(), self._kept
        if joined is None:
            return
        beside = place_beside(joined, kept.listed, kept.grid) if isinstance(joined, Joined) else None
        if beside is None:
            self._counters.snapshots_discarded += 1
            return
        found = compare_books(kept.tracked.book, kept.tracked.known, *beside)
        self._counters.comparisons += 1
        self._counters.levels_compared += found.levels
        self._counters.levels_wrong += found.wrong
        if found.wrong:
            detail = f"{found.wrong} of {found.levels} levels differ from the venue's own book"
            self.publish_invalid(Wrong(Reason.SNAPSHOT_MISMATCH, detail), now)
            return
        kept.publish_widened(*beside, now)
        self._beside.widened(kept.tracked, now)
        self._statuses.append(f"{found.levels} levels agree with the venue's own book")
