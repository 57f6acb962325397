"""What the audit asks the database: which records have a row, which were dead-lettered, what is there twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from obflow import clickhouse
from obflow.settings import Settings
from schemas.codec import decode_as
from schemas.errors import MessageError
from schemas.messages import FactorRecord, InstrumentKey

Place: TypeAlias = tuple[int, int]
"""Partition and offset in one log."""


class Identity(NamedTuple):
    """What identifies a factor event: the instrument and where its record lies."""

    instrument: InstrumentKey
    log: str
    partition: int
    offset: int


class LogId(NamedTuple):
    """A topic as it is on the broker now: its name, its whole id, and the part of it that rows carry."""

    topic: str
    topic_id: str
    short_id: str


class Tables:
    """What the audit asks the database.

    Args:
        client: The database.
        settings: For the sentence where it fails.
    """

    def __init__(self, client: clickhouse.Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    def places(self, instrument: InstrumentKey, log: str) -> set[Place]:
        """Places of one log that the instrument's stored events came from."""
        rows = self._ask(
            "SELECT DISTINCT source_partition, source_offset FROM factors "
            "WHERE venue = {venue:String} AND symbol = {symbol:String} AND source_log = {log:String}",
            {"venue": instrument.venue, "symbol": instrument.symbol, "log": log},
        )
        return {(int(part), int(offset)) for part, offset in rows}

    def duplicates(self) -> Counter[InstrumentKey]:
        """Factor rows beyond one an identity, by instrument, whatever the log."""
        rows = self._ask(
            "SELECT venue, symbol, count() - uniqExact(source_log, source_partition, source_offset) AS doubled "
            "FROM factors GROUP BY venue, symbol HAVING doubled > 0"
        )
        return Counter({InstrumentKey(venue, symbol): int(doubled) for venue, symbol, doubled in rows})

    def refused_events(self, log: LogId) -> set[Identity]:
        """Identities inside the factor records that a sink dead-lettered."""
        found: set[Identity] = set()
        for _, payload in self._letters(log):
            try:
                record = decode_as(FactorRecord, payload)
            except MessageError:
                continue  # it was no factor record, or was cut: it excuses nothing
            head = (record.instrument, record.source_log, record.source_partition)
            found.update(Identity(*head, event.source_offset) for event in record.events)
        return found

    def refused_offsets(self, log: LogId) -> dict[int, set[int]]:
        """Offsets of the records that a sink dead-lettered, by partition."""
        found: dict[int, set[int]] = defaultdict(set)
        for letter_id, _ in self._letters(log):
            _, part, offset = letter_id.rsplit(":", 2)
            found[int(part)].add(int(offset))
        return found

    def trades(self, log: LogId, part: int, start: int, end: int) -> int:
        """How many records of a stretch of the trade log have a row."""
        [(records,)] = self._ask(
            "SELECT uniqExact(source_offset) FROM trades WHERE source_log = {log:String} "
            "AND source_partition = {part:UInt16} AND source_offset >= {start:UInt64} AND source_offset < {end:UInt64}",
            {"log": log.short_id, "part": part, "start": start, "end": end},
        )
        return int(records)

    def trades_among(self, log: LogId, part: int, offsets: set[int]) -> set[int]:
        """Which of some records of the trade log have a row."""
        rows = self._ask(
            "SELECT DISTINCT source_offset FROM trades WHERE source_log = {log:String} "
            "AND source_partition = {part:UInt16} AND source_offset IN {offsets:Array(UInt64)}",
            {"log": log.short_id, "part": part, "offsets": sorted(offsets)},
        )
        return {int(offset) for (offset,) in rows}

    def trade_duplicates(self) -> int:
        """Trade rows beyond one an identity, whatever the log."""
        [(doubled,)] = self._ask(
            "SELECT count() - uniqExact(venue, symbol, source_log, source_partition, source_offset) FROM trades"
        )
        return int(doubled)

    def _letters(self, log: LogId) -> list[tuple[str, bytes]]:
        rows = self._ask(
            "SELECT letter_id, hex(payload) FROM dead_letters FINAL "
            "WHERE role = 'sink' AND source_topic = {topic:String} AND startsWith(letter_id, {log:String})",
            {"topic": log.topic, "log": f"{log.topic_id}:"},
        )
        return [(letter_id, bytes.fromhex(payload)) for letter_id, payload in rows]

    def _ask(self, statement: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        try:
            return list(self._client.query(statement, parameters=dict(parameters or {})).result_rows)
        except (clickhouse.ClickHouseError, OSError) as error:
            raise clickhouse.query_error(error, self._settings.clickhouse) from error
