"""An episode: it begins where something held for long enough, and ends once."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from schemas.messages import AnomalyKind, AnomalyReason, FactorEvent, LevelSide
from schemas.units import NS_PER_SECOND


class Lasting(msgspec.Struct):
    """Since when a condition holds. Serialisable as it stands.

    Attributes:
        since_ns: When the first of the events was received at which it held; null where it does not hold.
        offset: That event's.
    """

    since_ns: int | None = None
    offset: int = -1

    def note(self, at_ns: int, offset: int, *, holds: bool) -> float:
        """Note whether it holds at an event, and return for how long it has, seconds; -1 where it does not."""
        if not holds:
            self.since_ns = None
            return -1.0
        if self.since_ns is None:
            self.since_ns, self.offset = at_ns, offset
        return (at_ns - self.since_ns) / NS_PER_SECOND


class Episode(msgspec.Struct):
    """An open episode. Serialisable as it stands.

    Attributes:
        opened_ns, opened_offset: The event that opened it.
        first_offset: The event at which its condition began to hold.
        side: Of the book; null where it has none.
        x, baseline: Of a shift of liquidity: what was judged and what it was judged against, at the opening.
        recovery_s: Time until half of the drop was regained; null before that.
    """

    opened_ns: int
    opened_offset: int
    first_offset: int
    side: LevelSide | None = None
    x: float = 0.0
    baseline: float = 0.0
    recovery_s: float | None = None


class AnomalyStep(NamedTuple):
    """An episode begins or ends.

    Attributes:
        kind: What kind of.
        reason: Why; BEGAN opens, all others close.
        event: At which event.
        episode: It.
        evidence: Further fields of the record.
    """

    kind: AnomalyKind
    reason: AnomalyReason
    event: FactorEvent
    episode: Episode
    evidence: dict[str, Any]


def open_episode(event: FactorEvent, lasting: Lasting, **known: Any) -> Episode:  # noqa: ANN401 (fields of an episode)
    """Begin an episode at an event, whose condition began to hold where `lasting` says."""
    return Episode(event.received_ns, event.source_offset, lasting.offset, **known)
