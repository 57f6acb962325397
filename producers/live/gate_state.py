"""What a gate remembers: in this process alone, or in a small file for all processes that share an address."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec

MAX_FILE_BYTES: Final = 4_096

Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class GateState(msgspec.Struct):
    """A gate.

    Attributes:
        until_ns: Nobody passes before this, ns UTC.
        closed_ns: When it was closed last.
        refusals: Refusals in a row.
        why: Of the last one.
        minute: The minute in which weight was spent last, since 1970.
        spent: The weight.
    """

    until_ns: Nanoseconds = 0
    closed_ns: Nanoseconds = 0
    refusals: Count = 0
    why: Annotated[str, msgspec.Meta(max_length=500)] = ""
    minute: Count = 0
    spent: Count = 0

    def spend(self, weight: int, minute: int) -> None:
        """Count weight in a minute."""
        self.minute, self.spent = minute, self.spent_in(minute) + weight

    def spent_in(self, minute: int) -> int:
        """Tell the weight that was spent in a minute."""
        return self.spent if self.minute == minute else 0


class OwnState:
    """The state of this process's own gate."""

    def __init__(self) -> None:
        self._state = GateState()

    @contextmanager
    def held(self) -> Iterator[GateState]:
        """Give the state, to be changed."""
        yield self._state


class SharedState:
    """The state of one gate for all processes of this machine that use the same file.

    It is read and written while a lock is held, and replaced whole: a process that dies leaves the old one. A file that
    is not from here says nothing, and is replaced by the next change.

    Args:
        path: The file; beside it lies the lock's.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = path.with_name(path.name + ".lock")

    @contextmanager
    def held(self) -> Iterator[GateState]:
        """Give the state, to be changed, while no other process can."""
        with self._lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self._read()
            state = msgspec.structs.replace(before)
            try:
                yield state
            finally:
                if state != before:
                    self._write(state)

    def _read(self) -> GateState:
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_FILE_BYTES), type=GateState)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return GateState()

    def _write(self, state: GateState) -> None:
        made = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        made.write_bytes(msgspec.json.encode(state))
        made.replace(self._path)
