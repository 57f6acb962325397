"""A batch of factor events as Avro: the bytes that `schemas.codec.encode` gives."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from orderbook.kernel.compiled import compiled
from orderbook.kernel.pages import Ints
from processors.factors.kernel.arrays import Floats
from processors.factors.kernel.avro import Bytes, write_long

HEAD_BYTES: Final = 64
"""Room for an event's integers: five of ten bytes, three choices, a status."""
VALUE_BYTES: Final = 9


@compiled
def encode_events(
    offsets: Ints,
    sequence: Ints,
    exchange_ns: Ints,
    has_exchange: NDArray[np.bool_],
    received_ns: Ints,
    status: Bytes,
    values: Floats,
    bits: Ints,
) -> Bytes:
    """Write the array `events` of a factor record: one of each column an event, `bits` being the values as integers."""
    count, width = values.shape
    out, at = np.empty(count * (HEAD_BYTES + VALUE_BYTES * width) + 2 * HEAD_BYTES, dtype=np.uint8), 0
    at = write_long(out, at, count)
    for event in range(count):
        at = write_long(out, at, offsets[event])
        at = write_long(out, at, sequence[event])
        at = write_long(out, at, 1 if has_exchange[event] else 0)
        if has_exchange[event]:
            at = write_long(out, at, exchange_ns[event])
        at = write_long(out, at, received_ns[event])
        at = write_long(out, at, 1)
        at = write_long(out, at, received_ns[event])  # decided_ns
        at = write_long(out, at, status[event])
        for factor in range(width):
            if np.isnan(values[event, factor]):
                out[at] = 0
                at += 1
            else:
                out[at] = 2
                rest = bits[event, factor]
                for i in range(8):
                    out[at + 1 + i] = np.uint8((rest >> (8 * i)) & 255)
                at += VALUE_BYTES
    at = write_long(out, at, 0)
    return out[:at]
