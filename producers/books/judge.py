"""What an update shows to be wrong with the book: crossed, beyond what was known, against a checksum or best quotes.

Nothing here changes the book or is published: what was found is said, and `published.py` decides.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from orderbook.book import Book
from orderbook.decimals import Levels, plain
from orderbook.grid import Grid
from orderbook.validity import Outcome, TrackedBook, Validity
from producers.books.options import StreamCounters
from producers.books.quotes import CONTRADICTIONS, QuoteCheck, best_levels
from producers.books.records import RecordWriter
from producers.contract import Checksum
from producers.messages import BestQuote
from schemas.messages import Reason

_APPLIED: Final = Outcome.APPLIED  # looked up once: asked after each update


class Wrong(NamedTuple):
    """What was found to be wrong with the book: why it may not be believed, and in a sentence."""

    reason: Reason
    detail: str


class BookJudge:
    """The judge of one instrument's book at its producer.

    Args:
        tracked: The book and its validity.
        records: Writes its records, on its grid.
        counters: What is found is counted there.
        checksum: How the venue's checksums are made; None where it sends none.

    Attributes:
        quotes: The check against the venue's best quotes.
    """

    def __init__(
        self,
        tracked: TrackedBook,
        records: RecordWriter,
        counters: StreamCounters,
        *,
        checksum: Checksum | None,
    ) -> None:
        self.quotes = QuoteCheck()
        self._tracked, self._records, self._counters = tracked, records, counters
        self._checksum = checksum

    def judge(
        self, sequence: int, received_ns: int, outcome: Outcome, checksum: int | None, book_sum: int | None = None
    ) -> Wrong | None:
        """Count an update that was applied and published, and say what it shows to be wrong.

        Args:
            sequence: Its number.
            received_ns: Its time.
            outcome: What became of the book.
            checksum: What the venue says of the book; None where it says nothing.
            book_sum: The same of our book, where it is known already.
        """
        self._counters.deltas_applied += 1
        if outcome is not _APPLIED:
            self._counters.crossed += outcome is Outcome.CROSSED_OUT
            return self._wrong_after(sequence, received_ns, outcome)
        if self._tracked.crossed_since_ns is not None:
            self._counters.crossed += 1
        if checksum is not None and (wrong := self.check(checksum, book_sum)):
            return wrong
        if self.quotes.has_quotes:
            self._look_at_quotes(sequence, received_ns, is_believed=True)
        return self._contradiction() if self.quotes.is_contradicted else None

    def note_followed(self, sequence: int, received_ns: int) -> None:
        """Count an update of a book that nobody believes."""
        self._counters.deltas_applied += 1
        self._look_at_quotes(sequence, received_ns, is_believed=False)

    def take_quote(self, quote: BestQuote, now: int) -> Wrong | None:
        """Take the venue's best quote; say where such have contradicted the book too often."""
        self.quotes.on_quote(quote, now)
        return self._contradiction()

    def check(self, claimed: int | None, book_sum: int | None = None) -> Wrong | None:
        """Compare the book with the venue's checksum; one that differs has lost something without a gap."""
        if claimed is None or self._checksum is None or self._tracked.grid is None:
            return None
        if book_sum is None:
            book_sum = self._checksum.of(*_top_texts(self._tracked.book, self._tracked.grid, self._checksum.levels))
        if book_sum == claimed:
            self._counters.checksums_ok += 1
            return None
        self._counters.checksums_bad += 1
        return Wrong(Reason.CHECKSUM, f"the venue's checksum is {claimed}")

    def _wrong_after(self, sequence: int, received_ns: int, outcome: Outcome) -> Wrong:
        """Say why the book is not LIVE any more."""
        if outcome is Outcome.CROSSED_OUT:
            return Wrong(Reason.CROSSED, "the best bid stayed above the best ask")
        self._counters.went_beyond += 1
        self._look_at_quotes(sequence, received_ns, is_believed=False)
        return Wrong(Reason.BEYOND_SNAPSHOT, "its best price lies beyond what its snapshot knew")

    def _look_at_quotes(self, sequence: int, received_ns: int, *, is_believed: bool) -> None:
        if self.quotes.has_quotes:
            top = best_levels(self._tracked.book)
            self.quotes.on_book(sequence, top, self._records.grid, received_ns, is_believed=is_believed)

    def _contradiction(self) -> Wrong | None:
        if self.quotes.contradicted < CONTRADICTIONS or self._tracked.validity is not Validity.LIVE:
            return None
        self._counters.contradicted += 1
        detail = f"the venue's best quotes contradict the book {CONTRADICTIONS} times in a row"
        return Wrong(Reason.QUOTE_MISMATCH, detail)


def _top_texts(book: Book, grid: Grid, count: int) -> tuple[Levels, Levels]:
    """Write the best bids and asks as plain decimals without trailing zeros."""
    bids, asks = (
        [(plain(grid.price_text(ticks)), plain(grid.size_text(lots))) for ticks, lots in side]
        for side in (book.top_bids(count), book.top_asks(count))
    )
    return bids, asks
