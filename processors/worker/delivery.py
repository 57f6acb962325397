"""Batch delivery: a poll's records of one partition reach the agent as one Faust event, and offsets are held back.

Stock Faust hands over one record at a time, at about 10,000 a second and worker; its cost is per event. Here the
consumer turns the records a poll returned for a partition of the source topic into a few `SourceBatch`es, and Faust
delivers those. Changelogs take the stock path.

Three rules keep the stream whole; the reasons are in docs/adr/0007-faust-delivery.md.

1. **No hole.** A rebalance can lose records that were already fetched, and stock Faust takes the hole for acknowledged.
   Every batch therefore says which offset it continues from; where the records do not start there, the partition is
   sought back. Only a hole that is there again after seeking is one of the log itself (retention), and is let through.
2. **Nothing stale.** A batch cut before a partition was last sought carries an older `seek`, and is not processed.
3. **Held back.** What may be committed is not what was read but what the application says is saved.

The classes below and in `transport` override private methods of faust-streaming, mode and aiokafka, which are pinned;
tests/contract/test_faust_internals.py fails when one of them changes.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from functools import partial
from typing import Any, Protocol

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from processors.worker.cut import PartitionReader, SourceBatch
from schemas.logs import OffsetStamp, parse_stamp

LIBRARY_LOG = logging.getLogger("faust.delivery")
"""What the stock code says of these objects goes where the rest of its words go."""

FETCH_WAIT_MS = 200
"""Longest a fetch waits for data. A partition that was sought is not fetched before the fetch under way has returned:
with the 1,500 ms of stock Faust, a start that had to seek took up to 3 s longer."""


class Delivery(Protocol):
    """What the application tells the consumer, and hears from it."""

    source_topic: str
    max_batch_records: int

    def on_revoked(self) -> None:
        """The group is about to share out its partitions anew: none is ours until `on_assigned`."""
        ...

    def on_granted(self, partitions: Set[int]) -> None:
        """The group has given us these; once their checkpoints are recovered, `on_assigned` follows."""
        ...

    def stamp(self) -> OffsetStamp:
        """What offsets are committed with: the log that is read, and the one its checkpoints go to, where known."""
        ...

    def on_assigned(self, positions: Mapping[int, int], starts: Mapping[int, int], foreign: Set[int]) -> None:
        """These partitions are ours and are read from these offsets: committed ones, or the log's start.

        `starts` are the log's, of the partitions with a committed offset; `foreign` those of them whose offset was
        committed beside another changelog.
        """
        ...

    def on_true_hole(self, partition: int, start: int, first: int) -> None:
        """The log itself lacks the offsets from `start` to `first`: retention took them before they were read."""
        ...

    def on_offset_of_another_log(self, partition: int, offset: int, source: str) -> None:
        """The committed offset is of the log `source`, which had the topic's name before: it is none of this one."""
        ...

    def committable(self, partition: int) -> int | None:
        """Offset below which everything of the partition is saved; None where nothing is known."""
        ...


class BatchConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # untyped base
    """The thread of the Kafka consumer: a shorter fetch, a seek that runs inside it, and a name beside each offset.

    Attributes:
        stamps: What is committed beside the offset of each partition.
    """

    logger = LIBRARY_LOG

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (handed through)
        super().__init__(*args, **kwargs)
        self.stamps: dict[TP, str] = {}

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ANN401 (untyped library objects)
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer.commit = partial(self._commit_stamped, consumer.commit)
        return consumer

    async def _commit_stamped(self, commit: Callable[[Any], Awaitable[None]], offsets: Mapping[Any, Any]) -> None:
        await commit({tp: (committed.offset, self.stamps.get(TP(*tp), "")) for tp, committed in offsets.items()})

    async def committed_stamps(self, tps: Set[TP]) -> dict[TP, OffsetStamp]:
        """What was committed beside the offsets of partitions."""
        found: dict[TP, str] = await self.call_thread(self._committed_stamps, tps)
        return {tp: parse_stamp(text) for tp, text in found.items()}

    async def _committed_stamps(self, tps: Set[TP]) -> dict[TP, str]:
        asked = [driver.ensure_aiokafka_TP(tp) for tp in tps]
        found = await self._ensure_consumer()._coordinator.fetch_committed_offsets(asked)
        return {TP(*tp): committed.metadata for tp, committed in found.items()}

    async def seek_inside(self, tp: TP, offset: int) -> None:
        """Seek where the fetcher runs: the stock `seek` reaches into it from another thread."""
        await self.call_thread(self._seek_inside, tp, offset)

    async def _seek_inside(self, tp: TP, offset: int) -> None:
        # A seek throws away what was fetched ahead; where reading stands at the offset, nothing of that was lost.
        if tp in self.assignment() and await self._ensure_consumer().position(tp) != offset:
            self.seek(tp, offset)


class BatchConsumer(driver.Consumer):  # type: ignore[misc] # untyped base
    """Faust's aiokafka consumer with batches for the source topic and offsets the application holds back."""

    logger = LIBRARY_LOG
    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (handed through)
        super().__init__(*args, **kwargs)
        self._delivery: Delivery = self.app.delivery
        self._readers: dict[TP, PartitionReader] = {}
        self._seeks = itertools.count(1)
        self._withdrawn: set[TP] = set()

    def seek_back(self, partition: int, offset: int) -> None:
        """Read a partition again from `offset`; batches that were cut before are stale from now on."""
        reader = self._readers.get(self._source_tp(partition))
        if reader is not None:
            reader.want(offset)

    def withdraw(self, partition: int, offset: int) -> None:
        """Read a partition again from `offset`, once that is committed in place of the later one of now."""
        self.seek_back(partition, offset)
        self._withdrawn.add(self._source_tp(partition))

    def is_current(self, batch: SourceBatch) -> bool:
        """Whether the partition is still ours and was not sought since the batch was cut."""
        reader = self._readers.get(self._source_tp(batch.partition))
        return reader is not None and reader.seek == batch.seek

    def _source_tp(self, partition: int) -> TP:
        return TP(self._delivery.source_topic, partition)

    def _is_source(self, tp: TP) -> bool:
        return bool(tp.topic == self._delivery.source_topic)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 (stock signature)
    ) -> Mapping[TP, list[Any]]:
        """Fetch, and put the batches of source partitions where the stock code expects records.

        Seeks wait for this moment, when no message is under way to an agent: else the stock code would set its read
        offset back to where it was and drop what is read again.
        """
        await self._perform_wanted_seeks()
        fetched = await super()._getmany(active_partitions, timeout)
        return {tp: records for tp, records in self._cut(fetched) if records}

    async def _perform_wanted_seeks(self) -> None:
        for tp, reader in list(self._readers.items()):
            if reader.wanted is not None:
                offset = reader.wanted
                if tp in self._withdrawn and not await self._commit_lower(tp, offset):
                    continue
                await self._thread.seek_inside(tp, offset)
                self._read_offset[tp] = offset or None
                reader.sought(offset)

    async def _commit_lower(self, tp: TP, offset: int) -> bool:
        """Commit an offset below the committed one, after whatever is being committed; False while that cannot be."""
        await self.maybe_wait_for_commit_to_finish()
        self._thread.stamps[tp] = self._delivery.stamp().text
        if not await self._commit({tp: offset}):
            return False
        self._committed_offset[tp] = offset
        self._withdrawn.discard(tp)
        return True

    def _cut(self, fetched: Mapping[Any, list[Any]]) -> Iterator[tuple[TP, list[Any]]]:
        for fetched_tp, records in fetched.items():
            tp = TP(fetched_tp.topic, fetched_tp.partition)
            if not self._is_source(tp):
                yield fetched_tp, records
            elif tp in self._readers:
                batches = self._readers[tp].cut(tp.partition, records, self._delivery.max_batch_records)
                if batches and batches[0].start < batches[0].records[0].offset:
                    self._delivery.on_true_hole(tp.partition, batches[0].start, batches[0].records[0].offset)
                yield fetched_tp, batches

    def _to_message(self, tp: TP, record: Any) -> Any:  # noqa: ANN401 (a record or a batch in, a Faust message out)
        if not isinstance(record, SourceBatch):
            return super()._to_message(tp, record)
        last = record.records[-1]
        return faust.types.ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            [],
            None,
            record,
            None,
            tp=TP(tp.topic, tp.partition),
            generation_id=self.app.consumer_generation_id,
        )

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Give up every partition, as the group does until all have joined again; batches under way are stale."""
        self._readers.clear()
        self._withdrawn.clear()
        self._delivery.on_revoked()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Say which partitions are to be recovered: a recovery that never ends would be seen by nobody else."""
        self._delivery.on_granted({tp.partition for tp in assigned if self._is_source(tp)})
        await super().on_partitions_assigned(assigned, generation_id)

    def on_buffer_full(self, tp: TP) -> None:
        """Leave source partitions in the fetch: the conductor waits for room in the agent's queue, which bounds it.

        The stock method takes the partition out until the queue has drained, and where none is left, as soon happens
        with a queue of few large batches, the stock loop sleeps for a second whatever happens meanwhile.
        """
        if not self._is_source(tp):
            super().on_buffer_full(tp)

    async def perform_seek(self) -> None:
        """Read every partition from its committed offset, or from the log's start where that is later.

        The stock method seeks at once, while the fetcher goes on, so what is fetched before this returns would belong
        to nobody and be lost; and it leaves a partition without a commit where it is. Here it only finds the offsets,
        and the seeks wait for the next poll as all others do.
        """
        await super().perform_seek()
        if not self.flow_active:
            return  # in the midst of a rebalance; it ends with another call
        assigned = {tp for tp in self.assignment() if self._is_source(tp)}
        starts = await self.earliest_offsets(*assigned) if assigned else {}
        stamps = await self._thread.committed_stamps(assigned)
        if not self.flow_active:
            return  # the next one began meanwhile
        self._take_back_offsets(stamps)
        foreign = self._take_over_stamps(assigned, stamps)
        offsets = {tp: max(self._committed_offset[tp] or 0, starts[tp]) for tp in assigned}
        promised = {tp: starts[tp] for tp in assigned if self._committed_offset[tp]}
        self._readers = {tp: PartitionReader(self._seeks) for tp in assigned}
        for tp, reader in self._readers.items():
            reader.want(offsets[tp])
        for tp in promised:
            if (committed := self._committed_offset[tp]) < starts[tp]:
                self._delivery.on_true_hole(tp.partition, committed, starts[tp])
        self._delivery.on_assigned(_by_partition(offsets), _by_partition(promised), foreign)

    def _take_back_offsets(self, stamps: dict[TP, OffsetStamp]) -> None:
        """Take offsets of a log that is no more for none, and have the broker do so before anything is read.

        The broker forgets them with their topic; one that a worker commits before it has noticed lands in the new one.
        """
        source = self._delivery.stamp().source
        for tp in [tp for tp, stamp in stamps.items() if stamp.is_of_another(source)]:
            self._delivery.on_offset_of_another_log(
                tp.partition, self._committed_offset[tp] or 0, stamps.pop(tp).source
            )
            self._committed_offset[tp] = None
            self._withdrawn.add(tp)

    def _take_over_stamps(self, assigned: Set[TP], found: Mapping[TP, OffsetStamp]) -> set[int]:
        """Go on to commit what was committed beside the offsets; the partitions where that is another changelog."""
        ours = self._delivery.stamp()
        stamps = {
            tp: ours if tp not in found else OffsetStamp(found[tp].changelog or ours.changelog, ours.source)
            for tp in assigned
        }
        self._thread.stamps = {tp: stamp.text for tp, stamp in stamps.items()}
        return {tp.partition for tp, stamp in stamps.items() if ours.changelog and stamp != ours}

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:  # noqa: ANN401 (stock signature)
        return (tp for tp in self._readers if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._delivery.committable(tp.partition)


def _by_partition(offsets: Mapping[TP, int]) -> dict[int, int]:
    return {tp.partition: offset for tp, offset in offsets.items()}
