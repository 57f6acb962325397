"""Factors of trades by hand: windows, what was paid, buckets, and planted volatility, impact and slope."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from orderbook.grid import Grid
from processors.factors.bars import Bars
from processors.factors.buckets import MOST_UNITS, VolumeBuckets, bucket_units
from processors.factors.tape import TAPE_MAX, Traded, TradeWindow
from processors.factors.weights import OfiTable
from schemas.errors import UsageError
from schemas.messages import ContractKind, InstrumentKey, L2Record
from tests.processors.feed import SECOND, UNIT_GRID, Feed, factors, fresh, history, process
from tests.processors.feed import Grid as FeedGrid

INVERSE: FeedGrid = ("1", "1", "100", ContractKind.INVERSE)
FINE: FeedGrid = ("0.01", "0.001", "1", ContractKind.LINEAR)


def around(mid: int, half: int = 1, levels: int = 3) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """A book of so many levels a side, the best so far from a mid."""
    return [(mid - half - n, 5) for n in range(levels)], [(mid + half + n, 5) for n in range(levels)]


def moved(feed: Feed, mid: int, to: int, at: int, trades: list[tuple[int, int]]) -> L2Record:
    """A delta that takes such a book from one mid to another, and carries trades."""
    old, new = around(mid), around(to)
    gone = [[(tick, 0) for tick, _ in side] for side in old]
    bids, asks = (list({**dict(was), **dict(now)}.items()) for was, now in zip(gone, new, strict=True))
    return feed.delta(bids, asks, at=at, trades=trades)


def test_volumes_are_a_true_zero_without_trades_and_their_ratio_is_null() -> None:
    feed = Feed()
    found = factors(process([feed.snapshot(*around(100)), feed.delta(at=1_000)]))
    assert (found["trade_buy_1s"], found["trade_sell_1s"], found["trade_count_1s"]) == (0.0, 0.0, 0.0)
    assert (found["trade_flow_1s"], found["effective_spread_bps_1s"]) == (None, None)
    assert found["trade_buy_5s"] is None, "the book has not been LIVE for five seconds"


def test_a_window_ends_with_its_record_and_begins_after_the_moment_a_second_before() -> None:
    feed = Feed()
    records = [feed.snapshot(*around(100))]
    records += [feed.delta(at=at, trades=[(101, lots)]) for at, lots in ((1_000, 7), (1_500, 5), (2_000, -3))]
    result = process(records)
    assert history(result, "trade_buy_1s")[1:] == [7.0, 12.0, 5.0]
    assert history(result, "trade_sell_1s")[1:] == [0.0, 0.0, 3.0]
    assert history(result, "trade_flow_1s")[1:] == [1.0, 1.0, 2 / 8]
    assert history(result, "trade_count_1s")[1:] == [1.0, 2.0, 2.0]


def test_a_trade_of_no_size_is_none() -> None:
    feed = Feed()
    records = [feed.snapshot(*around(100)), feed.delta(at=1_000, trades=[(101, 0)])]
    assert factors(process(records))["trade_count_1s"] == 0.0


def test_volume_of_an_inverse_contract_is_its_worth_over_the_mid() -> None:
    feed = Feed(INVERSE)
    records = [feed.snapshot(*around(50)), feed.delta(at=1_000, trades=[(51, 3)])]
    assert factors(process(records))["trade_buy_1s"] == 3 * 100 / 50


def test_what_is_paid_beyond_the_mid_is_weighed_by_size_and_positive_for_the_taker() -> None:
    feed = Feed()
    records = [feed.snapshot(*around(100)), feed.delta(at=1_000, trades=[(101, 3), (98, -1)])]
    found = factors(process(records))
    assert found["effective_spread_bps_1s"] == pytest.approx((3 * 200 + 1 * 400) / 4, rel=1e-15)


def test_the_mid_of_a_trade_is_that_before_its_record() -> None:
    feed = Feed()
    records = [feed.snapshot(*around(100)), moved(feed, 100, 120, 1_000, [(101, 3)])]
    assert factors(process(records))["effective_spread_bps_1s"] == 200.0


def test_a_break_forgets_all_trades() -> None:
    feed = Feed()
    records = [feed.snapshot(*around(100)), feed.delta(at=900, trades=[(101, 9)]), feed.invalid(at=950)]
    records += [feed.snapshot(*around(100), at=960), feed.delta(at=1_970, trades=[(99, -1)])]
    found = factors(process(records))
    assert (found["trade_buy_1s"], found["trade_sell_1s"]) == (0.0, 1.0)


def test_a_window_has_a_bound_and_says_nothing_while_it_misses_what_it_lost() -> None:
    window = TradeWindow(1)
    now = 5 * SECOND
    for number in range(TAPE_MAX + 1):
        window.add(Traded(now + number, 1, 0, 1, None))
    assert (len(window.records), window.bought, window.trades) == (TAPE_MAX, TAPE_MAX, TAPE_MAX)
    assert not window.is_whole(now + SECOND - 1)
    assert window.is_whole(now + SECOND)


class TestBars:
    def test_a_bar_ends_with_the_last_record_up_to_its_end(self) -> None:
        bars = Bars(SECOND, 60)
        bars.begin(SECOND // 2, 100)
        bars.add(SECOND, 110, 0)  # on the end: inside
        bars.add(SECOND + 1, 121, 7)
        bars.add(2 * SECOND, 133, 2)
        assert list(bars.returns) == [], "the first bar was not whole: its end is only where the next one begins"
        bars.add(2 * SECOND + 1, 133, 0)
        assert list(bars.returns) == [pytest.approx(1e4 * 0.18985, rel=1e-4)]  # ln(133/110)
        assert list(bars.flows) == [9]

    def test_seconds_without_a_record_have_a_return_of_nothing(self) -> None:
        bars = Bars(SECOND, 60)
        bars.begin(1, 100)
        bars.add(5 * SECOND + 1, 150, 3)
        assert list(bars.returns) == [0.0] * 4
        bars.add(10_000 * SECOND, 150, 0)
        assert len(bars.returns) == 60
        assert set(bars.returns) == {0.0}

    def test_a_book_that_was_not_open_at_an_end_has_two_unknown_returns(self) -> None:
        bars = Bars(SECOND, 60)
        bars.begin(1, 100)
        for second, mid in ((1, 100), (2, 0), (3, 100), (4, 100)):
            bars.add(second * SECOND + 1, mid, 0)
        assert list(bars.returns) == [0.0, None, None]


def walk(seconds: int, change_bps: list[float], trades: list[list[tuple[int, int]]]) -> list[L2Record]:
    """A book whose mid makes these changes, a record in the middle of each second, with these trades."""
    feed, mid = Feed(FINE), 5_000_000
    records = [feed.snapshot(*around(mid), at=500)]
    for second in range(1, seconds):
        to = round(mid * exp(change_bps[second] / 1e4))
        records.append(moved(feed, mid, to, 1_000 * second + 500, trades[second]))
        mid = to
    return records


def test_a_planted_volatility_is_recovered() -> None:
    random, seconds = Random(2), 3_000
    changes = [random.gauss(0.0, 3.0) for _ in range(seconds)]
    result = process(walk(seconds, changes, [[]] * seconds))
    for name in ("rv_60s", "bipower_60s"):
        values = [value for value in history(result, name)[65::60] if value is not None]
        mean = (sum(value * value for value in values) / len(values)) ** 0.5
        assert len(values) > 45
        assert mean == pytest.approx(3.0, rel=0.05), name


def test_one_jump_is_in_the_volatility_and_hardly_in_that_without_jumps() -> None:
    random = Random(5)
    changes = [random.gauss(0.0, 1.0) + (60.0 if second == 40 else 0.0) for second in range(70)]
    found = factors(process(walk(70, changes, [[]] * 70)))
    assert (found["rv_60s"] or 0.0) > 7.0
    assert (found["bipower_60s"] or 0.0) < 3.0


def test_a_planted_impact_is_recovered() -> None:
    random, seconds, per_million = Random(3), 70, 12.0
    sizes = [random.choice((-1, 1)) * random.randrange(1, 400) for _ in range(seconds)]  # lots of about 50 quote
    changes = [per_million * lots * 50.0 / 1e6 for lots in sizes]
    result = process(walk(seconds, changes, [[(5_000_000, lots)] for lots in sizes]))
    values = history(result, "kyle_lambda_60s")
    assert values[-1] == pytest.approx(per_million, rel=2e-2)
    assert values[30] is None
    assert values[31] is not None, "30 whole seconds have an end before the next record"


def test_no_impact_is_told_where_nothing_was_traded() -> None:
    assert factors(process(walk(50, [1.0] * 50, [[]] * 50)))["kyle_lambda_60s"] is None


class TestBuckets:
    def test_a_trade_is_split_where_a_bucket_is_full(self) -> None:
        buckets = VolumeBuckets()
        buckets.begin(10)
        buckets.add(4)
        buckets.add(-7)  # six fill it: 4 bought, 6 sold
        assert (list(buckets.gaps), buckets.bought, buckets.sold) == ([2], 0, 1)
        buckets.add(25)  # nine, two whole ones, six left
        assert (list(buckets.gaps), buckets.bought, buckets.sold) == ([2, 8, 10], 4 + 2, 0)

    def test_one_huge_trade_takes_no_longer_than_fifty_buckets(self) -> None:
        buckets = VolumeBuckets()
        buckets.begin(1)
        buckets.add(-(2**80))
        assert list(buckets.gaps) == [1] * 50

    def test_a_bucket_is_ten_thin_notionals_rounded_up(self) -> None:
        assert bucket_units(Grid.of("0.1", "0.001"), 10_000.0) == 10**9
        assert bucket_units(Grid.of("3", "1"), 1.0) == 4
        assert bucket_units(Grid.of("3", "1", "10", ContractKind.INVERSE), 2.0) == 2
        assert bucket_units(Grid.of("1", "1"), 1e-9) == 1

    def test_a_grid_too_fine_for_buckets_has_none(self) -> None:
        assert bucket_units(Grid.of("0.0000000001", "0.0000000001"), 10_000.0) == 0
        buckets = VolumeBuckets()
        buckets.add(2 * MOST_UNITS)
        assert not buckets.gaps

    @pytest.mark.parametrize(("lots", "expected"), [((50,), 1.0), ((25, -25), 0.0), ((40, -10), 0.6)])
    def test_vpin_is_the_mean_imbalance_of_fifty_buckets(self, lots: tuple[int, ...], expected: float) -> None:
        feed, state = Feed(UNIT_GRID), fresh(5.0)
        records = [feed.snapshot([(1, 100)], [(3, 100)])]
        records += [feed.delta(at=at, trades=[(1, size) for size in lots]) for at in range(1, 51)]
        values = history(process(records, state), "vpin_exact")
        assert values[-2] is None
        assert values[-1] == expected


class TestLevels:
    def test_a_book_that_grows_by_the_same_each_bp_has_that_slope(self) -> None:
        mid, step = 1_000_000, 10  # a level of 7 contracts of 100 quote each tenth of a bp
        bids, asks = ([(mid + sign * step * n, 7) for n in range(1, 300)] for sign in (-1, 1))
        found = factors(process([Feed(INVERSE).snapshot(bids, asks)]))
        assert found["depth_slope_bid_25bps"] == pytest.approx(10 * 7 * 100, rel=1e-12)
        assert found["depth_slope_ask_25bps"] == pytest.approx(10 * 7 * 100, rel=1e-12)

    def test_two_levels_have_no_slope_and_no_concentration(self) -> None:
        found = factors(process([Feed().snapshot([(99, 1), (98, 1)], [(101, 1), (102, 1), (103, 1)])]))
        assert (found["depth_slope_bid_25bps"], found["hhi_bid_l20"]) == (None, None)
        assert found["hhi_ask_l20"] is not None

    def test_equal_levels_have_one_share_each_and_scale_changes_nothing(self) -> None:
        for scale in (1, 1_000):
            bids, asks = ([(100 + sign * n, 4 * scale) for n in range(1, 21)] for sign in (-1, 1))
            assert factors(process([Feed(INVERSE).snapshot(bids, asks)]))["hhi_bid_l20"] == pytest.approx(1 / 20)

    def test_flow_at_a_level_is_that_of_its_own_price_and_size(self) -> None:
        feed = Feed()
        bids, asks = around(100, levels=12)
        records = [feed.snapshot(bids, asks), feed.delta([(97, 9)], [(110, 1)], at=1_000)]
        found = factors(process(records))
        assert [found[f"mlofi_{level}_1s"] for level in range(1, 11)] == [0, 0, 4, 0, 0, 0, 0, 0, 0, 4]
        assert found["integrated_ofi_1s"] == pytest.approx((0.8 * 4 + 0.02 * 4) / (12.5 * 4.27))

    def test_a_level_that_was_missing_within_the_second_has_no_flow_for_a_second(self) -> None:
        feed = Feed()
        bids, asks = around(100, levels=2)
        records = [feed.snapshot(bids, asks), *(feed.delta([(98, (at // 100 + 1) % 2)], at=at) for at in (500, 600))]
        records += [feed.delta(at=at) for at in (1_590, 1_600)]
        assert history(process(records), "mlofi_2_1s")[-2:] == [None, 0.0]
        assert history(process(records), "mlofi_1_1s")[-2:] == [0.0, 0.0]


class TestWeights:
    def test_the_newest_row_whose_day_has_begun_is_in_force(self) -> None:
        table = OfiTable(f"v S 2024-08-09 4 {'1 ' * 10}; v S 2024-08-08 2 {'1 ' * 10};")
        day = 1_723_075_200 * SECOND
        key = InstrumentKey("v", "S")
        scales = [table.in_force(key, at).scale for at in (day - 1, day, day + 86_400 * SECOND)]
        assert scales == [0.0, 20.0, 40.0]
        assert table.in_force(InstrumentKey("v", "T"), day).weights == ()

    def test_without_a_row_there_is_no_value(self) -> None:
        feed = Feed()
        bids, asks = around(100, levels=12)
        state = fresh()
        state.ofi_table = OfiTable()
        found = factors(process([feed.snapshot(bids, asks), feed.delta(at=1_000)], state))
        assert (found["mlofi_10_1s"], found["integrated_ofi_1s"]) == (0.0, None)

    @pytest.mark.parametrize(
        "row",
        [
            "v S 2024-08-09 4 1 1",
            f"v S 2024-13-09 4 {'1 ' * 10}",
            f"v S 2024-08-09 0 {'1 ' * 10}",
            f"v S 2024-08-09 4 {'-1 ' * 10}",
            f"v S 2024-08-09 nan {'1 ' * 10}",
            f"v S 2024-08-09 4 {'1 ' * 9} inf",
        ],
    )
    def test_a_row_that_is_none_is_named(self, row: str) -> None:
        with pytest.raises(UsageError, match=r"processor\.ofi_weights has a row that is none"):
            OfiTable(row)
