"""Events that workers withheld under overload, as the factor log says and the book log bears out (ADR 0050).

A factor record says how many events its worker withheld, and from which offset of the book log on. Those are excused
that the book log calls for in that stretch, if they are as many: else nothing of the stretch is, and they are lost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import NamedTuple

from obflow.whole_log import Logged
from schemas.messages import FactorRecord, InstrumentKey
from schemas.withheld import withheld_before


class WithheldStretch(NamedTuple):
    """What one factor record says was withheld.

    Attributes:
        log, partition: The book log, and of which partition of it.
        first, last: Offsets between which it was, the last one's event being in the record.
        sent: Offsets of the record's own events.
        events: How many were withheld.
    """

    log: str
    partition: int
    first: int
    last: int
    sent: frozenset[int]
    events: int


class Conflated:
    """What the records of the factor log say was withheld, by instrument."""

    def __init__(self) -> None:
        self._stretches: dict[InstrumentKey, list[WithheldStretch]] = defaultdict(list)

    def take(self, logged: Logged, record: FactorRecord) -> None:
        """Note what one record says."""
        said = withheld_before(logged.headers)
        if said is not None and record.events:
            sent = frozenset(event.source_offset for event in record.events)
            place = (record.source_log, record.source_partition, said.first_offset, max(sent))
            self._stretches[record.instrument].append(WithheldStretch(*place, sent, said.events))

    def excused(
        self, instrument: InstrumentKey, log: str, expected: Collection[tuple[int, int]]
    ) -> set[tuple[int, int]]:
        """Give the places among those that a log calls for whose events were withheld."""
        found: set[tuple[int, int]] = set()
        if self._stretches[instrument]:
            ordered = sorted(expected)
            for stretch in self._stretches[instrument]:
                withheld = set(_withheld(stretch, ordered)) if stretch.log == log else set()
                found |= withheld if len(withheld) == stretch.events else set()
        return found


def _withheld(stretch: WithheldStretch, ordered: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    at = bisect_left(ordered, (stretch.partition, stretch.first))
    while at < len(ordered) and ordered[at] < (stretch.partition, stretch.last):
        if ordered[at][1] not in stretch.sent:
            yield ordered[at]
        at += 1
