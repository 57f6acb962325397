"""Which log a record lies in, and where in it.

A topic deleted and made anew keeps its name but not its id, and its offsets start again: a log is told by the id, never
by the name. Records and rows carry the id's first characters.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from schemas.bounds import INT64_MAX, LAST_PARTITION, LOG_CHARACTERS

_ID: Final = rf"[A-Za-z0-9_-]{{{LOG_CHARACTERS}}}"
_STAMP: Final = re.compile(rf"(?P<changelog>{_ID}|)(?:/(?P<source>{_ID}))?")
ORIGIN_HEADER: Final = "obflow-origin"
"""Header of a record that was sent again by hand: where it was written first, as `Origin.text`."""


def short_id(topic_id: str) -> str:
    """Cut a topic's id to what records and rows carry of it (`source_log`, `k_log`)."""
    return topic_id[:LOG_CHARACTERS]


class LogId(NamedTuple):
    """A topic as it is on the broker now.

    Attributes:
        topic: Its name there, with the prefix.
        topic_id: The id it got when it was made, 22 characters as Kafka's tools write it.
        partitions: How many it has; 0 where that does not matter.
    """

    topic: str
    topic_id: str
    partitions: int = 0

    @property
    def short_id(self) -> str:
        """What records and rows carry of the id."""
        return short_id(self.topic_id)

    def origin(self, partition: int, offset: int) -> Origin:
        """Name a record of this log."""
        return Origin(self.topic, self.topic_id, partition, offset)


class OffsetStamp(NamedTuple):
    """What a worker commits beside an offset: an offset says neither of which log it is nor who keeps its promise.

    Attributes:
        changelog: Short id of the log that holds the checkpoints; empty where that was not known.
        source: Short id of the log that the offset is of; empty where its writer did not say.
    """

    changelog: str = ""
    source: str = ""

    @property
    def text(self) -> str:
        """As it stands beside the offset."""
        return f"{self.changelog}/{self.source}"

    def is_of_another(self, source: str) -> bool:
        """Whether the offset is of another log than the one that has the topic's name now."""
        return bool(self.source) and self.source != source


def parse_stamp(text: str) -> OffsetStamp:
    """Read `OffsetStamp.text` back, whatever follows it; older workers wrote the changelog alone, others nothing."""
    found = _STAMP.match(text)
    return OffsetStamp() if found is None else OffsetStamp(found["changelog"], found["source"] or "")


class Position(NamedTuple):
    """Where a record lies, as rows carry it: the log's short id, the partition, the offset."""

    log: str
    partition: int
    offset: int


class Origin(NamedTuple):
    """What identifies a record: where it was written first, should it have been sent again by hand.

    Attributes:
        topic, topic_id: The log, as in `LogId`.
        partition, offset: Where in it.
    """

    topic: str
    topic_id: str
    partition: int
    offset: int

    @property
    def position(self) -> Position:
        """The position by which rows are identified."""
        return Position(short_id(self.topic_id), self.partition, self.offset)

    @property
    def text(self) -> str:
        """The record as a header or a dead letter names it: `topic_id:partition:offset`."""
        return f"{self.topic_id}:{self.partition}:{self.offset}"


def parse_origin(topic: str, text: str) -> Origin | None:
    """Read `Origin.text` back; None where it names no record.

    Args:
        topic: The topic it is of.
        text: What a header or a letter says.
    """
    topic_id, _, rest = text.partition(":")
    partition, _, offset = rest.partition(":")
    if not (topic_id and _is_count(partition) and _is_count(offset)):
        return None
    origin = Origin(topic, topic_id, int(partition), int(offset))
    return origin if origin.partition <= LAST_PARTITION and origin.offset <= INT64_MAX else None


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(INT64_MAX))
