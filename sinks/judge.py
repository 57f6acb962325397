"""Holds what a sink reads against the logs: where a record lies, where it was written first, which place it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from obflow.log_ends import LogEnds
from schemas.errors import ForeignRecord
from schemas.messages import Record
from schemas.places import Place, check_named, check_place, named_place
from schemas.topics import ANOMALIES, FACTORS, QUOTES, REGIMES, SIGNALS, Topic
from schemas.units import NS_PER_MS
from sinks.reader import Read

NAMING: Final = frozenset({FACTORS, REGIMES, SIGNALS, ANOMALIES, QUOTES})
"""Topics whose records name places in the books' log."""


class Judge:
    """Judges the records of one topic.

    Args:
        partitions: How many partitions the topic has.
        ends: Where the books' log ends; None for a topic whose records name no place in it.
        require_same_log: Raises where the topic is another log than the one with so many partitions.
    """

    def __init__(
        self, partitions: int, ends: LogEnds | None, require_same_log: Callable[[], None] = lambda: None
    ) -> None:
        self._partitions = partitions
        self._ends = ends
        self._require_same_log = require_same_log
        self._is_same_log = False

    def begin(self) -> None:
        """What is judged from now on was read after the broker last said what logs are, and where they end."""
        self._is_same_log = False
        if self._ends is not None:
            self._ends.expire()

    def check(self, record: Record, read: Read) -> None:
        """Hold a record against the logs.

        A place in another log than the broker has now, one that was deleted and made anew, can no longer be judged:
        its rows stand under that log's own name, apart from all others.

        Raises:
            MessageError: It breaks a rule of `schemas.places`, or claims to be a record it cannot be.
            DependencyError: The broker does not say where the log ends, or which one it is.
            LogAnew: The topic is another log by now, by whose partitions the record may lie where it belongs.
        """
        try:
            self._check_place(record, read)
        except ForeignRecord:
            if not self._is_same_log:  # asked once a poll: so a log full of foreign records costs no question each
                self._require_same_log()
                self._is_same_log = True
            raise
        named = named_place(record)
        if named is None or self._ends is None:
            return
        if not self._ends.knows(named):
            self._ends.refresh(named)
        if named.log == self._ends.extent.log:
            check_named(record, named, self._ends.extent)

    def _check_place(self, record: Record, read: Read) -> None:
        if read.false_origin:
            raise ForeignRecord("it says that it was sent before, of a place that cannot be its first one")
        check_place(record, Place(read.position.partition, self._partitions, read.appended_ns // NS_PER_MS))


def names_places(topic: Topic) -> bool:
    """Whether the records of a topic name places in the books' log."""
    return topic in NAMING
