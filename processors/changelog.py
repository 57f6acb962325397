"""What a changelog holds of one instrument: its state, and the log and offset that state has come to."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from schemas.errors import DecodeError
from schemas.messages import InstrumentKey

CHECKPOINT_VERSION: Final = 1
CHECKPOINT_HEAD: Final = struct.Struct(">B8sq")


class Checkpoint(NamedTuple):
    """What the changelog holds of one instrument.

    Attributes:
        source_log: Log whose offsets the state refers to. A recreated topic is another log: its offsets start anew,
            and a state of the old one would skip them.
        next_offset: First offset of that log that is not in the state.
        state: `InstrumentState.to_bytes()`.
    """

    source_log: str
    next_offset: int
    state: bytes

    def to_bytes(self) -> bytes:
        """Version, log, offset, state."""
        return CHECKPOINT_HEAD.pack(CHECKPOINT_VERSION, self.source_log.encode(), self.next_offset) + self.state

    def supersedes(self, other: Checkpoint) -> bool:
        """Whether this one, which the changelog holds behind the other, is to be taken for the newer.

        An owner that has lost the partition and does not know it yet may write once more, behind its successor.
        """
        return self.source_log != other.source_log or self.next_offset >= other.next_offset

    @classmethod
    def from_bytes(cls, payload: bytes) -> Checkpoint:
        """Read one.

        Raises:
            DecodeError: Too short, or of a version this code does not know.
        """
        if len(payload) < CHECKPOINT_HEAD.size:
            raise DecodeError(f"a checkpoint of {len(payload)} bytes has no head")
        version, source_log, next_offset = CHECKPOINT_HEAD.unpack_from(payload)
        if version != CHECKPOINT_VERSION:
            raise DecodeError(f"a checkpoint of unknown version {version}")
        return cls(source_log.decode("ascii", "replace"), next_offset, payload[CHECKPOINT_HEAD.size :])


class Due(NamedTuple):
    """One checkpoint to be written.

    Attributes:
        instrument: Whose.
        payload: `Checkpoint.to_bytes()`.
        saved: To be called when it is acknowledged.
    """

    instrument: InstrumentKey
    payload: bytes
    saved: Callable[[], None]


def first_due_s(instrument: InstrumentKey, now_s: float, every_s: float) -> float:
    """When an instrument's first checkpoint is due: anywhere in the interval, so that not all save at once."""
    return now_s + every_s * zlib.crc32(str(instrument).encode()) / 2**32
