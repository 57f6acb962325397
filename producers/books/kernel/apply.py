"""A frame of one depth update compiled: read, put into the book and written as the bytes of a record of `l2.v1`.

A frame is read by a template of it (`producers.books.templates`): the same bytes, but for the numbers and the
levels of this update. The bytes of the record are those that `schemas.codec.encode` gives of the record that
`producers.books.records` would write. Where anything is refused, neither the book nor anything else has changed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from orderbook.kernel.ladder import Ints
from orderbook.kernel.table import BEST, LEVELS, SIDE, has_room, set_level
from producers.books.kernel.digits import BRACE, REFUSED, read_levels, read_whole
from producers.books.kernel.tops import write_tops
from producers.books.templates import ASKS, BIDS, END, MOMENT, MOST_PARTS, NONE, SIGNED
from schemas.kernel.avro import Bytes, write_long
from schemas.kernel.compiled import compiled
from schemas.kernel.crc32 import crc32
from schemas.kernel.memory import numbers_at
from schemas.units import NS_PER_MS

NO_ROOM: Final = -2
"""The table of the book is too small: it has to be made larger first."""
OTHER_FORM: Final = -3
"""The frame is not like its template."""
MOST_BYTES: Final = 256 * 1024
"""Of a frame; a longer one is for the readable path."""
MOST_LEVELS: Final = MOST_BYTES // 10
"""Most levels in so much text, `["1","2"],` being the shortest."""
BEYOND_LEVELS: Final = 64 * 1024
"""Bytes of a record besides its levels and trades."""
MOST_TRADES: Final = 10_000
LONGEST: Final = 10
LATEST_MS: Final = 9_223_372_036_854
"""Of a venue's time, so that its nanoseconds are int64."""

# Scratch: memory that every update of a process uses, one after another.
SEQUENCE: Final = 0
"""The number of the update that was taken last; its time and checksum follow."""
EXCHANGE_NS: Final = 1
CHECKSUM: Final = 2
TRADES: Final = 3
"""How many trades wait; what flowed through the best quotes follows: whether it is known, lots, and updates."""
FLOW_KNOWN: Final = 4
FLOW_LOTS: Final = 5
FLOW_EVENTS: Final = 6
BOOK_SUM: Final = 7
"""CRC-32 of the best levels after the update, or NO_SUM."""
FOUND: Final = 8
"""The numbers of the frame, in their order there."""
NUMBERS: Final = FOUND + MOST_PARTS
"""Price and size of each level in turns. At the end stand the waiting trades: their prices, then as many sizes."""
OUT: Final = NUMBERS + 2 * (MOST_LEVELS + MOST_TRADES)
"""The record, eight bytes a number."""
FRAME: Final = OUT + (2 * LONGEST * (MOST_LEVELS + MOST_TRADES) + BEYOND_LEVELS) // 8
"""The frame, eight bytes a number; once it is read, the text that is summed up."""
SCRATCH: Final = FRAME + MOST_BYTES // 8

# A plan: numbers, then bytes.
FORM: Final = 0
GRID: Final = 1
"""Decimals and units of prices, then of sizes."""
BID_LIMIT: Final = 5
ASK_LIMIT: Final = 6
"""Keys up to which a side has to hold a level, or NO_LIMIT."""
SUMMED: Final = 7
"""Levels a side that a checksum of the frames covers; 0 where it is none that is known here."""
HEAD: Final = 8
"""Where, in the plan's bytes, begins what is alike in every record: to the epoch, from the grid to what is known, the
run. The ends of these follow."""
HEAD_END: Final = 9
MIDDLE_END: Final = 10
TAIL_END: Final = 11
LAST: Final = 12
"""Which of a frame's numbers is that of the update, and so on; NONE: it has none."""
FIRST: Final = 13
FOLLOWS: Final = 14
AFTER: Final = 15
"""How much larger that is than the number of the book."""
TIME: Final = 16
SUM: Final = 17
PARTS: Final = 18
"""How many parts the template has; of each follow the end of the text before it, and what it is."""
PLAN: Final = 19
NO_LIMIT: Final = -(2**63)
NO_SUM: Final = -(2**63)


def scratch() -> Ints:
    """Have memory for the largest update that is taken."""
    return np.zeros(SCRATCH, dtype=np.int64)


@compiled
def take_frame(
    length: int, plan_at: int, memory_at: int, scratch_at: int, sequence: int, received_ns: int, has_more: int
) -> int:
    """Take one update: twice the length of its record, and one more where the book is suspect; or why it is refused.

    A book is suspect where it is crossed, or where a side ends before its limit. Arrays are told by their address.

    Args:
        length: Of the frame, which is in the scratch.
        plan_at: What is known of the instrument, its record and its frames.
        memory_at: The book.
        scratch_at: For numbers and the record; holds beforehand what waits, and afterwards what the update is.
        sequence: Of the book.
        received_ns: Ours.
        has_more: 1 where trades wait, or best quotes were told, else 0.
    """
    plan, memory, scratch = numbers_at(plan_at), numbers_at(memory_at), numbers_at(scratch_at)
    trades = scratch[TRADES] if has_more else 0
    room = OUT - 2 * trades
    bid_count, bids, ask_count, asks = _read_frame(length, plan, scratch, room)
    if bid_count < 0:
        return bid_count
    last = scratch[FOUND + plan[LAST]]
    if not _is_next(plan, scratch, last, sequence):
        return REFUSED
    if not (has_room(memory, 0, bid_count) and has_room(memory, 1, ask_count)):
        return NO_ROOM
    for i in range(bids, bids + 2 * bid_count, 2):
        set_level(memory, 0, -scratch[i], scratch[i + 1])
    for i in range(asks, asks + 2 * ask_count, 2):
        set_level(memory, 1, scratch[i], scratch[i + 1])
    exchange_ns = scratch[FOUND + plan[TIME]] * NS_PER_MS
    scratch[SEQUENCE], scratch[EXCHANGE_NS] = last, exchange_ns
    scratch[CHECKSUM] = scratch[FOUND + plan[SUM]] if plan[SUM] != NONE else 0
    texts, out = plan.view(np.uint8), scratch[OUT:].view(np.uint8)
    at = _copy(texts, plan[HEAD], plan[HEAD_END], out, 0)
    at = write_long(out, at, last)
    at = _write_optional(out, at, True, sequence)
    at = _write_optional(out, at, True, exchange_ns)
    at = write_long(out, at, received_ns)
    at = _copy(texts, plan[HEAD_END], plan[MIDDLE_END], out, at)
    at = _write_every_other(out, at, scratch, bids, bid_count)
    at = _write_every_other(out, at, scratch, bids + 1, bid_count)
    at = _write_every_other(out, at, scratch, asks, ask_count)
    at = _write_every_other(out, at, scratch, asks + 1, ask_count)
    at = _write_array(out, at, scratch, room, trades)
    at = _write_array(out, at, scratch, room + trades, trades)
    at = _write_optional(out, at, has_more != 0 and scratch[FLOW_KNOWN] != 0, scratch[FLOW_LOTS])
    at = write_long(out, at, scratch[FLOW_EVENTS] if has_more else 0)
    at = _copy(texts, plan[MIDDLE_END], plan[TAIL_END], out, at)
    scratch[BOOK_SUM] = _sum_up(memory, plan, scratch) if scratch[CHECKSUM] != 0 and plan[SUMMED] > 0 else NO_SUM
    return 2 * at + is_suspect(memory, plan[BID_LIMIT], plan[ASK_LIMIT])


@compiled
def _read_frame(end: int, plan: Ints, scratch: Ints, room: int) -> tuple[int, int, int, int]:
    """Read a frame by its template: how many bids, where they are, the same of asks; or why not, first.

    No byte beyond the frame is looked at: every text is compared within it, and what is read ends before a brace.
    """
    texts, raw = plan.view(np.uint8), scratch[FRAME:].view(np.uint8)
    other = (OTHER_FORM, 0, 0, 0)
    if end == 0 or raw[np.uintp(end - 1)] != BRACE:
        return other
    grid = (plan[GRID], plan[GRID + 1], plan[GRID + 2], plan[GRID + 3])
    at, text, found, used = 0, plan[TAIL_END], FOUND, NUMBERS
    bid_count, bids, ask_count, asks = 0, NUMBERS, 0, NUMBERS
    for part in range(PLAN, PLAN + 2 * plan[PARTS], 2):
        length, what = plan[part] - text, plan[part + 1]
        if at + length > end or not _is_alike(raw, at, texts, text, length):
            return other
        at, text = at + length, text + length
        if what == END:
            return (bid_count, bids, ask_count, asks) if at == end else other
        if at == end:
            return other
        if what == BIDS:
            bids = used
            bid_count, at = read_levels(raw, at, plan[FORM], grid, scratch, used, room)
            used += 2 * bid_count
        elif what == ASKS:
            asks = used
            ask_count, at = read_levels(raw, at, plan[FORM], grid, scratch, used, room)
            used += 2 * ask_count
        else:
            scratch[found], at = read_whole(raw, at, what == SIGNED)
            if what == MOMENT and not 0 < scratch[found] <= LATEST_MS:
                return (REFUSED, 0, 0, 0)
            found += 1
        if at == REFUSED:
            return (REFUSED, 0, 0, 0)
    return other


@compiled
def _is_alike(raw: Bytes, at: int, texts: Bytes, text: int, length: int) -> bool:
    """Compare so many bytes, which are there: all of them, which is faster than to stop."""
    differences = np.uint8(0)
    for i in range(length):
        differences |= raw[np.uintp(at + i)] ^ texts[np.uintp(text + i)]
    return differences == 0  # type: ignore[no-any-return] # a bool


@compiled
def _is_next(plan: Ints, scratch: Ints, last: int, sequence: int) -> bool:
    """Say whether an update is the next one in the plainest way: its numbers rise, and name the one of the book."""
    if sequence < 1 or last <= sequence:
        return False
    if plan[FIRST] != NONE and scratch[FOUND + plan[FIRST]] > last:
        return False
    return plan[FOLLOWS] == NONE or scratch[FOUND + plan[FOLLOWS]] == sequence + plan[AFTER]  # type: ignore[no-any-return]


@compiled
def is_suspect(memory: Ints, bid_limit: int, ask_limit: int) -> bool:
    """Say whether a book is crossed, or a side holds no level up to its limit."""
    has_bids, has_asks = memory[LEVELS] > 0, memory[SIDE + LEVELS] > 0
    bid, ask = memory[BEST], memory[SIDE + BEST]
    if (bid_limit != NO_LIMIT and not (has_bids and bid <= bid_limit)) or (
        ask_limit != NO_LIMIT and not (has_asks and ask <= ask_limit)
    ):
        return True
    return bool(has_bids and has_asks and -bid > ask)


@compiled
def _sum_up(memory: Ints, plan: Ints, scratch: Ints) -> int:
    """Sum up the best levels of a book, as a signed number of 32 bits; or NO_SUM."""
    grid = (plan[GRID], plan[GRID + 1], plan[GRID + 2], plan[GRID + 3])
    end = write_tops(memory, grid, scratch[NUMBERS:], scratch[FRAME:], plan[SUMMED])
    if end < 0:
        return NO_SUM
    total = crc32(scratch[FRAME:], end)
    return total - 2**32 if total >= 2**31 else total


@compiled
def _copy(source: Bytes, begin: int, end: int, out: Bytes, at: int) -> int:
    for i in range(end - begin):
        out[np.uintp(at + i)] = source[np.uintp(begin + i)]
    return at + end - begin


@compiled
def _write_optional(out: Bytes, at: int, is_there: bool, value: int) -> int:
    """Write a union of null and long."""
    if not is_there:
        out[at] = 0
        return at + 1
    out[at] = 2
    return write_long(out, at + 1, value)


@compiled
def _write_every_other(out: Bytes, at: int, numbers: Ints, begin: int, count: int) -> int:
    """Write an array of the prices, or of the sizes, of a side."""
    if count == 0:
        out[at] = 0
        return at + 1
    at = write_long(out, at, count)
    for i in range(count):
        at = write_long(out, at, numbers[begin + 2 * i])
    out[at] = 0
    return at + 1


@compiled
def _write_array(out: Bytes, at: int, numbers: Ints, begin: int, count: int) -> int:
    if count == 0:
        out[at] = 0
        return at + 1
    at = write_long(out, at, count)
    for i in range(count):
        at = write_long(out, at, numbers[begin + i])
    out[at] = 0
    return at + 1
