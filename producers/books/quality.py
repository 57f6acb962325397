"""What one feed is like, minute by minute: latencies as sketches that add up, and differences of what is counted.

A sketch holds how often each latency was, rounded to seven significant bits: within 0.8 % of what it was, exact below
128 µs, and two sketches add up value by value, whoever wrote them and when.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from schemas.messages import FeedQuality, InstrumentKey, Source
from schemas.units import NS_PER_US

BITS: Final = 7


def rounded(value: int) -> int:
    """Round to seven significant bits: to the middle of what they stand for."""
    shift = value.bit_length() - BITS  # the same of a number and its negative
    if shift <= 0:
        return value
    middle = (abs(value) >> shift << shift) + (1 << shift >> 1)
    return middle if value > 0 else -middle


class LatencySketch:
    """How often each latency was.

    Attributes:
        counts: By latency, rounded, µs.
        sum_us: Of all, not rounded.
    """

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.sum_us = 0

    def add(self, latency_ns: int) -> None:
        """Note one."""
        latency_us = latency_ns // NS_PER_US
        self.counts[rounded(latency_us)] += 1
        self.sum_us += latency_us


class ClockBounds(NamedTuple):
    """Between what the venue's clock is ahead of ours, ns."""

    low_ns: int
    high_ns: int

    def narrowed(self, other: ClockBounds) -> ClockBounds:
        """Both hold; where they cannot, since a clock was set, the newer one alone."""
        both = ClockBounds(max(self.low_ns, other.low_ns), min(self.high_ns, other.high_ns))
        return both if both.low_ns <= both.high_ns else other


class Counted(NamedTuple):
    """What is counted of a feed from its start on.

    Attributes:
        updates, gaps, restarts, reopened, reopen_failed: As in `FeedQuality`.
        ids_seen, ids_lost: As in it; None where the numbers are our own.
    """

    updates: int = 0
    gaps: int = 0
    restarts: int = 0
    reopened: int = 0
    reopen_failed: int = 0
    ids_seen: int | None = None
    ids_lost: int | None = None


class QualityWindow:
    """One instrument's feed since its last record.

    Args:
        instrument: The instrument.
        source: Written into each record.
        run: The same.
        began_ns: From when.
        counted: What was counted until then.

    Attributes:
        depth, trades: Latencies of updates and of trades.
    """

    def __init__(self, instrument: InstrumentKey, source: Source, run: str, began_ns: int, counted: Counted) -> None:
        self._instrument, self._source, self._run = instrument, source, run
        self._began_ns, self._counted = began_ns, counted
        self.depth, self.trades = LatencySketch(), LatencySketch()

    def count_reopenings_from(self, reopened: int, reopen_failed: int) -> None:
        """Count what comes of reopening from here on: the connection that carries it now has a past of its own."""
        self._counted = self._counted._replace(reopened=reopened, reopen_failed=reopen_failed)

    def close(self, now_ns: int, counted: Counted, clock: ClockBounds | None) -> FeedQuality:
        """Give the record of this window, and begin the next."""
        began_ns, before, now_ns = self._began_ns, self._counted, max(now_ns, self._began_ns)
        depth, trades = self.depth, self.trades
        self.depth, self.trades = LatencySketch(), LatencySketch()
        self._began_ns, self._counted = now_ns, counted
        return FeedQuality(
            *self._instrument,
            self._source,
            began_ns,
            now_ns,
            _rise(before.updates, counted.updates),
            _rise(before.gaps, counted.gaps),
            None if counted.ids_seen is None else _rise(before.ids_seen or 0, counted.ids_seen),
            None if counted.ids_lost is None else _rise(before.ids_lost or 0, counted.ids_lost),
            _rise(before.restarts, counted.restarts),
            _rise(before.reopened, counted.reopened),
            _rise(before.reopen_failed, counted.reopen_failed),
            clock_low_ns=clock and clock.low_ns,
            clock_high_ns=clock and clock.high_ns,
            depth_latency_us=list(depth.counts.keys()),
            depth_latency_counts=list(depth.counts.values()),
            depth_latency_sum_us=depth.sum_us,
            trade_latency_us=list(trades.counts.keys()),
            trade_latency_counts=list(trades.counts.values()),
            trade_latency_sum_us=trades.sum_us,
            run=self._run,
        )


def _rise(before: int, now: int) -> int:
    """By how much it rose: a count that begins anew, as of another connection, tells nothing until the next record."""
    return max(0, now - before)
