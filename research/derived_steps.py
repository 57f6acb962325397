"""What the derived streams have said, by their own logs: each step on a log is to be stored once.

Whether a step should have been said, only its stage can tell: that it says the same of the same records, however they
come, the suite of the stages proves. What is on its log and in no table is lost, and what is there twice is doubled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from obflow.whole_log import Logged
from research.expected import record_of
from schemas.errors import MessageError
from schemas.messages import AnomalyEvent, ArbitrageEvent, InstrumentKey, QuoteRecord, SignalEvent
from schemas.topics import ANOMALIES, ARBITRAGE, FEED_STATUS, L2, QUOTES, SIGNALS, Topic


class DerivedTable(NamedTuple):
    """A table of steps.

    Attributes:
        topic: What feeds it.
        record: Type of its records.
        kind: Field and column that is part of a step's identity, beside the record that made it.
        source: Log in which that record lies.
        beside: Further logs in which it can lie.
    """

    topic: Topic
    record: Any
    kind: str
    source: Topic = L2
    beside: tuple[Topic, ...] = ()


DERIVED: Final = {
    "signals": DerivedTable(SIGNALS, SignalEvent, "kind"),
    "anomalies": DerivedTable(ANOMALIES, AnomalyEvent, "stream", L2, (FEED_STATUS,)),
    "quotes": DerivedTable(QUOTES, QuoteRecord, "canonical"),
    "arbitrage": DerivedTable(ARBITRAGE, ArbitrageEvent, "stream", QUOTES),
}
"""By the table's name."""


class DerivedStep(NamedTuple):
    """What identifies a step."""

    instrument: InstrumentKey
    log: str
    partition: int
    offset: int
    kind: str


def step_of(record: Any, kind: str) -> DerivedStep:  # noqa: ANN401 (a record of any derived table)
    """The identity of a step."""
    where = (record.source_log, record.source_partition, record.source_offset)
    return DerivedStep(record.instrument, *where, str(getattr(record, kind)))


def written_steps(log: Iterable[Logged], table: DerivedTable, partitions: int = 0) -> set[DerivedStep]:
    """Identities of the steps on their log; what is none a sink dead-letters."""
    found = set()
    for logged in log:
        try:
            found.add(step_of(record_of(table.record, logged, partitions), table.kind))
        except MessageError:
            continue
    return found
