"""What a changelog holds of one key: whose state it is, and the place in which log that state has come to.

A checkpoint decides which records are passed over, so it says all that tells it from another's: key, partition, log and
offset, under one checksum. One that cannot be from here is refused, and what it would have replaced stays.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Set
from typing import Final, NamedTuple

from processors.contract import NONE_OLDER, Renewals
from schemas.errors import DecodeError, ForeignRecord
from schemas.partitions import partition_of

CHECKPOINT_VERSION: Final = 3
CHECKPOINT_HEAD: Final = struct.Struct(">B8sHqH")
CHECKSUM: Final = struct.Struct(">I")
SEAL: Final = struct.Struct(">Bq")


class Checkpoint(NamedTuple):
    """What the changelog holds of one key.

    Attributes:
        key: Whose it is.
        source_log: Log whose offsets the state refers to. A recreated topic is another log: its offsets start anew,
            and a state of the old one would skip them.
        partition: Partition of that log.
        next_offset: First offset of it that is not in the state; -1 where that is not known.
        state: What the stage wrote, sealed.
    """

    key: str
    source_log: str
    partition: int
    next_offset: int
    state: bytes

    def to_bytes(self) -> bytes:
        """Version, log, partition, offset, key, state, and CRC-32 of it all."""
        key = self.key.encode()
        head = (CHECKPOINT_VERSION, self.source_log.encode(), self.partition, self.next_offset, len(key))
        body = CHECKPOINT_HEAD.pack(*head) + key + self.state
        return body + CHECKSUM.pack(zlib.crc32(body))

    def supersedes(self, other: Checkpoint) -> bool:
        """Whether this one, which the changelog holds behind the other, is to be taken for the newer.

        An owner that has lost the partition and does not know it yet may write once more, behind its successor.
        """
        return self.source_log != other.source_log or self.next_offset >= other.next_offset

    @classmethod
    def from_bytes(cls, payload: bytes) -> Checkpoint:
        """Read one.

        Raises:
            DecodeError: Too short, of a version this code does not know, or not what was written.
        """
        if len(payload) < CHECKPOINT_HEAD.size + CHECKSUM.size:
            raise DecodeError(f"a checkpoint of {len(payload)} bytes has no head")
        version, source_log, partition, next_offset, key_bytes = CHECKPOINT_HEAD.unpack_from(payload)
        if version != CHECKPOINT_VERSION:
            raise DecodeError(f"a checkpoint of unknown version {version}")
        if CHECKSUM.unpack_from(payload, len(payload) - CHECKSUM.size)[0] != zlib.crc32(payload[: -CHECKSUM.size]):
            raise DecodeError("a checkpoint's bytes differ from its checksum")
        start = CHECKPOINT_HEAD.size + key_bytes
        key = payload[CHECKPOINT_HEAD.size : start].decode("utf-8", "replace")
        log = source_log.decode("ascii", "replace")
        return cls(key, log, partition, next_offset, payload[start : -CHECKSUM.size])


class CheckpointRules(NamedTuple):
    """What tells a worker's own checkpoints from others.

    Attributes:
        log: Name of the log that is read.
        outlives_log: Whether a state still holds where that log was made anew.
        ends: Offset the log's next record will get, by partition, as of after the last rebalance; empty: not known.
        cut: Partitions of the changelog from whose start records were removed; compaction removes none there.
        changelog: Name of the changelog itself, as a log.
    """

    log: str
    outlives_log: bool
    ends: Mapping[int, int]
    cut: Set[int] = frozenset()
    changelog: str = ""

    def read(self, key: bytes | None, payload: bytes | None, partition: int) -> Checkpoint:
        """Read a checkpoint of the changelog, if it is from here.

        Args:
            key: Of its record.
            payload: Of its record; workers write none without.
            partition: Of its record.

        Raises:
            DecodeError: It is none.
            ForeignRecord: Another key's, another partition's or another log's, or ahead of the log it names.
        """
        if payload is None or key is None:
            raise DecodeError("a checkpoint without a key or a value")
        found = Checkpoint.from_bytes(payload)
        if found.key.encode() != key or found.partition != partition:
            raise ForeignRecord(f"it is a checkpoint of {found.key[:200]} in partition {found.partition}")
        home = partition_of(found.key, len(self.ends)) if self.ends else partition
        if home != partition:
            raise ForeignRecord(f"it lies in partition {partition}, and its key belongs in {home}")
        if found.source_log != self.log:
            if self.outlives_log:
                return found
            raise ForeignRecord(f"it is a checkpoint of log {found.source_log}, and {self.log} is read")
        end = self.ends.get(partition)
        if found.next_offset < -1 or (end is not None and found.next_offset > end):
            raise ForeignRecord(f"it holds records up to {found.next_offset}, and the log ends at {end}")
        return found

    def prefers(self, checkpoint: Checkpoint, known: Checkpoint) -> bool:
        """Whether a checkpoint that the changelog holds behind another is to be taken instead.

        Raises:
            ForeignRecord: It is of another log, though one of the log that is read was there before.
        """
        if checkpoint.source_log != self.log == known.source_log:
            raise ForeignRecord(f"it is a checkpoint of log {checkpoint.source_log}, behind one of {self.log}")
        return checkpoint.supersedes(known)


class CheckpointDue(NamedTuple):
    """One checkpoint to be written.

    Attributes:
        key: Whose.
        payload: `Checkpoint.to_bytes()`.
        saved: To be called when it is acknowledged.
    """

    key: str
    payload: bytes
    saved: Callable[[], None]


def seal(layout: int, next_offset: int, state: bytes) -> bytes:
    """Put the number of a state's layout before it, and the offset it has come to."""
    return SEAL.pack(layout, next_offset) + state


def unseal(layout: int, next_offset: int, data: bytes, older: Renewals = NONE_OLDER) -> bytes:
    """Take a state out of its seal; one of an older layout that is still read is written anew.

    Raises:
        DecodeError: It is of another layout (one reader's bytes are never taken for another's), or has come to another
            offset than its checkpoint says.
    """
    if len(data) < SEAL.size:
        raise DecodeError(f"a checkpoint with a state of {len(data)} bytes")
    found_layout, found_offset = SEAL.unpack_from(data)
    if found_layout != layout and found_layout not in older:
        raise DecodeError(f"a checkpoint of layout {found_layout}, this code reads {layout}")
    if found_offset != next_offset:
        raise DecodeError(f"a checkpoint of {next_offset} with a state of {found_offset}")
    state = data[SEAL.size :]
    return state if found_layout == layout else older[found_layout](state)


def first_due_s(key: str, now_s: float, every_s: float) -> float:
    """When a key's first checkpoint is due: anywhere in the interval, so that not all save at once."""
    return now_s + every_s * zlib.crc32(key.encode()) / 2**32
