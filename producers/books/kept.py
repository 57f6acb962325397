"""One instrument's book as its readers will have it, and the records that give it to them.

The book is kept with the readers' own code (`orderbook.validity`). Whatever is put into it comes onto its grid first:
levels are placed here, or refused before anything changes. What `judge.py` finds to be wrong with the book is handed
on, and `published.py` decides.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from orderbook.book import Book
from orderbook.decimals import Placed, Scale, SideLevels, TextGrid, require_headroom
from orderbook.known import Known, covering, widened
from orderbook.validity import Outcome, TrackedBook, Validity
from producers.books.engine import DeltaEngine
from producers.books.judge import BookJudge, Wrong
from producers.books.options import StreamCounters, StreamOptions
from producers.books.quote_flow import NOT_KNOWN, QuoteFolder
from producers.books.records import MAX_LEVELS, NO_LEVELS, EncodedDelta, ProducerRecord, RecordWriter
from producers.books.templates import FrameTemplate
from producers.books.trades import PendingTrades
from producers.contract import Checksum
from producers.messages import BestQuote, DepthDelta, DepthSnapshot, Instrument
from schemas.errors import FrameTooLarge
from schemas.messages import Kind, Reason
from schemas.units import NS_PER_MS


class Judged(NamedTuple):
    """What an update that was applied shows to be wrong with the book, if anything."""

    wrong: Wrong | None


_FINE: Final = Judged(None)
_APPLIED: Final = Outcome.APPLIED  # looked up once: said after each update


class KeptBook:
    """The book of one instrument at its producer.

    Args:
        instrument: The instrument, with the venue's listed grid.
        options: How streams behave.
        counters: What happened is counted there.
        checksum: How the venue's checksums are made; None where it sends none.
        engine: Takes ordinary updates; None where each is taken record by record.

    Attributes:
        tracked: The book and its validity, as every reader sees it.
        judge: Says what an update shows to be wrong with it.
        quotes: The check against the venue's best quotes.
        flow: What flows through those between two records.
        trades: What waits for the next delta.
        records: Writes the instrument's records, on the book's grid.
        listed: The venue's own grid.
        out: What the input at hand gives to publish, in order.
        now_ns: Newest `received_ns` of any input.
        routine_due_ns: From when on a routine snapshot is due, by `received_ns` of the book's records.
    """

    def __init__(
        self,
        instrument: Instrument,
        options: StreamOptions,
        counters: StreamCounters,
        checksum: Checksum | None,
        engine: DeltaEngine | None = None,
    ) -> None:
        self.tracked = TrackedBook(book=None if engine is None else engine.book())
        self.flow = QuoteFolder(options.stale_ns)
        self.trades = PendingTrades(counters)
        self.listed = TextGrid.of(instrument.tick_size, instrument.lot_size)
        self.records = RecordWriter(instrument, options.source, self.listed, run=options.run)
        self.out: list[ProducerRecord] = []
        self.now_ns = 0
        self._options = options
        self._counters = counters
        self.routine_due_ns = options.routine_snapshot_ns
        self._updater = None if engine is None else engine.updater(self.tracked, self.records)
        self.judge = BookJudge(self.tracked, self.records, counters, checksum=checksum)
        self.quotes = self.judge.quotes

    @property
    def is_live(self) -> bool:
        """Whether the book is LIVE."""
        return self.tracked.validity is Validity.LIVE

    @property
    def grid(self) -> TextGrid:
        """The grid of the book: the listed one, or a finer one that a LIVE book needs."""
        return self.records.grid

    @property
    def received_ns(self) -> int:
        """`received_ns` of the last record of the book."""
        return self.records.received_ns

    def clock(self, received_ns: int) -> int:
        """Give the time of an input: its own, or that of a later one that came before it."""
        self.now_ns = max(self.now_ns, received_ns)
        return self.now_ns

    def drain(self) -> list[ProducerRecord]:
        """Give what is to be published; with the next input that begins anew."""
        out, self.out = self.out, []
        return out

    # -- onto the grid

    def place(self, delta: DepthDelta) -> Placed:
        """Place levels on the book's grid, or on a finer one it has to move to; refuse them before anything changes."""
        _require_levels(len(delta.bids) + len(delta.asks), "a message")
        placed = self.grid.place(delta.bids, delta.asks)
        if placed.grid is not self.grid:
            book = self._scaled(self.grid.scale_to(placed.grid)) if self.is_live else ()
            require_headroom(self.grid, placed.grid, placed.bids, placed.asks, *book)
        return placed

    def place_whole(self, snapshot: DepthSnapshot) -> Placed:
        """Place the levels of a whole book, which begins on the listed grid."""
        _require_levels(len(snapshot.bids) + len(snapshot.asks), "a message")
        placed = self.listed.place(snapshot.bids, snapshot.asks)
        if placed.grid is not self.listed:
            require_headroom(self.listed, placed.grid, placed.bids, placed.asks)
        return placed

    def move_to(self, grid: TextGrid, received_ns: int) -> None:
        """Regrid a LIVE book: a new epoch, and a snapshot from memory in the finer steps."""
        scale = self.grid.scale_to(grid)
        bids, asks = self._scaled(scale)
        self.trades.scale(scale)
        self.records.grid, self.records.known = grid, self.records.known.scaled(scale.ticks)
        self._counters.regrids += 1
        self.raise_epoch()
        self._publish_snapshot(bids, asks, self.tracked.sequence, received_ns)

    def _scaled(self, scale: Scale) -> tuple[SideLevels, SideLevels]:
        _require_levels(self._levels, "a book")  # it is about to be published as a snapshot
        bid_ticks, bid_lots, ask_ticks, ask_lots = self.tracked.book.arrays()
        return scale.levels(SideLevels(bid_ticks, bid_lots)), scale.levels(SideLevels(ask_ticks, ask_lots))

    def relist(self, instrument: Instrument) -> None:
        """Take another listed grid. To be called where the book is not LIVE: the next one begins on it."""
        self.listed = TextGrid.of(instrument.tick_size, instrument.lot_size)
        self.records.instrument, self.records.grid = instrument, self.listed

    # -- what changes it

    def begin_epoch(self, snapshot: DepthSnapshot, placed: Placed, received_ns: int) -> None:
        """Publish a snapshot of the venue as the first record of a new epoch."""
        self.records.grid, self.records.exchange_ns = placed.grid, snapshot.exchange_ns
        self.records.known = covering(snapshot.coverage, placed.bids, placed.asks)
        self.records.sequence_source = snapshot.sequence_source
        self._counters.snapshots += 1
        self.quotes.begin()
        self.raise_epoch()
        self._publish_snapshot(placed.bids, placed.asks, snapshot.sequence, received_ns)

    def apply(self, delta: DepthDelta, placed: Placed, received_ns: int, *, waited: bool) -> Wrong | None:
        """Publish an update that follows a LIVE book, which it changes; say what it shows to be wrong.

        Args:
            delta: The update.
            placed: Its levels on the book's grid.
            received_ns: When it was received.
            waited: It waited for a snapshot: what flowed before it is not known.
        """
        self.records.exchange_ns = delta.exchange_ns
        record = self.records.l2(
            Kind.DELTA,
            delta.last_sequence,
            received_ns,
            bids=placed.bids,
            asks=placed.asks,
            previous_sequence=self.tracked.sequence,
            trades=self.trades.drain() if self.trades.ticks else NO_LEVELS,
            quotes=NOT_KNOWN if waited else self.flow.take(self.grid, self.now_ns),
        )
        outcome = self.tracked.apply(record)
        self.out.append(record)
        return self.judge.judge(record.sequence, record.received_ns, outcome, delta.checksum)

    def apply_ordinary(self, raw: bytes, template: FrameTemplate, now: int) -> Judged | None:
        """Publish a frame that is the next update of a LIVE book as bytes; None where it is refused: nothing changed.

        Args:
            raw: The frame.
            template: What is known of the instrument's frames.
            now: When it was received; no earlier than anything before it.
        """
        updater, tracked, records = self._updater, self.tracked, self.records
        if updater is None or records.epoch != tracked.epoch:
            return None
        received_ns, flow = records.received_ns if records.received_ns > now else now, self.flow
        is_idle = flow.is_idle
        told = NOT_KNOWN if is_idle else flow.told(records.grid, now)
        payload = updater.take(raw, template, tracked.sequence, received_ns, self.trades, told)
        if payload is None:
            return None
        if not is_idle:
            flow.skip()
        if self.trades.ticks:
            self.trades.drain()
        sequence, exchange_ns, whose = updater.sequence, updater.exchange_ns, records.instrument
        records.exchange_ns, records.received_ns, self.now_ns = exchange_ns, received_ns, now
        self.out.append(EncodedDelta(whose.venue, whose.symbol, received_ns, exchange_ns, payload))
        outcome = _APPLIED
        if updater.is_suspect or tracked.crossed_since_ns is not None:
            outcome = tracked.note_applied(sequence, received_ns)
        else:  # which would say the same
            tracked.sequence = sequence
            checksum = updater.checksum
            if (checksum is None or checksum == updater.book_sum) and not self.quotes.has_quotes:  # as would the judge
                self._counters.deltas_applied += 1
                self._counters.checksums_ok += checksum is not None
                return _FINE
        wrong = self.judge.judge(sequence, received_ns, outcome, updater.checksum, updater.book_sum)
        return _FINE if wrong is None else Judged(wrong)

    def follow(self, delta: DepthDelta, placed: Placed, now: int) -> bool:
        """Apply an update to a book whose best prices are not known, unpublished; True where they are again."""
        self.records.exchange_ns = delta.exchange_ns
        record = self.records.l2(Kind.DELTA, delta.last_sequence, now, bids=placed.bids, asks=placed.asks)
        is_back = self.tracked.follow(record)
        self.judge.note_followed(record.sequence, record.received_ns)
        return is_back and not self.tracked.book.is_crossed

    def take_quote(self, quote: BestQuote, now: int) -> Wrong | None:
        """Take the venue's best quote; say where such have contradicted the book too often."""
        if not quote.is_sampled:
            self.flow.add(quote, now)
        return self.judge.take_quote(quote, now)

    def forget_quotes(self) -> None:
        """Forget the venue's best quotes: ids begin anew, or one is missing."""
        self.quotes.forget()
        self.flow.forget()

    # -- publishing

    def publish_from_memory(self, received_ns: int) -> Wrong | None:
        """Publish the book as a snapshot of its own epoch and sequence; say so where it is too large for one."""
        if self._levels > MAX_LEVELS:  # far levels that nobody removes: the venue's own snapshot is shorter
            return Wrong(Reason.OVERLOAD, f"a book of {self._levels} levels; a snapshot holds {MAX_LEVELS}")
        bid_ticks, bid_lots, ask_ticks, ask_lots = self.tracked.book.arrays()
        bids, asks = SideLevels(bid_ticks, bid_lots), SideLevels(ask_ticks, ask_lots)
        self._publish_snapshot(bids, asks, self.tracked.sequence, received_ns)
        return None

    def publish_widened(self, beside: Book, theirs: Known, now: int) -> None:
        """Publish a routine snapshot that knows what either of two books knows that agree."""
        sides = widened(self.tracked.book, self.tracked.known, beside, theirs)
        self.records.known = sides.known
        bids, asks = (SideLevels([tick for tick, _ in side], [lots for _, lots in side]) for side in sides.levels)
        self._publish_snapshot(bids, asks, self.tracked.sequence, now)

    def publish_invalid(self, reason: Reason, now: int) -> None:
        """Publish that the book may not be believed; trades that wait for its next delta are in `trades.v1` alone."""
        record = self.records.l2(Kind.INVALID, self.tracked.sequence, now, reason=reason)
        self.tracked.apply(record)
        self.out.append(record)
        self.trades.drain()

    def raise_epoch(self) -> None:
        """Begin a higher epoch: the time, or where a replay began."""
        floor = self._options.epoch_floor
        self.records.epoch = max(self.records.epoch + 1, self.now_ns // NS_PER_MS if floor is None else floor)

    def _publish_snapshot(self, bids: SideLevels, asks: SideLevels, sequence: int, received_ns: int) -> None:
        record = self.records.l2(Kind.SNAPSHOT, sequence, received_ns, bids=bids, asks=asks)
        self.tracked.apply(record)
        self.routine_due_ns = record.received_ns + self._options.routine_snapshot_ns
        self.out.append(record)

    @property
    def _levels(self) -> int:
        return self.tracked.book.bid_levels + self.tracked.book.ask_levels


def _require_levels(levels: int, what: str) -> None:
    if levels > MAX_LEVELS:
        raise FrameTooLarge(f"{what} of {levels} levels; a record holds {MAX_LEVELS}")
