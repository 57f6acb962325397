"""Records for tests of the sink, made from the committed examples."""

import random
from functools import lru_cache

import msgspec

from schemas.codec import encode
from schemas.factors import FACTOR_NAMES
from schemas.logs import Origin, Position
from schemas.messages import FactorEvent, FactorRecord, Source, Status
from sinks.batching import Entry
from sinks.contract import Row
from sinks.tables import TABLES

SOURCE_LOG = "l2logl2l"
T0_NS = 1_723_161_255_319_702_566


@lru_cache(maxsize=50_000)
def event(offset: int) -> FactorEvent:
    """The event of one source offset: always the same, with nulls, a time that may be missing, and every status."""
    values = random.Random(offset)
    return FactorEvent(
        source_offset=offset,
        sequence=offset * 7,
        received_ns=T0_NS + offset * 1_000_003,
        status=list(Status)[offset % len(Status)],
        values=tuple(None if values.random() < 0.2 else values.uniform(-1e5, 1e5) for _ in FACTOR_NAMES),
        exchange_ns=None if offset % 5 == 0 else T0_NS + offset * 1_000_000,
    )


def factors(symbol: str, offsets: list[int], partition: int = 0, source_log: str = SOURCE_LOG) -> FactorRecord:
    """A record of one instrument's events at these source offsets."""
    return FactorRecord(
        "binance-futures", symbol, Source.REPLAY, "a1", source_log, partition, [event(offset) for offset in offsets]
    )


def event_of(row: Row) -> FactorEvent:
    """The event a row was made of; `contract.selection` reads such rows back."""
    sequence, received_ns, exchange_ns, decided_ns, status = row[3:8]
    assert decided_ns == received_ns
    return FactorEvent(
        source_offset=row[-1],
        sequence=sequence,
        received_ns=received_ns,
        status=Status(status),
        values=row[10:-3],
        exchange_ns=exchange_ns,
    )


def entry(position: Position, record: msgspec.Struct, table: str = "factors") -> Entry:
    """The record as the sink would put it into a batch."""
    payload = encode(record)  # type: ignore[arg-type] # any record will do
    return Entry(position, TABLES[table].rows(record, position), payload, 0, origin_of(position))


def origin_of(position: Position, topic: str = "factors.v1") -> Origin:
    """What identifies a record that lies there, of a topic whose id is the log's name and more."""
    return Origin(topic, f"{position.log}-and-more", position.partition, position.offset)
