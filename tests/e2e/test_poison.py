"""Three hundred bad records over all topics of a running pipeline: each is a letter, and nothing else is missing."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from confluent_kafka import TopicPartition

from embedded.supervisor import NEVER
from obflow import kafka, kafka_logs
from research.audit import audit
from schemas.codec import encode
from schemas.messages import Record
from schemas.partitions import partition_of
from schemas.topics import DEAD_LETTERS, LLM_CALLS, RESYNC, TOPICS, Topic
from tests.e2e.pipeline import Pipeline, pipeline
from tests.e2e.poison import (
    CHANGELOGS,
    NOT_SPOILED,
    READERS,
    Poison,
    Sample,
    Surroundings,
    fence_of_half_a_day,
    poison_of,
)
from tests.integration.backends import free_port
from tests.schemas.examples import EXAMPLES, load
from tests.support.patience import patient

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1200)]

VENUE = "binance-futures"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PARTITIONS = 4
ROLES = ("simulator", "producer", "processor-1", "regimes-1", "sink")
DEADLINE_S = 240.0
EXAMPLE_OF = {RESYNC: "resync/v1/gap", DEAD_LETTERS: "dead-letters/v1/frame", LLM_CALLS: "llm-calls/v1/ok"}
"""What stands in the topics that a healthy pipeline leaves empty."""


class Written(NamedTuple):
    """A bad record, and where it lies."""

    poison: Poison
    topic_id: str
    offset: int

    @property
    def letter_id(self) -> str:
        return f"{self.topic_id}:{self.poison.sample.partition}:{self.offset}"


def start(running: Pipeline) -> None:
    """The whole pipeline, before a simulated exchange, nothing of which is ever started again."""
    port = free_port()
    names = [word for symbol in SYMBOLS for word in ("--symbol", symbol)]
    source = {
        "OBFLOW_PRODUCER__WEBSOCKET_URL": f"ws://127.0.0.1:{port}",
        "OBFLOW_PRODUCER__REST_URL": f"http://127.0.0.1:{port}",
        "OBFLOW_PRODUCER__SOURCE": "simulator",
    }
    simulate = ("simulate", "--venue", VENUE, *names, "--port", str(port), "--rate", "40", "--seed", "7")
    running.start_role("simulator", *simulate, restart=NEVER)
    running.start_role("processor-1", "process", restart=NEVER)
    running.start_role("regimes-1", "regimes", restart=NEVER)
    running.start_role("sink", "sink", restart=NEVER)
    running.start_role("producer", "produce", VENUE, *names, environment=source, restart=NEVER)


def assert_alive(running: Pipeline, *names: str) -> None:
    """Every role runs, and is the process it was."""
    running.roles.tick()
    dead = {name: running.roles.child(name).log_tail(8) for name in names if not running.roles.child(name).is_running()}
    assert dead == {}


def sampled(running: Pipeline) -> dict[Topic, list[Sample]]:
    """Good records of every topic: the newest that lie there, or an example in the name of what is produced."""
    found = {topic: newest(running, topic) for topic in READERS if topic not in EXAMPLE_OF}
    for topic, name in EXAMPLE_OF.items():
        found[topic] = [example(topic, load(EXAMPLES / f"{name}.json"), symbol) for symbol in SYMBOLS]
    return found


def example(topic: Topic, record: Record, symbol: str) -> Sample:
    home = partition_of(f"{VENUE}:{symbol}", PARTITIONS)
    changes: dict[str, object] = {"venue": VENUE, "symbol": symbol}
    if topic is RESYNC:
        changes |= {"source_partition": home, "source_offset": 0, "epoch": 1}
    value = encode(msgspec.structs.replace(record, **changes))  # type: ignore[arg-type] # any record will do
    key = f"{VENUE}:{symbol}" if topic is not DEAD_LETTERS else "binance:1:17"
    return Sample(topic, home, key.encode(), value)


def newest(running: Pipeline, topic: Topic, count: int = 20) -> list[Sample]:
    ends = kafka_logs.end_offsets(running.settings, [topic.name])
    consumer = kafka.consumer(running.settings, "test-samples")
    consumer.assign([TopicPartition(topic.name, part, max(0, end - count)) for (_, part), end in ends.items() if end])
    found: list[Sample] = []
    deadline = time.monotonic() + patient(30)
    while len(found) < sum(min(count, end) for end in ends.values()) and time.monotonic() < deadline:
        for message in consumer.consume(100, 0.2):
            if message.error() is None and message.value():
                found.append(Sample(topic, message.partition(), message.key(), message.value()))
    consumer.close()
    assert found, f"{topic.name} is empty"
    return found


def write(running: Pipeline, poisons: list[Poison], pause_s: float = 0.02) -> list[Written]:
    """Write them one by one while the pipeline runs; where each of them lies."""
    ids = kafka_logs.topic_ids(running.settings, [topic.name for topic in READERS])
    producer = kafka.producer(running.settings, {"linger.ms": 0})
    found: list[Written] = []
    for poison in poisons:
        topic = poison.sample.topic.name

        def delivered(error: object, message: object, poison: Poison = poison, topic_id: str = ids[topic]) -> None:
            assert error is None, (poison.kind, error)
            found.append(Written(poison, topic_id, message.offset()))  # type: ignore[attr-defined]

        producer.produce(
            topic,
            poison.value,
            poison.sample.key,
            poison.sample.partition,
            on_delivery=delivered,
            headers=list(poison.headers),
        )
        producer.poll(pause_s)
        running.roles.tick()
    assert producer.flush(patient(60)) == 0
    assert len(found) == len(poisons)
    return found


def letters(running: Pipeline) -> Counter[tuple[str, str]]:
    """Letters about records of our topics, by identity and role."""
    ids = set(kafka_logs.topic_ids(running.settings, [topic.name for topic in READERS]).values())
    with running.client() as client:
        rows = client.query("SELECT letter_id, role FROM dead_letters FINAL").result_rows
    return Counter((letter_id, role) for letter_id, role in rows if letter_id.partition(":")[0] in ids)


def rows_after(running: Pipeline, table: str, column: str, since_ns: int) -> set[str]:
    """Symbols with rows whose time lies after this one."""
    with running.client() as client:
        query = f"SELECT DISTINCT symbol FROM {table} WHERE {column} > fromUnixTimestamp64Nano({{since:Int64}}, 'UTC')"  # noqa: S608
        return {symbol for (symbol,) in client.query(query, parameters={"since": since_ns}).result_rows}


def test_every_topic_is_spoiled_or_says_why_not() -> None:
    assert READERS.keys() | NOT_SPOILED == set(TOPICS)
    assert not READERS.keys() & NOT_SPOILED


def test_no_record_ends_or_blinds_a_role_and_each_bad_one_is_a_letter(tmp_path: Path) -> None:
    seed = int(os.environ.get("POISON_SEED", "300"))
    environment = {"OBFLOW_KAFKA__PARTITIONS": str(PARTITIONS), "OBFLOW_PROCESSOR__CHECKPOINT_SECONDS": "2"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with pipeline(tmp_path) as running:
            start(running)
            running.wait_until("factors", lambda: running.count("factors") > 200, DEADLINE_S)
            running.wait_until("regimes", lambda: running.count("regimes") >= len(SYMBOLS), DEADLINE_S)
            samples = sampled(running)
            around = Surroundings(
                PARTITIONS,
                time.time_ns() // 1_000_000,
                {topic: kafka_logs.topic_ids(running.settings, [topic.name])[topic.name] for topic in READERS},
                {part: end for (_, part), end in kafka_logs.end_offsets(running.settings, ["l2.v1"]).items()},
            )
            made = list(poison_of(samples, around, seed))
            bad = [poison for poison in made if poison.refused_by]
            assert len(bad) == 330
            done = write(running, [*made, fence_of_half_a_day(samples_of_l2(samples), around, None)])  # type: ignore[arg-type, list-item]
            assert_alive(running, *ROLES)
            take_over(running)
            since_ns = time.time_ns()
            for table, column in (("factors", "received_at"), ("trades", "received_at"), ("regimes", "window_end")):
                running.wait_until(
                    f"{table} of every instrument",
                    lambda table=table, column=column: rows_after(running, table, column, since_ns) == set(SYMBOLS),  # type: ignore[misc]
                    DEADLINE_S,
                )
            expected = Counter((one.letter_id, role) for one in done for role in one.poison.refused_by)
            running.wait_until("all letters", lambda: expected.keys() <= letters(running).keys(), DEADLINE_S)
            healthy = ("simulator", "producer", "processor-2", "regimes-2", "sink")
            assert_alive(running, *healthy)
            assert running.roles.stop(["producer"], grace_s=20.0) == {"producer": 0}
            running.wait_until("everything stored", lambda: running.is_read(running.settings.sink.group), DEADLINE_S)
            found = audit(running.settings, patience_seconds=60.0, digests=True)
            assert_alive(running, *(name for name in healthy if name != "producer"))
            told = letters(running)
            print_figures(seed, bad, done, told, found.lost, found.duplicates)
            kinds = {(one.letter_id, role): one.poison for one in done for role in READERS_ALL}
            assert {key: kinds.get(key) for key in told - expected} == {}
            assert {key: kinds[key].kind for key in expected - told} == {}
            assert (found.lost, found.duplicates) == (0, 0)
            assert {name: counts["unexpected"] for name, counts in found.instruments.items()} == {
                f"{VENUE}:{symbol}": 0 for symbol in SYMBOLS
            }
            assert set((found.contents or {}).values()) == {"equal"}
            codes = running.roles.stop(grace_s=20.0)
            assert {codes[name] for name in healthy} == {0}


READERS_ALL = ("producer", "processor", "regimes", "sink")


def samples_of_l2(samples: dict[Topic, list[Sample]]) -> Sample:
    return next(given[-1] for topic, given in samples.items() if topic.name == "l2.v1")


def take_over(running: Pipeline) -> None:
    """Other workers recover every checkpoint, those that nobody here wrote among them."""
    for role, words in (("processor", "process"), ("regimes", "regimes")):
        running.start_role(f"{role}-2", words, restart=NEVER)
        running.wait_until(
            f"two {role} share the partitions",
            lambda role=role: running.share(f"{role}-1", f"{role}-2"),
            DEADLINE_S,  # type: ignore[misc]
        )
        first = running.roles.child(f"{role}-1")
        os.kill(first.pid, signal.SIGTERM)
        running.wait_until(f"{role}-1 ends", lambda first=first: not first.is_running(), 60.0)  # type: ignore[misc]
        assert first.exit_code == 0
        running.wait_until(
            f"{role}-2 has every partition",
            lambda role=role: len(running.partitions(f"{role}-2")) == PARTITIONS,  # type: ignore[misc]
            DEADLINE_S,
        )


def print_figures(
    seed: int, bad: list[Poison], done: list[Written], told: Counter[tuple[str, str]], lost: int, doubled: int
) -> None:
    by_topic = Counter(one.poison.sample.topic.name for one in done if one.poison.refused_by)
    kinds = len({poison.kind for poison in bad})
    checkpoints = sum(one.poison.sample.topic in CHANGELOGS for one in done)
    print(  # noqa: T201
        f"seed {seed}: {len(bad)} bad records of {kinds} kinds over {len(by_topic)} topics "
        f"({checkpoints} of them checkpoints) and {len(done) - len(bad)} odd ones: {sum(told.values())} letters, "
        f"lost {lost}, duplicates {doubled}, restarts 0"
    )
