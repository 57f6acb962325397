"""A load of many instruments of one book at a given rate, and whether every event of it is on the log, to the bit.

All instruments have the same records, so that one pass of the engine says what every event has to be; which record an
offset holds follows from the order in which they were sent.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from processors.factors.kernel.engine import KernelEngine
from processors.factors.kernel.process import STATUS
from schemas.codec import encode
from schemas.factors import FACTOR_NAMES
from schemas.kernel.factor_columns import EXCHANGE_NS, RECEIVED_NS, SEQUENCE, SOURCE_OFFSET, FactorEvents
from schemas.kernel.factor_events import decode_factor_events
from schemas.messages import L2Record
from schemas.partitions import partition_of
from schemas.topics import FACTORS, L2
from schemas.versions import newest
from tests.integration.processing import PARTITIONS, Message, catch_up, reader
from tests.processors.compare import VENUES
from tests.processors.feed import THIN_NOTIONAL
from tests.processors.recorded import path_of, read_records
from tests.support.patience import patient

LAP_RECORDS = 2_000
"""Of the recording; then it begins again, as a new epoch and later."""
CHECKED_AT_ONCE = 500
NAME = "N00"
"""A symbol as long as every one that takes its place in the bytes of a record."""


def records_of(recordings: Path) -> Iterator[L2Record]:
    """The recording's first records, again and again."""
    first = read_records(path_of(recordings, VENUES[0]), VENUES[0])[:LAP_RECORDS]
    lap_ns = first[-1].received_ns - first[0].received_ns + 1_000_000_000
    for lap in itertools.count():
        for record in first:
            exchange_ns = None if record.exchange_ns is None else record.exchange_ns + lap * lap_ns
            moved = {"received_ns": record.received_ns + lap * lap_ns, "exchange_ns": exchange_ns}
            yield msgspec.structs.replace(record, symbol=NAME, epoch=record.epoch + lap, **moved)


class KillLoad:
    """Sends row by row, a record of each instrument, until it is told to stop.

    Args:
        settings: Where.
        recordings: Where the recording is.
        instruments: How many.
        rate: Most records a second.

    Attributes:
        rows: Records sent of each instrument.
        seconds: How long that took.
    """

    def __init__(self, settings: Settings, recordings: Path, instruments: int, rate: float) -> None:
        self._settings, self._recordings, self._rate = settings, recordings, rate
        self.symbols = [f"S{number:02d}" for number in range(instruments)]
        self.rows, self.seconds = 0, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> KillLoad:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def sent(self) -> int:
        """Records of all instruments."""
        return self.rows * len(self.symbols)

    @property
    def reached(self) -> float:
        """Records a second."""
        return self.sent / self.seconds

    def _run(self) -> None:
        producer, name = kafka.producer(self._settings), topics.topic_name(self._settings, L2)
        records, began = records_of(self._recordings), time.monotonic()
        while not self._stop.is_set():
            payload = encode(next(records))
            for symbol in self.symbols:
                producer.produce(name, payload.replace(NAME.encode(), symbol.encode(), 1), f"{VENUES[0]}:{symbol}")
            producer.poll(0)
            self.rows += 1
            time.sleep(max(0.0, began + self.sent / self._rate - time.monotonic()))
        assert producer.flush(patient(60)) == 0
        self.seconds = time.monotonic() - began


class Checked(NamedTuple):
    """What the log of factors holds of a load.

    Attributes:
        lost: Records without an event.
        repeated: Events beyond one a record: sent again after a kill.
        wrong: Events that differ, in a bit, from what the engine makes of the records in memory.
    """

    lost: int
    repeated: int
    wrong: int


def checked(settings: Settings, load: KillLoad, recordings: Path) -> Checked:
    """Hold the log of factors against the engine in memory."""
    wanted = Wanted(list(itertools.islice(records_of(recordings), load.rows)), load.symbols)
    name = topics.topic_name(settings, FACTORS)
    positions = dict(kafka_logs.start_offsets(settings, [name]))
    with closing(reader(settings, positions)) as consumer:
        messages = catch_up(settings, consumer, name, positions)
        while some := list(itertools.islice(messages, CHECKED_AT_ONCE)):
            wanted.take(some)
    return Checked(int((wanted.times == 0).sum()), int(np.maximum(wanted.times - 1, 0).sum()), wanted.wrong)


class Wanted:
    """The events that the engine makes of a row of records, and how often each instrument had which."""

    def __init__(self, records: Sequence[L2Record], symbols: Sequence[str]) -> None:
        engine = KernelEngine(THIN_NOTIONAL)
        columns = engine.step(engine.fresh(), range(len(records)), engine.rows(records))
        assert len(columns) == len(records), "a record without an event"
        self.matrix, self.statuses = columns.matrix, columns.about[:, STATUS]
        self.heads = np.array([[one.sequence, one.received_ns, one.exchange_ns or 0] for one in records])
        self.times = np.zeros((len(symbols), len(records)), dtype=np.int64)
        self.wrong = 0
        self._places = dict(_places(symbols))
        self._numbers = {symbol: number for number, symbol in enumerate(symbols)}

    def take(self, messages: Sequence[Message]) -> None:
        """Take records of the log."""
        payloads = [message.value for message in messages]
        events = decode_factor_events(payloads, newest("factors").schema_id, len(FACTOR_NAMES))
        for message, (start, stop) in zip(messages, events.spans.tolist(), strict=True):
            assert stop > start, "a record that is not plainly good"
            self._take(message.key.decode().partition(":")[2], events, slice(start, stop))

    def _take(self, symbol: str, events: FactorEvents, span: slice) -> None:
        place, of = self._places[symbol]
        rows, rest = np.divmod(events.numbers[SOURCE_OFFSET, span], of)
        assert (rest == place).all(), f"an event of {symbol} names a record of another instrument"
        np.add.at(self.times[self._numbers[symbol]], rows, 1)
        self.wrong += int((~self._is_right(rows, events, span)).sum())

    def _is_right(self, rows: Any, events: FactorEvents, span: slice) -> Any:
        heads = self.heads[rows] == events.numbers[[SEQUENCE, RECEIVED_NS, EXCHANGE_NS], span].T
        is_value, bits = events.is_value[:, span].T, events.values[:, span].T.copy().view(np.int64)
        wanted = self.matrix[rows]
        values = np.where(is_value, bits == wanted.view(np.int64), np.isnan(wanted))
        return heads.all(axis=1) & values.all(axis=1) & (events.status[span] == self.statuses[rows])


def _places(symbols: Sequence[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    """For each symbol: which of its partition's instruments it is, and how many they are."""
    homes = {symbol: partition_of(f"{VENUES[0]}:{symbol}", PARTITIONS) for symbol in symbols}
    for symbol, home in homes.items():
        mates = [other for other in symbols if homes[other] == home]
        yield symbol, (mates.index(symbol), len(mates))
