"""The factors by hand, and the laws every one of them obeys."""

from fractions import Fraction
from math import exp, isfinite, log, sqrt
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.factors import FACTORS
from schemas.messages import ContractKind
from tests.processors.feed import UNIT_GRID, Feed, Grid, factors, fresh, history, process

MID = 1_000
IMBALANCES = ("obi_l1", "obi_l3", "obi_l5", "obi_l10", "obi_l20", "obi_weighted", "obi_decay_bps", "micro_price_imb")
SIDE = st.dictionaries(st.integers(1, 60), st.integers(1, 1_000), min_size=1, max_size=25)


class Sides(NamedTuple):
    """A book round `MID`: size by distance from it, both sides."""

    bids: dict[int, int]
    asks: dict[int, int]

    def swapped(self) -> "Sides":
        return Sides(self.asks, self.bids)

    def bid_levels(self) -> list[tuple[int, int]]:
        return [(MID - distance, lots) for distance, lots in self.bids.items()]

    def ask_levels(self) -> list[tuple[int, int]]:
        return [(MID + distance, lots) for distance, lots in self.asks.items()]


def anchored(draw: tuple[dict[int, int], dict[int, int]]) -> Sides:
    """Both best prices equally far from `MID`, so that it is the mid."""
    bids, asks = draw
    return Sides({**bids, 1: bids.get(1, 7)}, {**asks, 1: asks.get(1, 9)})


BOOKS = st.tuples(SIDE, SIDE).map(anchored)


def of(sides: Sides, grid: Grid = UNIT_GRID) -> dict[str, float | None]:
    return factors(process([Feed(grid).snapshot(sides.bid_levels(), sides.ask_levels())]))


def after(before: Sides, now: Sides) -> dict[str, float | None]:
    """The factors after a delta that turns one book into another."""
    feed = Feed()
    gone_bids = [(MID - distance, 0) for distance in before.bids]
    gone_asks = [(MID + distance, 0) for distance in before.asks]
    return factors(
        process(
            [
                feed.snapshot(before.bid_levels(), before.ask_levels()),
                feed.delta(gone_bids + now.bid_levels(), gone_asks + now.ask_levels()),
            ]
        )
    )


def number(value: float | None) -> float:
    assert value is not None
    return value


# by hand

HAND = Sides({1: 3, 2: 1}, {1: 1, 2: 3})
"""Bids 3 at 999, 1 at 998; asks 1 at 1001, 3 at 1002."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best_bid", 999.0),
        ("best_ask", 1001.0),
        ("best_bid_size", 3.0),
        ("best_ask_size", 1.0),
        ("mid", 1000.0),
        ("spread", 2.0),
        ("spread_bps", 20.0),
        ("bid_levels", 2.0),
        ("ask_levels", 2.0),
        ("obi_l1", 0.5),
        ("obi_l3", 0.0),
        ("bid_volume_l10", 4.0),
        ("ask_volume_l10", 4.0),
        ("bid_ask_ratio", 1.0),
        ("obi_weighted", (2 / 1.001 - 2 * 0.9 / 1.002) / (4 / 1.001 + 4 * 0.9 / 1.002)),
        ("obi_decay_bps", (2 - 2 * exp(-2)) / (4 + 4 * exp(-2))),
        ("micro_price_imb", 1 / 6),
        ("pressure_score", 5 / 7),
        ("obi_vwap", 0.00025),
        ("size_dispersion", None),
        ("size_cv", None),
        ("obi_change_rate", None),
        ("weighted_mid", 1000.5),
        ("weighted_mid_adjusted", 1000.75),
        ("ofi_l1", None),
        ("ofi_l5", None),
        ("ofi_l1_1s", None),
        ("bid_depth_5bps", 0.0),
        ("bid_depth_10bps", 2997.0),
        ("bid_depth_25bps", 3995.0),
        ("ask_depth_5bps", 0.0),
        ("ask_depth_10bps", 1001.0),
        ("ask_depth_25bps", 4007.0),
        ("obi_10bps", 1996 / 3998),
        ("obi_l1_z", None),
        ("removal_ratio_1s", None),
        ("liquidity_shift", None),
        ("confidence", 0.08002),
    ],
)
def test_a_book_of_four_levels_by_hand(name: str, value: float | None) -> None:
    found = of(HAND)[name]
    assert found == (None if value is None else pytest.approx(value, rel=1e-14))


def test_dispersion_is_the_sample_deviation_of_the_pooled_sizes() -> None:
    found = of(Sides({1: 1, 2: 2, 3: 3}, {1: 4, 2: 5, 3: 9}))
    assert found["size_dispersion"] == pytest.approx(sqrt(40 / 5))
    assert found["size_cv"] == pytest.approx(sqrt(40 / 5) / 4)


def test_a_band_includes_its_ends_and_ends_on_the_tick() -> None:
    feed = Feed()
    bids, asks = [(19_999, 1), (19_990, 1), (19_980, 1), (19_979, 1)], [(20_001, 1), (20_010, 1), (20_011, 1)]
    found = factors(process([feed.snapshot(bids, asks)]))
    assert found["bid_depth_5bps"] == 19_999.0 + 19_990.0  # 5 bps of 20,000 are 10
    assert found["bid_depth_10bps"] == 19_999.0 + 19_990.0 + 19_980.0
    assert found["ask_depth_5bps"] == 20_001.0 + 20_010.0


FLOWS = [
    # what the delta does to best bid 999 × 3 and best ask 1001 × 1, and the flow
    ([(999, 5)], [], 2.0),  # more bid
    ([(999, 1)], [], -2.0),
    ([(1000, 4)], [], 4.0),  # a better bid counts whole
    ([(999, 0)], [], -3.0),  # the best bid falls to 998: it left whole
    ([], [(1001, 3)], -2.0),  # more ask
    ([], [(1000, 4)], -4.0),
    ([], [(1001, 0)], 1.0),
    ([(999, 5)], [(1001, 0)], 3.0),
    ([(998, 9)], [(1002, 9)], 0.0),  # behind the best
    ([], [], 0.0),
]


@pytest.mark.parametrize(("bids", "asks", "flow"), FLOWS)
def test_order_flow_at_the_best_by_hand(bids: list[tuple[int, int]], asks: list[tuple[int, int]], flow: float) -> None:
    feed = Feed()
    found = factors(process([feed.snapshot(HAND.bid_levels(), HAND.ask_levels()), feed.delta(bids, asks)]))
    assert found["ofi_l1"] == flow
    assert found["ofi_l5"] is None, "there are no five levels"


def test_order_flow_of_five_levels_moves_whole_queues_where_a_level_is_inserted() -> None:
    levels = {distance: 10 * distance for distance in range(1, 8)}
    feed = Feed()
    book = Sides(levels, levels)
    found = factors(
        process([feed.snapshot(book.bid_levels(), book.ask_levels()), feed.delta([(MID - 2, 0)], [(MID + 1, 13)])])
    )
    # Bids 20,30,40,50 at levels 2-5 become 30,40,50,60 at lower prices: each old queue left. The best ask gained 3.
    assert found["ofi_l5"] == -(20 + 30 + 40 + 50) - 3
    assert found["ofi_l1"] == -3


def test_an_empty_side_before_leaves_no_flow_to_speak_of() -> None:
    feed = Feed()
    records = [feed.snapshot([(999, 1)], []), feed.delta([], [(1001, 1)]), feed.delta([(999, 2)])]
    assert history(process(records), "ofi_l1") == [None, None, 1.0]


def test_a_crossed_book_before_still_counts_as_before() -> None:
    feed = Feed()
    records = [
        feed.snapshot([(999, 1)], [(1001, 1)]),
        feed.delta([(1002, 5)]),
        feed.delta([(1002, 0)]),
    ]
    assert history(process(records), "ofi_l1") == [None, None, -5.0]


# inverse contracts


def test_an_inverse_book_has_sizes_in_base_and_notionals_in_quote() -> None:
    grid: Grid = ("1", "1", "100", ContractKind.INVERSE)
    found = of(HAND, grid)
    assert found["best_bid_size"] == 300 / 999
    assert found["obi_l1"] == 0.5, "from contracts"
    assert found["bid_volume_l10"] == pytest.approx(300 / 999 + 100 / 998, rel=1e-15)
    assert found["bid_depth_25bps"] == 400.0
    assert found["confidence"] == 800 / 100_000
    share = (300 / 999) / (300 / 999 + 100 / 1001)
    assert found["weighted_mid"] == pytest.approx(999 + 2 * share, rel=1e-15)


def test_a_linear_contract_value_scales_sizes_and_notionals_alone() -> None:
    grid: Grid = ("1", "1", "0.01", ContractKind.LINEAR)
    plain, found = of(HAND), of(HAND, grid)
    for factor in FACTORS:
        scale = 0.01 if factor.unit == "base" or "depth" in factor.name or factor.name == "confidence" else 1.0
        expected = plain[factor.name]
        assert found[factor.name] == (None if expected is None else pytest.approx(expected * scale)), factor.name


# laws


@given(BOOKS)
def test_swapping_the_sides_flips_every_imbalance(sides: Sides) -> None:
    found, swapped = of(sides), of(sides.swapped())
    for name in IMBALANCES:
        assert number(swapped[name]) == -number(found[name]), name
    assert number(swapped["obi_vwap"]) == pytest.approx(-number(found["obi_vwap"]), abs=1e-15)
    assert number(swapped["pressure_score"]) == pytest.approx(1 / number(found["pressure_score"]))
    assert number(swapped["weighted_mid"]) == pytest.approx(2 * MID - number(found["weighted_mid"]))
    assert swapped["size_cv"] == pytest.approx(found["size_cv"])


@given(BOOKS, BOOKS)
def test_swapping_the_sides_flips_the_order_flow(before: Sides, now: Sides) -> None:
    found, swapped = after(before, now), after(before.swapped(), now.swapped())
    for name in ("ofi_l1", "ofi_l5"):
        assert swapped[name] == (None if found[name] is None else -number(found[name]))


@given(BOOKS, BOOKS)
def test_order_flow_undone_sums_to_zero_where_the_prices_stay(before: Sides, now: Sides) -> None:
    sizes = Sides(dict.fromkeys(before.bids, 5), dict.fromkeys(before.asks, 6))
    there, back = after(before, sizes)["ofi_l1"], after(sizes, before)["ofi_l1"]
    assert number(there) == -number(back)


@given(BOOKS, st.sampled_from([2, 3, 1_000]))
def test_scaling_all_sizes_changes_no_ratio(sides: Sides, scale: int) -> None:
    scaled = Sides({d: n * scale for d, n in sides.bids.items()}, {d: n * scale for d, n in sides.asks.items()})
    found, again = of(sides), of(scaled)
    for name in (*IMBALANCES, "bid_ask_ratio", "pressure_score", "obi_vwap", "size_cv", "weighted_mid", "obi_10bps"):
        assert again[name] == (None if found[name] is None else pytest.approx(found[name], rel=1e-12, abs=1e-15)), name


@given(BOOKS)
def test_every_value_is_finite_and_within_its_declared_range(sides: Sides) -> None:
    found = of(sides)
    for factor in FACTORS:
        value = found[factor.name]
        if value is not None:
            assert isfinite(value)
            assert factor.low is None or factor.low <= value, factor.name
            assert factor.high is None or value <= factor.high, factor.name


@given(BOOKS, st.integers(0, 30), st.integers(1, 500))
def test_more_bid_size_never_lowers_an_imbalance(sides: Sides, place: int, more: int) -> None:
    distance = sorted(sides.bids)[place % len(sides.bids)]
    found = of(sides)
    heavier = of(Sides({**sides.bids, distance: sides.bids[distance] + more}, sides.asks))
    for name in IMBALANCES:
        assert number(heavier[name]) >= number(found[name]) - 1e-15, name


@given(BOOKS)
def test_one_level_without_weights_is_the_queue_imbalance(sides: Sides) -> None:
    bid, ask = sides.bids[1], sides.asks[1]
    assert of(sides)["obi_l1"] == (bid - ask) / (bid + ask)


@given(BOOKS, st.randoms())
def test_the_order_of_the_input_levels_does_not_matter(sides: Sides, random: Random) -> None:
    bids, asks = sides.bid_levels(), sides.ask_levels()
    random.shuffle(bids)
    random.shuffle(asks)
    shuffled = process([Feed().snapshot(bids, asks)])
    assert shuffled.values == process([Feed().snapshot(sorted(bids), sorted(asks))]).values


@given(BOOKS, st.sampled_from(["1", "0.1", "0.01", "0.3", "0.00007"]))
def test_the_weighted_mid_never_leaves_the_quote(sides: Sides, tick_size: str) -> None:
    found = of(sides, (tick_size, "0.001", "1", ContractKind.SPOT))
    assert number(found["best_bid"]) <= number(found["weighted_mid"]) <= number(found["best_ask"])


def test_the_adjusted_weighted_mid_can_leave_the_quote() -> None:
    found = of(Sides({1: 1_000}, {1: 1}))
    assert number(found["weighted_mid_adjusted"]) > number(found["best_ask"])


@given(BOOKS)
def test_bands_are_nested(sides: Sides) -> None:
    found = of(sides)
    for side in ("bid", "ask"):
        five, ten, all_ = (number(found[f"{side}_depth_{bps}bps"]) for bps in (5, 10, 25))
        assert 0 <= five <= ten <= all_


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)), max_size=6))
def test_the_largest_integers_give_finite_values_or_none(levels: list[tuple[int, int]]) -> None:
    for kind in (ContractKind.SPOT, ContractKind.INVERSE):
        feed = Feed(("0.00000001", "0.00000001", "1000000", kind))
        half = len(levels) // 2
        records = [feed.snapshot(levels[:half], levels[half:]), feed.delta(levels[half:], levels[:half], at=1_500)]
        for values in process(records).values:
            assert all(value is None or isfinite(value) for value in values)


def test_a_wide_spread_does_not_push_every_decay_weight_below_the_smallest_float() -> None:
    feed = Feed()
    found = factors(process([feed.snapshot([(1, 3), (0, 1)], [(1_000_000, 1)])]))
    assert found["obi_decay_bps"] == pytest.approx((3 + exp(-2 * 2 / 1_000_001 * 1e4 / 2 / 5) - 1) / (5), rel=0.01)


# against the past


def opened(feed: Feed, count: int) -> list[tuple[int, int]]:
    """Best bid sizes 1, 2, 3 … against an ask of 10: distinct imbalances."""
    return [(999, size) for size in range(1, count + 1)]


def imbalance(size: int) -> float:
    return (size - 10) / (size + 10)


def test_change_rate_z_and_shift_need_their_previous_events() -> None:
    feed = Feed()
    records = [feed.snapshot([(999, 1)], [(1001, 10)])]
    records += [feed.delta([(999, size)], at=size) for size in range(2, 25)]
    result = process(records)
    change, z, shift = (history(result, name) for name in ("obi_change_rate", "obi_l1_z", "liquidity_shift"))
    assert [value is None for value in change] == [True] * 2 + [False] * 22
    assert [value is None for value in z] == [True] * 20 + [False] * 4
    assert [value is None for value in shift] == [True] * 20 + [False] * 4

    assert change[2] == pytest.approx(imbalance(3) - (imbalance(1) + imbalance(2)) / 2)
    assert change[15] == pytest.approx(imbalance(16) - sum(map(imbalance, range(6, 16))) / 10)
    past = [imbalance(size) for size in range(2, 22)]
    mean = sum(past) / 20
    deviation = sqrt(sum((value - mean) ** 2 for value in past) / 19)
    assert z[21] == pytest.approx((imbalance(22) - mean) / deviation)
    depths = [999 * size + 10_010 for size in range(2, 22)]
    assert shift[21] == pytest.approx(log((999 * 22 + 10_010) / (sum(depths) / 20)))


def test_a_flat_past_has_no_z_score_and_a_value_is_never_in_its_own_window() -> None:
    feed = Feed()
    records = [feed.snapshot([(999, 1)], [(1001, 10)]), *(feed.delta() for _ in range(25)), feed.delta([(999, 2)])]
    result = process(records)
    assert history(result, "obi_l1_z") == [None] * 27
    assert history(result, "obi_change_rate")[-1] == pytest.approx(imbalance(2) - imbalance(1))


def test_only_ok_and_thin_events_are_previous_events() -> None:
    feed = Feed()
    records = [
        feed.snapshot([(999, 1)], [(1001, 10)]),
        feed.delta([(1001, 4)]),  # locked
        feed.delta([(1001, 0)], [(1001, 0)]),  # one-sided
        feed.delta([], [(1001, 10)]),
        feed.delta([(999, 5)]),
    ]
    change = history(process(records), "obi_change_rate")
    assert change == [None, None, None, None, pytest.approx(imbalance(5) - imbalance(1))]


def test_liquidity_shift_is_null_without_depth_near_mid() -> None:
    feed = Feed()
    records = [feed.snapshot([(900, 1)], [(1_100, 1)]), *(feed.delta() for _ in range(25))]
    assert history(process(records), "liquidity_shift") == [None] * 26
    assert history(process(records), "obi_10bps") == [None] * 26


# the last second


def test_windows_are_open_at_the_start_closed_at_the_end_null_for_the_first_second() -> None:
    feed = Feed()
    start = feed.snapshot([(999, 10)], [(1001, 10)], at=0)
    sizes = [(11, 100), (13, 999), (16, 1_000), (17, 1_100), (18, 1_999), (18, 2_000)]
    result = process([start, *(feed.delta([(999, size)], at=at) for size, at in sizes)])
    assert history(result, "ofi_l1_1s") == [
        None,
        None,
        None,  # LIVE for 999 ms
        1.0 + 2.0 + 3.0,
        2.0 + 3.0 + 1.0,  # the flow at 100 ms is exactly a second old: out
        3.0 + 1.0 + 1.0,  # and so is the one at 999 ms
        1.0 + 1.0 + 0.0,
    ]


def test_a_window_of_nulls_is_null() -> None:
    feed = Feed()
    records = [feed.snapshot([(999, 1)], []), feed.delta([], [(1001, 1)], at=1_500)]
    assert history(process(records), "ofi_l1_1s") == [None, None]


def test_removal_counts_lots_added_and_removed_at_the_union_of_the_tops() -> None:
    feed = Feed()
    deep = [(MID - distance, 5) for distance in range(1, 31)]
    records = [
        feed.snapshot(deep, [(1001, 10)]),
        feed.delta([(MID - 1, 9), (MID - 2, 3), (MID - 30, 100)], [], at=1_000),  # +4, -2; the 30th is out of sight
    ]
    assert history(process(records), "removal_ratio_1s")[1] == 2 / 6


def test_removal_sees_a_level_beyond_the_top_that_the_same_record_brings_into_it() -> None:
    feed = Feed()
    deep = [(MID - distance, 5) for distance in range(1, 22)]
    records = [feed.snapshot(deep, [(1001, 10)]), feed.delta([(MID - 1, 0), (MID - 21, 8)], [], at=1_000)]
    assert history(process(records), "removal_ratio_1s")[1] == 5 / 8


def test_removal_counts_deltas_of_locked_and_one_sided_books_too() -> None:
    feed = Feed()
    records = [
        feed.snapshot([(999, 10)], [(1001, 10)]),
        feed.delta([], [(1001, 0)], at=500),  # removes 10, one-sided
        feed.delta([], [(1001, 30)], at=1_000),  # adds 30
    ]
    assert history(process(records), "removal_ratio_1s") == [None, None, 10 / 40]


def test_a_window_in_which_nothing_changed_near_the_top_has_no_removal_ratio() -> None:
    feed = Feed()
    assert (
        history(process([feed.snapshot([(999, 1)], [(1001, 1)]), feed.delta(at=1_000)]), "removal_ratio_1s")[1] is None
    )


def test_a_price_named_twice_in_one_record_counts_once_with_its_last_size() -> None:
    feed = Feed()
    records = [feed.snapshot([(999, 10)], [(1001, 10)]), feed.delta([(999, 0), (999, 14)], [(1001, 9)], at=1_000)]
    assert history(process(records), "removal_ratio_1s")[1] == 1 / 5


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30))
def test_order_flow_sums_of_whole_lots_are_exact(steps: list[int]) -> None:
    feed = Feed(("1", "0.00001", "1", ContractKind.SPOT))
    at, records = 0, [feed.snapshot([(999, 10**9)], [(1001, 1)])]
    for row, step in enumerate(steps):
        at += step
        records.append(feed.delta([(999, 10**9 - row * row)], at=at))
    assume(at >= 1_000)
    flow = history(process(records), "ofi_l1_1s")[-1]
    start = next(i for i, record in enumerate(records) if record.received_ns > records[-1].received_ns - 10**9)
    first, last = records[max(start - 1, 0)].bid_lots[0], records[-1].bid_lots[0]
    assert flow == float(Fraction(last - first, 100_000))


def test_the_state_of_a_threshold_decides_confidence() -> None:
    snapshot = Feed().snapshot([(999, 1)], [(1001, 1)])
    assert factors(process([snapshot], fresh(200.0)))["confidence"] == 1.0
    assert factors(process([snapshot], fresh(400.0)))["confidence"] == 0.5
