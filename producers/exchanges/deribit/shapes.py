"""What Deribit's data frames consist of, as documented and as recorded in 2021 and 2025."""

from __future__ import annotations

from typing import Final

from producers.shapes import FrameShapes, KindShape

SHAPES: Final = FrameShapes(
    "params.channel",
    ".",
    0,
    "result",
    "jsonrpc method params.channel",
    {
        "book": KindShape(
            "params.data",
            "timestamp instrument_name change_id bids asks",
            "type prev_change_id",
            "timestamp change_id prev_change_id",
        ),
        "trades": KindShape(
            "params.data[]",
            "timestamp price amount direction instrument_name trade_seq trade_id",
            "index_price mark_price tick_direction contracts iv liquidation block_trade_id block_trade_leg_count "
            "combo_id combo_trade_id block_rfq_id",
            "timestamp price amount",
        ),
        "quote": KindShape(
            "params.data",
            "timestamp instrument_name best_bid_price best_bid_amount best_ask_price best_ask_amount",
            moving="timestamp",
        ),
        "ticker": KindShape(
            "params.data",
            "timestamp instrument_name mark_price index_price",
            "state stats.high stats.low stats.price_change stats.volume stats.volume_usd stats.volume_notional "
            "last_price settlement_price min_price max_price open_interest interest_value best_ask_price "
            "best_bid_price estimated_delivery_price best_ask_amount best_bid_amount current_funding funding_8h "
            "delivery_price underlying_price underlying_index mark_iv bid_iv ask_iv interest_rate greeks.vega "
            "greeks.theta greeks.rho greeks.gamma greeks.delta",
            "timestamp mark_price index_price",
        ),
    },
)
