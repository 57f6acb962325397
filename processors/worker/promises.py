"""What a committed offset promises, and what is done where the changelog does not keep it.

Every key with records below a partition's committed offset has a checkpoint that holds them. A changelog that was
emptied or made anew, or a checkpoint that cannot be used, breaks that: the partition is then read again from the log's
start, and the promise is withdrawn first, so that a crash on the way begins there too.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from processors.worker.failures import ReadAgain

READ_AGAIN_RECORDS: Final = 500_000
"""Farthest a partition is read again for one key. A state older than that belongs to one that was quiet."""


class BrokenPromise(NamedTuple):
    """A key without the checkpoint that the committed offset promises.

    Attributes:
        key: Whose.
        committed: Offset from which the partition was read.
        log_start: Offset of the first record the log still holds.
    """

    key: str
    committed: int
    log_start: int

    def __str__(self) -> str:
        found = f"offset {self.committed} is committed, and the changelog has no usable checkpoint of {self.key}"
        if self.log_start >= self.committed:
            return f"{found}; the log holds nothing before that: its state of records 0 to {self.committed - 1} is lost"
        again = f"{found}: the partition is read again from offset {self.log_start}"
        gone = f"; the log has lost records 0 to {self.log_start - 1}: what only they tell is lost"
        return again + gone if self.log_start > 0 else again


class PromiseBroken(ReadAgain):
    """The partition has to be read again from the log's start; until that is done, nothing is promised."""


class Beginning:
    """Where this worker began to read a partition, and what it may take for granted of what lies before.

    Args:
        position: Where it began.
        log_start: Offset of the first record the log still holds; None where nothing is committed.
        is_whole: Whether a key without a checkpoint had no record before.
        is_foreign: Whether it was committed beside another changelog, so that checkpoints of this one may be older.

    Attributes:
        first_read: Everything from here on it has seen.
        committed: What lies below was emitted, and offered, before; 0 where nothing is committed.
        is_whole: As above; True where nothing is committed, and so nothing is promised.
    """

    def __init__(self, position: int, log_start: int | None, *, is_whole: bool, is_foreign: bool = False) -> None:
        self.first_read = position
        self.committed = 0 if log_start is None else position
        self.is_whole = is_whole or log_start is None
        self._is_foreign = is_foreign
        self._log_start = position if log_start is None else log_start
        self._oldest = log_start or 0
        self._is_told = False

    def lacks(self, next_offset: int, offset: int) -> bool:
        """Whether there are records before this offset, not seen, that a state with this next offset may need."""
        # They may be others' records alone; and what the log no longer holds nobody can read.
        unseen = min(offset, self.first_read) - max(next_offset, self._oldest)
        return next_offset >= 0 and 0 < unseen <= READ_AGAIN_RECORDS

    def is_outdated(self, next_offset: int, offset: int) -> bool:
        """Whether a state with this next offset is not the one that was promised, as far as anybody can tell.

        Another changelog had kept that; this one may be a copy of it as it was before.
        """
        return self._is_foreign and self.lacks(next_offset, offset)

    def from_offset(self, offset: int) -> ReadAgain:
        """Have everything from an offset on read again, as far as the log still holds it."""
        self.first_read = max(offset, self._oldest)
        return ReadAgain(self.first_read)

    def broken(self, key: str) -> BrokenPromise | None:
        """What is to be told of a key whose state is lost; None where that was told, or nothing was promised."""
        if self._is_told or not self.committed:
            return None
        self._is_told = True
        return BrokenPromise(key, self.committed, self._log_start)

    def from_start(self) -> PromiseBroken | None:
        """Have the whole log read again; None where that was done."""
        if self.first_read <= self._log_start:
            return None
        self.first_read = self._log_start
        return PromiseBroken(self._log_start)
