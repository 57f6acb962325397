"""Bybit's linear and inverse contracts as the simulator plays them; grids, prices and sizes as in late 2025."""

from __future__ import annotations

import re

from producers.simulator.market_spec import ListedMarket, MarketSpec
from producers.simulator.venues.bybit_family import BybitVenue, Fields, rules

_SYMBOL = re.compile(r"(?P<base>[A-Z0-9]{1,16}?)(?:(?P<quote>USDT|USDC)|PERP|USD)")


def _category(symbol: str) -> str:
    return "inverse" if symbol.endswith("USD") else "linear"


def _entry(spec: MarketSpec) -> Fields:
    kind = f"{_category(spec.symbol).title()}Perpetual"
    lots = {"qtyStep": spec.lot_size, "minOrderQty": spec.lot_size}
    return {"contractType": kind, "deliveryTime": "0", "lotSizeFilter": lots, "settleCoin": spec.quote}


VENUE = BybitVenue(
    name="bybit",
    rules=rules("linear", "inverse"),
    symbol=_SYMBOL,
    markets={
        "BTCUSDT": ListedMarket("0.10", "0.001", "61805.20", "0.250"),
        "ETHUSDT": ListedMarket("0.01", "0.01", "2683.40", "3.10"),
        "SOLUSDT": ListedMarket("0.010", "0.1", "152.320", "41.0"),
        "XRPUSDT": ListedMarket("0.0001", "0.1", "0.6122", "3100.0"),
        "BTCUSD": ListedMarket("0.50", "1", "61811.00", "9200"),
        "ETHUSD": ListedMarket("0.05", "1", "2683.55", "4300"),
    },
    category=_category,
    entry=_entry,
)
