"""A batch of `l2.v1` deltas from Avro into columns, bound to one writer schema.

Only what is plainly an ordinary delta is decoded here. Anything else is left to the codec, which decides and words what
is wrong: snapshots and invalids, another schema, numbers out of their bounds, bytes that end, arrays in other blocks
than one, texts that were not seen yet. No byte outside of a payload is read.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.factors.kernel.deltas import HEAD, Deltas, Ints
from schemas.bounds import EARLIEST_NS, INT64_MIN, LATEST_NS, MAX_LEVELS, MAX_TRADES
from schemas.kernel.avro import BAD, Bytes, read_long
from schemas.kernel.compiled import compiled
from schemas.units import NS_PER_MS

SCHEMA_ID: Final = 9
"""Of the writer schema this file knows, l2 version 2."""
FIELDS: Final = (
    *("venue", "symbol", "source", "kind", "reason", "epoch", "sequence", "previous_sequence", "exchange_ns"),
    *("received_ns", "tick_size", "lot_size", "contract_value", "contract_kind", "sequence_source", "coverage"),
    *("bid_known_ticks", "ask_known_ticks", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots", "trade_ticks"),
    *("trade_lots", "quote_flow_lots", "quote_events", "run"),
)
"""Its fields, in the order they are read here."""
FRAME_BYTES: Final = 5
DELTA: Final = 1
SOURCES: Final = 3
CONTRACT_KINDS: Final = 4
SEQUENCE_SOURCES: Final = 2
LAST_EPOCH: Final = LATEST_NS // NS_PER_MS
MOST_EVENTS: Final = 2**31 - 1
SLOW: Final = -1
TEXT_SPANS: Final = 6


class DecodedDeltas(NamedTuple):
    """What came of a batch.

    Attributes:
        deltas: Columns, a place a payload; places of those left to the codec hold nothing.
        alike: For each payload the place of the first one of the same texts, or SLOW: left to the codec.
        texts: Where the texts of each lie: venue to source, grid to sequence source, run; begin and end.
    """

    deltas: Deltas
    alike: Ints
    texts: Ints


def decode_deltas(data: Bytes, ends: Ints) -> DecodedDeltas:
    """Decode what is plainly a delta.

    Args:
        data: Payloads, one after another.
        ends: Where each ends.
    """
    count = len(ends)
    heads = np.zeros(count, dtype=HEAD)
    numbers = np.empty(len(data) + 1, dtype=np.int64)
    alike, texts = np.full(count, SLOW, dtype=np.int64), np.zeros((count, TEXT_SPANS), dtype=np.int64)
    seen = np.full(1 << (2 * count).bit_length(), SLOW, dtype=np.int64)
    _decode_all(data, ends, heads, numbers, alike, texts, seen)
    return DecodedDeltas(Deltas(heads, numbers), alike, texts)


@compiled
def _decode_all(
    data: Bytes, ends: Ints, heads: NDArray[Any], numbers: Ints, alike: Ints, texts: Ints, seen: Ints
) -> None:
    start, used, one = 0, 0, np.zeros(1, dtype=np.int64)
    for row in range(ends.shape[0]):
        end, head = ends[row], heads[row]
        head.spans[0] = used
        if _read_delta(data, start, end, head, numbers, texts, row, one) == end:
            used = head.spans[6]
            alike[row] = _first_alike(data, texts, row, seen)
        start = end


@compiled
def _read_delta(
    data: Bytes,
    start: int,
    end: int,
    head: Any,  # noqa: ANN401 (a row of HEAD)
    numbers: Ints,
    texts: Ints,
    row: int,
    one: Ints,
) -> int:
    """Read one delta: where it ends, or BAD. Each part is read to `one` and kept from there."""
    at = _skip_frame(data, start, end)
    texts[row, 0] = at
    at = _skip_text(data, _skip_text(data, at, end, one), end, one)
    at = _read_within(data, at, end, 0, SOURCES - 1, one)
    texts[row, 1] = at
    at = _read_within(data, at, end, DELTA, DELTA, one)
    at = _read_within(data, at, end, 0, 0, one)  # reason
    at = _read_within(data, at, end, 0, LAST_EPOCH, one)
    head.epoch = one[0]
    at = _read_any(data, at, end, one)
    head.sequence = one[0]
    at = _read_within(data, at, end, 1, 1, one)
    at = _read_any(data, at, end, one)
    head.previous = one[0]
    at, head.has_exchange = _read_optional(data, at, end, EARLIEST_NS, one)
    head.exchange_ns = one[0]
    at = _read_within(data, at, end, EARLIEST_NS, LATEST_NS, one)
    head.received_ns = one[0]
    texts[row, 2] = at
    for _ in range(3):
        at = _skip_text(data, at, end, one)
    at = _read_within(data, at, end, 0, CONTRACT_KINDS - 1, one)
    at = _read_within(data, at, end, 0, SEQUENCE_SOURCES - 1, one)
    texts[row, 3] = at
    for _ in range(3):  # coverage and what is known, which a delta does not say
        at = _read_within(data, at, end, 0, 0, one)
    at = _read_arrays(data, at, end, head, numbers, one)
    at, head.has_flow = _read_optional(data, at, end, INT64_MIN, one)
    head.flow_lots = one[0]
    at = _read_within(data, at, end, 0, MOST_EVENTS, one)
    head.quote_events = one[0]
    texts[row, 4] = at
    at = _skip_text(data, at, end, one)
    texts[row, 5] = at
    return at


@compiled
def _skip_frame(data: Bytes, start: int, end: int) -> int:
    if end - start < FRAME_BYTES or data[start] or data[start + 1] or data[start + 2] or data[start + 3]:
        return BAD
    return start + FRAME_BYTES if data[start + 4] == SCHEMA_ID else BAD


@compiled
def _read_any(data: Bytes, at: int, end: int, one: Ints) -> int:
    return BAD if at == BAD else read_long(data, at, end, one, 0)


@compiled
def _read_within(data: Bytes, at: int, end: int, low: int, high: int, one: Ints) -> int:
    at = _read_any(data, at, end, one)
    return at if at != BAD and low <= one[0] <= high else BAD


@compiled
def _read_optional(data: Bytes, at: int, end: int, low: int, one: Ints) -> tuple[int, int]:
    """Read a union of null and long: where to go on, and whether there is one."""
    at = _read_within(data, at, end, 0, 1, one)
    if at == BAD or one[0] == 0:
        return at, 0
    return _read_within(data, at, end, low, LATEST_NS, one), 1


@compiled
def _skip_text(data: Bytes, at: int, end: int, one: Ints) -> int:
    at = _read_any(data, at, end, one)
    return at + one[0] if at != BAD and 0 <= one[0] <= end - at else BAD


@compiled
def _read_arrays(data: Bytes, at: int, end: int, head: Any, numbers: Ints, one: Ints) -> int:  # noqa: ANN401
    """Read the six arrays, each in one block; prices and sizes are alike in number."""
    spans, most = head.spans, MAX_LEVELS
    for which in range(6):
        if at == BAD:
            return BAD
        used = spans[which]
        at = _read_array(data, at, end, numbers, used, which < 5, one)
        if one[0] > most or (which % 2 and one[0] != used - spans[which - 1]):
            return BAD
        spans[which + 1] = used + one[0]
        if which == 3:
            most = MAX_TRADES
            if spans[4] - spans[0] > 2 * MAX_LEVELS:
                return BAD
    return at


@compiled
def _read_array(data: Bytes, at: int, end: int, numbers: Ints, used: int, is_count: bool, one: Ints) -> int:
    """Read one array to a place, and leave its length in `one`; counts are never negative."""
    at = _read_any(data, at, end, one)
    length = one[0]
    if at == BAD or not 0 <= length <= end - at:
        return BAD
    for i in range(length):
        at = read_long(data, at, end, numbers, used + i)
        if at == BAD or (is_count and numbers[used + i] < 0):
            return BAD
    if length:
        at = _read_within(data, at, end, 0, 0, one)
    one[0] = length
    return at


@compiled
def _first_alike(data: Bytes, texts: Ints, row: int, seen: Ints) -> int:
    """Find the first delta with the same texts, by open addressing."""
    mask, place = seen.shape[0] - 1, _hash(data, texts, row) & (seen.shape[0] - 1)
    while seen[place] != SLOW:
        if _same_texts(data, texts, row, seen[place]):
            return seen[place]  # type: ignore[no-any-return] # an int64
        place = (place + 1) & mask
    seen[place] = row
    return row


@compiled
def _hash(data: Bytes, texts: Ints, row: int) -> int:
    value = 1469598103
    for part in range(0, TEXT_SPANS, 2):
        for at in range(texts[row, part], texts[row, part + 1]):
            value = ((value ^ int(data[at])) * 16777619) & 0x7FFFFFFF
    return value


@compiled
def _same_texts(data: Bytes, texts: Ints, row: int, other: int) -> bool:
    for part in range(0, TEXT_SPANS, 2):
        length = texts[row, part + 1] - texts[row, part]
        if texts[other, part + 1] - texts[other, part] != length:
            return False
        for i in range(length):
            if data[texts[row, part] + i] != data[texts[other, part] + i]:
                return False
    return True
