"""What the agent does with batches, assignments and mistakes, without Kafka and without Faust. Books are its stage."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from obflow.faults import FaultPoints
from obflow.metrics import Metrics
from processors.contract import Emit
from processors.stages.books import BooksStage
from processors.worker import agent as module
from processors.worker.agent import StageAgent, WorkerPorts
from processors.worker.cut import SourceBatch
from processors.worker.meters import WorkerMeters
from processors.worker.outbox import Outbox, Send, sender
from processors.worker.places import NamedLog
from schemas.codec import decode, encode
from schemas.errors import BrokerUnreachable, FatalError
from schemas.messages import DeadLetter, FactorEvent, FactorRecord, RegimeEvent, ResyncRequest
from schemas.places import Extent, NamedPlace
from schemas.topics import L2
from tests.processors.regimes.generated import L2_LOG, Market, packed
from tests.processors.staged import LOG, PARTITION, KafkaRecord, batch_of, book_log, saved_after, stage_of


class RecordingOutbox(Outbox):
    """Keeps what is enqueued, acknowledges nothing, and may be full."""

    def __init__(self) -> None:
        super().__init__(lambda: None, fail=lambda error: None)  # type: ignore[arg-type, return-value]
        self.enqueued: list[Send] = []
        self.in_the_way: Callable[[], None] = lambda: None

    def enqueue(self, send: Send) -> asyncio.Future[Any]:
        self.enqueued.append(send)
        return super().enqueue(send)

    async def wait_for_room(self) -> None:
        self.in_the_way()


class Bench:
    """An agent with everything it is bound to."""

    def __init__(
        self,
        saved: dict[str, bytes] | None = None,
        stage: str = "books",
        named_log: NamedLog | None = None,
        **options: object,
    ) -> None:
        self.outbox = RecordingOutbox()
        self.seeks: list[tuple[int, int]] = []
        self.withdrawn: list[tuple[int, int]] = []
        self.is_whole = True
        self.failures: list[FatalError] = []
        self.current = True
        self.metrics = Metrics("processor")
        ports = WorkerPorts(
            LOG,
            self.outbox,
            sender(self.outbox, lambda topic: topic.name),
            load=(saved or {}).get,
            seek_back=lambda partition, offset: self.seeks.append((partition, offset)),
            is_current=lambda batch: self.current,
            fail=self.failures.append,
            faults=FaultPoints(),
            named_log=named_log,
            withdraw=lambda partition, offset: self.withdrawn.append((partition, offset)),
            is_whole=lambda partition: self.is_whole,
        )
        self.agent = StageAgent(
            stage_of(stage, **options),
            ports,
            WorkerMeters(self.metrics, L2, "factor"),
            max_batch_records=2_000,
            checkpoint_s=5.0,
        )

    async def take(self, *batches: SourceBatch) -> None:
        async def stream() -> AsyncIterator[SourceBatch]:
            for batch in batches:
                yield batch

        await self.agent.run(stream())

    def sent(self, kind: type) -> list[Any]:
        records = [decode(send.value) for send in self.outbox.enqueued]
        return [record for record in records if isinstance(record, kind)]

    @property
    def position(self) -> int:
        return self.agent.positions()[PARTITION]


@pytest.fixture
def records() -> list[KafkaRecord]:
    return book_log(21, 3, 60, wild=0.0)


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    bench.agent.on_assigned({PARTITION: 0})
    return bench


async def test_a_batch_becomes_factors_of_its_partition_and_the_position_moves_on(
    bench: Bench, records: list[KafkaRecord]
) -> None:
    await bench.take(batch_of(records))
    factors = bench.sent(FactorRecord)

    assert bench.position == 60
    assert {(record.source_log, record.source_partition) for record in factors} == {(LOG.short_id, PARTITION)}
    assert {send.partition for send in bench.outbox.enqueued} == {PARTITION}
    assert {send.key.decode() for send in bench.outbox.enqueued} == {str(record.instrument) for record in factors}
    assert sum(len(record.events) for record in factors) > 40
    assert bench.metrics.value("obflow_received_total", source="l2.v1") == 60


@pytest.mark.parametrize(("age_ms", "is_late"), [(-5, False), (1_000, False), (1_001, True)])
async def test_a_record_is_as_old_as_kafka_says_and_events_of_late_ones_are_withheld(
    age_ms: int, is_late: bool, records: list[KafkaRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "time_ns", lambda: (records[-1].timestamp + age_ms) * 1_000_000)
    bench = Bench(conflate_above_ms=1_000.0)
    bench.agent.on_assigned({PARTITION: 0})
    await bench.take(batch_of(records))
    factors = [send for send in bench.outbox.enqueued if isinstance(decode(send.value), FactorRecord)]

    assert {bool(send.headers) for send in factors} == {is_late}
    assert bool(bench.metrics.value("obflow_withheld_total", venue="nowhere")) is is_late


async def test_nothing_is_committable_before_it_is_saved(bench: Bench, records: list[KafkaRecord]) -> None:
    await bench.take(batch_of(records))

    assert bench.agent.committable(PARTITION) == 0


async def test_a_stale_batch_is_left_and_counted(bench: Bench, records: list[KafkaRecord]) -> None:
    bench.current = False
    await bench.take(batch_of(records))

    assert (bench.position, bench.outbox.enqueued) == (0, [])
    assert bench.metrics.value("obflow_ignored_total", reason="stale") == 60


async def test_a_batch_of_a_partition_that_is_not_held_is_left(records: list[KafkaRecord]) -> None:
    bench = Bench()
    await bench.take(batch_of(records))

    assert bench.outbox.enqueued == []


async def test_a_batch_behind_a_lost_one_has_the_partition_read_again(bench: Bench, records: list[KafkaRecord]) -> None:
    await bench.take(batch_of(records[:20]), batch_of(records[30:]))

    assert bench.seeks == [(PARTITION, 20)]
    assert bench.position == 20


async def test_an_emptied_changelog_is_told_counted_and_its_promise_withdrawn(
    records: list[KafkaRecord],
) -> None:
    bench = Bench()
    bench.is_whole = False
    bench.agent.on_assigned({PARTITION: 40}, {PARTITION: 5})
    await bench.take(batch_of(records[40:]))

    assert (bench.withdrawn, bench.seeks) == ([(PARTITION, 5)], [])
    assert bench.agent.committable(PARTITION) == 5
    assert bench.metrics.value("obflow_rejected_total", reason="checkpoint_missing") == 1


async def test_an_offset_committed_beside_another_changelog_promises_nothing(records: list[KafkaRecord]) -> None:
    bench = Bench()
    bench.agent.on_assigned({PARTITION: 40}, {PARTITION: 5}, frozenset([PARTITION]))
    await bench.take(batch_of(records[40:]))

    assert bench.withdrawn == [(PARTITION, 5)]


async def test_a_partition_taken_away_in_the_midst_of_a_batch_stays_where_it_was(
    bench: Bench, records: list[KafkaRecord]
) -> None:
    rooms = iter((True, False))

    def second_room_is_too_late() -> None:
        bench.current = next(rooms)

    bench.outbox.in_the_way = second_room_is_too_late
    await bench.take(batch_of(records))

    assert len({record.symbol for record in bench.sent(FactorRecord)}) == 1
    assert bench.position == 0


async def test_a_draining_worker_processes_nothing_more(bench: Bench, records: list[KafkaRecord]) -> None:
    bench.agent.drain()
    await bench.take(batch_of(records))

    assert (bench.position, bench.outbox.enqueued) == (0, [])


async def test_a_mistake_in_the_code_ends_the_worker_and_skips_no_record(
    bench: Bench, records: list[KafkaRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(module.StageAgent, "_process", broken)
    await bench.take(batch_of(records))

    assert "ZeroDivisionError: by zero" in str(bench.failures[0])
    assert bench.position == 0


async def test_a_bad_record_is_a_letter_and_the_rest_goes_on(bench: Bench, records: list[KafkaRecord]) -> None:
    records[7].value = b"bad"
    await bench.take(batch_of(records))
    [letter] = bench.sent(DeadLetter)

    assert (letter.source_offset, letter.reason) == (7, "DecodeError")
    assert bench.position == 60
    assert bench.metrics.value("obflow_dead_lettered_total", reason="DecodeError") == 1
    assert bench.agent.committable(PARTITION) == 0, "held by the books and by the letter"


async def test_letters_wait_for_room_and_a_partition_taken_meanwhile_keeps_its_place(
    bench: Bench,
) -> None:
    rooms = iter((True, True, False))

    def third_room_is_too_late() -> None:
        bench.current = next(rooms)

    bench.outbox.in_the_way = third_room_is_too_late
    await bench.take(batch_of([KafkaRecord(offset, b"", b"bad") for offset in range(5)]))

    assert [letter.source_offset for letter in bench.sent(DeadLetter)] == [0, 1]
    assert bench.position == 0


async def test_a_letter_not_yet_acknowledged_holds_the_offset_back(bench: Bench) -> None:
    await bench.take(batch_of([KafkaRecord(0, b"", b"bad"), KafkaRecord(1, b"", b"bad")]))

    assert bench.position == 2
    assert bench.agent.committable(PARTITION) == 0


async def test_a_state_too_old_has_the_partition_read_again(records: list[KafkaRecord]) -> None:
    one = book_log(22, 1, 60, wild=0.0)
    bench = Bench(saved_after(stage_of("books"), one[:20]))
    bench.agent.on_assigned({PARTITION: 40})
    await bench.take(batch_of(one[40:]))

    assert bench.seeks == [(PARTITION, 20)]
    assert bench.position == 40


async def test_what_is_read_again_is_gone_on_with_after_a_rebalance_in_its_midst() -> None:
    """The group's offset is ahead of the books then, and reading begins there."""
    one = book_log(22, 1, 60, wild=0.0)
    bench = Bench(saved_after(stage_of("books"), one[:20]))
    bench.agent.on_assigned({PARTITION: 40})
    await bench.take(batch_of(one[40:]), batch_of(one[20:30]))
    bench.agent.on_revoked()
    bench.agent.on_assigned({PARTITION: 40})
    await bench.take(batch_of(one[40:]))
    assert bench.seeks == [(PARTITION, 20), (PARTITION, 30)]

    await bench.take(batch_of(one[30:]))
    whole = Bench()
    whole.agent.on_assigned({PARTITION: 0})
    await whole.take(batch_of(one))
    assert events_of(bench) == [event for event in events_of(whole) if event.source_offset >= 20]


def events_of(bench: Bench) -> list[FactorEvent]:
    return [event for record in bench.sent(FactorRecord) for event in record.events]


async def test_a_break_is_asked_about(
    bench: Bench, records: list[KafkaRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = book_log(23, 1, 40, wild=0.0)
    del one[20]
    monkeypatch.setattr(module, "TICK_S", 0)
    await bench.take(batch_of(one))
    asking = asyncio.ensure_future(bench.agent.run_timers())
    for _ in range(5):
        await asyncio.sleep(0)
    asking.cancel()
    [request] = bench.sent(ResyncRequest)

    assert (request.reason, request.source_partition, request.source_offset) == ("gap", PARTITION, 21)
    assert bench.metrics.value("obflow_resyncs_total", venue="nowhere") == 1
    assert bench.metrics.value("obflow_gaps_total", venue="nowhere") == 1
    assert bench.metrics.value("obflow_books", state="invalid") == 1


async def test_partitions_kept_through_a_rebalance_keep_their_books(bench: Bench, records: list[KafkaRecord]) -> None:
    await bench.take(batch_of(records[:30]))
    [before] = bench.agent.owned()
    bench.agent.on_revoked()
    assert bench.agent.owned() == []
    assert bench.agent.committable(PARTITION) is None

    bench.agent.on_assigned({PARTITION: 10})
    assert bench.agent.owned() == [before]
    assert bench.position == 30


async def test_books_another_worker_has_come_further_with_are_given_up(
    bench: Bench, records: list[KafkaRecord]
) -> None:
    await bench.take(batch_of(records[:30]))
    [before] = bench.agent.owned()
    bench.agent.on_assigned({PARTITION: 40})

    assert bench.agent.owned() != [before]
    assert not before.owned
    assert bench.position == 40


async def test_books_of_partitions_that_went_are_given_up(bench: Bench) -> None:
    [before] = bench.agent.owned()
    bench.agent.on_assigned({PARTITION + 1: 5})

    assert not before.owned
    assert bench.agent.positions() == {PARTITION + 1: 5}


async def test_a_hole_in_the_log_is_counted(bench: Bench) -> None:
    bench.agent.on_true_hole(PARTITION, 10, 25)

    assert bench.metrics.value("obflow_rejected_total", reason="source_hole") == 15


async def test_an_offset_of_a_log_that_is_no_more_is_counted(bench: Bench) -> None:
    bench.agent.on_offset_of_another_log(PARTITION, 40, "gWOcBj2e")

    assert bench.metrics.value("obflow_rejected_total", reason="offset_of_another_log") == 1


async def test_a_recovery_is_under_way_from_the_grant_of_partitions_until_they_are_read(bench: Bench) -> None:
    seen = [bench.agent.is_recovering]
    for step in (
        bench.agent.on_revoked,
        lambda: bench.agent.on_granted({PARTITION}),
        lambda: bench.agent.on_assigned({PARTITION: 0}),
        bench.agent.on_revoked,
        lambda: bench.agent.on_granted(set()),
    ):
        step()
        seen.append(bench.agent.is_recovering)

    assert seen == [False, False, True, False, False, False]


async def test_others_have_their_turn_once_the_work_has_taken_long_enough(
    records: list[KafkaRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def turns_taken(turn_s: float) -> int:
        monkeypatch.setattr(module, "TURN_S", turn_s)
        bench = Bench()
        bench.agent.on_assigned({PARTITION: 0})
        taken = 0

        async def take_turns() -> None:
            nonlocal taken
            while True:
                taken += 1
                await asyncio.sleep(0)

        others = asyncio.ensure_future(take_turns())
        await asyncio.sleep(0)
        before = taken
        await bench.take(batch_of(records))
        others.cancel()
        return taken - before

    assert await turns_taken(turn_s=60.0) == 0
    assert await turns_taken(turn_s=0.0) >= module.TURNS


async def test_a_stage_that_decodes_few_records_at_once_has_its_position_move_on_with_them() -> None:
    """Else a batch of large records, cut off in the midst, would be read again from its start."""
    bench = Bench(stage="regimes")
    bench.agent.on_assigned({PARTITION: 0})
    records = [KafkaRecord(offset, b"a:b", b"bad") for offset in range(5)]
    rooms = iter((True, True, True, False))

    def fourth_room_is_too_late() -> None:
        bench.current = next(rooms)

    bench.outbox.in_the_way = fourth_room_is_too_late
    await bench.take(batch_of(records))

    assert bench.position == 3


@pytest.mark.parametrize(("by_key", "partition"), [(True, None), (False, 5)])
async def test_what_a_stage_emits_goes_to_the_partition_of_its_key_or_of_its_source(
    by_key: bool, partition: int | None
) -> None:
    outbox = RecordingOutbox()
    sender(outbox, lambda topic: f"prefix.{topic.name}")(5, Emit(L2, "k", b"v", 17, 9, by_key), is_result=True)

    assert outbox.enqueued == [Send("prefix.l2.v1", b"k", b"v", partition, 5, 17, 9, is_result=True)]


class AskedLog:
    """A log whose end only the broker knows, which does not answer every time."""

    def __init__(self, end: int, silences: int = 0) -> None:
        self._true = Extent(L2_LOG, dict.fromkeys(range(6), end))
        self._silences = silences
        self.extent = Extent(L2_LOG, {})
        self.asked = 0
        self.threads: set[str] = set()

    def knows(self, named: NamedPlace) -> bool:
        return self.extent == self._true

    def expire(self) -> None:
        self.extent = Extent(L2_LOG, {})

    def refresh(self, named: NamedPlace) -> None:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        if self.asked <= self._silences:
            raise BrokerUnreachable("no broker answers")
        self.extent = self._true


def named_records() -> list[KafkaRecord]:
    plain = packed(Market(5).events(200), [10], symbol="AAC", partition=PARTITION)
    values = [*plain[:5], msgspec.structs.replace(plain[5], source_log="elsewher"), *plain[5:]]
    return [KafkaRecord(offset, b"binance-futures:AAC", encode(value)) for offset, value in enumerate(values)]


@pytest.mark.parametrize("silences", [0, 2])
async def test_a_place_is_asked_about_beside_the_loop_until_there_is_an_answer(
    silences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0.0)
    log = AskedLog(end=10_000, silences=silences)
    bench = Bench(stage="regimes", named_log=log)
    bench.agent.on_assigned({PARTITION: 0})
    records = named_records()
    await bench.take(batch_of(records))
    [letter] = bench.sent(DeadLetter)

    assert (letter.source_offset, letter.reason, letter.role) == (5, "ForeignRecord", "regimes")
    assert bench.position == len(records)
    assert bench.sent(RegimeEvent) != []
    assert log.asked == 1 + silences
    assert threading.main_thread().name not in log.threads


async def test_a_batch_that_is_stale_by_the_time_of_the_answer_is_left() -> None:
    log = AskedLog(end=10_000)
    bench = Bench(stage="regimes", named_log=log)
    bench.agent.on_assigned({PARTITION: 0})
    refresh = log.refresh

    def taken_away(named: NamedPlace) -> None:
        refresh(named)
        bench.current = False

    log.refresh = taken_away  # type: ignore[method-assign] # what happens meanwhile
    await bench.take(batch_of(named_records()))

    assert (bench.position, bench.outbox.enqueued) == (0, [])


async def test_a_record_that_cannot_be_handled_is_sought_again_and_then_a_letter(
    bench: Bench, records: list[KafkaRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = BooksStage.step

    def mistaken(self: BooksStage, state: Any, batch: Any) -> Any:
        if 17 in batch.offsets:
            raise KeyError("a mistake")
        return step(self, state, batch)

    monkeypatch.setattr(BooksStage, "step", mistaken)
    for _ in range(2):
        await bench.take(batch_of(records))
        partition, offset = bench.seeks.pop()
        assert (partition, bench.position) == (PARTITION, 0)
        assert offset <= 17
    await bench.take(batch_of(records))
    [letter] = bench.sent(DeadLetter)

    assert (letter.source_offset, letter.reason) == (17, "Unprocessable")
    assert (bench.position, bench.seeks, bench.failures) == (60, [], [])


async def test_a_refused_checkpoint_is_a_letter_that_holds_nothing_back(bench: Bench) -> None:
    letter = DeadLetter("a:3:7", "processor", "ForeignRecord", "no", 1, b"", 0, source_partition=PARTITION)
    bench.agent.on_refused_checkpoint(letter)

    assert bench.sent(DeadLetter) == [letter]
    assert bench.outbox.oldest_offset(PARTITION) is None
