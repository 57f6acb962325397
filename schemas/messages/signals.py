"""Steps of signals: they open, and they close."""

from __future__ import annotations

from enum import StrEnum

from schemas.bounds import Count, Duration, Finite, Label, LogName, Offset, Partition, Share, TimeNs
from schemas.messages.instruments import InstrumentRecord, Source


class SignalKind(StrEnum):
    """What a signal is made of."""

    IMBALANCE = "imbalance"
    """`obi_l5` against what it was."""
    FLOW = "flow"
    """`ofi_l1_1s` against what it was."""
    CLASSIC = "classic"
    """`obi_l1_z`: the best level against the 20 events before."""


class SignalAction(StrEnum):
    """Which step a signal takes."""

    OPEN = "open"
    CLOSE = "close"


class SignalSide(StrEnum):
    """Which way a signal points."""

    LONG = "long"
    SHORT = "short"


class SignalReason(StrEnum):
    """Why a signal takes a step."""

    ENTERED = "entered"
    """Its z reached the bar, and nothing spoke against it."""
    HORIZON = "horizon"
    """It was open for as long as it may be."""
    LEFT = "left"
    """Its z fell back."""
    UNUSABLE = "unusable"
    """The book, or the factor, says nothing any more."""


class SignalEvent(InstrumentRecord, frozen=True, gc=False):
    """One step of one kind of signal of an instrument (`signals.v1`): it opens, or it closes.

    Identity: (instrument, kind, source_log, source_partition, source_offset): an event makes a kind take one step at
    most. The same events give the same steps to the bit, however they are packed.

    Attributes:
        venue, symbol: The instrument.
        feed_source: Where the frames behind the event came from.
        kind, action, side, reason: The step.
        x: The factor judged.
        z: How unusual it is, standard deviations of what held before; no probability.
        trend: Its mean of late less its mean before that.
        mid: Of the event; null where the book has none.
        horizon_ms: Longest time the signal stays open, and the time its forecast is about.
        edge_bps: What it promises over the horizon; null until that was fitted.
        cost_bps: Spread and twice the taker's fee; null where no fee is known.
        tradable: Whether the edge exceeds the cost; null where one of them is.
        confidence: Share of forecasts of this instrument, kind and side that came true, of those whose mid moved, with
            ten of twenty assumed before the first.
        confidence_n: How many were judged.
        received_ns: When the event that made the step was received, ns UTC.
        decided_ns: When the step could first be known, ns UTC: then.
        signal_set: Version of the signals and digest of all they depend on.
        source_log, source_partition, source_offset: The record of `l2.v1` whose factor event made the step.
        opened_offset: Of a close, the offset of its opening; else null.
        held_ms: Of a close, the time since its opening; else null.
        return_bps: Of a close, the mid's gross change the signal's way, bps; null without both mids.
        run: As in `L2Record`.
    """

    feed_source: Source
    kind: SignalKind
    action: SignalAction
    side: SignalSide
    reason: SignalReason
    horizon_ms: Duration
    confidence: Share
    confidence_n: Count
    received_ns: TimeNs
    decided_ns: TimeNs
    signal_set: Label
    source_log: LogName
    source_partition: Partition
    source_offset: Offset
    x: Finite | None = None
    z: Finite | None = None
    trend: Finite | None = None
    mid: Finite | None = None
    edge_bps: Finite | None = None
    cost_bps: Finite | None = None
    tradable: bool | None = None
    opened_offset: Offset | None = None
    held_ms: Duration | None = None
    return_bps: Finite | None = None
    run: Label = ""
