"""What compiled code has to know of an instrument beforehand, as one array: its grid, its record, its frames.

What every record has in common is cut out of one that the codec writes, with numbers in it that nothing else looks
like: a schema of another order than the one known gives no plan, and every update is the readable path's.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from orderbook.decimals import Steps, TextGrid
from orderbook.kernel.ladder import Ints
from orderbook.known import Known
from orderbook.validity import TrackedBook
from producers.books.kernel.apply import BEYOND_LEVELS, NO_LIMIT, PLAN
from producers.books.kernel.digits import MOST_DIGITS
from producers.books.kernel.tops import MOST_TOPS
from producers.books.quote_flow import QuoteFlow
from producers.books.records import RecordWriter
from producers.books.templates import FrameTemplate
from producers.contract import DeltaForm
from schemas.bounds import INT64_MAX
from schemas.codec import encode
from schemas.kernel.memory import address_of
from schemas.messages import Coverage, Kind

MARKS: Final = tuple(INT64_MAX // 3 + 977 * number for number in range(1, 6))
"""In place of epoch, sequence, previous sequence, time of receipt and updates of the best quotes."""
NOTHING: Final = bytes(7)
"""Six arrays without an element, and no order flow."""


class RecordTexts(NamedTuple):
    """What is alike in every record of an epoch: up to it, behind it, from the grid to what is known, the rest."""

    before_epoch: bytes
    head: bytes
    middle: bytes
    tail: bytes


class Planner:
    """Lays the plans of one instrument.

    Args:
        tracked: Its book, and how far that is known.
        records: Says what every record has in common.
        form: Where its frames say what.
    """

    def __init__(self, tracked: TrackedBook, records: RecordWriter, form: DeltaForm) -> None:
        self._tracked = tracked
        self._records = records
        self._form = form
        self._plan: Ints | None = None
        self._plan_at = 0
        self._template: FrameTemplate | None = None
        self._epoch = 0
        self._grid: TextGrid | None = None
        self._known: Known | None = None
        self._texts: RecordTexts | None = None
        self._cut_for: tuple[object, ...] = ()

    def plan_at(self, template: FrameTemplate) -> int:
        """Give the address of the plan for frames of a template; 0 where compiled code cannot know the instrument."""
        records = self._records
        known = self._tracked.known
        is_laid = template is self._template and records.epoch == self._epoch and records.grid is self._grid
        if not is_laid or known is not self._known:
            self._plan = plan = self._lay(template)
            self._plan_at = 0 if plan is None else address_of(plan)
            self._template, self._epoch, self._grid, self._known = template, records.epoch, records.grid, known
        return self._plan_at

    def _lay(self, template: FrameTemplate) -> Ints | None:
        records = self._records
        cut_for = (records.instrument, records.grid, records.sequence_source)  # the last two change with an epoch
        if cut_for != self._cut_for:
            self._texts, self._cut_for = texts_of(records), cut_for
        grid = [*_steps(records.grid.price), *_steps(records.grid.size)]
        if self._texts is None or min(grid) < 0:
            return None
        head = self._texts.before_epoch + long_bytes(records.epoch) + self._texts.head
        known = [self._form.levels, *grid, *limits_of(self._tracked.known), summed_levels(self._form)]
        return _laid(known, (head, self._texts.middle, self._texts.tail), template)


def _laid(known: list[int], texts: tuple[bytes, ...], template: FrameTemplate) -> Ints:
    """Lay a plan: numbers, and behind them the texts of a record and of its frames, whose places the numbers give."""
    lengths, kinds = template.parts[::2], template.parts[1::2]
    *in_record, ends = accumulate(map(len, texts), initial=8 * (PLAN + 2 * len(kinds)))
    _, *cuts = accumulate(lengths, initial=ends)
    parts = [number for part in zip(cuts, kinds, strict=True) for number in part]
    numbers = np.array([*known, *in_record, ends, *template.numbers, len(kinds), *parts], dtype=np.int64)
    whole = numbers.tobytes() + b"".join(texts) + template.text
    return np.frombuffer(bytearray(whole + bytes(-len(whole) % 8)), dtype=np.int64)


def texts_of(records: RecordWriter) -> RecordTexts | None:
    """Cut what is alike in every record out of one; None where the schema is another one than is known here."""
    epoch, sequence, previous, received_ns, events = MARKS
    record = replace(
        records.l2(Kind.DELTA, sequence, 0, previous_sequence=previous, quotes=QuoteFlow(None, events)),
        epoch=epoch,
        received_ns=received_ns,
        exchange_ns=None,
    )
    whole = encode(record)
    pieces = list[bytes]()
    for mark in MARKED:
        before, found, whole = whole.partition(mark)
        if not found:
            return None
        pieces.append(before)
    before_epoch, head, middle = pieces
    is_short = sum(map(len, pieces)) + len(whole) < BEYOND_LEVELS
    return RecordTexts(before_epoch, head, middle, whole) if is_short else None


def limits_of(known: Known) -> tuple[int, int]:
    """Keys up to which each side has to hold a level, or NO_LIMIT."""
    if known.coverage is not Coverage.RANGE:
        return NO_LIMIT, NO_LIMIT
    return NO_LIMIT if known.bid is None else -known.bid, NO_LIMIT if known.ask is None else known.ask


def summed_levels(form: DeltaForm) -> int:
    """Levels a side that checksums cover which can be made here; else 0."""
    return form.summed if form.summed <= MOST_TOPS else 0


def long_bytes(value: int) -> bytes:
    """Write a number as Avro does, which is not below zero."""
    rest, out = value << 1, bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    return bytes((*out, rest))


def _marked() -> tuple[bytes, bytes, bytes]:
    """Write what the marks make of a record: its epoch, its numbers, and what it is without levels and trades."""
    epoch, sequence, previous, received_ns, events = map(long_bytes, MARKS)
    return epoch, b"".join((sequence, b"\x02", previous, b"\x00", received_ns)), NOTHING + events


MARKED: Final = _marked()


def _steps(steps: Steps) -> tuple[int, int]:
    """Decimals and units of a step; -1 where compiled code cannot count in it."""
    units = int(steps.step.replace(".", ""))
    return (steps.decimals, units) if steps.decimals < MOST_DIGITS and units <= INT64_MAX else (-1, -1)
