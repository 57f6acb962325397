"""Binance spot as the simulator plays it; grids, prices and sizes as in August 2024.

Eight digits in every number, update ids without holes, no matching time and no previous id in depth, `/api/v3`.
"""

from __future__ import annotations

import re

from producers.simulator.contract import RateLimit, SessionRules, VenueRules
from producers.simulator.events import DepthUpdate, MarketEvent
from producers.simulator.market import Fill
from producers.simulator.market_spec import ListedMarket, MarketSpec
from producers.simulator.true_book import WholeBook
from producers.simulator.venues.binance_family import BinanceVenue, Fields, quote_fields


def _depth(event: MarketEvent, update: DepthUpdate, unit_ns: int) -> Fields:
    bids, asks = event.level_texts()
    head = {"e": "depthUpdate", "E": event.sent_ns // unit_ns, "s": event.spec.symbol}
    return {**head, "U": update.first_id, "u": update.last_id, "b": bids, "a": asks}


def _trade(event: MarketEvent, unit_ns: int) -> Fields:
    spec, fill = event.spec, event.what
    assert isinstance(fill, Fill)  # noqa: S101 (spot has no odd trades)
    head = {"e": "trade", "E": event.sent_ns // unit_ns, "s": spec.symbol, "t": fill.trade_id}
    deal = {"p": spec.price_text(fill.tick), "q": spec.size_text(fill.lots)}
    return {**head, **deal, "T": event.matched_ns // unit_ns, "m": not fill.buyer_is_aggressor, "M": True}


def _quote(event: MarketEvent, unit_ns: int) -> Fields:
    del unit_ns  # spot's quotes have no time
    return quote_fields(event)


def _book(spec: MarketSpec, view: WholeBook, matched_ns: int, sent_ns: int) -> Fields:
    del spec, matched_ns, sent_ns  # spot's books have no time
    return {"lastUpdateId": view.sequence}


def _entry(spec: MarketSpec) -> Fields:
    head = {"symbol": spec.symbol, "status": "TRADING", "baseAsset": spec.base, "quoteAsset": spec.quote}
    return {**head, "baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8}


VENUE = BinanceVenue(
    name="binance",
    rules=VenueRules(
        websocket_paths=("/stream", "/ws"),
        rest_paths=("/api/v3",),
        session=SessionRules(messages=RateLimit(5, 1.0), ping_every_s=20.0),
        weight=RateLimit(6000, 60.0),
        weight_header="X-MBX-USED-WEIGHT-1M",
    ),
    rest="/api/v3",
    client_target="/stream?timeUnit=microsecond",
    microseconds=True,
    symbol=re.compile(r"(?P<base>[A-Z0-9]{1,16})(?P<quote>USDT|USDC|BTC)"),
    markets={
        "BTC": ListedMarket("0.01", "0.00001", "61837.64", "0.01120"),
        "ETH": ListedMarket("0.01", "0.0001", "2684.31", "0.4100"),
        "SOL": ListedMarket("0.01", "0.001", "152.36", "12.400"),
        "BNB": ListedMarket("0.1", "0.001", "511.5", "1.950"),
        "XRP": ListedMarket("0.0001", "1", "0.6123", "1700"),
        "DOGE": ListedMarket("0.00001", "1", "0.10537", "8200"),
        "ADA": ListedMarket("0.0001", "0.1", "0.3457", "2900.5"),
        "LINK": ListedMarket("0.01", "0.01", "10.22", "61.30"),
    },
    decimals=8,
    depth_weights=((100, 5), (500, 25), (1000, 50), (5000, 250)),
    default_depth_limit=100,
    listing_weight=20,
    lists_in_part=True,
    first_after=1,
    depth=_depth,
    trade=_trade,
    quote=_quote,
    book=_book,
    entry=_entry,
)
