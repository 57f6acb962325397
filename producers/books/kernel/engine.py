"""The compiled engine of `producers.books.engine`: around one call of compiled code, what it needs to be told."""

from __future__ import annotations

from typing import Final

from orderbook.book import Book
from orderbook.kernel.book import CompiledBook
from orderbook.kernel.ladder import Ints
from orderbook.validity import TrackedBook
from producers.books.kernel.apply import (
    BOOK_SUM,
    CHECKSUM,
    EXCHANGE_NS,
    FLOW_EVENTS,
    FLOW_KNOWN,
    FLOW_LOTS,
    FRAME,
    MOST_BYTES,
    MOST_TRADES,
    NO_ROOM,
    NO_SUM,
    OTHER_FORM,
    OUT,
    SEQUENCE,
    TRADES,
    scratch,
    take_frame,
)
from producers.books.kernel.plan import Planner
from producers.books.quote_flow import NOT_KNOWN, QuoteFlow
from producers.books.records import RecordWriter
from producers.books.templates import FrameTemplate, FrameTemplates
from producers.books.trades import PendingTrades
from producers.contract import DeltaForm
from schemas.kernel.memory import address_of

SHORTEST_LEVEL: Final = 10


class CompiledDeltas:
    """Takes the updates of a venue.

    Args:
        form: Where its frames say what.

    Attributes:
        templates: What was learned of its frames.
    """

    def __init__(self, form: DeltaForm) -> None:
        self.templates = FrameTemplates(form)
        self._form = form
        self._scratch = scratch()

    def book(self) -> Book:
        """Make an empty book."""
        return CompiledBook()

    def updater(self, tracked: TrackedBook, records: RecordWriter) -> CompiledUpdater:
        """Make what takes the updates of one instrument."""
        return CompiledUpdater(tracked, Planner(tracked, records, self._form), self.templates, self._scratch)


class CompiledUpdater:
    """Takes the updates of one instrument.

    Attributes:
        sequence: The last one's number.
        exchange_ns: The venue's time of it.
        checksum: Of the book after it; None where the venue gave none.
        is_suspect: Whether the book is crossed after it, or a best price is not known to be the best.
    """

    def __init__(self, tracked: TrackedBook, planner: Planner, templates: FrameTemplates, memory: Ints) -> None:
        assert isinstance(tracked.book, CompiledBook)  # noqa: S101 (made by the engine)
        self.sequence = self.exchange_ns = 0
        self.checksum: int | None = None
        self.is_suspect = False
        self._book = tracked.book
        self._planner = planner
        self._templates = templates
        self._scratch, self._scratch_at = memory, address_of(memory)
        self._told = memoryview(memory)  # type: ignore[arg-type] # an array is a buffer
        self._written, self._frame = self._told[OUT:FRAME].cast("B"), self._told[FRAME:].cast("B")

    def take(
        self,
        raw: bytes,
        template: FrameTemplate,
        sequence: int,
        received_ns: int,
        trades: PendingTrades,
        flow: QuoteFlow,
    ) -> bytes | None:
        """Put an update into the book and give its record as bytes; None where it is refused."""
        plan_at, book, told, length = self._planner.plan_at(template), self._book, self._told, len(raw)
        has_more = bool(trades.ticks) or (flow is not NOT_KNOWN and (flow.lots is not None or flow.events > 0))
        if not plan_at or length > MOST_BYTES or (has_more and not self._tell(trades, flow)):
            return None
        self._frame[:length] = raw
        more, scratch_at = 1 if has_more else 0, self._scratch_at
        code = take_frame(length, plan_at, book.memory_at, scratch_at, sequence, received_ns, more)
        while code == NO_ROOM:
            book.make_room(length // SHORTEST_LEVEL, length // SHORTEST_LEVEL)
            code = take_frame(length, plan_at, book.memory_at, scratch_at, sequence, received_ns, more)
        if code < 0:
            if code == OTHER_FORM:
                self._templates.forget(template)
            return None
        book.note_change()
        self.sequence, self.exchange_ns = told[SEQUENCE], told[EXCHANGE_NS]
        self.checksum = told[CHECKSUM] or None
        self.is_suspect = bool(code & 1)
        return self._written[: code >> 1].tobytes()

    @property
    def book_sum(self) -> int | None:
        """CRC-32 of the best levels after it, where it has a checksum that is made so."""
        found = self._told[BOOK_SUM]
        return None if found == NO_SUM else found

    def _tell(self, trades: PendingTrades, flow: QuoteFlow) -> bool:
        """Hand over what waits; False where that is too much."""
        waiting = len(trades.ticks)
        if waiting > MOST_TRADES:
            return False
        told = self._told
        told[TRADES], told[FLOW_KNOWN] = waiting, flow.lots is not None
        told[FLOW_LOTS], told[FLOW_EVENTS] = flow.lots or 0, flow.events
        if waiting:
            self._scratch[OUT - 2 * waiting : OUT] = trades.ticks + trades.lots
        return True
