"""What a live feed counts, in the words of `obflow.metric_list`: little by frame, the rest once a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from obflow.health import FEED
from obflow.metrics import Metrics
from producers.books.options import PastStreams, StreamCounters
from producers.books.quotes import QuoteCheck
from producers.books.router import FrameRouter
from producers.books.stream import InstrumentStream, Published
from producers.contract import Channel
from producers.messages import Frame, Via
from schemas.messages import FeedState
from schemas.units import NS_PER_SECOND


class GateLook(NamedTuple):
    """What the venue's gate shows.

    Attributes:
        wait_s: For how long it is closed, seconds.
        ignored: What the venue said of its limits and could not be meant, by what it was.
    """

    wait_s: float
    ignored: Counter[str]


class FeedMeters:
    """The metrics of one venue's feed.

    Args:
        metrics: Where they are shown.
        venue: Their label.

    Attributes:
        frames: Frames that came; shown with the rest.
        is_sampling: Whether the way of the next message is to be measured; set it as often as that is wanted.
    """

    def __init__(self, metrics: Metrics, venue: str) -> None:
        self.frames = 0
        self.is_sampling = True
        self._metrics = metrics
        self._venue = venue
        metrics.counter("obflow_received_total", source=venue)  # shown from the start on
        self._connections = metrics.counter("obflow_connections_total", venue=venue)
        self._disconnects = metrics.counter("obflow_disconnects_total", venue=venue)
        self._exchange_latency = metrics.histogram("obflow_exchange_latency_seconds", venue=venue)

    def note_change(self, via: Via) -> None:
        """Count a connection that stands, and one that ended."""
        if via is Via.CONNECT:
            self._connections.inc()
        elif via is Via.DISCONNECT:
            self._disconnects.inc()

    def sample_latency(self, frame: Frame, record: Published) -> None:
        """Note how long a message was on its way, and then no other's before it is wanted again."""
        exchange_ns = getattr(record, "exchange_ns", None)
        if frame.via is Via.WS and exchange_ns is not None:
            self.is_sampling = False
            self._exchange_latency.observe((frame.received_ns - exchange_ns) / NS_PER_SECOND)

    def resync_asked(self) -> None:
        """Count a reader's request for a snapshot."""
        self._metrics.counter("obflow_resyncs_total", venue=self._venue).inc()

    def publish(self, router: FrameRouter, shed: Mapping[str, int], gate: GateLook, *, lost: str, waiting: int) -> None:
        """Bring the page up to what the pure parts have counted.

        Args:
            router: The streams.
            shed: Records that were dropped under overload, by kind.
            gate: What the venue's gate shows.
            lost: What is not connected; empty where everything is.
            waiting: Records that wait for the broker.
        """
        self._metrics.health.note(FEED, lost)
        self._metrics.raise_to("obflow_received_total", self.frames, source=self._venue)
        streams = list(router.streams.values())
        self._publish_refused(router, shed, gate)
        counters = [router.past.counters, *(stream.counters for stream in streams)]
        self._publish_counters(counters)
        self._publish_comparisons(counters, [router.past, *(stream.quotes for stream in streams)])
        self._publish_gauges(streams, gate, waiting)

    def _publish_refused(self, router: FrameRouter, shed: Mapping[str, int], gate: GateLook) -> None:
        raise_to = self._metrics.raise_to
        for reason, count in router.rejected.items():
            raise_to("obflow_rejected_total", count, reason=reason)
            raise_to("obflow_dead_lettered_total", count, reason=reason)
        for kind, count in shed.items():
            raise_to("obflow_rejected_total", count, reason=f"Overload_{kind}")
        for reason, count in (router.ignored + gate.ignored).items():
            raise_to("obflow_ignored_total", count, reason=reason)

    def _publish_counters(self, counters: Collection[StreamCounters]) -> None:
        raise_to, venue = self._metrics.raise_to, self._venue
        raise_to("obflow_gaps_total", sum(each.gaps for each in counters), venue=venue)
        raise_to("obflow_ignored_total", sum(each.duplicates for each in counters), reason="duplicate")
        raise_to("obflow_trades_off_grid_total", sum(each.trades_off_grid for each in counters), venue=venue)
        raise_to("obflow_books_compared_total", sum(each.comparisons for each in counters), venue=venue)
        raise_to("obflow_beyond_snapshot_total", sum(each.went_beyond for each in counters), venue=venue)
        raise_to("obflow_quote_mismatches_total", sum(each.contradicted for each in counters), venue=venue)

    def _publish_comparisons(
        self, counters: Collection[StreamCounters], checks: Collection[QuoteCheck | PastStreams]
    ) -> None:
        for outcome, count in _quote_checks(checks).items():
            self._metrics.raise_to("obflow_quote_checks_total", count, venue=self._venue, outcome=outcome)
        for outcome, count in _level_checks(counters).items():
            self._metrics.raise_to("obflow_levels_compared_total", count, venue=self._venue, outcome=outcome)

    def _publish_gauges(self, streams: Iterable[InstrumentStream], gate: GateLook, waiting: int) -> None:
        gauge = self._metrics.gauge
        for state in FeedState:
            gauge("obflow_books", state=state).set(sum(stream.feed.state is state for stream in streams))
        for channel in (Channel.DEPTH, Channel.TRADE, Channel.QUOTE, Channel.DERIVATIVE):
            silent = sum(channel in stream.feed.silences for stream in streams)
            gauge("obflow_silent_channels", venue=self._venue, channel=channel.value).set(silent)
        gauge("obflow_gate_closed_seconds", venue=self._venue).set(gate.wait_s)
        gauge("obflow_buffered_records", stage="publish").set(waiting)
        lacking = sum(stream.waiting for stream in streams)
        gauge("obflow_buffered_records", stage="awaiting_snapshot").set(lacking)


def _level_checks(counters: Collection[StreamCounters]) -> Mapping[str, int]:
    """Count how the books compared with those fetched beside them, level by level, all instruments together."""
    wrong = sum(each.levels_wrong for each in counters)
    return {"right": sum(each.levels_compared for each in counters) - wrong, "wrong": wrong}


def _quote_checks(checks: Collection[QuoteCheck | PastStreams]) -> Mapping[str, int]:
    """Count how the books compared with the venue's best quotes, all instruments together."""
    return {
        "right": sum(check.checked - check.wrong for check in checks),
        "wrong": sum(check.wrong for check in checks),
        "same": sum(check.compared - check.different for check in checks),
        "different": sum(check.different for check in checks),
    }
