"""Checkpoints: a key's state in the changelog of the worker's Faust table, always after what came of that state.

The order is fixed: results acknowledged, then the checkpoint in the changelog acknowledged, then the source offset
committable. A crash at any point repeats work and loses none.

The table serves recovery: Faust reads the changelog into it after an assignment. It is written here, through the same
producer as the results, because a write through Faust's table cannot be awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import faust
from faust.stores import memory
from faust.types import TP

from processors.worker.changelog import Checkpoint, CheckpointDue, CheckpointRules
from processors.worker.delivery import LIBRARY_LOG
from processors.worker.outbox import Outbox, Send
from schemas.errors import DependencyError, MessageError, TopicMismatch

TICK_SECONDS = 0.2


class CheckpointStore(memory.Store):  # type: ignore[misc] # untyped base
    """Faust's memory store, with two differences.

    It remembers up to where it knows all of each changelog: the stock store knows of none, and would read again, after
    every rebalance, all that this worker wrote itself. What it writes behind others' checkpoints, as a worker that
    wakes after its session does, tells nothing of those: they are still to be read. And of two checkpoints of a key it
    keeps the one that has come further, whichever was written last; one that is not from here it does not take at all.

    Attributes:
        ask_rules: Gives the rules by which checkpoints are from here; may block.
        on_refused: Told of every record of the changelog that was refused, and why.
    """

    logger = LIBRARY_LOG
    ask_rules: Callable[[], CheckpointRules]
    on_refused: Callable[[Any, MessageError], None]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._known: dict[TP, int] = {}
        self._rules: CheckpointRules | None = None
        self._refused: set[bytes] = set()

    def record_saved(self, key: bytes, value: bytes, written: TP, offset: int) -> None:
        """Hold a checkpoint that the changelog has taken."""
        self.data[key] = value
        self._key_partition[key] = written.partition
        if offset == self._known.get(written, -1) + 1:
            self._known[written] = offset

    def apply_changelog_batch(
        self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Take over what recovery has read."""
        for event in batch:
            message = event.message
            try:
                self._take_over(message.key, message.value, message.partition)
            except MessageError as error:
                self._refused.add(message.key or b"")
                self.on_refused(message, error)
            self.set_persisted_offset(message.tp, message.offset)

    def _take_over(self, key: bytes | None, value: bytes | None, partition: int) -> None:
        if self._rules is None:
            self._rules = self.ask_rules()
        checkpoint = self._rules.read(key, value, partition)
        if key not in self.data or self._rules.prefers(checkpoint, Checkpoint.from_bytes(self.data[key])):
            self.data[key] = value
        self._key_partition[key] = partition

    def is_whole(self, partition: int) -> bool:
        """Whether a partition of the changelog, once recovered, still has all that it ever took.

        One that holds no checkpoint at all may have been made anew, or nothing was ever saved there.
        """
        was_cut = self._rules is not None and partition in self._rules.cut
        return not was_cut and partition in self._key_partition.values()

    def was_refused(self, key: bytes) -> bool:
        """Whether a record of a key was refused. Compaction may have taken the checkpoint before it for its sake."""
        return key in self._refused

    @property
    def changelog_id(self) -> str:
        """Name of the changelog as a log; empty where the broker did not say after the last rebalance."""
        return self._rules.changelog if self._rules is not None else ""

    def persisted_offset(self, tp: TP) -> int | None:
        """Offset up to which this store has taken over all of a changelog partition."""
        return self._known.get(tp)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Remember it."""
        self._known[tp] = max(offset, self._known.get(tp, offset))

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget partitions that came or went: others wrote to them meanwhile, and their keys are dropped.

        And ask where the log ends now: whatever is recovered was written before.
        """
        for tp in revoked | newly_assigned:
            self._known.pop(tp, None)
        try:
            self._rules = await asyncio.to_thread(self.ask_rules)
        except (DependencyError, TopicMismatch):
            self._rules = None  # asked again where there is something to recover; the watchdog ends what cannot go on


class CheckpointTable(faust.Table):  # type: ignore[misc] # untyped base
    """The worker's Faust table, on a `CheckpointStore`."""

    logger = LIBRARY_LOG

    def _new_store(self) -> CheckpointStore:
        return CheckpointStore(
            "memory://", self.app, self, table_name=self.name, key_type=bytes, value_type=bytes, loop=self.loop
        )


class Saveable(Protocol):
    """A partition, as the checkpointer sees it."""

    partition: int

    @property
    def owned(self) -> bool:
        """Whether the partition is still this worker's. Asked before a checkpoint leaves: it may not be any more."""
        ...

    def begin_checkpoints(self, now_s: float, *, everything: bool) -> list[CheckpointDue]:
        """Write down the states whose time has come, or all that changed."""
        ...

    def abandon_checkpoints(self) -> None:
        """What was written down last will not be saved."""
        ...


class Checkpointer:
    """Saves what is due, partition by partition.

    Args:
        topic: Name of the changelog.
        outbox: Where checkpoints leave, behind the results they follow.
        partitions: The partitions this worker has now.
        on_saved: Told of every acknowledged checkpoint: key, payload, Kafka's metadata.
        now: Monotonic clock, seconds.

    Attributes:
        topic: Name of the changelog.
    """

    def __init__(
        self,
        topic: str,
        outbox: Outbox,
        partitions: Callable[[], Iterable[Saveable]],
        on_saved: Callable[[bytes, bytes, Any], None],
        now: Callable[[], float],
    ) -> None:
        self.topic = topic
        self._outbox = outbox
        self._partitions = partitions
        self._on_saved = on_saved
        self._now = now
        self._busy = asyncio.Lock()

    async def run(self) -> None:
        """Save what is due, for ever."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.save()

    async def save(self, *, everything: bool = False) -> None:
        """Save what is due now, or all that changed; returns when it is acknowledged."""
        async with self._busy:
            await asyncio.gather(*[self._save(held, everything) for held in list(self._partitions())])

    async def _save(self, held: Saveable, everything: bool) -> None:
        due = held.begin_checkpoints(self._now(), everything=everything)
        if not due:
            return
        await self._outbox.wait_until_acknowledged(held.partition)
        if not held.owned:
            held.abandon_checkpoints()
            return
        await asyncio.gather(*[self._write(held.partition, one) for one in due])

    def _write(self, partition: int, due: CheckpointDue) -> Awaitable[None]:
        key = due.key.encode()
        sent = self._outbox.enqueue(
            Send(self.topic, key, due.payload, partition=partition, source_partition=partition, source_offset=None)
        )
        return self._finish(sent, key, due)

    async def _finish(self, sent: asyncio.Future[Any], key: bytes, due: CheckpointDue) -> None:
        metadata = await sent
        self._on_saved(key, due.payload, metadata)
        due.saved()
