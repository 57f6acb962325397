"""What the logs no longer hold, or never held: counted apart from lost, for nobody can store it any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TypeAlias

Stretch: TypeAlias = tuple[int, int]
"""Offsets of one partition: the first, and the first past them."""
Stretches: TypeAlias = Mapping[int, list[Stretch]]
"""By partition."""
TOLD = 3
"""How many stretches are named."""


def unread(starts: Mapping[int, int], read_until: Mapping[int, int], noted: Stretches) -> Stretches:
    """What expired before it was read: as was written down, and what is missed as of now.

    Args:
        starts: First offset of each partition that the log still has.
        read_until: First offset of each that was not read; empty where nobody has begun to read.
        noted: What was written down.
    """
    found = defaultdict(list, {partition: list(stretches) for partition, stretches in noted.items()})
    for partition, start in starts.items():
        begin = read_until.get(partition, 0)
        if read_until and begin < start:
            found[partition].append((begin, start))
    return {partition: _merged(stretches) for partition, stretches in sorted(found.items())}


def length(stretches: Stretches) -> int:
    """How many offsets they are."""
    return sum(end - first for found in stretches.values() for first, end in found)


def told(stretches: Stretches) -> str:
    """Where they are, for a person."""
    each = [f"partition {part} from {first} to {end - 1}" for part, found in stretches.items() for first, end in found]
    return ", ".join(each[:TOLD]) + (f" and {len(each) - TOLD} more" if len(each) > TOLD else "")


def _merged(stretches: list[Stretch]) -> list[Stretch]:
    """The same offsets in stretches that neither meet nor overlap."""
    found: list[Stretch] = []
    for first, end in sorted(stretches):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return found
