"""A batch of `factors.v1` from Avro into columns, bound to one shape of the writer's schema.

Only what is plainly a good record is decoded here. Anything else is left to the codec, which decides and words what is
wrong: another schema, numbers out of their bounds, infinite values, events out of order, bytes that end or are left
over, events in other blocks than one. What precedes the events is skipped: whoever asks knows it by its bytes, and has
the codec judge it once. No byte outside of a payload is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from schemas.bounds import EARLIEST_NS, INT64_MAX, INT64_MIN, MAX_EVENTS
from schemas.kernel.avro import BAD, Bytes, read_long
from schemas.kernel.compiled import compiled
from schemas.kernel.factor_columns import (
    EXCHANGE_NS,
    NUMBERS,
    RECEIVED_NS,
    SEQUENCE,
    SLOW,
    SOURCE_OFFSET,
    STATUSES,
    FactorEvents,
    Flags,
    Floats,
    Ints,
    Places,
)

FRAME_BYTES: Final = 5
LEAST_BYTES: Final = 6
"""Of an event's fields before its values."""
PRESENT: Final = 2
"""Twice the branch of a union that holds a value, as Avro writes it."""
MANTISSA_BITS: Final = 52
NO_NUMBER: Final = 0x7FF
"""Exponent of a double that is infinite or no number."""


def decode_factor_events(payloads: Sequence[bytes], schema_id: int, width: int) -> FactorEvents:
    """Decode what is plainly a good record.

    Args:
        payloads: Encoded records.
        schema_id: Of the writer's schema that has this shape, below 128.
        width: How many values its events have.
    """
    data = np.frombuffer(b"".join((*payloads, b"\0")), dtype=np.uint8)  # never empty
    ends = np.cumsum(np.fromiter(map(len, payloads), dtype=np.int64, count=len(payloads)))
    heads, spans = np.empty(len(payloads), dtype=np.int64), np.zeros((len(payloads), 2), dtype=np.int64)
    events = _find_events(data, ends, schema_id, LEAST_BYTES + width, heads, spans)
    found = FactorEvents(
        heads,
        spans,
        np.empty((NUMBERS, events), dtype=np.int64),
        np.empty(events, dtype=np.bool_),
        np.empty(events, dtype=np.int32),
        np.empty((width, events), dtype=np.float64),
        np.empty((width, events), dtype=np.bool_),
    )
    _decode_all(data, ends, heads, spans, found.numbers, found.has_exchange, found.status, found.values, found.is_value)
    return found


@compiled
def _find_events(data: Bytes, ends: Ints, schema_id: int, least: int, heads: Ints, spans: Ints) -> int:
    """Find where the events of each payload begin and how many they are; how many they are all together."""
    start, events, one = 0, 0, np.zeros(1, dtype=np.int64)
    for row in range(ends.shape[0]):
        end = ends[row]
        begin = _skip_head(data, start, end, schema_id, one)
        at = _read_any(data, begin, end, one)
        heads[row] = SLOW
        if at != BAD and 0 < one[0] <= MAX_EVENTS and one[0] * least <= end - at:
            heads[row] = begin - start
            spans[row, 0] = events
            events += one[0]
            spans[row, 1] = events
        start = end
    return events


@compiled
def _skip_head(data: Bytes, start: int, end: int, schema_id: int, one: Ints) -> int:
    if end - start < FRAME_BYTES or data[start] or data[start + 1] or data[start + 2] or data[start + 3]:
        return BAD
    if data[start + 4] != schema_id:
        return BAD
    at = _skip_text(data, _skip_text(data, start + FRAME_BYTES, end, one), end, one)
    at = _read_any(data, at, end, one)
    at = _skip_text(data, _skip_text(data, at, end, one), end, one)
    at = _read_any(data, at, end, one)
    return _skip_text(data, at, end, one)


@compiled
def _read_any(data: Bytes, at: int, end: int, one: Ints) -> int:
    return BAD if at == BAD else read_long(data, at, end, one, 0)


@compiled
def _read_within(data: Bytes, at: int, end: int, low: int, high: int, one: Ints) -> int:
    at = _read_any(data, at, end, one)
    return at if at != BAD and low <= one[0] <= high else BAD


@compiled
def _skip_text(data: Bytes, at: int, end: int, one: Ints) -> int:
    at = _read_any(data, at, end, one)
    return at + one[0] if at != BAD and 0 <= one[0] <= end - at else BAD


@compiled
def _decode_all(
    data: Bytes,
    ends: Ints,
    heads: Ints,
    spans: Ints,
    numbers: Ints,
    has_exchange: Flags,
    status: Places,
    values: Floats,
    is_value: Flags,
) -> None:
    bits, one = values.view(np.int64), np.zeros(1, dtype=np.int64)
    start = 0
    for row in range(ends.shape[0]):
        end, before = ends[row], -1
        at = BAD if heads[row] == SLOW else read_long(data, start + heads[row], end, one, 0)
        for event in range(spans[row, 0], spans[row, 1]):
            at = _read_numbers(data, at, end, numbers, has_exchange, status, event, one)
            if at == BAD or numbers[SOURCE_OFFSET, event] <= before:
                at = BAD
                break
            before = numbers[SOURCE_OFFSET, event]
            at = _read_values(data, at, end, bits, is_value, event)
        if at == BAD or _read_within(data, at, end, 0, 0, one) != end:
            heads[row] = SLOW
        start = end


@compiled
def _read_numbers(
    data: Bytes,
    at: int,
    end: int,
    numbers: Ints,
    has_exchange: Flags,
    status: Places,
    event: int,
    one: Ints,
) -> int:
    at = _read_within(data, at, end, 0, INT64_MAX, one)
    numbers[SOURCE_OFFSET, event] = one[0]
    at = _read_any(data, at, end, one)
    numbers[SEQUENCE, event] = one[0]
    at = _read_optional(data, at, end, EARLIEST_NS, one)
    has_exchange[event] = one[0] != INT64_MIN
    numbers[EXCHANGE_NS, event] = one[0] if one[0] != INT64_MIN else 0
    at = _read_within(data, at, end, EARLIEST_NS, INT64_MAX, one)
    numbers[RECEIVED_NS, event] = one[0]
    at = _read_optional(data, at, end, INT64_MIN, one)  # decided_ns, which is received_ns
    at = _read_within(data, at, end, 0, len(STATUSES) - 1, one)
    status[event] = one[0]
    return at


@compiled
def _read_optional(data: Bytes, at: int, end: int, low: int, one: Ints) -> int:
    """Read a union of null and long, to INT64_MIN where it is null."""
    at = _read_within(data, at, end, 0, 1, one)
    if at == BAD:
        return BAD
    if one[0] == 0:
        one[0] = INT64_MIN
        return at
    return _read_within(data, at, end, low, INT64_MAX, one)


@compiled
def _read_values(data: Bytes, at: int, end: int, bits: Ints, is_value: Flags, event: int) -> int:
    """Read an event's values: each null, or a finite double."""
    for factor in range(bits.shape[0]):
        if at == BAD or at >= end:
            return BAD
        branch = data[at]
        at += 1
        is_value[factor, event] = branch == PRESENT
        bits[factor, event] = 0
        if branch == PRESENT:
            at = _read_double(data, at, end, bits, factor, event)
        elif branch:
            return BAD
    return at


@compiled
def _read_double(data: Bytes, at: int, end: int, bits: Ints, factor: int, event: int) -> int:
    if end - at < 8:
        return BAD
    found = np.uint64(0)
    for i in range(8):
        found |= np.uint64(data[at + i]) << np.uint64(8 * i)
    if (found >> np.uint64(MANTISSA_BITS)) & np.uint64(NO_NUMBER) == np.uint64(NO_NUMBER):
        return BAD
    bits[factor, event] = np.int64(found)
    return at + 8
