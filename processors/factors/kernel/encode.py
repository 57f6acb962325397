"""A batch of factor events as Avro: the bytes that `schemas.codec.encode` gives."""

from __future__ import annotations

from typing import Final

import numpy as np

from orderbook.kernel.ladder import Ints
from processors.factors.kernel.arrays import Floats
from processors.factors.kernel.process import EXCHANGE_NS, HAS_EXCHANGE, RECEIVED_NS, SEQUENCE, STATUS
from schemas.kernel.avro import Bytes, write_long
from schemas.kernel.compiled import compiled

HEAD_BYTES: Final = 64
"""Room for an event's integers: five of ten bytes, three choices, a status."""
VALUE_BYTES: Final = 9


@compiled
def encode_events(
    offsets: Ints,
    about: Ints,
    values: Floats,
    bits: Ints,
) -> Bytes:
    """Write the array `events` of a factor record: a row of each an event, `bits` being the values as integers."""
    count, width = values.shape
    out, at = np.empty(count * (HEAD_BYTES + VALUE_BYTES * width) + 2 * HEAD_BYTES, dtype=np.uint8), 0
    at = write_long(out, at, count)
    for event in range(count):
        at = write_long(out, at, offsets[event])
        at = write_long(out, at, about[event, SEQUENCE])
        at = write_long(out, at, 1 if about[event, HAS_EXCHANGE] else 0)
        if about[event, HAS_EXCHANGE]:
            at = write_long(out, at, about[event, EXCHANGE_NS])
        at = write_long(out, at, about[event, RECEIVED_NS])
        at = write_long(out, at, 1)
        at = write_long(out, at, about[event, RECEIVED_NS])  # decided_ns
        at = write_long(out, at, about[event, STATUS])
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
