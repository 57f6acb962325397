"""What is no line of the registries runs on a real broker all the same: a third stage, and a second engine.

Nothing below `processors/worker` knows of either.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from schemas.codec import decode_as
from schemas.factors import FACTOR_INDEX
from schemas.messages import DeadLetter, FactorRecord
from schemas.topics import DEAD_LETTERS, FACTORS
from tests.integration.processing import (
    PARTITIONS,
    Worker,
    end_of,
    interleaved,
    pipeline,
    publish,
    read_all,
    until,
    workers,
)
from tests.integration.test_processor import drained, streams_of
from tests.processors.counter import CHANGELOG, COUNTS, TRADED
from tests.support.patience import patient

pytestmark = pytest.mark.integration

PROGRAM = "; ".join(
    [
        "import sys",
        "from processors.factors import ENGINES",
        "from processors.stages import STAGES",
        "from tests.processors.counter import CounterStage",
        "from tests.processors.engines import CountingEngine",
        "STAGES['counter'], ENGINES['counting'] = CounterStage, CountingEngine",
        "from obflow.cli import main",
        "sys.exit(main())",
    ]
)
OBFLOW = [sys.executable, "-c", PROGRAM]
PAIRS = [("BTC", "USDT"), ("ETH", "USDT"), ("SOL", "USDC"), ("XRP", "EUR"), ("ADA", "BTC")]
VENUES = ("binance", "bybit", "okx")


class Trades:
    """Writes records keyed by canonical symbol, each pair's venues in turn."""

    def __init__(self, settings: Settings) -> None:
        self._producer = kafka.producer(settings)
        self._topic = topics.topic_name(settings, TRADED)
        self.sent: dict[str, list[str]] = defaultdict(list)

    def send(self, rounds: int) -> None:
        for number in range(rounds):
            for base, quote in PAIRS:
                key, venue = f"{base}-{quote}", VENUES[number % len(VENUES)]
                record = {"base": base, "quote": quote, "venue": venue}
                self._producer.produce(self._topic, key=key, value=json.dumps(record))
                self.sent[key].append(venue)
        assert self._producer.flush(patient(30)) == 0

    def send_bytes(self, value: bytes) -> None:
        self._producer.produce(self._topic, key="BTC-USDT", value=value)
        assert self._producer.flush(patient(30)) == 0


class Counts:
    """What lies in the topic of counts: the first record of each count, and how many there are in all."""

    def __init__(self, settings: Settings) -> None:
        self.venues: dict[str, list[str]] = defaultdict(list)
        self.emitted = self.differing = self.disordered = 0
        seen: dict[tuple[str, int], bytes] = {}
        self.partitions: dict[str, set[int]] = defaultdict(set)
        for message in read_all(settings, COUNTS):
            found, key = json.loads(message.value), message.key.decode()
            self.emitted += 1
            self.partitions[key].add(message.partition)
            self.differing += seen.setdefault((key, found["count"]), message.value) != message.value
            if found["count"] == len(self.venues[key]) + 1:
                self.venues[key].append(found["venue"])
            else:
                self.disordered += found["count"] > len(self.venues[key])


@pytest.fixture
def counting(broker: str) -> Settings:
    """A pipeline with the counter's topics, its group its own."""
    settings = pipeline(broker, app_id="obflow-counter", checkpoint_seconds=60.0)
    topics._create(settings, list(topics.declared(settings, [TRADED, COUNTS, CHANGELOG])))
    return settings


def saved_often(settings: Settings) -> Settings:
    processor = settings.processor.model_copy(update={"checkpoint_seconds": 0.5})
    return settings.model_copy(update={"processor": processor})


def test_a_third_stage_keyed_by_canonical_symbol_survives_a_kill_with_every_count(
    counting: Settings, tmp_path: Path
) -> None:
    trades, heirs = Trades(counting), saved_often(counting)
    stage = {"command": OBFLOW, "flags": ("--stage", "counter")}
    with workers(counting, tmp_path / "doomed", **stage) as doom, workers(heirs, tmp_path / "heirs", **stage) as start:
        first = start()
        first.wait_ready()
        trades.send(40)
        until(lambda: end_of(counting, COUNTS) == 40 * len(PAIRS), 30, first.tail)
        assert first.stop() == 0  # its counts are in checkpoints

        doomed = doom()
        doomed.wait_ready()
        trades.send(60)
        trades.send_bytes(b"not JSON")
        until(lambda: end_of(counting, COUNTS) == 100 * len(PAIRS), 30, doomed.tail)
        doomed.kill()  # what it counted since is in none

        heir = start()
        heir.wait_ready()
        trades.send(20)
        _committed(counting, TRADED.name, heir)
        assert heir.stop() == 0

    found = Counts(counting)
    assert found.venues == trades.sent
    assert (found.differing, found.disordered) == (0, 0)
    assert found.emitted > 120 * len(PAIRS), "the kill repeated nothing, so it proved nothing"
    assert all(len(partitions) == 1 for partitions in found.partitions.values())
    letters = {decode_as(DeadLetter, message.value).letter_id for message in read_all(counting, DEAD_LETTERS)}
    assert len(letters) == 1
    assert end_of(counting, CHANGELOG) >= 2 * len(PAIRS)


def _committed(settings: Settings, topic: str, worker: Worker) -> None:
    """Wait until the group has committed the end of every partition of a topic."""
    name = settings.kafka.topic_prefix + topic
    group = settings.kafka.topic_prefix + settings.processor.app_id

    def is_drained() -> bool:
        committed = kafka_logs.committed_offsets(settings, group, [name])
        return all(committed.get(at, 0) == end for at, end in kafka_logs.end_offsets(settings, [name]).items())

    until(is_drained, 30, worker.tail)


@pytest.mark.exhaustive
def test_a_second_engine_computes_by_name_and_alone_reads_its_checkpoints(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker, engine="counting")
    streams = streams_of(seed=700, instruments=6, records=300)
    with workers(settings, tmp_path / "counting", command=OBFLOW) as start:
        first = start()
        first.wait_ready()
        publish(settings, interleaved([records[:150] for records in streams]))
        until(lambda: end_of(settings, FACTORS) > 0, 30, first.tail)
        first.kill()
        publish(settings, interleaved([records[150:250] for records in streams]))
        heir = start()
        heir.wait_ready()
        drained(settings)
        assert heir.stop() == 0
    assert _counted(settings) == {records[0].symbol: 250 for records in streams}

    processor = settings.processor.model_copy(update={"engine": "reference"})
    with workers(settings.model_copy(update={"processor": processor}), tmp_path / "reference", command=OBFLOW) as start:
        other = start()
        other.wait_ready()
        publish(settings, interleaved([records[250:] for records in streams]))
        drained(settings)
        assert other.stop() == 0
    refused = other.logged("checkpoint_unreadable")
    assert {line["key"] for line in refused} == {str(records[0].instrument) for records in streams}
    assert {line["error"] for line in refused} == {"a count is no book"}


def _counted(settings: Settings) -> dict[str, int]:
    """How far each instrument was counted, where no number is missing and none differs from what it was."""
    found: dict[str, dict[int, int]] = defaultdict(dict)
    index = FACTOR_INDEX["bid_levels"]
    for message in read_all(settings, FACTORS):
        record = decode_as(FactorRecord, message.value)
        for event in record.events:
            count = int(event.values[index] or 0)
            assert found[record.symbol].setdefault(event.source_offset, count) == count
    counts = {symbol: [events[offset] for offset in sorted(events)] for symbol, events in found.items()}
    assert all(count == list(range(1, len(count) + 1)) for count in counts.values())
    return {symbol: len(count) for symbol, count in counts.items()}


def test_an_engine_nobody_has_is_refused_at_the_start_with_the_nearest(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker, engine="referense")
    assert settings.kafka.partitions == PARTITIONS
    with workers(settings, tmp_path) as start:
        worker = start()
        assert worker.process.wait(patient(30)) == 2
        assert "there is no engine 'referense': did you mean reference?" in worker.tail()
