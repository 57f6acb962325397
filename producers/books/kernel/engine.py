"""The compiled engine of `producers.books.engine`: around one call of compiled code, what it needs to be told."""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec.structs import replace

from orderbook.book import Book
from orderbook.decimals import Steps
from orderbook.kernel.book import CompiledBook
from orderbook.kernel.ladder import Ints
from orderbook.validity import TrackedBook
from producers.books.kernel.apply import (
    BEYOND_LEVELS,
    MOST_BYTES,
    MOST_TRADES,
    NO_LIMIT,
    NO_ROOM,
    NO_TIME,
    PLAN,
    Scratch,
    apply_delta,
    scratch,
)
from producers.books.kernel.digits import MOST_DIGITS
from producers.books.quote_flow import QuoteFlow
from producers.books.records import RecordWriter
from producers.books.trades import PendingTrades
from producers.messages import LevelForm, RawDelta
from schemas.bounds import INT64_MAX
from schemas.codec import encode
from schemas.messages import Coverage, Kind

NUMBERS: Final = b"\x00\x02\x00\x00\x00"
"""Sequence 0, previous sequence 0, no time of the venue, received at 0."""
NOTHING: Final = bytes(8)
"""Six arrays without an element, no order flow, no update of the best quotes."""
SHORTEST_LEVEL: Final = 10


class CompiledDeltas:
    """Takes the updates of a venue.

    Args:
        form: How the venue writes levels.
    """

    def __init__(self, form: LevelForm) -> None:
        self._form = form
        self._scratch = scratch()

    def book(self) -> Book:
        """Make an empty book."""
        return CompiledBook()

    def updater(self, tracked: TrackedBook, records: RecordWriter) -> CompiledUpdater:
        """Make what takes the updates of one instrument."""
        return CompiledUpdater(tracked, records, self._form, self._scratch)


class CompiledUpdater:
    """Takes the updates of one instrument.

    Attributes:
        is_suspect: Whether the book is crossed after the last update, or a best price is not known to be the best.
    """

    def __init__(self, tracked: TrackedBook, records: RecordWriter, form: LevelForm, memory: Scratch) -> None:
        assert isinstance(tracked.book, CompiledBook)  # noqa: S101 (made by the engine)
        self.is_suspect = False
        self._book = tracked.book
        self._tracked = tracked
        self._records = records
        self._form = form
        self._numbers, self._out = memory
        self._written = memoryview(self._out)  # type: ignore[arg-type] # an array is a buffer
        self._plan: Ints | None = None
        self._planned: tuple[object, ...] = ()

    def apply(
        self, delta: RawDelta, previous_sequence: int, received_ns: int, trades: PendingTrades, flow: QuoteFlow
    ) -> bytes | None:
        """Put an update into the book and give its record as bytes; None where it is refused."""
        records, known, book = self._records, self._tracked.known, self._book
        if self._planned != (records.epoch, records.grid, records.sequence_source, known):
            self._lay_plan()
        plan, bids, asks, waiting = self._plan, delta.bids, delta.asks, len(trades.ticks)
        if plan is None or len(bids) + len(asks) > MOST_BYTES or waiting > MOST_TRADES:
            return None
        if waiting:
            self._numbers[-2 * waiting :] = trades.ticks + trades.lots
        code = NO_ROOM
        while code == NO_ROOM:
            code = apply_delta(
                bids,
                asks,
                plan,
                book.memory,
                self._numbers,
                self._out,
                waiting,
                delta.last_sequence,
                previous_sequence,
                NO_TIME if delta.exchange_ns is None else delta.exchange_ns,
                received_ns,
                flow.lots is not None,
                flow.lots or 0,
                flow.events,
            )
            if code == NO_ROOM:
                book.make_room(len(bids) // SHORTEST_LEVEL, len(asks) // SHORTEST_LEVEL)
        if code < 0:
            return None
        book.note_change()
        self.is_suspect = bool(code & 1)
        return self._written[: code >> 1].tobytes()

    def _lay_plan(self) -> None:
        """Cut what every record has in common out of one that the codec writes: any schema but this one is refused."""
        records, known = self._records, self._tracked.known
        self._planned, self._plan = (records.epoch, records.grid, records.sequence_source, known), None
        record = replace(records.l2(Kind.DELTA, 0, 0, previous_sequence=0), received_ns=0, exchange_ns=None)
        whole = encode(record)
        head = _first_difference(whole, encode(replace(record, sequence=-1)))
        middle = _first_difference(whole, encode(replace(record, quote_events=-1))) + 1
        begin, end = head + len(NUMBERS), middle - len(NOTHING)
        is_known = whole[head:begin] == NUMBERS and whole[end:middle] == NOTHING and len(whole) < BEYOND_LEVELS
        grid = [*_steps(records.grid.price), *_steps(records.grid.size)]
        if not is_known or min(grid) < 0:
            return
        texts = whole[:head] + whole[begin:end] + whole[middle:]
        limits = (NO_LIMIT, NO_LIMIT)
        if known.coverage is Coverage.RANGE:
            limits = (NO_LIMIT if known.bid is None else -known.bid, NO_LIMIT if known.ask is None else known.ask)
        ends = PLAN + head, PLAN + head + end - begin
        self._plan = np.array([self._form, *grid, *ends, *limits, *texts], dtype=np.int64)


def _first_difference(one: bytes, other: bytes) -> int:
    return next(at for at, (first, second) in enumerate(zip(one, other, strict=False)) if first != second)


def _steps(steps: Steps) -> tuple[int, int]:
    """Decimals and units of a step; -1 where compiled code cannot count in it."""
    units = int(steps.step.replace(".", ""))
    return (steps.decimals, units) if steps.decimals < MOST_DIGITS and units <= INT64_MAX else (-1, -1)
