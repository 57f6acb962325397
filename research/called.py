"""Reads every log that the audit needs, once, and says what they call for."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from obflow import kafka_logs
from obflow.settings import Settings
from obflow.topics import topic_name
from obflow.whole_log import Logged, LogReading
from research.conflated import Conflated
from research.counted import COUNTED, count_records
from research.derived_steps import DERIVED, DerivedStep, written_steps
from research.expected import (
    Emission,
    Expectation,
    Identity,
    Judgements,
    Place,
    Statuses,
    emitted_events,
    expected_changes,
    expected_events,
    places,
    written_letters,
    written_verdicts,
)
from research.judged_marks import JudgedMark, judged_marks
from research.rollout_steps import NumberedChange, changes_on
from research.windows import ClosedWindows
from schemas.codec import decode
from schemas.errors import MessageError
from schemas.logs import LogId, parse_origin
from schemas.messages import FactorRecord
from schemas.topics import DEAD_LETTERS, FACTORS, FEED_STATUS, L2, LLM_CALLS, REGIME_EVAL, REGIMES, ROLLOUT, Topic
from schemas.units import NS_PER_MS

READ: Final = (
    FEED_STATUS,
    DEAD_LETTERS,
    L2,
    FACTORS,
    REGIMES,
    LLM_CALLS,
    ROLLOUT,
    REGIME_EVAL,
    *COUNTED.values(),
    *(table.topic for table in DERIVED.values()),
)
REGIMES_ROLE: Final = "regimes"


@dataclass
class Called:
    """What the logs call for.

    Attributes:
        logs: Each topic's identity.
        readings: Where each began and ended, and what was absent.
        asked_ms: When the log of statuses was asked where it ends, ms UTC.
        statuses: Changes of feeds, and who said what last.
        letters: Id and role of every letter.
        events: Places of the book log's records that must have a factor event.
        emission: Factor events on their log.
        conflated: Those that its records say were withheld.
        windows: Windows that the factor log closes, each with the place of the record that closes it.
        counted: Records by partition, without those sent again by hand, by the table that counts them.
        verdicts: Judgements on their log.
        calls: Places of the requests to the language model.
        rollout: Changes of the rollout on their log.
        judged: Verdicts on models on their log.
        steps: Steps of derived streams on their logs, by the name of their table.
    """

    logs: dict[Topic, LogId]
    readings: dict[Topic, LogReading]
    asked_ms: int
    statuses: Statuses
    letters: set[tuple[str, str]]
    events: Expectation
    emission: Emission
    conflated: Conflated
    windows: dict[Identity, Place]
    counted: dict[str, Counter[int]]
    verdicts: Judgements
    calls: set[Place]
    rollout: set[NumberedChange]
    judged: set[JudgedMark]
    steps: dict[str, set[DerivedStep]]


def read_logs(settings: Settings, dropped: Collection[str] = ()) -> Called:
    """Read them all. The letters come before the factors, for they say which of those no window takes.

    Args:
        settings: `kafka` is used.
        dropped: Runs that were dropped from the tables: nothing is called for of their records.

    Raises:
        BrokerUnreachable: The broker does not answer.
        TopicMismatch: A topic is missing.
        FatalError: A log did not give its records in time.
    """
    reader = _AuditReader(settings, dropped)
    asked_ms = time.time_ns() // NS_PER_MS
    statuses = expected_changes(reader.noted(FEED_STATUS), reader.logs[FEED_STATUS], reader.partitions(FEED_STATUS))
    letters = written_letters(reader.log(DEAD_LETTERS), reader.logs[DEAD_LETTERS])
    events = expected_events(reader.noted(L2), reader.partitions(L2))
    emission, windows, conflated = _of_factors(reader, letters)
    called = Called(
        logs=reader.logs,
        readings=reader.readings,
        asked_ms=asked_ms,
        statuses=statuses,
        letters=letters,
        events=events,
        emission=emission,
        conflated=conflated,
        windows=windows.closed,
        counted={table: count_records(reader.noted(topic), reader.logs[topic]) for table, topic in COUNTED.items()},
        verdicts=written_verdicts(reader.log(REGIMES), reader.partitions(REGIMES)),
        calls=places(reader.noted(LLM_CALLS), reader.logs[LLM_CALLS]),
        rollout=changes_on(reader.log(ROLLOUT), reader.partitions(ROLLOUT)),
        judged=judged_marks(reader.log(REGIME_EVAL)),
        steps=_derived_steps(reader),
    )
    _leave_out(called, reader.left_out)
    return called


class _AuditReader:
    """Reads logs one by one, and remembers where each began and ended.

    Attributes:
        logs: Each topic's identity.
        readings: What was read.
        left_out: Places of the records of dropped runs, by topic.
    """

    def __init__(self, settings: Settings, dropped: Collection[str]) -> None:
        self.logs = _log_ids(settings)
        self.readings: dict[Topic, LogReading] = {}
        self.left_out: defaultdict[Topic, set[Place]] = defaultdict(set)
        self._settings = settings
        self._dropped = dropped

    def log(self, topic: Topic) -> LogReading:
        """Read a log whole."""
        self.readings[topic] = LogReading(self._settings, self.logs[topic].topic)
        return self.readings[topic]

    def noted(self, topic: Topic) -> Iterator[Logged]:
        """Read a log whole, and note what of it is of dropped runs."""
        return _noting(self.log(topic), self._dropped, self.left_out[topic])

    def partitions(self, topic: Topic) -> int:
        """Tell how many partitions a log has that is being read."""
        return len(self.readings[topic].ends)


def _of_factors(reader: _AuditReader, letters: set[tuple[str, str]]) -> tuple[Emission, ClosedWindows, Conflated]:
    """Read the factors once, for all that they say."""
    windows, conflated = ClosedWindows(_refused(letters, reader.logs[FACTORS])), Conflated()

    def also(logged: Logged, record: FactorRecord) -> None:
        windows.take(logged, record)
        conflated.take(logged, record)

    return emitted_events(reader.log(FACTORS), also, reader.partitions(FACTORS)), windows, conflated


def _derived_steps(reader: _AuditReader) -> dict[str, set[DerivedStep]]:
    return {
        name: written_steps(reader.log(table.topic), table, reader.partitions(table.topic))
        for name, table in DERIVED.items()
    }


def _noting(log: Iterable[Logged], dropped: Collection[str], out: set[Place]) -> Iterator[Logged]:
    """The records of a log; the places of those of a dropped run are noted."""
    for logged in log:
        if dropped and _run_of(logged) in dropped:
            out.add((logged.partition, logged.offset))
        yield logged


def _run_of(logged: Logged) -> str:
    try:
        return str(getattr(decode(logged.value), "run", ""))
    except MessageError:
        return ""


def _leave_out(called: Called, out: Mapping[Topic, set[Place]]) -> None:
    """Take away what the records of dropped runs call for. A judgement is of the run whose event closed its window."""
    called.statuses.changes -= out[FEED_STATUS]
    called.calls -= out[LLM_CALLS]
    for table, topic in COUNTED.items():
        called.counted[table].subtract(part for part, _ in out[topic])
    for instrument, events in list(called.events.events.items()):
        if events and events <= out[L2]:
            del called.events.events[instrument]
        events -= out[L2]
    log = called.logs[L2].short_id
    gone = {(log, *place) for place in out[L2]}
    called.windows = {one: place for one, place in called.windows.items() if one[1:] not in gone}
    called.steps = {name: {one for one in steps if one[1:4] not in gone} for name, steps in called.steps.items()}
    called.verdicts.rules -= {one for one in called.verdicts.rules if one[1:] in gone}
    called.verdicts.model -= {one for one in called.verdicts.model if one[1:4] in gone}


def _log_ids(settings: Settings) -> dict[Topic, LogId]:
    names = {topic: topic_name(settings, topic) for topic in READ}
    ids = kafka_logs.topic_ids(settings, names.values())
    return {topic: LogId(name, ids[name]) for topic, name in names.items()}


def _refused(letters: set[tuple[str, str]], factors: LogId) -> set[Place]:
    """Places of the factor records that the regime workers dead-lettered."""
    found = set()
    for letter_id, role in letters:
        origin = parse_origin(factors.topic, letter_id)
        if role == REGIMES_ROLE and origin is not None and origin.topic_id == factors.topic_id:
            found.add((origin.partition, origin.offset))
    return found
