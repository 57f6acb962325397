"""What the audit asks the database: which records have a row, which were dead-lettered, what is there twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from obflow import clickhouse
from obflow.settings import Settings
from research.derived_steps import DERIVED, DerivedStep, step_of
from research.expected import Identity, Judgements, ModelIdentity, Place
from research.judged_marks import JudgedMark
from research.retention import Stretch
from schemas.codec import decode_as
from schemas.errors import MessageError, SchemaMismatch
from schemas.logs import LogId
from schemas.messages import FactorRecord, InstrumentKey, RegimeEvent

UNKNOWN_TABLE: Final = 60
# A venue gives a trade one id for ever. A simulator that starts again counts from the same one: its trades are told
# apart by its own time. A recording that is played again on purpose moves its times.
TRADE: Final = (
    "venue, symbol, trade_id, multiIf(source = 'live', 0, source = 'simulator', "
    "ifNull(toUnixTimestamp64Nano(exchange_at), 0), toUnixTimestamp64Nano(received_at))"
)
IDENTITY: Final = "venue, symbol, source_log, source_partition, source_offset"
UNIQUE: Final = {
    "trades": (IDENTITY, f"{TRADE}, if(source = 'replay', run, '')"),
    "derivatives": (IDENTITY,),
    "feed_quality": (IDENTITY,),
    "feed_status": (IDENTITY,),
    "regimes": (f"{IDENTITY}, stream",),
    "llm_calls": (IDENTITY, "call_id"),
    "rollout": ("source_log, source_partition, source_offset",),
    **{name: (f"{IDENTITY}, {table.kind}",) for name, table in DERIVED.items()},
}
"""By which expressions no two rows of a table may be equal."""
LOG_COLUMN: Final = {
    "factors": "source_log",
    "trades": "source_log",
    "derivatives": "source_log",
    "feed_quality": "source_log",
    "feed_status": "source_log",
    "regimes": "source_log",
    "llm_calls": "source_log",
    "rollout": "source_log",
    **dict.fromkeys(DERIVED, "source_log"),
    "dead_letters": "k_log",
}
"""The column that says which log a row belongs to."""


class Tables:
    """What the audit asks the database.

    Args:
        client: The database.
        settings: For the sentence where it fails.
    """

    def __init__(self, client: clickhouse.Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    def dropped_runs(self) -> set[str]:
        """Runs that were dropped: nothing of them is to be stored."""
        return {run for (run,) in self._ask("SELECT DISTINCT run FROM dropped_runs")}

    def overlapping_runs(self) -> list[tuple[str, str, str, int]]:
        """Venue, symbol and source of what is stored twice over some time, and of how many runs that is."""
        rows = self._ask(
            "SELECT venue, symbol, source, countIf(notEmpty(newer)) + 1 AS at_once FROM runs "
            "WHERE stored_in = 'factors' GROUP BY venue, symbol, source HAVING at_once > 1 "
            "ORDER BY venue, symbol, source"
        )
        return [(venue, symbol, source, int(count)) for venue, symbol, source, count in rows]

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

    def doubled(self, table: str) -> int:
        """Rows beyond one an identity, whatever the log; where a row has several, by the one with most of them."""
        counted = ", ".join(f"count() - uniqExact({unique})" for unique in UNIQUE[table])
        [found] = self._ask(f"SELECT {counted} FROM {table}")  # noqa: S608 (our own names)
        return max(map(int, found))

    def row_places(self, table: str, log: LogId) -> set[Place]:
        """Places of a log that a table has a row of."""
        rows = self._ask(
            "SELECT DISTINCT source_partition, source_offset FROM {table:Identifier} WHERE source_log = {log:String}",
            {"table": table, "log": log.short_id},
        )
        return {(int(part), int(offset)) for part, offset in rows}

    def rollout_steps(self, log: LogId) -> set[int]:
        """Numbers of the stored changes of the rollout on one log."""
        rows = self._ask("SELECT DISTINCT step FROM rollout WHERE source_log = {log:String}", {"log": log.short_id})
        return {int(step) for (step,) in rows}

    def judged_marks(self) -> set[JudgedMark]:
        """The stored verdicts on models. Rows of one are replaced, so that none is there twice."""
        rows = self._ask("SELECT DISTINCT model, protocol, toUnixTimestamp64Nano(mark_at) FROM regime_eval")
        return {JudgedMark(model, protocol, int(mark_ns)) for model, protocol, mark_ns in rows}

    def doubled_marks(self) -> int:
        """Rows of verdicts beyond one a verdict, as the table is read."""
        [(found,)] = self._ask("SELECT count() - uniqExact(model, protocol, mark_at) FROM regime_eval FINAL")
        return int(found)

    def verdicts(self, log: str) -> Judgements:
        """Identities of the stored judgements on one book log."""
        found = Judgements()
        for venue, symbol, part, offset, is_rules, arm in self._ask(
            "SELECT DISTINCT venue, symbol, source_partition, source_offset, source = 'rule', arm FROM regimes "
            "WHERE source_log = {log:String}",
            {"log": log},
        ):
            window = (InstrumentKey(venue, symbol), log, int(part), int(offset))
            if is_rules:
                found.rules.add(Identity(*window))
            else:
                found.model.add(ModelIdentity(*window, arm))
        return found

    def steps(self, name: str, log: str) -> set[DerivedStep]:
        """Identities of the stored steps of a derived stream on one book log."""
        kind = DERIVED[name].kind
        rows = self._ask(
            f"SELECT DISTINCT venue, symbol, source_partition, source_offset, {kind} "  # noqa: S608 (our own names)
            "FROM {table:Identifier} WHERE source_log = {log:String}",
            {"table": name, "log": log},
        )
        return {DerivedStep(InstrumentKey(row[0], row[1]), log, row[2], row[3], row[4]) for row in rows}

    def refused_steps(self, name: str, log: LogId) -> set[DerivedStep]:
        """Identities of the steps of a derived stream that a sink dead-lettered."""
        table, found = DERIVED[name], set()
        for _, payload in self._letters(log):
            try:
                found.add(step_of(decode_as(table.record, payload), table.kind))
            except MessageError:
                continue
        return found

    def letters(self) -> set[tuple[str, str]]:
        """Id and role of every stored letter."""
        return {(letter_id, role) for letter_id, role in self._ask("SELECT DISTINCT letter_id, role FROM dead_letters")}

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

    def refused_verdicts(self, log: LogId) -> Judgements:
        """Identities of the judgements that a sink dead-lettered."""
        found = Judgements()
        for _, payload in self._letters(log):
            try:
                found.take(decode_as(RegimeEvent, payload))
            except MessageError:
                continue
        return found

    def refused_places(self, log: LogId, role: str = "sink") -> set[Place]:
        """Places of the records that a role dead-lettered."""
        parsed = (letter_id.rsplit(":", 2) for letter_id, _ in self._letters(log, role))
        return {(int(part), int(offset)) for _, part, offset in parsed}

    def stored_records(self, table: str, log: LogId, part: int, stretch: Stretch, absent: Collection[Stretch]) -> int:
        """How many records of a stretch of a table's log have a row, but for those in its holes."""
        [(records,)] = self._ask(
            "SELECT uniqExact(source_offset) FROM {table:Identifier} WHERE source_log = {log:String} "
            "AND source_partition = {part:UInt16} AND source_offset >= {start:UInt64} AND source_offset < {end:UInt64} "
            "AND NOT arrayExists(hole -> source_offset >= hole.1 AND source_offset < hole.2, "
            "{absent:Array(Tuple(UInt64, UInt64))})",
            {"table": table, "log": log.short_id, "part": part, "start": stretch[0], "end": stretch[1]}
            | {"absent": list(absent)},
        )
        return int(records)

    def stored_among(self, table: str, log: LogId, part: int, offsets: Iterable[int]) -> set[int]:
        """Which of some records of a table's log have a row."""
        rows = self._ask(
            "SELECT DISTINCT source_offset FROM {table:Identifier} WHERE source_log = {log:String} "
            "AND source_partition = {part:UInt16} AND source_offset IN {offsets:Array(UInt64)}",
            {"table": table, "log": log.short_id, "part": part, "offsets": sorted(offsets)},
        )
        return {int(offset) for (offset,) in rows}

    def other_logs(self, table: str, column: str, log: str) -> dict[str, int]:
        """Rows of a table that belong to another log than this, by log."""
        rows = self._ask(
            f"SELECT {column}, count() FROM {table} WHERE {column} != {{log:String}} "  # noqa: S608 (our own names)
            f"GROUP BY {column} ORDER BY {column}",
            {"log": log},
        )
        return {other: int(count) for other, count in rows}

    def holes(self, table: str, log: LogId) -> dict[int, list[Stretch]]:
        """Stretches of a log that expired before a sink could read them, by partition, as the sinks wrote down."""
        rows = self._ask(
            "SELECT k_part, first_offset, end_offset FROM log_holes FINAL "
            "WHERE table_name = {table:String} AND k_log = {log:String} AND kind = 'expired' ORDER BY ALL",
            {"table": table, "log": log.short_id},
        )
        found: dict[int, list[Stretch]] = defaultdict(list)
        for part, first, end in rows:
            found[part].append((first, end))
        return found

    def read_until(self, table: str, log: LogId) -> dict[int, int]:
        """Offset after the last record that gave a row, by partition of the log that feeds the table."""
        rows = self._ask(
            "SELECT k_part, max(k_off) + 1 FROM {table:Identifier} WHERE k_log = {log:String} GROUP BY k_part",
            {"table": table, "log": log.short_id},
        )
        return {int(part): int(end) for part, end in rows}

    def _letters(self, log: LogId, role: str = "sink") -> list[tuple[str, bytes]]:
        rows = self._ask(
            "SELECT letter_id, hex(payload) FROM dead_letters FINAL "
            "WHERE role = {role:String} AND source_topic = {topic:String} AND startsWith(letter_id, {log:String})",
            {"role": role, "topic": log.topic, "log": f"{log.topic_id}:"},
        )
        return [(letter_id, bytes.fromhex(payload)) for letter_id, payload in rows]

    def _ask(self, statement: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        try:
            return list(self._client.query(statement, parameters=dict(parameters or {})).result_rows)
        except (clickhouse.ClickHouseError, OSError) as error:
            failure = clickhouse.query_error(error, self._settings.clickhouse)
            if getattr(error, "code", None) == UNKNOWN_TABLE:
                raise SchemaMismatch(failure.cause, next_step="`obflow tables apply` makes what is missing") from error
            raise failure from error
