"""A window is what its events say, closed by events and never by a clock."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.regimes.window import WINDOW_NS, OpenWindow, is_possible
from schemas.factors import FACTOR_NAMES
from schemas.messages import FactorEvent, Status
from schemas.units import NS_PER_SECOND


def event(at_s: float, status: Status = Status.OK, **factors: float) -> FactorEvent:
    values = tuple(factors.get(name) for name in FACTOR_NAMES)
    return FactorEvent(0, 0, int(at_s * NS_PER_SECOND), status, values)


def filled(*events: FactorEvent, before: OpenWindow | None = None) -> OpenWindow:
    window = OpenWindow.starting(events[0].received_ns, before)
    for each in events:
        window.add(each)
    return window


AT_100 = filled(event(-1.0, mid=100.0))


def test_a_window_is_aligned_to_the_epoch() -> None:
    window = OpenWindow.starting(1_723_161_257 * NS_PER_SECOND + 5)
    assert window.start_ns % WINDOW_NS == 0
    assert window.start_ns <= 1_723_161_257 * NS_PER_SECOND + 5 < window.end_ns


def test_means_weigh_the_time_that_a_value_held() -> None:
    """Section 0: the value that held over (t', t] has weight t - t'; where the book is not usable, none held."""
    window = filled(
        event(1.0, mid=100.0, obi_10bps=0.2, ofi_l1=3.0, spread_bps=1.0),
        event(2.0, mid=100.0, obi_10bps=0.5, spread_bps=3.0),
        event(2.5, mid=100.0, spread_bps=3.0),
        event(3.0, status=Status.CROSSED, mid=100.0, spread_bps=-9.0, obi_10bps=-1.0),
        event(4.0, mid=100.0, obi_10bps=-0.1, spread_bps=5.0, bid_depth_10bps=2.0, ask_depth_10bps=3.0),
    )
    summary = window.close()
    assert (summary.events, summary.usable_events) == (5, 4)
    assert math.isclose(summary.imbalance or 0.0, (0.2 * 1.0 + 0.5 * 0.5 - 0.1 * 1.0) / 2.5)
    assert summary.order_flow == 3.0
    assert summary.spread_bps == (1.0 * 1.0 + 3.0 * 1.0 + 5.0 * 1.0) / 3.0
    assert summary.depth == 5.0
    [following] = [filled(event(8.0, mid=100.0, obi_10bps=0.9), before=window).close()]
    assert math.isclose(following.imbalance or 0.0, (-0.1 * 3.0 + 0.9 * 2.0) / 5.0), "what held before holds on"


def test_nothing_holds_on_over_a_break() -> None:
    before = filled(event(1.0, mid=100.0, obi_10bps=0.2), event(4.0, status=Status.RESYNCING))
    assert filled(event(8.0, mid=100.0, obi_10bps=0.9), before=before).close().imbalance == 0.9


def test_the_last_values_are_those_of_the_last_usable_event() -> None:
    summary = filled(
        event(1.0, mid=100.0, obi_l1=0.1, obi_l5=0.2, ofi_l1_1s=4.0),
        event(2.0, mid=100.0, obi_l1=-0.3, ofi_l1_1s=-2.0),
        event(3.0, status=Status.CROSSED, obi_l1=1.0, obi_l5=1.0, ofi_l1_1s=1.0),
    ).close()
    assert (summary.obi_l1_last, summary.obi_l5_last, summary.ofi_l1_1s_last) == (-0.3, None, -2.0)


def test_trades_are_those_of_the_five_seconds_up_to_the_last_usable_event() -> None:
    """Section 4: signed size; a window is as long as the factors' five seconds."""
    summary = filled(
        event(1.0, mid=100.0, trade_buy_5s=9.0, trade_sell_5s=1.0, trade_count_5s=4.0),
        event(2.0, mid=100.0, trade_buy_5s=1.5, trade_sell_5s=4.0, trade_count_5s=3.0),
        event(3.0, status=Status.CROSSED, trade_buy_5s=7.0, trade_sell_5s=0.0, trade_count_5s=1.0),
    ).close()
    assert WINDOW_NS == 5 * NS_PER_SECOND
    assert (summary.trade_flow, summary.trade_volume) == (-2.5, 5.5)


@pytest.mark.parametrize(
    "last",
    [
        {"trade_buy_5s": 0.0, "trade_sell_5s": 0.0, "trade_count_5s": 0.0},
        {"trade_buy_5s": 1.0, "trade_sell_5s": 2.0},
        {"trade_buy_5s": 1.0, "trade_count_5s": 1.0},
        {"trade_sell_5s": 1.0, "trade_count_5s": 1.0},
        {},
    ],
)
def test_without_a_trade_up_to_the_last_usable_event_there_is_no_flow(
    last: dict[str, float],
) -> None:
    traded = event(1.0, mid=100.0, trade_buy_5s=9.0, trade_sell_5s=1.0, trade_count_5s=4.0)
    summary = filled(traded, event(2.0, mid=100.0, **last)).close()
    assert (summary.trade_flow, summary.trade_volume) == (None, None)


def test_a_window_without_a_usable_event_takes_no_trades_from_the_one_before() -> None:
    before = filled(event(1.0, mid=100.0, trade_buy_5s=9.0, trade_sell_5s=1.0, trade_count_5s=4.0))
    summary = filled(event(6.0, status=Status.CROSSED), before=before).close()
    assert (before.close().trade_flow, summary.trade_flow, summary.trade_volume) == (8.0, None, None)


@given(st.floats(0.0, 1e100), st.floats(0.0, 1e100))
def test_the_flow_of_trades_is_never_larger_than_their_volume(bought: float, sold: float) -> None:
    summary = filled(event(1.0, mid=100.0, trade_buy_5s=bought, trade_sell_5s=sold, trade_count_5s=1.0)).close()
    assert summary.trade_flow is not None
    assert summary.trade_volume is not None
    assert abs(summary.trade_flow) <= summary.trade_volume


@pytest.mark.parametrize("name", ["trade_buy_5s", "trade_sell_5s", "trade_count_5s"])
@pytest.mark.parametrize("value", [-1.0, 1e101, 1e-101])
def test_trades_that_no_book_has_are_impossible(name: str, value: float) -> None:
    assert is_possible(event(1.0, mid=100.0, **{name: 2.0}))
    assert not is_possible(event(1.0, mid=100.0, **{name: value}))


def test_realised_variance_takes_the_mid_known_at_each_second() -> None:
    summary = filled(
        event(0.5, mid=101.0), event(1.5, mid=200.0), event(1.9, mid=102.0), event(4.9, mid=103.0), before=AT_100
    ).close()
    steps = [math.log(101 / 100), math.log(102 / 101), 0.0, 0.0, math.log(103 / 102)]
    assert math.isclose(summary.realised_variance or 0.0, sum(step * step for step in steps), rel_tol=1e-12)


def test_a_window_with_a_resync_inside_has_no_variance() -> None:
    summary = filled(event(0.5, mid=101.0), event(1.0, status=Status.RESYNCING), event(2.0, mid=90.0)).close()
    assert not summary.whole
    assert summary.realised_variance is None


def test_the_return_is_measured_from_the_mid_before_the_window() -> None:
    summary = filled(event(0.5, mid=101.0), before=AT_100).close()
    assert math.isclose(summary.return_bps or 0.0, 1e4 * math.log(1.01))
    assert filled(event(0.5, mid=101.0)).close().return_bps is None
