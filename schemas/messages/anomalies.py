"""Episodes in which a book is not as it was."""

from __future__ import annotations

from enum import StrEnum

from schemas.bounds import Duration, Few, Finite, Label, LogName, Offset, Partition, Share, TimeNs
from schemas.messages.instruments import InstrumentRecord, Source


class AnomalyKind(StrEnum):
    """In what way a book is not as it was."""

    LIQUIDITY_SHIFT = "liquidity_shift"
    """The depth within 10 bps of mid fell far below what it was."""
    ONE_SIDED = "one_sided"
    """A side is empty."""
    LOCKED = "locked"
    """Best bid and best ask are equal."""
    WIDE_SPREAD = "wide_spread"
    """The spread is several times what it was."""
    STALE = "stale"
    """Depth fell silent: what the venue has now is not known."""
    SPOOFING_LIKE = "spoofing_like"
    """A large order came and went untraded while others traded its way: a pattern, never an accusation."""


class AnomalyAction(StrEnum):
    """Whether an episode begins or ends."""

    OPEN = "open"
    CLOSE = "close"


class AnomalyReason(StrEnum):
    """Why an episode begins or ends."""

    BEGAN = "began"
    ENDED = "ended"
    BROKEN = "broken"
    """The book broke: how the episode went on is not known."""


class LevelSide(StrEnum):
    """A side of a book."""

    BID = "bid"
    ASK = "ask"


class AnomalyEvent(InstrumentRecord, frozen=True, gc=False):
    """An episode of an instrument begins or ends (`anomalies.v1`).

    Identity: (instrument, kind, source_log, source_partition, source_offset), once a kind and event; of those that name
    a level (`price`), that too.

    Attributes:
        venue, symbol: The instrument.
        feed_source: Where the frames behind the event came from.
        kind, action, reason: What begins or ends, and why.
        received_ns: When the event that made the step was received, ns UTC.
        decided_ns: When the step could first be known, ns UTC: then.
        anomaly_set: Version of the anomalies and digest of their thresholds.
        source_log, source_partition, source_offset: The record of `l2.v1` behind the step; of `stale` that of
            `feed-status.v1`, as all other offsets.
        first_offset: The record at which the condition began to hold, or the level grew.
        step: Number of the step among those of its kind and event, from 0.
        side: The side that is empty, or on which the level lies.
        opened_offset: Of a close, the record of its opening; else null.
        lasted_ms: Of a close, the time since its opening; else null.
        score: A score in [0, 1]; null for kinds without one. No probability.
        z: Of a shift of liquidity: how far x lies from its baseline, standard deviations.
        x: The number judged: the depth's logarithm; the spread in ticks.
        baseline: What it is judged against.
        mid: Of the book.
        spread_bps: Spread, bps.
        move_bps: The mid's move of the last second, bps; of a level, that from its growth to its end, + in its favour.
        recovery_s: Of a shift that closes, the time until half of the drop was regained.
        is_censored: Whether that was not seen: the book broke, or it took too long.
        price: Of the level, quote units.
        base_size, added_size, removed_size: Size before it grew, what was added, what was taken away, base units.
        traded_size: Of that, what was traded against it, base units.
        flow_with, flow_against: Aggressive size meanwhile in the direction the level leans, and against it.
        side_share: What was added over the size of its side within 10 bps.
        life_s: How long it stood.
        run: As in `L2Record`.
    """

    feed_source: Source
    kind: AnomalyKind
    action: AnomalyAction
    reason: AnomalyReason
    received_ns: TimeNs
    decided_ns: TimeNs
    anomaly_set: Label
    source_log: LogName
    source_partition: Partition
    source_offset: Offset
    first_offset: Offset
    step: Few = 0
    side: LevelSide | None = None
    opened_offset: Offset | None = None
    lasted_ms: Duration | None = None
    score: Share | None = None
    z: Finite | None = None
    x: Finite | None = None
    baseline: Finite | None = None
    mid: Finite | None = None
    spread_bps: Finite | None = None
    move_bps: Finite | None = None
    recovery_s: Duration | None = None
    is_censored: bool | None = None
    price: Finite | None = None
    base_size: Finite | None = None
    added_size: Finite | None = None
    removed_size: Finite | None = None
    traded_size: Finite | None = None
    flow_with: Finite | None = None
    flow_against: Finite | None = None
    side_share: Finite | None = None
    life_s: Duration | None = None
    run: Label = ""

    @property
    def stream(self) -> str:
        """In which identities rise: the kind, and which of several steps of one event it is."""
        return self.kind.value if self.step == 0 else f"{self.kind.value}.{self.step}"
