"""Windows of a feed: sketches that add up to what one would have been, and what is due when."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from producers.books.quality import ClockBounds, Counted, LatencySketch, QualityWindow, rounded
from producers.live.quality import QualityWindows, Reopenings, VenueClock
from producers.messages import Frame, Instrument, Via
from producers.simulator.faults import Fault
from schemas.messages import FeedQuality, FeedStatus, InstrumentKey, Source
from schemas.rules import problem_of
from schemas.units import NS_PER_MS, NS_PER_SECOND
from tests.producers.test_feed import START_NS, Bench

KEY = InstrumentKey("v", "S")


@pytest.mark.parametrize("value", [0, 1, 127, 128, 129, 1_000, 65_535, 10**7, 10**15, -5, -131, -(10**9)])
def test_a_latency_is_rounded_within_eight_parts_in_a_thousand(value: int) -> None:
    assert abs(rounded(value) - value) <= abs(value) * 0.008
    assert rounded(rounded(value)) == rounded(value)
    assert rounded(value) == value or abs(value) > 127


def test_sketches_of_parts_add_up_to_that_of_the_whole() -> None:
    random = Random(1)
    latencies = [int(random.lognormvariate(16, 1)) - 4 * NS_PER_MS for _ in range(3_000)]
    whole, parts = LatencySketch(), [LatencySketch() for _ in range(3)]
    for number, latency_ns in enumerate(latencies):
        whole.add(latency_ns)
        parts[number % 3].add(latency_ns)

    assert sum((part.counts for part in parts), Counter()) == whole.counts
    assert sum(part.sum_us for part in parts) == whole.sum_us
    assert sum(whole.counts.values()) == 3_000


def test_a_window_tells_what_was_counted_since_the_one_before() -> None:
    window = QualityWindow(KEY, Source.LIVE, "r", 10, Counted(updates=5, gaps=1))
    window.depth.add(7 * NS_PER_MS)
    window.trades.add(-NS_PER_MS)
    first = window.close(20, Counted(9, 1, 0, 1, 2, 400, 3), ClockBounds(-5, 5))
    second = window.close(30, Counted(9, 2, 0, 1, 2, 410, 3), None)

    assert (first.began_ns, first.received_ns, second.began_ns, second.received_ns) == (10, 20, 20, 30)
    assert (first.updates, first.gaps, first.reopened, first.reopen_failed) == (4, 0, 1, 2)
    assert (first.ids_seen, first.ids_lost, second.ids_seen, second.ids_lost) == (400, 3, 10, 0)
    assert (first.depth_latency_us, first.depth_latency_counts, first.depth_latency_sum_us) == ([7_008], [1], 7_000)
    assert first.trade_latency_sum_us == -1_000
    assert (second.depth_latency_us, second.clock_low_ns, second.gaps) == ([], None, 1)
    assert not problem_of(first)
    assert not problem_of(second)


def test_where_numbers_are_our_own_no_loss_is_told() -> None:
    window = QualityWindow(KEY, Source.LIVE, "r", 10, Counted())

    assert window.close(20, Counted(updates=1), None).ids_lost is None


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([(-500, 600), (-400, 900)], (-400, 600)),
        ([(-500, 600), (700, 900)], (700, 900)),  # a clock was set
        ([], None),
    ],
)
def test_answers_narrow_how_far_the_venues_clock_is_ahead(
    answers: list[tuple[int, int]], expected: tuple[int, int] | None
) -> None:
    clock = VenueClock()
    for low, high in answers:
        clock.note(ClockBounds(low, high))

    assert clock.take() == expected
    assert clock.take() is None


def test_a_feed_tells_each_window_what_it_was_like_and_the_rest_at_its_end() -> None:
    bench = Bench("BTCUSDT", every_s={Fault.GAP: 1.0}, quality_seconds=10.0)
    bench.go_live("BTCUSDT")
    for _ in range(25):
        bench.receive(1.0)
        bench.feed.look()
        if bench.feed.router.streams["BTCUSDT"].needs_snapshot:
            bench.fetch("BTCUSDT")
    bench.feed.stop()
    records = [record for record in bench.of(FeedQuality) if isinstance(record, FeedQuality)]
    stream = bench.feed.router.streams["BTCUSDT"]

    assert len(records) == 3
    assert all(one.received_ns == two.began_ns for one, two in pairwise(records))
    ends_s = [(record.received_ns - START_NS) // NS_PER_SECOND for record in records[:2]]
    assert ends_s == [10, 20], "where the time is a multiple of it"
    assert sum(record.gaps for record in records) == stream.counters.gaps > 5
    assert sum(record.ids_lost or 0 for record in records) == stream.advance().lost > 0
    assert sum(sum(record.depth_latency_counts) for record in records) > 50
    assert sum(sum(record.trade_latency_counts) for record in records) == stream.counters.trades
    assert isinstance(bench.sink.records[-2], FeedStatus)


def test_a_feed_that_another_producer_has_tells_nothing_more() -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    bench.feed.look()
    bench.feed.carried.drop("BTCUSDT")
    bench.clock.advance(120.0)
    bench.feed.look()

    assert bench.of(FeedQuality) == []


def test_what_came_of_a_connection_before_it_carried_a_feed_is_not_the_feeds() -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    bench.connection.attempts.reopenings = Reopenings(stood=7, failed=3)
    bench.feed.carried.announce(Instrument("binance-futures", "ETHUSDT", "0.01", "0.001"))
    bench.feed.carried.carry(["ETHUSDT"])
    bench.connection.attempts.reopenings = Reopenings(stood=8, failed=3)
    bench.feed.stop()
    told = {one.symbol: one for one in bench.of(FeedQuality) if isinstance(one, FeedQuality)}

    assert "ETHUSDT" in bench.connection.symbols
    assert (told["ETHUSDT"].reopened, told["ETHUSDT"].reopen_failed) == (1, 0)
    assert (told["BTCUSDT"].reopened, told["BTCUSDT"].reopen_failed) == (8, 3)


def test_what_waited_for_a_book_and_what_is_not_of_a_feed_is_no_latency() -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    windows = QualityWindows(60.0, Source.LIVE, "", reopenings=lambda _: Reopenings(), clock=VenueClock())
    streams = list(bench.feed.router.streams.values())
    windows.begin(streams[0], START_NS)
    assert list(windows.due(streams, START_NS)) == []
    windows.came(Frame(START_NS, Via.WS, "c"), bench.sink.records)
    (record,) = windows.end(streams[0], START_NS)

    assert record.depth_latency_counts == record.trade_latency_counts == []
