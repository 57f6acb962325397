"""The audit: what the logs call for, counted by an independent reading, against what is stored.

Expected are the records of the book log that must give a factor event: applied deltas, snapshots that made a book LIVE,
`invalid`s, and records that broke a LIVE book; a judgement of every window that the factor log closes; and a row of
every trade, change of a feed, letter, request to the language model, change of its rollout and verdict on it. Lost is
what is expected and neither stored nor dead-lettered by a sink, nor withheld under overload by a worker that says so;
duplicates are rows beyond one an identity, by `count() - uniqExact(identity)`. Whether the stored numbers are right is
another question: `research.contents`.

What cannot be seen is not called well: rows of a log that is gone, records that expired before they were stored, a
producer that has fallen silent without a farewell. Each has a line of its own, and is counted apart from lost.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Set
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from obflow import clickhouse, kafka_logs
from obflow.doctor import AuditLine
from obflow.settings import Settings
from processors.settings import RegimeSettings
from research.called import Called, read_logs
from research.contents import ContentVerdict, compare_contents
from research.counted import COUNTED, CountedRows
from research.derived_steps import DERIVED, DerivedStep
from research.expected import EVENTFUL, Identity, Place, emitted_events, expected_events
from research.rollout_steps import compacted_unread, with_compacted
from research.stored import Tables
from research.unseen import overlaps, unseen
from research.waiting import WaitingRecords, read_waiting, with_pending
from schemas.logs import LogId
from schemas.messages import InstrumentKey
from schemas.topics import FACTORS, FEED_STATUS, L2, LLM_CALLS, REGIMES, ROLLOUT

__all__ = ["EVENTFUL", "Audit", "audit", "emitted_events", "expected_events"]

ASK_AGAIN_SECONDS: Final = 0.5


@dataclass
class Audit:
    """What an audit found.

    Attributes:
        instruments: By `venue:symbol`: expected, stored (of the expected), dead_lettered, lost, duplicates, unexpected;
            pending and withheld, where there are such.
        reemitted: Factor events on the log beyond one an identity: sent again after a crash.
        trades, derivatives, feed_quality: What was counted of these.
        undecodable: Records of the book log that are none.
        contents: By `venue:symbol`, whether the stored numbers are those the log gives; None where nobody asked.
        tables: The same counts of every other table.
        unseen: What else there is to say of how much was audited.
        missing: Places in the book log of events that have neither a row nor a letter, by instrument.
        missing_rows: What the same holds of in another table, by the name of its line.
    """

    instruments: dict[str, dict[str, int]] = field(default_factory=dict)
    reemitted: int = 0
    trades: CountedRows = field(default_factory=CountedRows)
    derivatives: CountedRows = field(default_factory=CountedRows)
    feed_quality: CountedRows = field(default_factory=CountedRows)
    undecodable: int = 0
    contents: dict[str, ContentVerdict] | None = None
    tables: list[AuditLine] = field(default_factory=list)
    unseen: list[AuditLine] = field(default_factory=list)
    missing: dict[InstrumentKey, set[Place]] = field(default_factory=dict)
    missing_rows: dict[str, Set[Any]] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """Events that the log calls for."""
        return self._total("expected")

    @property
    def stored(self) -> int:
        """Distinct identities of them that are stored."""
        return self._total("stored")

    @property
    def counted(self) -> dict[str, CountedRows]:
        """What was counted, by table."""
        return {"trades": self.trades, "derivatives": self.derivatives, "feed_quality": self.feed_quality}

    @property
    def lost(self) -> int:
        """Expected, but neither stored nor dead-lettered by a sink; of every table."""
        counted = sum(each.lost for each in self.counted.values())
        return self._total("lost") + counted + sum(line.counts["lost"] for line in self.tables)

    @property
    def duplicates(self) -> int:
        """Rows beyond one an identity; of every table."""
        counted = sum(each.duplicates for each in self.counted.values())
        return self._total("duplicates") + counted + sum(line.counts["duplicates"] for line in self.tables)

    @property
    def waits(self) -> bool:
        """Whether a pipeline at work may still store what is missing."""
        return self.lost > 0 or any(line.counts.get("pending") for line in self.tables)

    @property
    def lines(self) -> list[AuditLine]:
        """What was looked at beside factor events."""
        return [*(each.line(table) for table, each in self.counted.items()), *self.tables, *self.unseen]

    def _total(self, name: str) -> int:
        return sum(counts[name] for counts in self.instruments.values())


def audit(
    settings: Settings, *, patience_seconds: float = 0.0, digests: bool = False, known_logs: Collection[str] = ()
) -> Audit:
    """Read the logs from their start and compare them with the database.

    Args:
        settings: `kafka`, `clickhouse`, `sink.group` and `regimes.app_id` are used; with `digests`, also
            `processor.thin_notional`.
        patience_seconds: How long to ask the database again while something is missing, for a pipeline that is still
            at work.
        digests: Whether to compute every event anew and compare what is stored to the bit.
        known_logs: Logs that are gone from the broker, whose rows are accepted without an audit.

    Raises:
        BrokerUnreachable, StoreUnreachable: One of them does not answer.
        TopicMismatch: A topic is missing.
        SchemaMismatch: A table is missing.
        FatalError: A log did not give its records in time, or the database refuses.
    """
    with closing(clickhouse.connect(settings.clickhouse, readonly=True)) as client:
        tables = Tables(client, settings)
        called = read_logs(settings, tables.dropped_runs())
        give_up_s = time.monotonic() + patience_seconds
        while (found := _compare_all(settings, tables, called)).waits and time.monotonic() <= give_up_s:
            time.sleep(ASK_AGAIN_SECONDS)
        if found.lost:
            _set_pending_apart(found, read_waiting(settings, tables, called), called)
        found.unseen = [*unseen(settings, tables, called, known_logs), overlaps(tables)]
    if digests:
        l2 = called.logs[L2]
        found.contents = compare_contents(settings, l2.topic, l2.short_id)
    return found


def _compare_all(settings: Settings, tables: Tables, called: Called) -> Audit:
    emission = called.emission
    found = Audit(reemitted=emission.events - emission.identities, undecodable=called.events.undecodable)
    found.instruments = _compare(tables, found, called)
    for table, counted in found.counted.items():
        _compare_counted(tables, table, counted, called)
    statuses, calls = called.logs[FEED_STATUS], called.logs[LLM_CALLS]
    found.tables = [
        _compare_places(tables, found, "feed_status", called.statuses.changes, statuses),
        _compare_places(tables, found, "llm_calls", called.calls, calls),
        _tally(found, "dead_letters", called.letters, tables.letters(), frozenset()),
        _compare_rollout(tables, found, called),
        _compare_judged(tables, found, called),
        *_compare_regimes(settings, tables, found, called),
        *(_compare_steps(tables, found, called, name) for name in DERIVED),
    ]
    return found


def _set_pending_apart(found: Audit, waiting: WaitingRecords, called: Called) -> None:
    """Count as pending what looked lost and that nobody has come to yet."""
    log = called.logs[L2].short_id
    for instrument, missing in found.missing.items():
        late = sum(waiting.holds(called.emission, instrument, log, place) for place in missing)
        if late:
            counts = found.instruments[str(instrument)]
            counts["lost"] -= late
            counts["pending"] = late
    for table, counted in found.counted.items():
        counted.pending = min(counted.lost, waiting.counted[table])
    found.tables = [
        with_pending(line, len(found.missing_rows.get(line.name, set()) & waiting.rows.get(line.name, set())))
        for line in found.tables
    ]


def _compare(tables: Tables, found: Audit, called: Called) -> dict[str, dict[str, int]]:
    l2, expectation = called.logs[L2], called.events
    refused = tables.refused_events(called.logs[FACTORS])
    doubled = tables.duplicates()
    instruments = {}
    for instrument in sorted({*expectation.events, *doubled}):
        expected = expectation.events.get(instrument, set())
        stored = tables.places(instrument, l2.short_id)
        missing = expected - stored
        withheld = missing & called.conflated.excused(instrument, l2.short_id, expected) if missing else set()
        excused = {place for place in missing - withheld if Identity(instrument, l2.short_id, *place) in refused}
        found.missing[instrument] = missing - withheld - excused
        instruments[str(instrument)] = {
            "expected": len(expected),
            "stored": len(expected & stored),
            "dead_lettered": len(excused),
            "lost": len(found.missing[instrument]),
            "duplicates": doubled[instrument],
            "unexpected": len(stored - expected),
            **({"withheld": len(withheld)} if withheld else {}),
        }
    return instruments


def _compare_counted(tables: Tables, table: str, counted: CountedRows, called: Called) -> None:
    log, reading = called.logs[COUNTED[table]], called.readings[COUNTED[table]]
    counted.duplicates = tables.doubled(table)
    counted.logged = called.counted[table].total()
    refused = tables.refused_places(log)
    for part, end in reading.ends.items():
        start = reading.starts[part]
        counted.stored += tables.stored_records(table, log, part, (start, end), reading.absent.get(part, ()))
        letters = {offset for refused_part, offset in refused if refused_part == part and start <= offset < end}
        counted.dead_lettered += len(letters - tables.stored_among(table, log, part, letters))


def _compare_places(tables: Tables, found: Audit, table: str, expected: Set[Any], log: LogId) -> AuditLine:
    stored, refused = tables.row_places(table, log), tables.refused_places(log)
    return _tally(found, table, expected, stored, refused, duplicates=tables.doubled(table))


def _compare_rollout(tables: Tables, found: Audit, called: Called) -> AuditLine:
    log, places = called.logs[ROLLOUT], {change.place for change in called.rollout}
    line = _compare_places(tables, found, "rollout", places, log)
    return with_compacted(line, compacted_unread(called.rollout, tables.rollout_steps(log)))


def _compare_judged(tables: Tables, found: Audit, called: Called) -> AuditLine:
    """Verdicts on models: nobody waits to store one, since its row comes before its record."""
    stored, doubled = tables.judged_marks(), tables.doubled_marks()
    return _tally(found, "regime_eval", called.judged, stored, frozenset(), duplicates=doubled)


def _compare_regimes(settings: Settings, tables: Tables, found: Audit, called: Called) -> list[AuditLine]:
    """Two lines, one for each that judges: the rules of every window, each arm of the model of those it answered for.

    A window that the workers have not come to yet is pending: lost is what they have passed, or what is on their log.
    """
    l2, factors = called.logs[L2].short_id, called.logs[FACTORS].topic
    stored, refused = tables.verdicts(l2), tables.refused_verdicts(called.logs[REGIMES])
    windows = {one: place for one, place in called.windows.items() if one.log == l2}
    missing = windows.keys() - stored.rules - refused.rules - called.verdicts.rules
    group = settings.kafka.topic_prefix + settings.of(RegimeSettings).app_id
    done = kafka_logs.committed_offsets(settings, group, [factors])
    pending = {one for one in missing if done.get((factors, windows[one][0]), 0) <= windows[one][1]}
    rules = _tally(
        found,
        "regimes",
        windows.keys() - pending,
        stored.rules,
        refused.rules,
        duplicates=tables.doubled("regimes"),
        pending=len(pending),
    )
    of_model = {one for one in called.verdicts.model if one.log == l2}
    return [rules, _tally(found, "regimes of the model", of_model, stored.model, refused.model)]


def _compare_steps(tables: Tables, found: Audit, called: Called, name: str) -> AuditLine:
    """One line for a derived stream: what is on its log, of the source log there is."""
    table = DERIVED[name]
    sources = {called.logs[topic].short_id for topic in (table.source, *table.beside)}
    written = {step for step in called.steps[name] if step.log in sources}
    stored = set[DerivedStep]().union(*(tables.steps(name, log) for log in sources))
    refused = tables.refused_steps(name, called.logs[table.topic])
    return _tally(found, name, written, stored, refused, duplicates=tables.doubled(name))


def _tally(
    found: Audit,
    name: str,
    expected: Set[Any],
    stored: Set[Any],
    refused: Set[Any],
    *,
    duplicates: int = 0,
    pending: int = 0,
) -> AuditLine:
    missing = expected - stored
    found.missing_rows[name] = missing - refused
    counts = {
        "expected": len(expected) + pending,
        "stored": len(expected & stored),
        "dead_lettered": len(missing & refused),
        "lost": len(missing - refused),
        "duplicates": duplicates,
    }
    waiting = (f"{pending} closed windows not judged yet: is `obflow regimes` at work?",) if pending else ()
    return AuditLine(name, counts | ({"pending": pending} if pending else {}), (*_wrong(counts), *waiting))


def _wrong(counts: dict[str, int]) -> tuple[str, ...]:
    return tuple(f"{counts[name]} {name}" for name in ("lost", "duplicates") if counts[name])
