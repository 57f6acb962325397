"""The audit: what the log calls for, counted by an independent reading with the pure book, against what is stored.

Expected are the records of the book log that must give a factor event: applied deltas, snapshots that made a book LIVE,
`invalid`s, and records that broke a LIVE book. Lost is what is expected and neither stored nor dead-lettered by a sink;
duplicates are rows beyond one an identity, by `count() - uniqExact(identity)`. The reader knows the book and the codec,
and nothing of processors or sinks. Whether the stored numbers are right is another question: `research.contents`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from obflow import clickhouse, kafka
from obflow.settings import Settings
from obflow.topics import topic_name
from obflow.whole_log import Logged, read_log
from orderbook.grid import Grid
from orderbook.validity import Outcome, TrackedBook
from research.contents import Verdict, compare_contents
from research.stored import Identity, LogId, Place, Tables
from schemas.codec import decode_as
from schemas.errors import MessageError
from schemas.messages import FactorRecord, InstrumentKey, L2Record
from schemas.topics import FACTORS, L2, TRADES, Topic

EVENTFUL: Final = frozenset(
    {Outcome.APPLIED, Outcome.CROSSED_OUT, Outcome.MADE_LIVE, Outcome.INVALIDATED, Outcome.BROKE}
)
"""Outcomes that must give an event."""
ASK_AGAIN_SECONDS: Final = 0.5


@dataclass
class Expectation:
    """What an independent reading of the book log calls for.

    Attributes:
        events: Places of the records that must have an event, by instrument; an empty set where none must.
        undecodable: Records that are none, or whose grid is not made of plain decimals: a processor dead-letters them.
    """

    events: dict[InstrumentKey, set[Place]] = field(default_factory=dict)
    undecodable: int = 0


@dataclass
class Emission:
    """What the factor log holds.

    Attributes:
        events: Events in it.
        identities: Events with an identity of their own.
    """

    events: int = 0
    identities: int = 0


@dataclass
class Audit:
    """What an audit found.

    Attributes:
        instruments: By `venue:symbol`: expected, stored (of the expected), dead_lettered, lost, duplicates, unexpected.
        reemitted: Factor events on the log beyond one an identity: sent again after a crash.
        trades_logged: Records the trade log holds.
        trades_stored: Those of them that have a row.
        trades_dead_lettered: Those of them that a sink dead-lettered.
        trades_duplicates: Rows beyond one an identity.
        undecodable: Records of the book log that are none.
        contents: By `venue:symbol`, whether the stored numbers are those the log gives; None where nobody asked.
    """

    instruments: dict[str, dict[str, int]] = field(default_factory=dict)
    reemitted: int = 0
    trades_logged: int = 0
    trades_stored: int = 0
    trades_dead_lettered: int = 0
    trades_duplicates: int = 0
    undecodable: int = 0
    contents: dict[str, Verdict] | None = None

    @property
    def expected(self) -> int:
        """Events that the log calls for."""
        return self._total("expected")

    @property
    def stored(self) -> int:
        """Distinct identities of them that are stored."""
        return self._total("stored")

    @property
    def trades_lost(self) -> int:
        """Trade records that have neither a row nor a letter."""
        return self.trades_logged - self.trades_stored - self.trades_dead_lettered

    @property
    def lost(self) -> int:
        """Expected, but neither stored nor dead-lettered by a sink; trades included."""
        return self._total("lost") + self.trades_lost

    @property
    def duplicates(self) -> int:
        """Rows beyond one an identity; trades included."""
        return self._total("duplicates") + self.trades_duplicates

    def _total(self, name: str) -> int:
        return sum(counts[name] for counts in self.instruments.values())


def audit(settings: Settings, *, patience_seconds: float = 0.0, digests: bool = False) -> Audit:
    """Read the log from its start and compare it with the database.

    Args:
        settings: `kafka` and `clickhouse` are used; with `digests`, also `processor.thin_notional`.
        patience_seconds: How long to ask the database again while something is missing, for a pipeline that is still
            at work.
        digests: Whether to compute every event anew and compare what is stored to the bit.

    Raises:
        BrokerUnreachable, StoreUnreachable: One of them does not answer.
        TopicMismatch: A topic is missing.
        FatalError: The log did not give its records in time, or the database refuses.
    """
    l2, factors, trades = _log_ids(settings, (L2, FACTORS, TRADES))
    expectation = expected_events(read_log(settings, l2.topic))
    emission = emitted_events(read_log(settings, factors.topic))
    logged_trades = _extent(settings, trades)
    give_up_s = time.monotonic() + patience_seconds
    with closing(clickhouse.connect(settings.clickhouse, readonly=True)) as client:
        tables = Tables(client, settings)
        while True:
            found = Audit(reemitted=emission.events - emission.identities, undecodable=expectation.undecodable)
            found.instruments = _compare(tables, expectation, l2, factors)
            _compare_trades(tables, found, trades, logged_trades)
            if not found.lost or time.monotonic() > give_up_s:
                break
            time.sleep(ASK_AGAIN_SECONDS)
    if digests:
        found.contents = compare_contents(settings, l2.topic, l2.short_id)
    return found


def expected_events(log: Iterable[Logged]) -> Expectation:
    """What the book log calls for, by the pure book alone.

    Args:
        log: Its records from its start, each partition in order.
    """
    found = Expectation()
    books: dict[InstrumentKey, TrackedBook] = defaultdict(TrackedBook)
    for logged in log:
        try:
            record = decode_as(L2Record, logged.value)
            Grid.of(record.tick_size, record.lot_size, record.contract_value, record.contract_kind)
        except MessageError:
            found.undecodable += 1
            continue
        places = found.events.setdefault(record.instrument, set())
        if books[record.instrument].apply(record) in EVENTFUL:
            places.add((logged.partition, logged.offset))
    return found


def emitted_events(log: Iterable[Logged]) -> Emission:
    """Count the events of the factor log, and those that have an identity of their own."""
    found = Emission()
    offsets: dict[tuple[InstrumentKey, str, int], set[int]] = defaultdict(set)
    for logged in log:
        try:
            record = decode_as(FactorRecord, logged.value)
        except MessageError:
            continue  # a sink dead-letters it; it holds no event that anybody could store
        found.events += len(record.events)
        offsets[record.instrument, record.source_log, record.source_partition].update(
            event.source_offset for event in record.events
        )
    found.identities = sum(map(len, offsets.values()))
    return found


def _compare(tables: Tables, expectation: Expectation, l2: LogId, factors: LogId) -> dict[str, dict[str, int]]:
    refused = tables.refused_events(factors)
    doubled = tables.duplicates()
    found = {}
    for instrument in sorted({*expectation.events, *doubled}):
        expected = expectation.events.get(instrument, set())
        stored = tables.places(instrument, l2.short_id)
        missing = expected - stored
        excused = {place for place in missing if Identity(instrument, l2.short_id, *place) in refused}
        found[str(instrument)] = {
            "expected": len(expected),
            "stored": len(expected & stored),
            "dead_lettered": len(excused),
            "lost": len(missing - excused),
            "duplicates": doubled[instrument],
            "unexpected": len(stored - expected),
        }
    return found


def _compare_trades(tables: Tables, found: Audit, log: LogId, extent: Mapping[int, tuple[int, int]]) -> None:
    found.trades_duplicates = tables.trade_duplicates()
    refused = tables.refused_offsets(log)
    for part, (start, end) in extent.items():
        found.trades_logged += end - start
        found.trades_stored += tables.trades(log, part, start, end)
        letters = {offset for offset in refused[part] if start <= offset < end}
        found.trades_dead_lettered += len(letters - tables.trades_among(log, part, letters))


def _log_ids(settings: Settings, wanted: Iterable[Topic]) -> list[LogId]:
    names = [topic_name(settings, topic) for topic in wanted]
    ids = kafka.topic_ids(settings, names)
    return [LogId(name, ids[name], kafka.source_log(ids[name])) for name in names]


def _extent(settings: Settings, log: LogId) -> dict[int, tuple[int, int]]:
    """Where each partition begins and ends; a record lies at every offset between, for nothing is compacted."""
    starts, ends = kafka.start_offsets(settings, [log.topic]), kafka.end_offsets(settings, [log.topic])
    return {part: (starts[log.topic, part], end) for (_, part), end in ends.items()}
