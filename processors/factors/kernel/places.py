"""Where each factor stands in a row of values, by its name: what this engine computes."""

from __future__ import annotations

from typing import Final

from processors.factors.tape import WINDOWS_S
from schemas.factors import FACTOR_INDEX

BEST_BID: Final = FACTOR_INDEX["best_bid"]
BEST_ASK: Final = FACTOR_INDEX["best_ask"]
BEST_BID_SIZE: Final = FACTOR_INDEX["best_bid_size"]
BEST_ASK_SIZE: Final = FACTOR_INDEX["best_ask_size"]
MID: Final = FACTOR_INDEX["mid"]
SPREAD: Final = FACTOR_INDEX["spread"]
SPREAD_BPS: Final = FACTOR_INDEX["spread_bps"]
BID_LEVELS: Final = FACTOR_INDEX["bid_levels"]
ASK_LEVELS: Final = FACTOR_INDEX["ask_levels"]
OBI_L1: Final = FACTOR_INDEX["obi_l1"]
OBI_L3: Final = FACTOR_INDEX["obi_l3"]
OBI_L5: Final = FACTOR_INDEX["obi_l5"]
OBI_L10: Final = FACTOR_INDEX["obi_l10"]
OBI_L20: Final = FACTOR_INDEX["obi_l20"]
BID_VOLUME_L10: Final = FACTOR_INDEX["bid_volume_l10"]
ASK_VOLUME_L10: Final = FACTOR_INDEX["ask_volume_l10"]
BID_ASK_RATIO: Final = FACTOR_INDEX["bid_ask_ratio"]
OBI_WEIGHTED: Final = FACTOR_INDEX["obi_weighted"]
OBI_DECAY_BPS: Final = FACTOR_INDEX["obi_decay_bps"]
MICRO_PRICE_IMB: Final = FACTOR_INDEX["micro_price_imb"]
PRESSURE_SCORE: Final = FACTOR_INDEX["pressure_score"]
OBI_VWAP: Final = FACTOR_INDEX["obi_vwap"]
SIZE_DISPERSION: Final = FACTOR_INDEX["size_dispersion"]
SIZE_CV: Final = FACTOR_INDEX["size_cv"]
OBI_CHANGE_RATE: Final = FACTOR_INDEX["obi_change_rate"]
WEIGHTED_MID: Final = FACTOR_INDEX["weighted_mid"]
WEIGHTED_MID_ADJUSTED: Final = FACTOR_INDEX["weighted_mid_adjusted"]
OFI_L1: Final = FACTOR_INDEX["ofi_l1"]
OFI_L5: Final = FACTOR_INDEX["ofi_l5"]
OFI_L1_1S: Final = FACTOR_INDEX["ofi_l1_1s"]
MLOFI_1S: Final = tuple(FACTOR_INDEX[f"mlofi_{level}_1s"] for level in range(1, 11))
"""From level 1 on."""
INTEGRATED_OFI_1S: Final = FACTOR_INDEX["integrated_ofi_1s"]
OFI_QUOTES: Final = FACTOR_INDEX["ofi_quotes"]
OFI_QUOTES_1S: Final = FACTOR_INDEX["ofi_quotes_1s"]
TRADE_BUY: Final = tuple(FACTOR_INDEX[f"trade_buy_{seconds}s"] for seconds in WINDOWS_S)
TRADE_SELL: Final = tuple(FACTOR_INDEX[f"trade_sell_{seconds}s"] for seconds in WINDOWS_S)
TRADE_COUNT: Final = tuple(FACTOR_INDEX[f"trade_count_{seconds}s"] for seconds in WINDOWS_S)
TRADE_FLOW: Final = tuple(FACTOR_INDEX[f"trade_flow_{seconds}s"] for seconds in WINDOWS_S)
EFFECTIVE_SPREAD_BPS_1S: Final = FACTOR_INDEX["effective_spread_bps_1s"]
RV_5S: Final = FACTOR_INDEX["rv_5s"]
RV_60S: Final = FACTOR_INDEX["rv_60s"]
BIPOWER_60S: Final = FACTOR_INDEX["bipower_60s"]
KYLE_LAMBDA_60S: Final = FACTOR_INDEX["kyle_lambda_60s"]
VPIN_EXACT: Final = FACTOR_INDEX["vpin_exact"]
BID_DEPTH_5BPS: Final = FACTOR_INDEX["bid_depth_5bps"]
BID_DEPTH_10BPS: Final = FACTOR_INDEX["bid_depth_10bps"]
BID_DEPTH_25BPS: Final = FACTOR_INDEX["bid_depth_25bps"]
ASK_DEPTH_5BPS: Final = FACTOR_INDEX["ask_depth_5bps"]
ASK_DEPTH_10BPS: Final = FACTOR_INDEX["ask_depth_10bps"]
ASK_DEPTH_25BPS: Final = FACTOR_INDEX["ask_depth_25bps"]
OBI_10BPS: Final = FACTOR_INDEX["obi_10bps"]
DEPTH_SLOPE_BID_25BPS: Final = FACTOR_INDEX["depth_slope_bid_25bps"]
DEPTH_SLOPE_ASK_25BPS: Final = FACTOR_INDEX["depth_slope_ask_25bps"]
HHI_BID_L20: Final = FACTOR_INDEX["hhi_bid_l20"]
HHI_ASK_L20: Final = FACTOR_INDEX["hhi_ask_l20"]
OBI_L1_Z: Final = FACTOR_INDEX["obi_l1_z"]
REMOVAL_RATIO_1S: Final = FACTOR_INDEX["removal_ratio_1s"]
LIQUIDITY_SHIFT: Final = FACTOR_INDEX["liquidity_shift"]
CONFIDENCE: Final = FACTOR_INDEX["confidence"]
BID_KNOWN_BPS: Final = FACTOR_INDEX["bid_known_bps"]
ASK_KNOWN_BPS: Final = FACTOR_INDEX["ask_known_bps"]

OF_WINDOWS: Final = (TRADE_BUY, TRADE_SELL, TRADE_COUNT, TRADE_FLOW)
COMPUTED: Final = frozenset(MLOFI_1S).union(*OF_WINDOWS) | {
    value for value in list(globals().values()) if isinstance(value, int)
}
"""Places this engine fills. While one is missing, it hands every record to the reference."""
