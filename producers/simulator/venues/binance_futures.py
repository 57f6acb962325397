"""Binance USD-M futures as the simulator plays them; grids, prices and sizes as in August 2024.

As many digits as the grid has, update ids with holes, `pu`, matching times, trades that are none, `/fapi/v1`; public
streams under `/public` since 2026-04-23, and under the old paths where no other venue has them.
"""

from __future__ import annotations

import re

from producers.simulator.contract import RateLimit, SessionRules, VenueRules
from producers.simulator.events import DepthUpdate, MarketEvent, OddTrade, StreamKind
from producers.simulator.market import Fill
from producers.simulator.market_spec import ListedMarket, MarketSpec
from producers.simulator.true_book import WholeBook
from producers.simulator.venues.binance_family import BinanceVenue, Fields, mark_fields, quote_fields
from schemas.units import NS_PER_MS


def _depth(event: MarketEvent, update: DepthUpdate, unit_ns: int) -> Fields:
    bids, asks = event.level_texts()
    head = {"e": "depthUpdate", "E": event.sent_ns // unit_ns, "T": event.matched_ns // unit_ns}
    ids = {"s": event.spec.symbol, "U": update.first_id, "u": update.last_id, "pu": update.previous_id}
    return {**head, **ids, "b": bids, "a": asks}


def _trade(event: MarketEvent, unit_ns: int) -> Fields:
    spec, trade = event.spec, event.what
    head = {"e": "trade", "E": event.sent_ns // unit_ns, "T": event.matched_ns // unit_ns, "s": spec.symbol}
    if isinstance(trade, OddTrade):
        return {**head, "t": trade.trade_id, "p": "0", "q": "0", "X": "NA", "m": True}
    assert isinstance(trade, Fill)  # noqa: S101 (the stream says so)
    deal = {"t": trade.trade_id, "p": spec.price_text(trade.tick), "q": spec.size_text(trade.lots)}
    return {**head, **deal, "X": "MARKET", "m": not trade.buyer_is_aggressor}


def _quote(event: MarketEvent, unit_ns: int) -> Fields:
    times = {"T": event.matched_ns // unit_ns, "E": event.sent_ns // unit_ns}
    return {"e": "bookTicker", **quote_fields(event), **times}


def _book(spec: MarketSpec, view: WholeBook, matched_ns: int, sent_ns: int) -> Fields:
    del spec
    return {"lastUpdateId": view.sequence, "E": sent_ns // NS_PER_MS, "T": matched_ns // NS_PER_MS}


def _status(spec: MarketSpec) -> str:
    return "CLOSE" if spec.is_delisted else "TRADING"


def _entry(spec: MarketSpec) -> Fields:
    contract = {"contractType": "PERPETUAL", "deliveryDate": 4_133_404_800_000, "status": _status(spec)}
    assets = {"baseAsset": spec.base, "quoteAsset": spec.quote, "marginAsset": spec.quote}
    digits = {"pricePrecision": spec.price_decimals, "quantityPrecision": spec.size_decimals}
    return {"symbol": spec.symbol, "pair": spec.symbol, **contract, **assets, **digits}


VENUE = BinanceVenue(
    name="binance-futures",
    rules=VenueRules(
        websocket_paths=("/public/stream", "/public/ws", "/market/stream", "/market/ws"),
        old_websocket_paths=("/stream", "/ws"),
        rest_paths=("/fapi/v1",),
        session=SessionRules(messages=RateLimit(10, 1.0), ping_every_s=180.0),
        weight=RateLimit(2400, 60.0),
        weight_header="X-MBX-USED-WEIGHT-1M",
        odd_trade_every=400,
        derivative_streams=(StreamKind.MARK,),
    ),
    rest="/fapi/v1",
    client_target="/public/stream",
    symbol=re.compile(r"(?P<base>[A-Z0-9]{1,16})(?P<quote>USDT|USDC|BTC)"),
    markets={
        "BTC": ListedMarket("0.10", "0.001", "61800.10", "0.113"),
        "ETH": ListedMarket("0.01", "0.001", "2683.25", "2.150"),
        "SOL": ListedMarket("0.0100", "1", "152.3000", "38"),
        "BNB": ListedMarket("0.010", "0.01", "511.320", "4.10"),
        "XRP": ListedMarket("0.0001", "0.1", "0.6121", "2400.5"),
        "DOGE": ListedMarket("0.000010", "1", "0.105320", "11500"),
        "ADA": ListedMarket("0.00010", "1", "0.34560", "6100"),
        "LINK": ListedMarket("0.001", "0.01", "10.215", "95.40"),
    },
    hidden_ids=97,
    depth_weights=((50, 2), (100, 5), (500, 10), (1000, 20)),
    depth_limits=(5, 10, 20, 50, 100, 500, 1000),
    default_depth_limit=500,
    listing_weight=1,
    first_after=0,
    depth=_depth,
    trade=_trade,
    quote=_quote,
    book=_book,
    entry=_entry,
    mark=mark_fields,
    derivatives_target="/market/stream",
    market_paths=("/market/stream", "/market/ws"),
)
