"""Small binary building blocks of a checkpoint: variable-length integers, doubles, texts, and sorted prices."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DecodeError

DOUBLE: Final = struct.Struct("<d")
NATURAL_BYTES: Final = 9
"""Of the largest int64, 7 bits a byte."""

T = TypeVar("T")


class Packer:
    """Writes values one after another."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def integer(self, value: int) -> None:
        """A signed integer of any size."""
        rest, out = value << 1 if value >= 0 else (-value << 1) - 1, bytearray()
        while rest > 127:
            out.append(rest & 127 | 128)
            rest >>= 7
        out.append(rest)
        self._parts.append(bytes(out))

    def optional_integer(self, value: int | None) -> None:
        """A signed integer or None."""
        self.integer(value is not None)
        if value is not None:
            self.integer(value)

    def double(self, value: float) -> None:
        """A float, all its bits."""
        self._parts.append(DOUBLE.pack(value))

    def optional_double(self, value: float | None) -> None:
        """A float or None."""
        self.integer(value is not None)
        if value is not None:
            self.double(value)

    def text(self, value: str) -> None:
        """A text."""
        data = value.encode()
        self.integer(len(data))
        self._parts.append(data)

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.integer(len(data))
        self._parts.append(data)

    def naturals(self, values: Iterable[int]) -> None:
        """Many integers of 0 to 2^63 - 1."""
        array = np.fromiter(values, dtype=np.uint64)
        self.integer(len(array))
        self._parts.append(_varints(array))

    def bytes(self) -> bytes:
        """All that was written."""
        return b"".join(self._parts)


class Unpacker:
    """Reads what a `Packer` wrote. Every method raises DecodeError where the bytes do not hold what it reads."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def integer(self) -> int:
        """A signed integer."""
        rest = shift = 0
        while True:
            byte = self._take(1)[0]
            rest |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return -((rest + 1) >> 1) if rest & 1 else rest >> 1

    def optional_integer(self) -> int | None:
        """A signed integer or None."""
        return self.integer() if self.integer() else None

    def choice(self, options: Sequence[T]) -> T:
        """One of these, written as its position."""
        code = self.integer()
        if not 0 <= code < len(options):
            raise DecodeError(f"a checkpoint holds a code it may not have ({code})")
        return options[code]

    def double(self) -> float:
        """A float."""
        value: float = DOUBLE.unpack(self._take(DOUBLE.size))[0]
        return value

    def optional_double(self) -> float | None:
        """A float or None."""
        return self.double() if self.integer() else None

    def text(self) -> str:
        """A text."""
        try:
            return self._take(self.integer()).decode()
        except UnicodeDecodeError as error:
            raise DecodeError("a checkpoint holds a text that is none") from error

    def raw(self) -> bytes:
        """Bytes."""
        return self._take(self.integer())

    def naturals(self) -> list[int]:
        """Many integers of 0 to 2^63 - 1."""
        count = self.integer()
        if not count:
            return []
        rest = np.frombuffer(self._data, dtype=np.uint8, offset=self._at)
        ends = np.flatnonzero(rest < 128)[:count] + 1
        if count < 0 or len(ends) < count:
            raise DecodeError("a checkpoint is cut short")
        self._at += int(ends[-1])
        values: list[int] = _values(rest[: ends[-1]], ends).tolist()
        return values

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._data):
            raise DecodeError(f"a checkpoint has {len(self._data) - self._at} bytes left over")

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise DecodeError("a checkpoint is cut short")
        part = self._data[self._at : end]
        self._at = end
        return part


def _varints(values: NDArray[np.uint64]) -> bytes:
    """7 bits a byte, lowest first, the top bit set on every byte but a value's last."""
    widths = np.ones(len(values), dtype=np.int64)
    for power in range(7, 63, 7):
        widths += values >= np.uint64(1 << power)
    starts = np.cumsum(widths) - widths
    out = np.empty(int(widths.sum()), dtype=np.uint8)
    for place in range(int(widths.max(initial=0))):
        has = widths > place
        more = (widths[has] > place + 1).astype(np.uint8) << 7
        out[starts[has] + place] = (values[has] >> np.uint64(7 * place) & np.uint64(127)).astype(np.uint8) | more
    return out.tobytes()


def _values(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The values whose last bytes are just before `ends`."""
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1]))
    widths = ends - starts
    if int(widths.max()) > NATURAL_BYTES:
        raise DecodeError("a checkpoint holds a number beyond int64")
    values = np.zeros(len(ends), dtype=np.int64)
    for place in range(int(widths.max())):
        has = widths > place
        values[has] |= (data[starts[has] + place] & 127).astype(np.int64) << (7 * place)
    return values
