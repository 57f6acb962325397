"""Factor rows from Kafka into their table: the whole sink, against a bare loop of inserts into the same engine.

The loop is what a sink could be at most: rows that are Arrow columns already, no log, no claim, no position, nothing
decoded, nothing judged. Both write batches of the same size into tables of the same make, in turn.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pytest

from obflow import kafka_logs, topics
from obflow.clickhouse import connect
from obflow.inserts import InsertCondition, insert_arrow
from obflow.settings import ClickHouseSettings, Settings
from processors.factors.kernel.engine import KernelEngine
from schemas.logs import Position, short_id
from schemas.messages import L2Record
from schemas.partitions import partition_of
from schemas.topics import FACTORS, L2
from sinks import service
from sinks.batching import Entry, RowBatch
from sinks.claims import Claim
from sinks.counts import Counts
from sinks.tables import TABLES
from tests.integration.conftest import clickhouse, clickhouse_server
from tests.integration.sinking import PARTITIONS, Feed, opened, pipeline, run_until
from tests.processors.compare import VENUES
from tests.processors.feed import THIN_NOTIONAL
from tests.processors.recorded import path_of, read_records
from tests.sinks.decoded import rows_of
from tests.sinks.records import origin_of
from tests.support.waiting import eventually

__all__ = ["clickhouse", "clickhouse_server"]

pytestmark = [pytest.mark.integration, pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(1800)]

ROUNDS = 3
INSTRUMENTS = 32
PACKED = 100
"""Events a record, as a busy worker packs them."""
FLUSH_ROWS = 20_000
BAR = 0.5
LOOK_SECONDS = 0.005


class Speed(NamedTuple):
    """Rows a second: by the clock, and of CPU time of this process."""

    by_clock: float
    by_cpu: float


class Log(NamedTuple):
    """A log of factor records.

    Attributes:
        settings: Where it is.
        rows: How many events it holds.
        blocks: The same rows as the inserts of a bare loop.
    """

    settings: Settings
    rows: int
    blocks: list[pa.Table]


def encoded_events(records: tuple[L2Record, ...], symbols: list[str], log: str) -> Iterator[tuple[str, bytes]]:
    """Key and value of the factor records of a recording under several names, as the compiled engine writes them."""
    engine = KernelEngine(THIN_NOTIONAL)
    state = engine.fresh()
    for start in range(0, len(records), PACKED):
        part = records[start : start + PACKED]
        columns = engine.step(state, range(start, start + len(part)), engine.rows(part))
        for symbol in symbols:
            first = msgspec.structs.replace(part[0], symbol=symbol)
            key = str(first.instrument)
            yield key, columns.encoded(first, log, partition_of(key, PARTITIONS))


@pytest.fixture
def log(broker: str, clickhouse: ClickHouseSettings, recordings: Path) -> Log:
    """The futures recording as factor records of some instruments; the books' log holds every place they name."""
    settings = pipeline(broker, clickhouse, flush_rows=FLUSH_ROWS, flush_seconds=1.0)
    records = read_records(path_of(recordings, VENUES[0]), VENUES[0])
    symbols = [f"S{number:02}" for number in range(INSTRUMENTS)]
    books, factors = Feed(settings, L2), Feed(settings, FACTORS)
    for symbol in symbols:
        for _ in records:
            books.send_bytes(b"", f"{VENUES[0]}:{symbol}")
        books.flush()  # more than one client holds at once
    name = topics.topic_name(settings, L2)
    encoded = list(encoded_events(records, symbols, short_id(kafka_logs.topic_ids(settings, [name])[name])))
    for key, payload in encoded:
        factors.send_bytes(payload, key)
    factors.flush()
    return Log(settings, len(records) * INSTRUMENTS, list(blocks_of([payload for _, payload in encoded])))


def blocks_of(payloads: list[bytes]) -> Iterator[pa.Table]:
    """The rows of factor records as inserts of as many rows as a sink's."""
    batch = RowBatch(TABLES["factors"])
    for offset, (payload, rows) in enumerate(zip(payloads, rows_of(*payloads), strict=True)):
        place = Position("benchlog", 0, offset)
        assert rows is not None
        batch.add(Entry(place, rows, payload, 0, origin_of(place)))
        if batch.rows >= FLUSH_ROWS or offset + 1 == len(payloads):
            yield batch.arrow(time.time_ns())
            batch = RowBatch(TABLES["factors"])


def of_a_sink(log: Log) -> Speed:
    """Of one whole sink, from the first record it reads to the last row it knows to be stored."""
    begun = Began(log.rows)

    def done(counts: Mapping[str, Counts]) -> bool:
        begun.look(counts["factors"])
        return counts["factors"].rows == log.rows

    spent_s = time.process_time()
    run_until(log.settings, done, "factors", seconds=300)
    return Speed(log.rows / begun.seconds, log.rows / (time.process_time() - spent_s))


class Began:
    """When a sink read its first record, and when it stored its last row, looked at more often than it is told.

    Args:
        rows: How many it is to store.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._counts: Counts | None = None
        self._first_s = self._last_s = 0.0

    @property
    def seconds(self) -> float:
        """Between the two, once both were seen."""
        assert eventually(lambda: self._last_s > 0, 10.0)
        return self._last_s - self._first_s

    def look(self, counts: Counts) -> None:
        """Begin to look."""
        if self._counts is None:
            self._counts = counts
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        assert self._counts is not None
        while self._counts.rows < self._rows:
            if self._counts.records and not self._first_s:
                self._first_s = time.monotonic()
            time.sleep(LOOK_SECONDS)
        self._last_s = time.monotonic()


def of_a_bare_loop(log: Log, only_if: InsertCondition | None = None) -> Speed:
    """Of inserts one after another."""
    with closing(connect(log.settings.clickhouse)) as client:
        begun_s, spent_s = time.monotonic(), time.process_time()
        for number, block in enumerate(log.blocks):
            insert_arrow(client, "factors", block, token=f"bare-{number}", only_if=only_if)
        return Speed(log.rows / (time.monotonic() - begun_s), log.rows / (time.process_time() - spent_s))


def of_a_loop_under_a_claim(log: Log) -> Speed:
    """Of the same inserts as the one statement that a sink sends."""
    kinds = {column.name: column.kind for column in TABLES["factors"].columns}
    return of_a_bare_loop(log, InsertCondition(kinds, Claim("factors", "benchlog", (0,), "0").condition))


def emptied(log: Log) -> None:
    with opened(log.settings.clickhouse) as store:
        store.command("TRUNCATE TABLE factors SYNC")


def told(sentence: str) -> None:
    print(sentence)  # noqa: T201


def of_a_sink_without_compiled_code(log: Log) -> Speed:
    """Of one whole sink where each record is decoded by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "decoder_of", lambda tables, cache: None)
        return of_a_sink(log)


SIDES: dict[str, Callable[[Log], Speed]] = {
    "sink": of_a_sink,
    "bare loop": of_a_bare_loop,
    "loop under a claim": of_a_loop_under_a_claim,
    "sink, records one by one": of_a_sink_without_compiled_code,
}


def test_a_sink_against_a_bare_loop_of_inserts(log: Log) -> None:
    rounds: dict[str, list[Speed]] = {name: [] for name in SIDES}
    for number in range(ROUNDS):
        for name, measure in SIDES.items():
            if number == 0 or measure is not of_a_sink_without_compiled_code:  # it takes as long as all others
                emptied(log)
                rounds[name].append(measure(log))
    for name, speeds in rounds.items():
        by_clock, by_cpu = (statistics.median(values) for values in zip(*speeds, strict=True))
        told(f"{name}: {by_clock:,.0f} rows a second by the clock, {by_cpu:,.0f} a CPU second of its own process")
    pairs = zip(rounds["sink"], rounds["bare loop"], strict=True)
    ratio = statistics.median(sink.by_clock / bare.by_clock for sink, bare in pairs)
    told(f"{ratio:.2f} of the bare loop; the bar of {BAR:g} is {'met' if ratio >= BAR else 'not met'}")
