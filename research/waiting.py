"""What nobody has come to yet: records that a sink has not read, and book records that no worker has processed.

Nothing of it is lost: it is counted as pending, and an audit is not well before it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from obflow import kafka_logs
from obflow.doctor import AuditLine
from obflow.settings import Settings
from obflow.whole_log import Logged, read_since
from processors.settings import ProcessorSettings
from research.called import Called
from research.counted import COUNTED, count_records
from research.derived_steps import DERIVED, written_steps
from research.expected import (
    Emission,
    Place,
    emitted_events,
    expected_changes,
    places,
    written_letters,
    written_verdicts,
)
from research.rollout_steps import changes_on
from research.stored import Tables
from research.unseen import FED_BY, read_positions
from schemas.logs import LogId
from schemas.messages import InstrumentKey
from schemas.topics import DEAD_LETTERS, FACTORS, FEED_STATUS, L2, LLM_CALLS, REGIMES, ROLLOUT

Offsets: TypeAlias = Mapping[int, int]


@dataclass
class WaitingRecords:
    """What waits.

    Attributes:
        processed: Up to where the workers have come in the book log, by partition.
        events: Factor events on their log that the table's sink has not come to.
        counted: How many records the same holds of, by the table that counts them.
        rows: What the same holds of in every other table, by the audit's line.
    """

    processed: Offsets = field(default_factory=dict)
    events: Emission = field(default_factory=Emission)
    counted: dict[str, int] = field(default_factory=dict)
    rows: dict[str, Set[Any]] = field(default_factory=dict)

    def holds(self, emitted: Emission, instrument: InstrumentKey, log: str, place: Place) -> bool:
        """Whether an event that has no row is only late: not stored yet, or not processed yet."""
        part, offset = place
        if offset in emitted.offsets.get((instrument, log, part), ()):
            return offset in self.events.offsets.get((instrument, log, part), ())
        return self.processed.get(part, 0) <= offset


def read_waiting(settings: Settings, tables: Tables, called: Called) -> WaitingRecords:
    """Read what the sinks have not come to.

    Args:
        settings: `kafka`, `sink.group` and `processor.app_id` are used.
        tables: The database.
        called: What the logs call for.

    Raises:
        BrokerUnreachable: The broker does not answer.
        FatalError: A log did not give its records in time, or the database refuses.
    """
    late = {topic: _unread(settings, tables, called.logs[topic], table) for table, topic in FED_BY.items()}
    group = settings.kafka.topic_prefix + settings.of(ProcessorSettings).app_id
    l2 = called.logs[L2].topic
    done = kafka_logs.committed_offsets(settings, group, [l2])
    names = called.logs
    verdicts = written_verdicts(late[REGIMES])
    return WaitingRecords(
        processed={part: offset for (_, part), offset in done.items()},
        events=emitted_events(late[FACTORS]),
        counted={table: count_records(late[topic], names[topic]).total() for table, topic in COUNTED.items()},
        rows={
            "feed_status": expected_changes(late[FEED_STATUS], names[FEED_STATUS]).changes,
            "rollout": {change.place for change in changes_on(late[ROLLOUT])},
            "llm_calls": places(late[LLM_CALLS], names[LLM_CALLS]),
            "dead_letters": written_letters(late[DEAD_LETTERS], names[DEAD_LETTERS]),
            "regimes": verdicts.rules,
            "regimes of the model": verdicts.model,
            **{name: written_steps(late[table.topic], table) for name, table in DERIVED.items()},
        },
    )


def _unread(settings: Settings, tables: Tables, log: LogId, table: str) -> Iterator[Logged]:
    """The records of a log from where its table has come to; all of them where it has come nowhere."""
    return read_since(settings, log.topic, read_positions(settings, tables, table, log))


def with_pending(line: AuditLine, pending: int) -> AuditLine:
    """The line with so many of its lost ones counted as pending."""
    if not pending:
        return line
    counts = dict(line.counts)
    counts["lost"] -= pending
    counts["pending"] = counts.get("pending", 0) + pending
    others = tuple(problem for problem in line.problems if not problem.endswith(" lost"))
    lost = (f"{counts['lost']} lost",) if counts["lost"] else ()
    return line._replace(counts=counts, problems=(*lost, *others, f"{pending} not stored yet"))
