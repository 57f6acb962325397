"""Tables with a row a record and too many of them to remember each: their audit counts, by partition.

Every other table's audit remembers where its rows came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from obflow.doctor import AuditLine
from obflow.whole_log import Logged
from research.expected import identity_of
from schemas.logs import LogId
from schemas.topics import DERIVATIVES, FEED_QUALITY, TRADES

COUNTED: Final = {"trades": TRADES, "derivatives": DERIVATIVES, "feed_quality": FEED_QUALITY}
"""The tables, and the topic that feeds each."""


@dataclass
class CountedRows:
    """What an audit found of one of them.

    Attributes:
        logged: Records that the log holds.
        stored: Those of them that have a row.
        dead_lettered: Those of them that a sink dead-lettered.
        duplicates: Rows beyond one a record.
        pending: Records that no sink has come to.
    """

    logged: int = 0
    stored: int = 0
    dead_lettered: int = 0
    duplicates: int = 0
    pending: int = 0

    @property
    def lost(self) -> int:
        """Records that have neither a row nor a letter, though a sink has passed them."""
        return self.logged - self.stored - self.dead_lettered - self.pending

    def line(self, table: str) -> AuditLine:
        """What there is to say of it."""
        counts = {
            "expected": self.logged,
            "stored": self.stored,
            "dead_lettered": self.dead_lettered,
            "lost": self.lost,
            "duplicates": self.duplicates,
        }
        problems = tuple(f"{counts[name]} {name}" for name in ("lost", "duplicates") if counts[name])
        if not self.pending:
            return AuditLine(table, counts, problems)
        return AuditLine(table, counts | {"pending": self.pending}, (*problems, f"{self.pending} not stored yet"))


def count_records(log: Iterator[Logged], name: LogId) -> Counter[int]:
    """Records by partition, without those sent again by hand."""
    return Counter(logged.partition for logged in log if identity_of(logged, name) == (logged.partition, logged.offset))
