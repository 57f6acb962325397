"""The compiled engine of `producers.books.engine`: around one call of compiled code, what it needs to be told."""

from __future__ import annotations

from typing import Final

from orderbook.book import Book
from orderbook.kernel.book import CompiledBook
from orderbook.kernel.ladder import Ints
from orderbook.validity import TrackedBook
from producers.books.kernel.apply import (
    CHECKSUM,
    EXCHANGE_NS,
    FLOW_EVENTS,
    FLOW_KNOWN,
    FLOW_LOTS,
    MOST_BYTES,
    MOST_TRADES,
    NO_ROOM,
    OTHER_FORM,
    OUT,
    SEQUENCE,
    TRADES,
    scratch,
    take_frame,
)
from producers.books.kernel.plan import Planner
from producers.books.kernel.tops import MOST_TOPS, write_tops
from producers.books.quote_flow import NOT_KNOWN, QuoteFlow
from producers.books.records import RecordWriter
from producers.books.templates import FrameTemplate, FrameTemplates
from producers.books.trades import PendingTrades
from producers.contract import DeltaForm

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
        self._levels = form.levels
        self._scratch = scratch()

    def book(self) -> Book:
        """Make an empty book."""
        return CompiledBook()

    def updater(self, tracked: TrackedBook, records: RecordWriter) -> CompiledUpdater:
        """Make what takes the updates of one instrument."""
        return CompiledUpdater(tracked, Planner(tracked, records, self._levels), self.templates, self._scratch)


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
        self._scratch = memory
        self._told = memoryview(memory)  # type: ignore[arg-type] # an array is a buffer
        self._written = self._told[OUT:].cast("B")

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
        plan, book, told = self._planner.plan(template), self._book, self._told
        has_more = bool(trades.ticks) or (flow is not NOT_KNOWN and (flow.lots is not None or flow.events > 0))
        if plan is None or len(raw) > MOST_BYTES or (has_more and not self._tell(trades, flow)):
            return None
        code = take_frame(raw, plan, book.memory, self._scratch, sequence, received_ns, has_more)
        while code == NO_ROOM:
            book.make_room(len(raw) // SHORTEST_LEVEL, len(raw) // SHORTEST_LEVEL)
            code = take_frame(raw, plan, book.memory, self._scratch, sequence, received_ns, has_more)
        if code < 0:
            if code == OTHER_FORM:
                self._templates.forget(template)
            return None
        book.note_change()
        self.sequence, self.exchange_ns = told[SEQUENCE], told[EXCHANGE_NS]
        self.checksum = told[CHECKSUM] or None
        self.is_suspect = bool(code & 1)
        return self._written[: code >> 1].tobytes()

    def top_turns(self, count: int) -> bytes | None:
        """Write the best levels as `Checksum.of_turns` wants them; None where that is not done here."""
        plan = self._planner.current
        if plan is None or count > MOST_TOPS:
            return None
        end = write_tops(self._book.memory, plan, self._scratch, count)
        return None if end < 0 else self._written[:end].tobytes()

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
