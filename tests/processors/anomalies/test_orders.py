"""Large orders that come and go untraded while others trade their way are scored, and those that do not are not.

Section 2, "spoofing_like".
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.anomalies.orders import GoneOrder
from schemas.messages import L2Record, LevelSide
from tests.processors.anomalies.books import EVERY_SCORE, FoundSteps, found_steps, traded
from tests.processors.anomalies.brute_orders import FoundOrder, found_orders
from tests.processors.anomalies.traded import traded_records
from tests.processors.feed import Feed

CENTRE = 60_000
"""Mid in ticks of one: ten basis points are sixty of them."""


def book(feed: Feed, at: int = 0) -> L2Record:
    """Ten levels of ten lots a side."""
    bids = [(CENTRE - 1 - away, 10) for away in range(10)]
    return feed.snapshot(bids, [(CENTRE + 1 + away, 10) for away in range(10)], at)


def moved(feed: Feed, up: bool, at: int) -> L2Record:
    """The mid moves by 8.5 ticks, 1.4 basis points: the nearest levels of one side become the other's."""
    near = [CENTRE + 1 + away for away in range(8)] if up else [CENTRE - 1 - away for away in range(8)]
    gone, new = [(tick, 0) for tick in near], [(tick, 10) for tick in near]
    return feed.delta(new, gone, at) if up else feed.delta(gone, new, at)


def came_and_went(
    side: LevelSide, *, lots: int = 50, with_: int = 20, against: int = 0, hit: int = 0, life_ms: int = 2_000
) -> list[L2Record]:
    """An order of so many lots behind the touch, that goes after the mid moved its way."""
    feed, is_bid = Feed(), side is LevelSide.BID
    whole = book(feed)
    tick, sign = (CENTRE - 9, 1) if is_bid else (CENTRE + 9, -1)

    def level(size: int, at: int) -> L2Record:
        return feed.delta([(tick, size)], (), at) if is_bid else feed.delta((), [(tick, size)], at)

    trades = [(CENTRE, sign * with_), (CENTRE, -sign * against), (tick, -sign * hit)]
    came = traded(level(10 + lots, 6_000), (tick, -sign * 1_000))
    away = moved(feed, is_bid, 6_000 + life_ms // 2)
    went = traded(level(10, 6_000 + life_ms), *[one for one in trades if one[1]])
    return [whole, came, away, went]


@pytest.mark.parametrize("side", LevelSide)
def test_an_order_that_comes_and_goes_is_scored_alike_on_both_sides(side: LevelSide) -> None:
    [gone] = found_steps(came_and_went(side)).gone
    assert (gone.order.side, gone.order.added_lots, gone.order.side_lots, gone.removed_lots) == (side, 50, 100, 50)
    assert (gone.life_s, gone.order.with_lots, gone.order.traded_lots) == (2.0, 20, 0)
    assert gone.move_bps == pytest.approx(1.4167, abs=0.0002)
    assert gone.score == 1.0


def test_a_score_is_the_geometric_mean_of_its_four_parts() -> None:
    [gone] = found_steps(came_and_went(LevelSide.BID, lots=30, with_=30, against=10, hit=3)).gone
    parts = (0.3 / 0.4, (0.9 - 0.8) / 0.2, 1.0, 2.0 * 30 / 43 - 1.0)
    assert gone.score == pytest.approx((parts[0] * parts[1] * parts[2] * parts[3]) ** 0.25)


@pytest.mark.parametrize(
    "made",
    [
        came_and_went(LevelSide.BID, hit=50),
        came_and_went(LevelSide.BID, with_=10, against=10),
        came_and_went(LevelSide.ASK, life_ms=499),
        [record for at, record in enumerate(came_and_went(LevelSide.BID)) if at != 2],
    ],
    ids=["traded", "trades both ways", "a flicker", "a gap"],
)
def test_an_order_that_lacks_one_of_them_is_no_pattern(made: list[L2Record]) -> None:
    assert found_steps(made).gone == []


def test_trades_of_the_record_that_lets_an_order_grow_come_before_it() -> None:
    """A thousand lots at its price against it, in that record: none of them counts."""
    [gone] = found_steps(came_and_went(LevelSide.BID)).gone
    assert (gone.order.traded_lots, gone.order.against_lots) == (0, 0)


def test_without_trades_in_the_records_no_order_is_scored() -> None:
    records = [traded(record) for record in came_and_went(LevelSide.BID)]
    found = found_steps(records, EVERY_SCORE)
    assert (found.gone, found.counts) == ([], Counter(orders_watched=1, orders_unscored=1))


def test_an_order_on_a_book_that_was_just_made_whole_is_not_watched() -> None:
    feed = Feed()
    records = [book(feed), feed.delta([(CENTRE - 9, 60)], (), 4_999), feed.delta([(CENTRE - 8, 60)], (), 5_000)]
    [order] = found_steps(records).state.memory.orders
    assert order.tick == CENTRE - 8


def test_an_order_that_stands_for_longer_than_half_a_minute_is_not_scored() -> None:
    for late, counted in ((30_000, "orders_scored"), (30_001, "orders_unscored")):
        found = found_steps(came_and_went(LevelSide.BID, life_ms=late), EVERY_SCORE)
        assert found.counts == Counter({"orders_watched": 1, counted: 1})


def test_a_break_ends_what_is_watched_without_a_score() -> None:
    feed = Feed()
    records = [book(feed), feed.delta([(CENTRE - 9, 60)], (), 6_000), feed.invalid(7_000)]
    found = found_steps(records, EVERY_SCORE)
    assert (found.state.memory.orders, found.counts["orders_unscored"]) == ([], 1)


def test_a_snapshot_of_another_producer_ends_what_is_watched_too() -> None:
    feed = Feed()
    records = [book(feed), feed.delta([(CENTRE - 9, 60)], (), 6_000)]
    feed.epoch += 1
    found = found_steps([*records, book(feed, 7_000)], EVERY_SCORE)
    assert (found.state.memory.orders, found.counts["orders_unscored"]) == ([], 1)


def drawn_records(seed: int, count: int) -> list[L2Record]:
    """A few levels a side that come, grow and go at random while the mid drifts and most trades go its way."""
    random, feed, at = Random(seed), Feed(), 0
    records, lean = [book(feed)], random.choice((-1, 1))
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for side, ticks, lots in zip(sides, (records[0].bid_ticks, records[0].ask_ticks), [[10] * 10] * 2, strict=True):
        side.update(zip(ticks, lots, strict=True))
    for number in range(count):
        at += random.choice((0, 100, 300, 300, 1_000, 3_000))
        middle = CENTRE + lean * number // 4 + random.choice((-6, 0, 6))
        sizes = (0, 0, 1, 5, 20, 80)
        bids = {middle - 1 - random.randrange(70): random.choice(sizes) for _ in range(random.randrange(4))}
        asks = {middle + 1 + random.randrange(70): random.choice(sizes) for _ in range(random.randrange(4))}
        crossed = random.random() < 0.03
        if not crossed:
            bids |= {tick: 0 for tick in sides[0] if asks and tick >= min(asks)}
            asks |= {tick: 0 for tick in sides[1] if bids and tick <= max(bids)}
        for side, new in zip(sides, (bids, asks), strict=True):
            side.update(new)
        trades = [(middle + random.randrange(-9, 9), lean * random.choice((-1, 9))) for _ in range(random.randrange(3))]
        records.append(traded(feed.delta(list(bids.items()), list(asks.items()), at), *trades))
    return records


def is_whole(found: FoundSteps, records: list[L2Record]) -> bool:
    """Whether the book was LIVE all the time: one that is crossed for too long is not."""
    return found.state.tracked.is_live and found.state.memory.live_since_ns == records[0].received_ns


def told(gone: GoneOrder, closed: int) -> tuple[bool, int, int, int]:
    order = gone.order
    return (order.side is LevelSide.BID, order.tick, order.opened_offset, closed)


@given(st.integers(0, 10**6))
def test_orders_are_those_that_brute_force_finds(seed: int) -> None:
    records = drawn_records(seed, 60)
    records[1] = traded(records[1], (CENTRE, 1))
    while not is_whole(found := found_steps(records, EVERY_SCORE), records):
        records.pop()
    brute = found_orders(records)
    assert found.counts["orders_watched"] == len(brute)
    scored = {one[:4]: one.score for one in brute if one.score is not None}
    ours = {told(step, offset): step.score for offset, step in found.steps if isinstance(step, GoneOrder)}
    assert ours == pytest.approx(scored, abs=1e-9)


def test_brute_force_has_something_to_find() -> None:
    found: list[FoundOrder] = []
    for seed in range(40):
        records = drawn_records(seed, 60)
        while not is_whole(found_steps(records), records):
            records.pop()
        found += found_orders(records)
    assert sum(one.score is None for one in found) > 10
    assert sum((one.score or 0.0) > 0.0 for one in found) > 3


GOLDEN = {"binance-futures": (27, 26, 0), "binance": (3, 2, 0)}
"""Orders watched, gone, published."""


@pytest.mark.recorded
@pytest.mark.slow
@pytest.mark.parametrize("venue", GOLDEN)
def test_the_recordings_give_the_measured_orders(recordings: Path, venue: str) -> None:
    found = found_steps(traded_records(recordings, venue))
    assert (found.counts["orders_watched"], found.counts["orders_scored"], len(found.gone)) == GOLDEN[venue]
    assert found.steps == [], "nor does a spread become wide"
