"""The factors: one function each, one line each. Names and meanings are in `schemas/factors.py`.

To add one: a function of a `BookView` in its family's file, a line here, a line in `schemas/factors.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Final

from processors.factors.reference import depth, imbalance, memory, order_flow, price, quotes, trades
from processors.factors.reference.view import BookView
from schemas.factors import FACTOR_NAMES

Compute = Callable[[BookView], float | None]

OF_ANY_BOOK: Final[dict[str, Compute]] = {
    "best_bid": quotes.best_bid,
    "best_ask": quotes.best_ask,
    "best_bid_size": quotes.best_bid_size,
    "best_ask_size": quotes.best_ask_size,
    "mid": quotes.mid,
    "spread": quotes.spread,
    "spread_bps": quotes.spread_bps,
    "bid_levels": quotes.bid_levels,
    "ask_levels": quotes.ask_levels,
}
"""Exist wherever the sides they need exist."""

OF_OPEN_BOOK: Final[dict[str, Compute]] = {
    "obi_l1": imbalance.obi_l1,
    "obi_l3": imbalance.obi_l3,
    "obi_l5": imbalance.obi_l5,
    "obi_l10": imbalance.obi_l10,
    "obi_l20": imbalance.obi_l20,
    "bid_volume_l10": imbalance.bid_volume_l10,
    "ask_volume_l10": imbalance.ask_volume_l10,
    "bid_ask_ratio": imbalance.bid_ask_ratio,
    "obi_weighted": imbalance.obi_weighted,
    "obi_decay_bps": imbalance.obi_decay_bps,
    "micro_price_imb": imbalance.micro_price_imb,
    "pressure_score": imbalance.pressure_score,
    "obi_vwap": imbalance.obi_vwap,
    "size_dispersion": imbalance.size_dispersion,
    "size_cv": imbalance.size_cv,
    "obi_change_rate": memory.obi_change_rate,
    "weighted_mid": price.weighted_mid,
    "weighted_mid_adjusted": price.weighted_mid_adjusted,
    "ofi_l1": order_flow.ofi_l1,
    "ofi_l5": order_flow.ofi_l5,
    "ofi_l1_1s": order_flow.ofi_l1_1s,
    "mlofi_1_1s": order_flow.mlofi_1_1s,
    "mlofi_2_1s": order_flow.mlofi_2_1s,
    "mlofi_3_1s": order_flow.mlofi_3_1s,
    "mlofi_4_1s": order_flow.mlofi_4_1s,
    "mlofi_5_1s": order_flow.mlofi_5_1s,
    "mlofi_6_1s": order_flow.mlofi_6_1s,
    "mlofi_7_1s": order_flow.mlofi_7_1s,
    "mlofi_8_1s": order_flow.mlofi_8_1s,
    "mlofi_9_1s": order_flow.mlofi_9_1s,
    "mlofi_10_1s": order_flow.mlofi_10_1s,
    "integrated_ofi_1s": order_flow.integrated_ofi_1s,
    "ofi_quotes": order_flow.ofi_quotes,
    "ofi_quotes_1s": order_flow.ofi_quotes_1s,
    "bid_depth_5bps": depth.bid_depth_5bps,
    "bid_depth_10bps": depth.bid_depth_10bps,
    "bid_depth_25bps": depth.bid_depth_25bps,
    "ask_depth_5bps": depth.ask_depth_5bps,
    "ask_depth_10bps": depth.ask_depth_10bps,
    "ask_depth_25bps": depth.ask_depth_25bps,
    "obi_10bps": depth.obi_10bps,
    "trade_buy_1s": trades.trade_buy_1s,
    "trade_sell_1s": trades.trade_sell_1s,
    "trade_count_1s": trades.trade_count_1s,
    "trade_flow_1s": trades.trade_flow_1s,
    "trade_buy_5s": trades.trade_buy_5s,
    "trade_sell_5s": trades.trade_sell_5s,
    "trade_count_5s": trades.trade_count_5s,
    "trade_flow_5s": trades.trade_flow_5s,
    "trade_buy_30s": trades.trade_buy_30s,
    "trade_sell_30s": trades.trade_sell_30s,
    "trade_count_30s": trades.trade_count_30s,
    "trade_flow_30s": trades.trade_flow_30s,
    "effective_spread_bps_1s": trades.effective_spread_bps_1s,
    "rv_5s": trades.rv_5s,
    "rv_60s": trades.rv_60s,
    "bipower_60s": trades.bipower_60s,
    "kyle_lambda_60s": trades.kyle_lambda_60s,
    "vpin_exact": trades.vpin_exact,
    "depth_slope_bid_25bps": depth.depth_slope_bid_25bps,
    "depth_slope_ask_25bps": depth.depth_slope_ask_25bps,
    "hhi_bid_l20": depth.hhi_bid_l20,
    "hhi_ask_l20": depth.hhi_ask_l20,
    "obi_l1_z": memory.obi_l1_z,
    "removal_ratio_1s": memory.removal_ratio_1s,
    "liquidity_shift": memory.liquidity_shift,
    "confidence": depth.confidence,
    "bid_known_bps": depth.bid_known_bps,
    "ask_known_bps": depth.ask_known_bps,
}
"""Need both sides and the best bid below the best ask."""

COMPUTE: Final[dict[str, Compute]] = {**OF_ANY_BOOK, **OF_OPEN_BOOK}

_COLUMNS: Final = tuple((COMPUTE[name], name in OF_OPEN_BOOK) for name in FACTOR_NAMES)


def compute(view: BookView) -> tuple[float | None, ...]:
    """Every factor, in the order of `schemas.factors.FACTORS`. Only finite values, and never -0.0."""
    is_open = view.tops.is_open
    return tuple([finite(factor(view)) if is_open or not needs_open else None for factor, needs_open in _COLUMNS])


def finite(value: float | None) -> float | None:
    """The value where it is finite, with 0.0 for -0.0; else None."""
    return value + 0.0 if value is not None and isfinite(value) else None
