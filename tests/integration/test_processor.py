"""Real workers on a real broker: every event once in effect, whatever happens to the workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from schemas.codec import FRAME, encode
from schemas.factors import FACTOR_NAMES
from schemas.messages import InstrumentKey, L2Record, Reason
from schemas.topics import DEAD_LETTERS, L2, RESYNC
from tests.integration.processing import (
    PARTITIONS,
    FactorLog,
    decode,
    digest,
    end_of,
    interleaved,
    pipeline,
    publish,
    read_all,
    renamed,
    until,
    workers,
)
from tests.processors.feed import ENGINE
from tests.processors.generated import GRIDS, Producer, stream
from tests.support.patience import patient

pytestmark = pytest.mark.integration


class Expected:
    """What the core makes of the same records in memory, in one go."""

    def __init__(self, streams: Sequence[Sequence[L2Record]], names: Sequence[str] = FACTOR_NAMES) -> None:
        places = [FACTOR_NAMES.index(name) for name in names]
        self.digests: dict[InstrumentKey, str] = {}
        self.events = 0
        for records in streams:
            columns = ENGINE.step(ENGINE.fresh(), range(len(records)), records)
            events = (replace(event, values=tuple(event.values[at] for at in places)) for event in columns.events())
            self.digests[records[0].instrument] = digest(events)
            self.events += len(columns)


def streams_of(seed: int, instruments: int, records: int) -> list[list[L2Record]]:
    """Lively books with a gap, a mismatch, an invalid or a new epoch every twenty records or so."""
    return [renamed(_lively(seed + number).records(records), f"SYM{number:02}") for number in range(instruments)]


def _lively(seed: int) -> Producer:
    grid = GRIDS[seed % len(GRIDS)]
    return Producer(Random(seed), centre=60_000, reach=40, largest=500, grid=grid, wild=0.05, step_ns=60_000_000)


def drained(settings: Settings, seconds: float = 40.0) -> None:
    """Wait until the group has committed the end of every partition."""
    name = topics.topic_name(settings, L2)
    group = settings.kafka.topic_prefix + settings.processor.app_id

    def is_drained() -> bool:
        ends = kafka_logs.end_offsets(settings, [name])
        committed = kafka_logs.committed_offsets(settings, group, [name])
        return all(committed.get(partition, 0) == end for partition, end in ends.items())

    def explain() -> str:
        return f"{kafka_logs.end_offsets(settings, [name])} {kafka_logs.committed_offsets(settings, group, [name])}"

    until(is_drained, seconds, explain)


def assert_whole(stored: FactorLog, expected: Expected) -> None:
    assert stored.distinct == expected.events
    assert stored.digests() == expected.digests
    assert stored.differing == 0
    assert stored.disordered == 0


def test_one_worker_computes_what_the_core_computes_in_memory(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker)
    streams = streams_of(seed=1, instruments=12, records=400)
    publish(settings, interleaved(streams))
    with workers(settings, tmp_path) as start:
        worker = start()
        ready = worker.wait_ready()
        drained(settings)
        assert worker.stop() == 0

    assert ready["partitions"] == PARTITIONS
    stored = FactorLog(settings).read()
    assert_whole(stored, Expected(streams))
    assert stored.emitted == stored.distinct


@pytest.mark.exhaustive
def test_killing_an_owner_in_the_middle_loses_nothing_and_repeats_bit_for_bit(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker)
    hoarding = settings.model_copy(
        update={"processor": settings.processor.model_copy(update={"checkpoint_seconds": 120.0})}
    )
    streams = streams_of(seed=100, instruments=16, records=700)
    expected = Expected(streams)
    stored = FactorLog(settings)
    with workers(hoarding, tmp_path / "doomed") as doom, workers(settings, tmp_path / "heirs") as start:
        first, second = doom(), start()
        first.wait_ready()
        second.wait_ready()
        until(lambda: first.owned() == second.owned() == PARTITIONS // 2, 20, first.tail)
        publish(settings, interleaved([records[:350] for records in streams]), rate=5000)
        # What the doomed worker wrote since its last checkpoint is what its heirs must write again.
        until(lambda: bool(first.partitions() & stored.read().partitions), 20, first.tail)
        first.kill()
        publish(settings, interleaved([records[350:] for records in streams]), rate=5000)
        start().wait_ready()
        drained(settings)

    assert_whole(stored.read(), expected)
    assert stored.emitted > stored.distinct, "the kill repeated nothing, so it proved nothing"


@pytest.mark.exhaustive
def test_a_refused_send_ends_the_worker_and_its_restart_heals(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker)
    streams = streams_of(seed=200, instruments=8, records=400)
    with workers(settings, tmp_path) as start:
        faulty = start(OBFLOW_FAULT_FAIL_SEND="12")
        faulty.wait_ready()
        publish(settings, interleaved(streams), rate=2000)
        assert faulty.process.wait(patient(20)) == 1
        assert "a record was not acknowledged" in faulty.tail()
        start().wait_ready()
        drained(settings)

    assert_whole(FactorLog(settings).read(), Expected(streams))


@pytest.mark.exhaustive
def test_a_worker_that_hangs_ends_itself_and_its_restart_heals(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker, watchdog_seconds=3.0)
    streams = streams_of(seed=250, instruments=8, records=200)
    with workers(settings, tmp_path) as start:
        hanging = start(OBFLOW_FAULT_STALL="3")
        hanging.wait_ready()
        publish(settings, interleaved(streams), rate=2000)
        assert hanging.process.wait(patient(30)) == 1
        assert "records wait" in hanging.tail()
        start().wait_ready()
        drained(settings)

    assert_whole(FactorLog(settings).read(), Expected(streams))


@pytest.mark.exhaustive
def test_a_graceful_restart_saves_all_and_repeats_nothing(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker, checkpoint_seconds=60.0)
    streams = streams_of(seed=300, instruments=8, records=600)
    with workers(settings, tmp_path) as start:
        first = start()
        first.wait_ready()
        publish(settings, interleaved([records[:300] for records in streams]))
        stored = FactorLog(settings)
        until(lambda: stored.read().distinct > 500, 40)
        assert first.stop(5) == 0
        publish(settings, interleaved([records[300:] for records in streams]))
        second = start()
        second.wait_ready()
        expected = Expected(streams)
        until(lambda: stored.read().distinct == expected.events, 40, second.tail)
        assert second.stop(5) == 0

    assert_whole(stored.read(), expected)
    assert stored.emitted == stored.distinct


@pytest.mark.exhaustive
def test_workers_with_another_engine_go_on_with_the_books_of_those_before(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker)
    streams = streams_of(seed=350, instruments=8, records=600)
    for turn, engine in enumerate(("reference", "kernel", "reference")):
        processor = settings.processor.model_copy(update={"engine": engine})
        own = settings.model_copy(update={"processor": processor})
        publish(settings, interleaved([records[200 * turn : 200 * turn + 200] for records in streams]))
        with workers(own, tmp_path / f"{turn}-{engine}") as start:
            worker = start()
            worker.wait_ready()
            drained(settings)
            assert worker.stop() == 0
        assert worker.logged("checkpoint_unreadable") == []

    stored = FactorLog(settings).read()
    assert_whole(stored, Expected(streams))
    assert stored.emitted == stored.distinct


def test_poison_is_dead_lettered_where_it_lay_and_the_partition_goes_on(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker)
    [records] = streams_of(seed=400, instruments=1, records=60)
    good = encode(records[0])
    poison = {
        "garbage": b"not avro at all",
        "unknown schema": FRAME.pack(0, 9999) + good[FRAME.size :],
        "cut": good[:-3],
        "empty": b"",
    }
    key, topic = str(records[0].instrument), topics.topic_name(settings, L2)
    producer = kafka.producer(settings)
    for number, record in enumerate(records):
        producer.produce(topic, key=key, value=encode(record))
        if number in (10, 20, 30, 40):
            producer.produce(topic, key=key, value=list(poison.values())[number // 10 - 1])
    producer.produce(topic, key=key, value=None)
    assert producer.flush(patient(30)) == 0
    with workers(settings, tmp_path) as start:
        worker = start()
        worker.wait_ready()
        drained(settings)
        assert worker.stop() == 0

    stored = FactorLog(settings).read()
    letters = [decode("dead-letters", message.value) for message in read_all(settings, DEAD_LETTERS)]
    letters.sort(key=lambda letter: letter["source_offset"])
    topic_id = kafka_logs.topic_ids(settings, [topic])[topic]
    partition = next(message.partition for message in read_all(settings, L2))

    assert_whole(stored, Expected([records]))
    assert [letter["source_offset"] for letter in letters] == [11, 22, 33, 44, 64]
    assert [letter["payload"] for letter in letters] == [*poison.values(), b""]
    assert {letter["reason"] for letter in letters} == {"DecodeError"}
    assert {letter["role"] for letter in letters} == {"processor"}
    assert {(letter["source_topic"], letter["source_partition"]) for letter in letters} == {(topic, partition)}
    assert [letter["letter_id"] for letter in letters] == [
        f"{topic_id}:{partition}:{letter['source_offset']}" for letter in letters
    ]
    assert {(letter["venue"], letter["symbol"]) for letter in letters} == {tuple(key.split(":"))}


@pytest.mark.exhaustive
def test_a_broken_book_is_asked_about_once_and_then_again(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker)
    random = Random(5)
    records = next(calm for seed in range(1000) if (calm := _calm(stream(seed, 40))))
    lost = random.randrange(5, 30)
    publish(settings, iter(records[:lost] + records[lost + 1 :]))
    with workers(settings, tmp_path) as start:
        worker = start()
        worker.wait_ready()
        until(lambda: end_of(settings, RESYNC) >= 2, 20, worker.tail)
        assert worker.stop() == 0

    requests = [decode("resync", message.value) for message in read_all(settings, RESYNC)]
    assert [request["attempt"] for request in requests] == list(range(1, len(requests) + 1))
    assert {(request["reason"], request["epoch"]) for request in requests} == {(Reason.GAP, records[0].epoch)}
    assert {request["source_offset"] for request in requests} == {lost}


def _calm(records: list[L2Record]) -> list[L2Record]:
    """The stream from its first snapshot on, where nothing but deltas follow; else none."""
    for first, record in enumerate(records):
        if record.kind == "snapshot":
            rest = records[first + 1 :]
            return records[first:] if len(rest) > 30 and all(r.kind == "delta" for r in rest) else []
    return []
