"""Contents: whether what is stored is, to the bit, what the engine makes of the log.

The audit of `research.audit` counts identities; this one computes every event anew, from the log's start, and compares
canonical digests (`schemas/digest.py`) instrument by instrument. Only events that are stored are judged: what is
missing or doubled, the audit says. It costs about what a worker's computing costs, so it is asked for by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from obflow import clickhouse, kafka_logs
from obflow.settings import Settings
from obflow.whole_log import Logged, read_log
from processors.compilation import with_engine
from processors.factors import engine_of
from processors.factors.engine import Engine, L2Row
from processors.settings import ProcessorSettings
from schemas.digest import EventDigest
from schemas.errors import MessageError
from schemas.factors import FACTOR_NAMES
from schemas.messages import FactorEvent, InstrumentKey, Status
from schemas.places import Place, check_place

BATCH: Final = 256
"""Records of one instrument handed to the engine at once; any other number gives the same events."""
PAGE_ROWS: Final = 20_000
ROWS: Final = (
    "SELECT source_partition, source_offset, sequence, toUnixTimestamp64Nano(received_at), status, "  # noqa: S608 (our own names)
    f"toUnixTimestamp64Nano(exchange_at), {', '.join(FACTOR_NAMES)} FROM factors "
    "WHERE venue = {venue:String} AND symbol = {symbol:String} AND source_log = {log:String} "
    "AND (source_partition, source_offset) > ({after_part:Int32}, {after:Int64}) "
    "ORDER BY source_partition, source_offset LIMIT {rows:UInt32} WITH TIES"
)


class ContentVerdict(StrEnum):
    """What comparing an instrument's digests says."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "not comparable"
    """The log no longer begins at offset 0: what went into the first windows is gone."""


class StoredEvent(NamedTuple):
    """A factor event as its row holds it, and the partition that holds its record."""

    partition: int
    event: FactorEvent


class StoredContent(NamedTuple):
    """One instrument's rows of one log: their digest, and the places they came from."""

    hexdigest: str
    places: frozenset[tuple[int, int]]


def compare_contents(settings: Settings, topic: str, log: str) -> dict[str, ContentVerdict]:
    """Compute every event of a book log anew and compare with what is stored, by `venue:symbol`.

    Args:
        settings: `kafka`, `clickhouse` and `processor` are used; the last one's threshold has to be the workers' own.
        topic: The log's name on the broker.
        log: The part of its identity that rows carry.

    Raises:
        BrokerUnreachable, StoreUnreachable: One of them does not answer.
        QueryFailed: The database refuses.
        FatalError: The log did not give its records in time.
    """
    with clickhouse.explained(settings.clickhouse):
        client = clickhouse.connect(settings.clickhouse, readonly=True)
        try:
            stored = {instrument: _content(client, instrument, log) for instrument in _instruments(client, log)}
        finally:
            client.close()
    cut = {part for (_, part), start in kafka_logs.start_offsets(settings, [topic]).items() if start > 0}
    chosen = with_engine(settings.of(ProcessorSettings), settings.cache, tells=False)
    engine = engine_of(chosen)
    # Read after the rows, so that it holds the record behind every one of them.
    partitions = len(kafka_logs.end_offsets(settings, [topic]))
    computed = computed_digests(read_log(settings, topic), stored, engine, partitions)
    return {str(key): _judge(content, computed.get(key, ""), cut) for key, content in sorted(stored.items())}


def computed_digests(
    log: Iterable[Logged],
    stored: Mapping[InstrumentKey, StoredContent],
    engine: Engine[Any, Any],
    partitions: int = 0,
) -> dict[InstrumentKey, str]:
    """What the engine makes of the log: each instrument's digest over the events that are stored.

    Args:
        log: Its records from its start, each partition in order.
        stored: Whose events to compute, and which of them are stored.
        engine: Computes the factors.
        partitions: How many the log has; 0 where records may lie in any.
    """
    found = {key: _Computed(content, engine) for key, content in stored.items()}
    for logged in log:
        [row] = engine.decode([logged.value])
        if isinstance(row, MessageError) or not _lies_here(row, Place(logged.partition, partitions, logged.written_ms)):
            continue  # the processors dead-letter it
        computed = found.get(InstrumentKey(row.venue, row.symbol))
        if computed is not None:
            computed.take(logged, row)
    return {key: computed.hexdigest() for key, computed in found.items()}


def _lies_here(row: L2Row, place: Place) -> bool:
    try:
        check_place(row, place)  # type: ignore[arg-type] # an `L2Record` in all that it reads
    except MessageError:
        return False
    return True


class _Computed:
    """One instrument's events as the engine makes them, digested where they are stored."""

    def __init__(self, stored: StoredContent, engine: Engine[Any, Any]) -> None:
        self._places = stored.places
        self._engine = engine
        self._state = engine.fresh()
        self._digest = EventDigest()
        self._partition = -1
        self._offsets: list[int] = []
        self._rows: list[L2Row] = []

    def take(self, logged: Logged, row: L2Row) -> None:
        """Take the instrument's next record."""
        if len(self._rows) == BATCH or logged.partition != self._partition:
            self._process()
        self._partition = logged.partition
        self._offsets.append(logged.offset)
        self._rows.append(row)

    def hexdigest(self) -> str:
        """The digest of everything taken."""
        self._process()
        return self._digest.hexdigest()

    def _process(self) -> None:
        if not self._rows:
            return
        columns = self._engine.step(self._state, self._offsets, self._rows)
        self._offsets, self._rows = [], []
        for event in columns.events():
            if (self._partition, event.source_offset) in self._places:
                self._digest.update(event)


def _instruments(client: clickhouse.Client, log: str) -> list[InstrumentKey]:
    keys = client.query(
        "SELECT DISTINCT venue, symbol FROM factors WHERE source_log = {log:String} ORDER BY venue, symbol",
        parameters={"log": log},
    )
    return [InstrumentKey(venue, symbol) for venue, symbol in keys.result_rows]


def _events(client: clickhouse.Client, instrument: InstrumentKey, log: str) -> Iterator[StoredEvent]:
    """An instrument's rows of one log in source order, a page at a time."""
    after = (-1, -1)
    while True:
        where = {"log": log, "after_part": after[0], "after": after[1], "rows": PAGE_ROWS}
        rows = client.query(ROWS, parameters={**instrument._asdict(), **where}).result_rows
        for part, offset, sequence, received_ns, status, exchange_ns, *values in rows:
            yield StoredEvent(
                part, FactorEvent(offset, sequence, received_ns, Status(status), tuple(values), exchange_ns)
            )
        if len(rows) < PAGE_ROWS:
            return
        after = (rows[-1][0], rows[-1][1])


def _content(client: clickhouse.Client, instrument: InstrumentKey, log: str) -> StoredContent:
    digest, places, before = EventDigest(), set(), None
    for row in _events(client, instrument, log):
        if row != before:  # a row that is there twice is no other content
            digest.update(row.event)
        places.add((row.partition, row.event.source_offset))
        before = row
    return StoredContent(digest.hexdigest(), frozenset(places))


def _judge(stored: StoredContent, computed: str, cut: set[int]) -> ContentVerdict:
    if any(part in cut for part, _ in stored.places):
        return ContentVerdict.UNKNOWN
    return ContentVerdict.EQUAL if stored.hexdigest == computed else ContentVerdict.DIFFERENT
