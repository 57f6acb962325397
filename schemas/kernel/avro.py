"""Avro's binary parts for compiled code: zigzag variable-length integers and doubles, always inside of their bounds.

Readers give where to read on, or BAD: the bytes end, or hold what the fast path leaves to the other one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.kernel.compiled import compiled

Bytes = NDArray[np.uint8]

BAD: Final = -1
LONGEST: Final = 10
"""Bytes of the longest int64."""


@compiled
def read_long(data: Bytes, at: int, end: int, out: NDArray[np.int64], place: int) -> int:
    """Read one integer into a place of an array."""
    low = np.uint64(0)
    for i in range(LONGEST):
        if at + i >= end:
            return BAD
        byte = np.uint64(data[at + i])
        if i == LONGEST - 1 and byte > np.uint64(1):
            return BAD
        low |= (byte & np.uint64(127)) << np.uint64(7 * i)
        if byte < np.uint64(128):
            half = np.int64(low >> np.uint64(1))
            out[place] = ~half if low & np.uint64(1) else half
            return at + i + 1
    return BAD


@compiled
def write_long(out: Bytes, at: int, value: int) -> int:
    """Write one integer; the room has to be there."""
    rest = np.uint64((value << 1) ^ (value >> 63))
    while rest > np.uint64(127):
        out[at] = np.uint8(rest & np.uint64(127) | np.uint64(128))
        rest >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(rest)
    return at + 1
