"""What takes ordinary updates of a LIVE book faster than record by record, to the same bytes.

There is one, in `producers.books.kernel`; whoever makes a `FrameRouter` hands it over, where it works. What it refuses
is read and taken record by record, which is the definition of everything here.
"""

from __future__ import annotations

from typing import Protocol

from orderbook.book import Book
from orderbook.validity import TrackedBook
from producers.books.quote_flow import QuoteFlow
from producers.books.records import RecordWriter
from producers.books.trades import PendingTrades
from producers.messages import RawDelta


class DeltaUpdater(Protocol):
    """Takes the updates of one instrument."""

    @property
    def is_suspect(self) -> bool:
        """Whether the book is crossed after the last update, or a best price is not known to be the best."""
        ...

    def apply(
        self, delta: RawDelta, previous_sequence: int, received_ns: int, trades: PendingTrades, flow: QuoteFlow
    ) -> bytes | None:
        """Put an update into the book and give its record as bytes; None where it is refused, and nothing changed.

        Args:
            delta: The update, which follows the book.
            previous_sequence: Of the book before it.
            received_ns: Written into the record.
            trades: What waits for it.
            flow: What flowed through the best quotes.
        """
        ...


class DeltaEngine(Protocol):
    """Serves the instruments of one venue, one update after another."""

    def book(self) -> Book:
        """Make an empty book that its updaters can change."""
        ...

    def updater(self, tracked: TrackedBook, records: RecordWriter) -> DeltaUpdater:
        """Make what takes the updates of one instrument, into a book made here.

        Args:
            tracked: The book, and how far it is known.
            records: Says what every record has in common.
        """
        ...
