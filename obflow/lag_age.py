"""How long the oldest record of a partition that is not processed has been in its log. Pure: time is a parameter.

The broker tells where a log ends, not since when. So each look at the end is kept: a record that the look before did
not see came between the two. What was there at the first look is as old as what was processed last, at most.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

MAX_LOOKS: Final = 512
"""Looks kept of a partition; beyond it every second one is forgotten, and ages are told less finely."""


@dataclass
class _Looks:
    """What was seen of one partition: ends that rose, each with its time; and what was processed last."""

    first_end: int
    ends: list[tuple[int, float]] = field(default_factory=list)
    processed_s: float | None = None


class LagAges:
    """The ages of one topic's partitions."""

    def __init__(self) -> None:
        self._looks: dict[int, _Looks] = {}

    def processed(self, partition: int, appended_s: float) -> None:
        """Note the Kafka time of the record that was processed last."""
        known = self._looks.get(partition)
        if known is not None:
            known.processed_s = appended_s

    def age_s(self, partition: int, position: int, end: int, now_s: float) -> float:
        """The age of the record at `position`, seconds; 0 where the log ends there.

        Args:
            partition: Which.
            position: Next offset to process.
            end: Offset that the log's next record will get.
            now_s: Wall clock, seconds; looks come in the order of time.
        """
        looks = self._looks.setdefault(partition, _Looks(end))
        if not looks.ends or end > looks.ends[-1][0]:
            looks.ends.append((end, now_s))
        looks.ends = [look for look in looks.ends if look[0] > position]
        if len(looks.ends) > MAX_LOOKS:
            looks.ends = looks.ends[::2]
        if not looks.ends:
            return 0.0
        since_s = looks.ends[0][1]
        if position < looks.first_end and looks.processed_s is not None:
            since_s = min(since_s, looks.processed_s)
        return max(0.0, now_s - since_s)

    def keep(self, partitions: Collection[int]) -> None:
        """Forget every other partition: another process has it now."""
        for partition in self._looks.keys() - set(partitions):
            del self._looks[partition]
