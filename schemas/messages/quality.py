"""What a feed was like for a while: latencies, losses and reconnects, as numbers that add up."""

from __future__ import annotations

from schemas.bounds import Count, Int64, Label, Latencies, LatencyCounts, TimeNs
from schemas.messages.instruments import InstrumentRecord, Source


class FeedQuality(InstrumentRecord, frozen=True, gc=False):
    """What one instrument's feed was like for a while (`feed-quality.v1`): counts and sketches, which add up.

    The times of one run do not overlap, so that sums over any records are those of all of them together: of several
    producers, of restarts, of instruments. A sketch holds how often each latency was, rounded to seven significant
    bits, so within 0.8 %; sketches add up value by value.

    Attributes:
        venue, symbol, source: As in `L2Record`.
        began_ns: From when, ns UTC.
        received_ns: Until when, ns UTC.
        updates: Updates applied to the book.
        gaps: Times that a LIVE book was broken by a missing update.
        ids_seen: By how much the venue's numbers rose with the updates that came; null where they are our own.
        ids_lost: By how much they rose with updates that did not come, for whatever reason; null as above.
        restarts: Times that the venue began its numbers anew: how much was lost then is not known.
        reopened: Times that the connection that carries it, lost before, stood again.
        reopen_failed: Tries of that which failed.
        clock_low_ns, clock_high_ns: The venue's clock is ahead of ours by something between these, as its answers
            say; null where it gave none with a time.
        depth_latency_us, depth_latency_counts: Sketch of the time from the exchange to the socket, of updates.
        depth_latency_sum_us: Sum of the same, not rounded.
        trade_latency_us, trade_latency_counts, trade_latency_sum_us: The same of trades.
        run: As in `L2Record`.
    """

    source: Source
    began_ns: TimeNs
    received_ns: TimeNs
    updates: Count = 0
    gaps: Count = 0
    ids_seen: Count | None = None
    ids_lost: Count | None = None
    restarts: Count = 0
    reopened: Count = 0
    reopen_failed: Count = 0
    clock_low_ns: Int64 | None = None
    clock_high_ns: Int64 | None = None
    depth_latency_us: Latencies = []
    depth_latency_counts: LatencyCounts = []
    depth_latency_sum_us: Int64 = 0
    trade_latency_us: Latencies = []
    trade_latency_counts: LatencyCounts = []
    trade_latency_sum_us: Int64 = 0
    run: Label = ""
