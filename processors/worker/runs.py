"""What passes through a partition: runs of one key's records, what becomes of them, and the state they go to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from processors.contract import Emitted
from schemas.errors import MessageError
from schemas.messages import DeadLetter

S = TypeVar("S")
R = TypeVar("R")


class Run(NamedTuple, Generic[R]):
    """Consecutive records of one key, at most as many as the stage takes in one step."""

    key: str
    offsets: list[int]
    records: list[R]


class Decoded(NamedTuple, Generic[R]):
    """What records hold: runs in order of their first record, and what did not decode."""

    runs: list[Run[R]]
    letters: list[DeadLetter]


class Processed(NamedTuple):
    """What became of a run.

    Attributes:
        emitted: What is to be sent.
        skipped: How many of its records the state held already.
        refused: Why its record, then the only one, was not taken; None where that was told before.
    """

    emitted: Emitted
    skipped: int
    refused: MessageError | None = None


@dataclass(slots=True)
class KeyedState(Generic[S]):
    """The state of one key as this worker holds it.

    Attributes:
        state: The stage's.
        next_offset: First offset that is not in it; -1 before the first.
        is_lost: It is fresh, and may have had records before that no checkpoint holds.
        due_s: When its next checkpoint is due, monotonic seconds.
        saved_s: When it was loaded, or written down last, monotonic seconds.
        offer: For the companion; waits for the checkpoint that holds it.
        is_first: No record was taken since it was loaded.
        was_read_again: Its partition was read again for it.
    """

    state: S
    next_offset: int
    is_lost: bool
    due_s: float
    saved_s: float
    offer: object | None = None
    is_first: bool = True
    was_read_again: bool = False
