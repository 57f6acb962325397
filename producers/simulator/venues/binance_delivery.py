"""Binance COIN-M futures as the simulator plays them: sizes are contracts, a `pair` has a perpetual and quarterlies."""

from __future__ import annotations

import re

from producers.simulator.contract import RateLimit, SessionRules, VenueRules
from producers.simulator.events import DepthUpdate, MarketEvent, StreamKind
from producers.simulator.market import Fill
from producers.simulator.market_spec import ListedMarket, MarketSpec
from producers.simulator.true_book import WholeBook
from producers.simulator.venues.binance_family import BinanceVenue, Fields, mark_fields, quote_fields
from schemas.units import NS_PER_MS

CONTRACT_USD = {"BTC": 100}
"""Value of a contract; 10 USD for any other base."""


def _pair(spec: MarketSpec) -> str:
    return spec.symbol.partition("_")[0]


def _depth(event: MarketEvent, update: DepthUpdate, unit_ns: int) -> Fields:
    bids, asks = event.level_texts()
    head = {"e": "depthUpdate", "E": event.sent_ns // unit_ns, "T": event.matched_ns // unit_ns}
    names = {"s": event.spec.symbol, "ps": _pair(event.spec)}
    return {**head, **names, "U": update.first_id, "u": update.last_id, "pu": update.previous_id, "b": bids, "a": asks}


def _trade(event: MarketEvent, unit_ns: int) -> Fields:
    spec, fill = event.spec, event.what
    assert isinstance(fill, Fill)  # noqa: S101 (the stream says so)
    head = {"e": "trade", "E": event.sent_ns // unit_ns, "T": event.matched_ns // unit_ns, "s": spec.symbol}
    deal = {"t": fill.trade_id, "p": spec.price_text(fill.tick), "q": spec.size_text(fill.lots)}
    return {**head, **deal, "X": "MARKET", "m": not fill.buyer_is_aggressor}


def _quote(event: MarketEvent, unit_ns: int) -> Fields:
    times = {"T": event.matched_ns // unit_ns, "E": event.sent_ns // unit_ns}
    return {"e": "bookTicker", **quote_fields(event), "ps": _pair(event.spec), **times}


def _book(spec: MarketSpec, view: WholeBook, matched_ns: int, sent_ns: int) -> Fields:
    names = {"symbol": spec.symbol, "pair": _pair(spec)}
    return {"lastUpdateId": view.sequence, "E": sent_ns // NS_PER_MS, "T": matched_ns // NS_PER_MS, **names}


def _entry(spec: MarketSpec) -> Fields:
    perpetual = spec.symbol.endswith("_PERP")
    status = "DELIVERED" if spec.is_delisted else "TRADING"
    contract = {"contractType": "PERPETUAL" if perpetual else "CURRENT_QUARTER", "contractStatus": status}
    assets = {"baseAsset": spec.base, "quoteAsset": spec.quote, "marginAsset": spec.base}
    return {
        "symbol": spec.symbol,
        "pair": _pair(spec),
        **contract,
        "contractSize": CONTRACT_USD.get(spec.base, 10),
        **assets,
    }


VENUE = BinanceVenue(
    name="binance-delivery",
    rules=VenueRules(
        websocket_paths=("/stream", "/ws"),
        rest_paths=("/dapi/v1",),
        session=SessionRules(messages=RateLimit(10, 1.0), ping_every_s=180.0),
        weight=RateLimit(2400, 60.0),
        weight_header="X-MBX-USED-WEIGHT-1M",
        derivative_streams=(StreamKind.MARK,),
    ),
    rest="/dapi/v1",
    client_target="/stream",
    symbol=re.compile(r"(?P<base>[A-Z0-9]{1,16})(?P<quote>USD)_(?:PERP|\d{6})"),
    listed_suffix="USD_PERP",
    markets={
        "BTC": ListedMarket("0.1", "1", "61810.4", "950"),
        "ETH": ListedMarket("0.01", "1", "2684.10", "1800"),
        "SOL": ListedMarket("0.001", "1", "152.310", "400"),
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
    derivatives_target="/stream",
)
