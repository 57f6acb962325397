"""What Bybit's data frames consist of, as documented and as recorded in 2024 and 2025.

Tickers of contracts tell what has changed since the last one, and nothing else.
"""

from __future__ import annotations

from typing import Final

from producers.shapes import FrameShapes, KindShape

SHAPES: Final = FrameShapes(
    "topic",
    ".",
    0,
    "success",
    "topic type ts",
    {
        "orderbook": KindShape("data", "s b a u seq", moving="u seq", beside="cts"),
        "publicTrade": KindShape("data[]", "T s S v p i BT", "L seq RPI mP iP mIv iv", "T v p"),
        "tickers": KindShape(
            "data",
            "symbol",
            "tickDirection price24hPcnt lastPrice prevPrice24h highPrice24h lowPrice24h prevPrice1h markPrice "
            "indexPrice openInterest openInterestValue turnover24h volume24h nextFundingTime fundingRate bid1Price "
            "bid1Size ask1Price ask1Size deliveryTime basisRate basis deliveryFeeRate predictedDeliveryPrice "
            "preOpenPrice preQty curPreListingPhase fundingIntervalHour fundingCap basisRateYear usdIndexPrice",
            "markPrice indexPrice",
            beside="cs",
        ),
    },
)
