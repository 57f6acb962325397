"""How a feed is, and the wish of a reader that its book begins afresh."""

from __future__ import annotations

from enum import StrEnum

from schemas.bounds import Epoch, Few, Int64, Label, Offset, Partition, Text, TimeNs
from schemas.messages.instruments import InstrumentRecord, Source
from schemas.messages.market import Reason


class FeedState(StrEnum):
    """What a producer says of one instrument's feed."""

    CONNECTING = "connecting"
    AWAITING_SNAPSHOT = "awaiting_snapshot"
    LIVE = "live"
    INVALID = "invalid"
    STALE = "stale"
    DISCONNECTED = "disconnected"
    STOPPED = "stopped"


class FeedStatus(InstrumentRecord, frozen=True, gc=False):
    """A change, or a heartbeat, of one instrument's feed (`feed-status.v1`).

    Attributes:
        venue, symbol, source: As in `L2Record`.
        state: What the feed is now.
        reason: Why, where it is not live.
        epoch: The producer's current epoch.
        sequence: The book's sequence; null before the first snapshot.
        received_ns: When this became true, ns UTC.
        heartbeat: True where there is nothing to say beyond the last status of this instrument.
        detail: One sentence for a person.
        run: As in `L2Record`.
    """

    source: Source
    state: FeedState
    epoch: Epoch
    received_ns: TimeNs
    reason: Reason | None = None
    sequence: Int64 | None = None
    heartbeat: bool = False
    detail: Text = ""
    run: Label = ""


class ResyncRequest(InstrumentRecord, frozen=True, gc=False):
    """A reader whose book broke asks the producer for a snapshot (`resync.v1`).

    Attributes:
        venue, symbol: The instrument.
        reason: What broke.
        epoch: The reader's epoch; where the producer's is lower it lifts its own above it.
        source_partition, source_offset: Where in `l2.v1` it broke; older requests than the last snapshot are ignored.
        attempt: 1 for the first request, then 2, 3 … after 1, 2, 4 … 30 s.
    """

    reason: Reason
    epoch: Epoch
    source_partition: Partition
    source_offset: Offset
    attempt: Few = 1
