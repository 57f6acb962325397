"""One depth update compiled: its levels read, put into the book and written as the bytes of a record of `l2.v1`.

The bytes are those that `schemas.codec.encode` gives of the record that `producers.books.records` would write. Where
anything is refused, neither the book nor anything else has changed.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from orderbook.kernel.ladder import Ints
from orderbook.kernel.table import BEST, LEVELS, SIDE, has_room, set_level
from producers.books.kernel.digits import REFUSED, read_levels
from schemas.kernel.avro import Bytes, write_long
from schemas.kernel.compiled import compiled

NO_ROOM: Final = -2
"""The table of the book is too small: it has to be made larger first."""
NO_TIME: Final = -1
"""In place of a venue's time where it gave none."""
MOST_BYTES: Final = 256 * 1024
"""Of the text of both sides; a longer one is for the readable path."""
MOST_LEVELS: Final = MOST_BYTES // 10
"""Most levels in so much text, `["1","2"],` being the shortest."""
BEYOND_LEVELS: Final = 64 * 1024
"""Bytes of a record besides its levels and trades."""
MOST_TRADES: Final = 10_000
LONGEST: Final = 10


class Scratch(NamedTuple):
    """Memory that every update of a process uses, one after another.

    Attributes:
        numbers: Price and size of each level in turns.
        out: The record.
    """

    numbers: Ints
    out: Bytes


def scratch() -> Scratch:
    """Have memory for the largest update that is taken."""
    return Scratch(
        np.empty(2 * (MOST_LEVELS + MOST_TRADES), dtype=np.int64),
        np.empty(2 * LONGEST * (MOST_LEVELS + MOST_TRADES) + BEYOND_LEVELS, dtype=np.uint8),
    )


FORM: Final = 0
GRID: Final = 1
"""Decimals and units of prices, then of sizes."""
HEAD_END: Final = 5
MIDDLE_END: Final = 6
BID_LIMIT: Final = 7
ASK_LIMIT: Final = 8
"""Keys up to which a side has to hold a level, or NO_LIMIT."""
PLAN: Final = 9
"""Numbers of a plan before its bytes; where those end is counted with these."""
NO_LIMIT: Final = -(2**63)


@compiled
def apply_delta(
    bids: Any,  # noqa: ANN401 (bytes)
    asks: Any,  # noqa: ANN401 (bytes)
    plan: Ints,
    memory: Ints,
    numbers: Ints,
    out: Bytes,
    trades: int,
    sequence: int,
    previous: int,
    exchange_ns: int,
    received_ns: int,
    has_flow: bool,
    flow_lots: int,
    quote_events: int,
) -> int:
    """Take one update: twice the length of its record, and one more where the book is suspect; REFUSED, or NO_ROOM.

    A book is suspect where it is crossed, or where a side ends before its limit.

    Args:
        bids: The JSON of its bids.
        asks: The JSON of its asks.
        plan: Form of the levels, grid, limits, and what is alike in every record, a byte each: to the epoch, from
            the grid to what is known, the run.
        memory: The book.
        numbers: Scratch for levels. At its end stand the waiting trades: their prices, then as many sizes.
        out: Where the record is written.
        trades: How many wait.
        sequence: Of the update.
        previous: Of the book before it.
        exchange_ns: The venue's time, or NO_TIME.
        received_ns: Ours.
        has_flow: Whether it is known what flowed through the best quotes.
        flow_lots: What did, lots.
        quote_events: How many updates of them there were.
    """
    grid, room = plan[GRID : GRID + 4], numbers.shape[0] - 2 * trades
    bid_count = read_levels(bids, plan[FORM], grid, numbers, 0, room)
    if bid_count == REFUSED:
        return REFUSED
    ask_count = read_levels(asks, plan[FORM], grid, numbers, 2 * bid_count, room)
    if ask_count == REFUSED:
        return REFUSED
    if not (has_room(memory, 0, bid_count) and has_room(memory, 1, ask_count)):
        return NO_ROOM
    for i in range(bid_count):
        set_level(memory, 0, -numbers[2 * i], numbers[2 * i + 1])
    for i in range(bid_count, bid_count + ask_count):
        set_level(memory, 1, numbers[2 * i], numbers[2 * i + 1])
    at = _copy(plan, PLAN, plan[HEAD_END], out, 0)
    at = write_long(out, at, sequence)
    at = _write_optional(out, at, True, previous)
    at = _write_optional(out, at, exchange_ns != NO_TIME, exchange_ns)
    at = write_long(out, at, received_ns)
    at = _copy(plan, plan[HEAD_END], plan[MIDDLE_END], out, at)
    at = _write_every_other(out, at, numbers, 0, bid_count)
    at = _write_every_other(out, at, numbers, 1, bid_count)
    at = _write_every_other(out, at, numbers, 2 * bid_count, ask_count)
    at = _write_every_other(out, at, numbers, 2 * bid_count + 1, ask_count)
    at = _write_array(out, at, numbers, room, trades)
    at = _write_array(out, at, numbers, room + trades, trades)
    at = _write_optional(out, at, has_flow, flow_lots)
    at = write_long(out, at, quote_events)
    at = _copy(plan, plan[MIDDLE_END], plan.shape[0], out, at)
    return 2 * at + is_suspect(memory, plan[BID_LIMIT], plan[ASK_LIMIT])


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
def _copy(source: Ints, begin: int, end: int, out: Bytes, at: int) -> int:
    for i in range(begin, end):
        out[at + i - begin] = source[i]
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
