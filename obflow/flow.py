"""Whether records flow: a reader of a topic judged from two looks at it, a moment apart. Pure.

What was written in the last seconds always waits, since offsets are committed behind checkpoints and rows. So only what
waits for longer is looked at twice: a position that does not move, or an age that grows, is not well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from obflow.findings import Check
from obflow.topics import NEW_LOGS

SHOWN: Final = 3
"""Most partitions that a sentence names."""


class GroupLook(NamedTuple):
    """A reader of a topic, at one moment. All by partition.

    Attributes:
        topic: Name on the broker.
        starts, ends: First offset the log still has, and the one its next record gets.
        positions: Up to where it has come, where it has come anywhere.
        ages_s: For how long the oldest record that waits has done so, seconds; none where none waits.
        members: The partitions that each member of the group has; None for a reader that is no group.
        is_settled: Whether nobody joins or leaves just now.
    """

    topic: str
    starts: Mapping[int, int]
    ends: Mapping[int, int]
    positions: Mapping[int, int]
    ages_s: Mapping[int, float]
    members: Sequence[frozenset[int]] | None = None
    is_settled: bool = True

    def waiting(self) -> dict[int, int]:
        """How many records wait in each partition in which any do."""
        lag = {part: end - max(self.positions.get(part, 0), self.starts[part]) for part, end in self.ends.items()}
        return {part: count for part, count in lag.items() if count > 0}


class LogFollower(NamedTuple):
    """Who reads.

    Attributes:
        name: Of the check.
        who: As a sentence begins.
        command: What starts one.
        limit_s: How long a record may wait, seconds.
    """

    name: str
    who: str
    command: str
    limit_s: float


def is_late(reader: LogFollower, look: GroupLook) -> bool:
    """Whether a second look is needed to judge."""
    return look.members != [] and any(age_s > reader.limit_s for age_s in look.ages_s.values())


def flow_findings(reader: LogFollower, before: GroupLook, after: GroupLook) -> list[Check]:
    """Judge a reader.

    Args:
        reader: Who.
        before: The first look.
        after: A second one; the first again where that was enough.
    """
    found = [*_members(reader, after), *_lost(reader, after), *_lag(reader, before, after)]
    return found or [Check(reader.name, True, _well(reader, after))]


def _members(reader: LogFollower, look: GroupLook) -> list[Check]:
    """Whether there are members, and each partition is somebody's."""
    if look.members is None or not look.is_settled:
        return []
    waiting = look.waiting()
    if not look.members:
        if not look.positions or not waiting:
            return []
        sentence = f"{reader.who} has no members, and records wait: {_places(waiting, look.ages_s)}"
        return [Check(reader.name, False, sentence, f"start `{reader.command}`")]
    idle = sum(not held for held in look.members)
    nobodys = look.ends.keys() - frozenset().union(*look.members)
    if not idle or not nobodys:
        return []
    sentence = f"{idle} of {len(look.members)} members of {reader.who} hold no partition of {look.topic}"
    return [Check(reader.name, False, f"{sentence}, and {len(nobodys)} partitions are nobody's", "restart the worker")]


def _lost(reader: LogFollower, look: GroupLook) -> list[Check]:
    """Whether the log still has what was not read, and reaches as far as what was."""
    read = {part: position for part, position in sorted(look.positions.items()) if position and part in look.ends}
    gone = [
        f"{at} to {look.starts[part] - 1} of partition {part}" for part, at in read.items() if at < look.starts[part]
    ]
    beyond = [f"{part} at {look.ends[part]}" for part, at in read.items() if at > look.ends[part]]
    found = []
    if gone:
        what = f"{look.topic} has lost records that {reader.who} had not read: {_some(gone)}"
        found.append(Check(reader.name, False, what, "it goes on behind them; books wait for their next snapshot"))
    if beyond:
        what = f"{look.topic} ends before what {reader.who} has read of it: partition {_some(beyond)}"
        found.append(Check(reader.name, False, what, NEW_LOGS))
    return found


def _lag(reader: LogFollower, before: GroupLook, after: GroupLook) -> list[Check]:
    """Whether what waits for long gets less."""
    if after.members is not None and not after.members:
        return []
    late = {part: count for part, count in after.waiting().items() if after.ages_s.get(part, 0.0) > reader.limit_s}
    still = {part for part in late if before.positions.get(part) == after.positions.get(part)}
    growing = {part for part in late if after.ages_s[part] > before.ages_s.get(part, 0.0)} - still
    found = []
    if still:
        what = f"{reader.who} does not move: {_places(_only(late, still), after.ages_s)}"
        found.append(Check(reader.name, False, what, _mends(reader, after)))
    if growing:
        what = f"{reader.who} falls behind: {_places(_only(late, growing), after.ages_s)}"
        found.append(Check(reader.name, False, what, "give it more of the machine, or start another one beside it"))
    return found


def _mends(reader: LogFollower, look: GroupLook) -> str:
    return f"start `{reader.command}`" if look.members is None else "restart the worker"


def _only(counts: Mapping[int, int], parts: Iterable[int]) -> dict[int, int]:
    return {part: counts[part] for part in sorted(parts)}


def _places(waiting: Mapping[int, int], ages_s: Mapping[int, float]) -> str:
    """The partitions in which records wait longest."""
    longest = sorted(waiting, key=lambda part: -ages_s.get(part, 0.0))
    return _some(
        [f"{_records(waiting[part])} for {ages_s.get(part, 0.0):.0f} s in partition {part}" for part in longest]
    )


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


def _some(named: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return ", ".join(named[:SHOWN]) + more


def _well(reader: LogFollower, look: GroupLook) -> str:
    waiting = look.waiting()
    count = sum(waiting.values())
    waits = f"{_records(count)} wait{'s' if count == 1 else ''}"
    wait = f"{waits}, for {max(look.ages_s.values(), default=0.0):.0f} s at most"
    if look.members is None:
        return wait
    if not look.members and not look.positions:
        return f"{reader.who} has never run: `{reader.command}` starts one"
    held = sum(map(bool, look.members))
    reserve = f", {len(look.members) - held} in reserve" if held < len(look.members) else ""
    members = "1 member" if len(look.members) == 1 else f"{len(look.members)} members"
    return f"{members}{reserve}; {wait}"
