"""Binance's words, written: events, answers and errors of the USD-M and the spot venue. Nothing is read here.

Kept apart from `producers.exchanges` on purpose: were both built on the same code, a mistake in it would agree with
itself. Field order is the venues' own.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from producers.simulator.catalogue import SPOT, MarketSpec
from producers.simulator.market import Fill
from producers.simulator.true_book import BookView

MS = 1_000_000
"""Nanoseconds in the venue's usual unit of time."""
US = 1_000
"""The same in the unit spot offers with `timeUnit=microsecond`."""
DEPTH_SPEED_NS = 100 * MS


class Channel(StrEnum):
    """The streams of an instrument, by the name the venue gives them."""

    DEPTH = "depth@100ms"
    TRADE = "trade"
    QUOTE = "bookTicker"


class Damage(StrEnum):
    """What may be wrong with a frame on the wire."""

    NONE = "none"
    CUT = "cut"
    NUMBER = "number"


class DepthUpdate(NamedTuple):
    """All levels that changed since the last update; sizes absolute, as (tick, lots)."""

    first_id: int
    last_id: int
    previous_id: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class TopOfBook(NamedTuple):
    """Best levels after an update id."""

    update_id: int
    bid: int
    bid_lots: int
    ask: int
    ask_lots: int


class OddTrade(NamedTuple):
    """A message on the futures' trade stream that is no trade on the book (`X` is not MARKET)."""

    trade_id: int


Event = DepthUpdate | TopOfBook | Fill | OddTrade


class Frame(NamedTuple):
    """One event on its way out, not yet text: a connection chooses its time unit and envelope.

    Attributes:
        spec: The instrument.
        channel: Its stream.
        matched_ns: When the matching engine made it, ns UTC.
        sent_ns: When it left the venue, ns UTC.
        event: What it says.
        damage: What was broken on the way.
    """

    spec: MarketSpec
    channel: Channel
    matched_ns: int
    sent_ns: int
    event: Event
    damage: Damage = Damage.NONE

    @property
    def stream(self) -> str:
        """Name of the stream."""
        return f"{self.spec.symbol.lower()}@{self.channel}"


def encode_frame(frame: Frame, *, unit_ns: int = MS, combined: bool = True) -> str:
    """The text of a frame.

    Args:
        frame: What to write.
        unit_ns: Nanoseconds in a unit of time, `MS` or `US`.
        combined: In the envelope that names the stream, as on `/stream`; bare as on `/ws`.
    """
    fields = _FIELDS[frame.channel](frame, unit_ns)
    text = orjson.dumps({"stream": frame.stream, "data": fields} if combined else fields).decode()
    if frame.damage is Damage.CUT:
        return text[: len(text) // 2]
    return text


def _depth_fields(frame: Frame, unit_ns: int) -> dict[str, Any]:
    update, spec = frame.event, frame.spec
    assert isinstance(update, DepthUpdate)  # noqa: S101 (the channel says so)
    bids, asks = level_texts(spec, update.bids), level_texts(spec, update.asks)
    if frame.damage is Damage.NUMBER:
        damaged = bids if bids else asks
        damaged[0] = (damaged[0][0], "1e5")
    head: dict[str, Any] = {"e": "depthUpdate", "E": frame.sent_ns // unit_ns}
    if spec.venue == SPOT:
        return {**head, "s": spec.symbol, "U": update.first_id, "u": update.last_id, "b": bids, "a": asks}
    return {
        **head,
        "T": frame.matched_ns // unit_ns,
        "s": spec.symbol,
        "U": update.first_id,
        "u": update.last_id,
        "pu": update.previous_id,
        "b": bids,
        "a": asks,
    }


def _trade_fields(frame: Frame, unit_ns: int) -> dict[str, Any]:
    spec, trade = frame.spec, frame.event
    sent, matched = frame.sent_ns // unit_ns, frame.matched_ns // unit_ns
    if isinstance(trade, OddTrade):
        zero = {"p": "0", "q": "0", "X": "NA", "m": True}
        return {"e": "trade", "E": sent, "T": matched, "s": spec.symbol, "t": trade.trade_id, **zero}
    assert isinstance(trade, Fill)  # noqa: S101 (the channel says so)
    price, size, seller_takes = spec.price_text(trade.tick), spec.size_text(trade.lots), not trade.buyer_is_aggressor
    if spec.venue == SPOT:
        return {
            "e": "trade",
            "E": sent,
            "s": spec.symbol,
            "t": trade.trade_id,
            "p": price,
            "q": size,
            "T": matched,
            "m": seller_takes,
            "M": True,
        }
    return {
        "e": "trade",
        "E": sent,
        "T": matched,
        "s": spec.symbol,
        "t": trade.trade_id,
        "p": price,
        "q": size,
        "X": "MARKET",
        "m": seller_takes,
    }


def _quote_fields(frame: Frame, unit_ns: int) -> dict[str, Any]:
    spec, top = frame.spec, frame.event
    assert isinstance(top, TopOfBook)  # noqa: S101 (the channel says so)
    quote = {
        "u": top.update_id,
        "s": spec.symbol,
        "b": spec.price_text(top.bid),
        "B": spec.size_text(top.bid_lots),
        "a": spec.price_text(top.ask),
        "A": spec.size_text(top.ask_lots),
    }
    if spec.venue == SPOT:
        return quote
    return {"e": "bookTicker", **quote, "T": frame.matched_ns // unit_ns, "E": frame.sent_ns // unit_ns}


_FIELDS = {Channel.DEPTH: _depth_fields, Channel.TRADE: _trade_fields, Channel.QUOTE: _quote_fields}


def level_texts(spec: MarketSpec, levels: list[tuple[int, int]]) -> list[tuple[str, str]]:
    """Levels as the venue writes them."""
    return [(spec.price_text(tick), spec.size_text(lots)) for tick, lots in levels]


def encode_snapshot(spec: MarketSpec, view: BookView, matched_ns: int, sent_ns: int) -> str:
    """The answer to a request for depth; spot's has no time."""
    times = {} if spec.venue == SPOT else {"E": sent_ns // MS, "T": matched_ns // MS}
    body = {"lastUpdateId": view.sequence, **times}
    return orjson.dumps({**body, "bids": level_texts(spec, view.bids), "asks": level_texts(spec, view.asks)}).decode()


def encode_exchange_info(specs: list[MarketSpec], weight_per_minute: int, now_ns: int) -> str:
    """The answer to a request for the instrument list."""
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_per_minute},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61_000},
    ]
    info = {"timezone": "UTC", "serverTime": now_ns // MS, "rateLimits": limits, "exchangeFilters": []}
    return orjson.dumps({**info, "symbols": [_symbol_entry(spec) for spec in specs]}).decode()


def _symbol_entry(spec: MarketSpec) -> dict[str, Any]:
    filters = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": spec.tick_size,
            "maxPrice": spec.price_text(spec.price_ticks * 100),
            "tickSize": spec.tick_size,
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": spec.lot_size,
            "maxQty": spec.size_text(spec.typical_lots * 100_000),
            "stepSize": spec.lot_size,
        },
    ]
    assets = {"baseAsset": spec.base, "quoteAsset": spec.quote}
    if spec.venue == SPOT:
        precision = {"baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8}
        return {"symbol": spec.symbol, "status": "TRADING", **assets, **precision, "filters": filters}
    return {
        "symbol": spec.symbol,
        "pair": spec.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "status": "TRADING",
        **assets,
        "marginAsset": spec.quote,
        "pricePrecision": spec.price_decimals,
        "quantityPrecision": spec.size_decimals,
        "filters": filters,
    }


def encode_error(code: int, message: str) -> str:
    """A refused request."""
    return orjson.dumps({"code": code, "msg": message}).decode()


def encode_refusal(code: int, message: str, request_id: int | None) -> str:
    """A refused WebSocket request."""
    return orjson.dumps({"error": {"code": code, "msg": message}, "id": request_id}).decode()


def encode_shutdown(now_ns: int) -> str:
    """The announcement of a disconnect."""
    return orjson.dumps({"e": "serverShutdown", "E": now_ns // MS}).decode()
