"""Bybit spot as the simulator plays it; grids, prices and sizes as in late 2025."""

from __future__ import annotations

import re

from producers.simulator.market_spec import ListedMarket, MarketSpec
from producers.simulator.venues.bybit_family import BybitVenue, Fields, rules


def _entry(spec: MarketSpec) -> Fields:
    return {"lotSizeFilter": {"basePrecision": spec.lot_size, "minOrderQty": spec.lot_size}, "marginTrading": "both"}


VENUE = BybitVenue(
    name="bybit-spot",
    rules=rules("spot"),
    symbol=re.compile(r"(?P<base>[A-Z0-9]{1,16}?)(?P<quote>USDT|USDC|BTC)"),
    markets={
        "BTCUSDT": ListedMarket("0.01", "0.000001", "61841.33", "0.014200"),
        "ETHUSDT": ListedMarket("0.01", "0.00001", "2684.05", "0.39000"),
        "SOLUSDT": ListedMarket("0.01", "0.001", "152.41", "11.800"),
        "XRPUSDT": ListedMarket("0.0001", "0.01", "0.6124", "1650.00"),
    },
    category=lambda _: "spot",
    entry=_entry,
)
