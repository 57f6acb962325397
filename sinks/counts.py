"""What a worker of a sink has done, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Counts:
    """What a worker has done.

    Attributes:
        records: Records read.
        compiled: Records that compiled code decoded.
        referred: Records that it left to the codec; both are 0 where nothing is compiled.
        rows: Rows stored.
        repeated: Rows not stored because the table holds them.
        dead_lettered: Records refused, each with a letter; `refused` has them by reason.
        equal: Repeated rows found to be the stored ones to the bit.
        different: Repeated rows that differ from the stored ones.
        unchecked: Repeated rows that were not compared.
        expired: Records that retention deleted before they were read.
        dropped: Records of runs that were dropped.
        batches: Inserts.
        refused: Refused records by reason.
        letters: Letters published about them.
        lags: Records not read yet, by partition, as of the last second.
        buffered_rows: Rows read and not known to be stored, letters included.
        oldest_ns: Kafka's time of the oldest record read and not known to be stored, ns UTC; None where none is.
        retried_inserts: Inserts sent again.
        failed_inserts: Inserts that ended without an answer, or were refused for good.
        fenced: Inserts of which nothing was stored, since another sink had taken over.
        failing: Whether the table cannot be fed now.
        missing: Rows that somebody took out of the table since it was opened.
    """

    records: int = 0
    compiled: int = 0
    referred: int = 0
    rows: int = 0
    repeated: int = 0
    dead_lettered: int = 0
    equal: int = 0
    different: int = 0
    unchecked: int = 0
    expired: int = 0
    dropped: int = 0
    batches: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    letters: int = 0
    lags: dict[int, int] = field(default_factory=dict)
    buffered_rows: int = 0
    oldest_ns: int | None = None
    retried_inserts: int = 0
    failed_inserts: int = 0
    fenced: int = 0
    failing: bool = False
    missing: int = 0

    def refuse(self, reason: str, records: int) -> None:
        """Count refused records."""
        if records:
            self.refused[reason] = self.refused.get(reason, 0) + records
            self.dead_lettered += records
