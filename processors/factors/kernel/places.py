"""Where each factor stands in a row of values, by its name: what this engine computes."""

from __future__ import annotations

from typing import Final

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
OFI_QUOTES: Final = FACTOR_INDEX["ofi_quotes"]
OFI_QUOTES_1S: Final = FACTOR_INDEX["ofi_quotes_1s"]
BID_DEPTH_5BPS: Final = FACTOR_INDEX["bid_depth_5bps"]
BID_DEPTH_10BPS: Final = FACTOR_INDEX["bid_depth_10bps"]
BID_DEPTH_25BPS: Final = FACTOR_INDEX["bid_depth_25bps"]
ASK_DEPTH_5BPS: Final = FACTOR_INDEX["ask_depth_5bps"]
ASK_DEPTH_10BPS: Final = FACTOR_INDEX["ask_depth_10bps"]
ASK_DEPTH_25BPS: Final = FACTOR_INDEX["ask_depth_25bps"]
OBI_10BPS: Final = FACTOR_INDEX["obi_10bps"]
OBI_L1_Z: Final = FACTOR_INDEX["obi_l1_z"]
REMOVAL_RATIO_1S: Final = FACTOR_INDEX["removal_ratio_1s"]
LIQUIDITY_SHIFT: Final = FACTOR_INDEX["liquidity_shift"]
CONFIDENCE: Final = FACTOR_INDEX["confidence"]
BID_KNOWN_BPS: Final = FACTOR_INDEX["bid_known_bps"]
ASK_KNOWN_BPS: Final = FACTOR_INDEX["ask_known_bps"]

COMPUTED: Final = frozenset(value for value in list(globals().values()) if isinstance(value, int))
"""Places this engine fills. While one is missing, it hands every record to the reference."""
