"""The factor list: one line a factor. Names are the columns of `factors` and the fields of `FactorEvent`.

Levels k = 1, 2 … from the best; b, a prices; B, A sizes in base units; mid = (b_1 + a_1)/2; "top n" = the first
min(n, available) levels of a side. A factor that reads a price beyond what is known of the book is null. The functions
are in `processors/factors/`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

FACTOR_SET = "a2"
"""Version of this list: rises when a definition changes, not when a factor is added."""


EVENT_HEAD: Final = ("source_offset", "sequence", "exchange_ns", "received_ns", "decided_ns", "status")
"""What an event has on the wire besides factors."""


class Factor(NamedTuple):
    """One factor.

    Attributes:
        name: Field and column name.
        unit: Unit of the value.
        low, high: Range it can take, inclusive; None is unbounded.
        meaning: One line.
    """

    name: str
    unit: str
    low: float | None
    high: float | None
    meaning: str


def range_of(factor: Factor) -> str:
    """What a factor's values can be, as people write it."""
    low, high = factor.low, factor.high
    if low is None and high is None:
        return ""
    if high is None:
        return f"≥ {low:g}"
    return f"≤ {high:g}" if low is None else f"{low:g} … {high:g}"


FACTORS: tuple[Factor, ...] = (
    # the top of the book
    Factor("best_bid", "quote", 0.0, None, "highest bid price"),
    Factor("best_ask", "quote", 0.0, None, "lowest ask price"),
    Factor("best_bid_size", "base", 0.0, None, "size at the best bid"),
    Factor("best_ask_size", "base", 0.0, None, "size at the best ask"),
    Factor("mid", "quote", 0.0, None, "(best bid + best ask)/2"),
    Factor("spread", "quote", None, None, "best ask - best bid"),
    Factor("spread_bps", "bps", None, None, "spread over mid"),
    Factor("bid_levels", "levels", 0.0, None, "number of bid levels within what is known"),
    Factor("ask_levels", "levels", 0.0, None, "number of ask levels within what is known"),
    # imbalance
    Factor("obi_l1", "ratio", -1.0, 1.0, "(bid - ask)/(bid + ask) size at the best; + is bid heavy"),
    Factor("obi_l3", "ratio", -1.0, 1.0, "the same over the top 3 levels"),
    Factor("obi_l5", "ratio", -1.0, 1.0, "the same over the top 5 levels"),
    Factor("obi_l10", "ratio", -1.0, 1.0, "the same over the top 10 levels"),
    Factor("obi_l20", "ratio", -1.0, 1.0, "the same over the top 20 levels"),
    Factor("bid_volume_l10", "base", 0.0, None, "bid size over the top 10 levels"),
    Factor("ask_volume_l10", "base", 0.0, None, "ask size over the top 10 levels"),
    Factor("bid_ask_ratio", "ratio", 0.0, None, "bid_volume_l10 / ask_volume_l10"),
    Factor("obi_weighted", "ratio", -1.0, 1.0, "imbalance weighted by level and distance, top 10"),
    Factor("obi_decay_bps", "ratio", -1.0, 1.0, "imbalance weighted by exp(-bps from mid / 5), top 20"),
    Factor("micro_price_imb", "ratio", -1.0, 1.0, "imbalance weighted by 0.5^(level - 1), top 10"),
    Factor("pressure_score", "ratio", 0.0, None, "distance-weighted bid size over ask size, top 10"),
    Factor("obi_vwap", "ratio", None, None, "(VWAP of the top 10 of both sides - mid)/mid"),
    Factor("size_dispersion", "base", 0.0, None, "sample standard deviation of the top 20 sizes of both sides"),
    Factor("size_cv", "ratio", 0.0, None, "size_dispersion over their mean"),
    Factor("obi_change_rate", "ratio", -2.0, 2.0, "obi_l5 - its mean over the previous 10 events"),
    # price estimates
    Factor("weighted_mid", "quote", 0.0, None, "mid moved by the sizes at the best"),
    Factor(
        "weighted_mid_adjusted",
        "quote",
        None,
        None,
        "weighted_mid + 0.5 obi_l1 spread/2; can leave the quote",
    ),
    # order flow
    Factor(
        "ofi_l1", "base", None, None, "order flow imbalance at the best level, between this book and the one before"
    ),
    Factor("ofi_l5", "base", None, None, "the same, summed over levels 1-5"),
    Factor("ofi_l1_1s", "base", None, None, "sum of ofi_l1 over the last second"),
    Factor("mlofi_1_1s", "base", None, None, "order flow imbalance at level 1 over the last second"),
    Factor("mlofi_2_1s", "base", None, None, "order flow imbalance at level 2 over the last second"),
    Factor("mlofi_3_1s", "base", None, None, "order flow imbalance at level 3 over the last second"),
    Factor("mlofi_4_1s", "base", None, None, "order flow imbalance at level 4 over the last second"),
    Factor("mlofi_5_1s", "base", None, None, "order flow imbalance at level 5 over the last second"),
    Factor("mlofi_6_1s", "base", None, None, "order flow imbalance at level 6 over the last second"),
    Factor("mlofi_7_1s", "base", None, None, "order flow imbalance at level 7 over the last second"),
    Factor("mlofi_8_1s", "base", None, None, "order flow imbalance at level 8 over the last second"),
    Factor("mlofi_9_1s", "base", None, None, "order flow imbalance at level 9 over the last second"),
    Factor("mlofi_10_1s", "base", None, None, "order flow imbalance at level 10 over the last second"),
    Factor("integrated_ofi_1s", "ratio", None, None, "flows of ten levels by the weights of a table; null without one"),
    Factor(
        "ofi_quotes", "base", None, None, "order flow imbalance over every update of the best quotes since the last"
    ),
    Factor("ofi_quotes_1s", "base", None, None, "sum of ofi_quotes over the last second"),
    # trades
    Factor("trade_buy_1s", "base", 0.0, None, "volume of aggressive buyers over the last second"),
    Factor("trade_sell_1s", "base", 0.0, None, "volume of aggressive sellers over the last second"),
    Factor("trade_count_1s", "trades", 0.0, None, "trades over the last second"),
    Factor("trade_flow_1s", "ratio", -1.0, 1.0, "(bought - sold)/(bought + sold) over the last second"),
    Factor("trade_buy_5s", "base", 0.0, None, "volume of aggressive buyers over the last 5 seconds"),
    Factor("trade_sell_5s", "base", 0.0, None, "volume of aggressive sellers over the last 5 seconds"),
    Factor("trade_count_5s", "trades", 0.0, None, "trades over the last 5 seconds"),
    Factor("trade_flow_5s", "ratio", -1.0, 1.0, "(bought - sold)/(bought + sold) over the last 5 seconds"),
    Factor("trade_buy_30s", "base", 0.0, None, "volume of aggressive buyers over the last 30 seconds"),
    Factor("trade_sell_30s", "base", 0.0, None, "volume of aggressive sellers over the last 30 seconds"),
    Factor("trade_count_30s", "trades", 0.0, None, "trades over the last 30 seconds"),
    Factor("trade_flow_30s", "ratio", -1.0, 1.0, "(bought - sold)/(bought + sold) over the last 30 seconds"),
    Factor("effective_spread_bps_1s", "bps", None, None, "2 D (price - mid)/mid of trades by size, D the taker's side"),
    # how the price moves
    Factor("rv_5s", "bps/sqrt(s)", 0.0, None, "realised volatility of mid by quarters of a second over 5 seconds"),
    Factor("rv_60s", "bps/sqrt(s)", 0.0, None, "realised volatility of mid by seconds over a minute"),
    Factor("bipower_60s", "bps/sqrt(s)", 0.0, None, "the same by products of neighbours: without jumps"),
    Factor("kyle_lambda_60s", "bps per 1M quote", None, None, "slope of returns on signed volume by seconds"),
    Factor("vpin_exact", "ratio", 0.0, 1.0, "imbalance of the newest 50 buckets of equal volume; descriptive"),
    # depth
    Factor("bid_depth_5bps", "quote", 0.0, None, "bid notional within 5 bps of mid"),
    Factor("bid_depth_10bps", "quote", 0.0, None, "bid notional within 10 bps of mid"),
    Factor("bid_depth_25bps", "quote", 0.0, None, "bid notional within 25 bps of mid"),
    Factor("ask_depth_5bps", "quote", 0.0, None, "ask notional within 5 bps of mid"),
    Factor("ask_depth_10bps", "quote", 0.0, None, "ask notional within 10 bps of mid"),
    Factor("ask_depth_25bps", "quote", 0.0, None, "ask notional within 25 bps of mid"),
    Factor("obi_10bps", "ratio", -1.0, 1.0, "imbalance of the notionals within 10 bps"),
    Factor("depth_slope_bid_25bps", "quote/bps", 0.0, None, "slope of the bid notional within x bps on x, up to 25"),
    Factor("depth_slope_ask_25bps", "quote/bps", 0.0, None, "slope of the ask notional within x bps on x, up to 25"),
    Factor("hhi_bid_l20", "ratio", 0.0, 1.0, "sum of squared shares of the bid notionals, top 20; 1 is one level"),
    Factor("hhi_ask_l20", "ratio", 0.0, 1.0, "sum of squared shares of the ask notionals, top 20; 1 is one level"),
    # rolling statistics
    Factor("obi_l1_z", "sd", None, None, "obi_l1 against the previous 20 events"),
    Factor(
        "removal_ratio_1s",
        "ratio",
        0.0,
        1.0,
        "lots removed / (added + removed) near the top over the last second",
    ),
    Factor("liquidity_shift", "ln", None, None, "ln of the 10 bps depth over its mean of the previous 20 events"),
    Factor("confidence", "ratio", 0.0, 1.0, "min(1, top-10 notional / (10 thin_notional))"),
    # what is known
    Factor("bid_known_bps", "bps", None, None, "from mid to where bids begin to be missing; null: nowhere"),
    Factor("ask_known_bps", "bps", None, None, "from mid to where asks begin to be missing; null: nowhere"),
)

FACTOR_NAMES: tuple[str, ...] = tuple(factor.name for factor in FACTORS)
FACTOR_INDEX: dict[str, int] = {name: index for index, name in enumerate(FACTOR_NAMES)}
NO_FACTORS: tuple[None, ...] = (None,) * len(FACTORS)
"""The values of an event that has none: a book that is not LIVE."""
