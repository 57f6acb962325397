"""Deribit as the simulator plays it: perpetuals and options on one address; grids, prices and sizes as in late 2025.

JSON-RPC. Books come in the stream with every level; `change_id` is not consecutive, `prev_change_id` names the one
before. Prices and amounts are JSON numbers. A client that asked for heartbeats and leaves a `test_request` without an
answer is cut off. `raw` channels want a login, as `CLIENT_ID` with `CLIENT_SECRET`, which lasts for a while.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import orjson

from producers.simulator.contract import (
    Books,
    Form,
    Opening,
    RateLimit,
    Reaction,
    RestAnswer,
    SessionRules,
    VenueRules,
)
from producers.simulator.derivatives import DerivativeState
from producers.simulator.events import (
    BOOK_STREAMS,
    DepthUpdate,
    MarketEvent,
    OddTrade,
    StreamKind,
    Subscription,
    TopOfBook,
)
from producers.simulator.market import Fill
from producers.simulator.market_spec import ListedMarket, MarketSpec
from producers.simulator.true_book import WholeBook
from schemas.errors import UsageError
from schemas.units import NS_PER_MS

Fields = dict[str, Any]

CHANNELS = {
    StreamKind.DEPTH: "book.{}.{}",
    StreamKind.TRADE: "trades.{}.{}",
    StreamKind.QUOTE: "quote.{}",
    StreamKind.MARK: "ticker.{}.100ms",
}
_CHANNEL = re.compile(r"(book|trades|quote|ticker)\.([^.]+)(\.100ms|\.raw)?")
_STREAMS = {
    "book": StreamKind.DEPTH,
    "trades": StreamKind.TRADE,
    "quote": StreamKind.QUOTE,
    "ticker": StreamKind.MARK,
}
_SYMBOL = re.compile(r"([A-Z0-9]{1,16})-(PERPETUAL|[0-9]{1,2}[A-Z]{3}[0-9]{2}(?:-[0-9]+-[CP])?)")
_PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?")
_INVENTED = ListedMarket("0.5", "10.0", "4000.0", "500.0")
_MARKETS = {
    "BTC-PERPETUAL": ListedMarket("0.5", "10.0", "61807.5", "2500.0"),
    "ETH-PERPETUAL": ListedMarket("0.05", "1.0", "2683.35", "900.0"),
    "BTC-26JUN26": ListedMarket("2.5", "10.0", "62910.0", "1800.0"),
    "BTC-26JUN26-60000-C": ListedMarket("0.0005", "0.1", "0.1130", "6.4"),
}


CLIENT_ID = "a-client"
CLIENT_SECRET = "a-clients-secret"  # noqa: S105 (of a simulated client)
SPEED, RAW = "100ms", "raw"


class _DeribitRequestParams(msgspec.Struct):
    channels: list[str] = []
    grant_type: str = ""
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""
    interval: Annotated[float, msgspec.Meta(ge=10, le=3600)] | None = None


class _DeribitRequest(msgspec.Struct):
    method: str
    id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | str | None = None
    params: _DeribitRequestParams = msgspec.field(default_factory=_DeribitRequestParams)


_REFRESH = "a-refresh-token"
_REQUEST = msgspec.json.Decoder(_DeribitRequest)
RULES = VenueRules(
    websocket_paths=("/ws/api/v2",),
    rest_paths=("/api/v2",),
    session=SessionRules(messages=RateLimit(20, 1.0), heartbeat_answer_s=10.0),
    weight=RateLimit(20, 1.0),
    odd_trade_every=400,
    book_in_stream=True,
    derivative_streams=(StreamKind.MARK,),
)


@dataclass(frozen=True)
class DeribitVenue:
    """The venue; see `SimulatedVenue`.

    Attributes:
        login_s: How long a login lasts.
    """

    name: str = "deribit"
    login_s: float = 900.0
    rules: VenueRules = RULES
    listed: tuple[str, ...] = tuple(_MARKETS)
    websocket_target: str = "/ws/api/v2"
    derivatives_target: str = "/ws/api/v2"

    def market(self, symbol: str) -> MarketSpec:
        """The market behind a symbol: listed, or invented."""
        match = _SYMBOL.fullmatch(symbol)
        if match is None:
            raise UsageError(
                f"{symbol!r} is not a symbol of {self.name}",
                next_step=f"write it as the venue does: {self.listed[0]}",
            )
        spec = _MARKETS.get(symbol, _INVENTED).spec(self.name, symbol, match[1], "USD", hidden_ids=9)
        return spec._replace(is_derivative=True, has_funding=match[2] == "PERPETUAL")

    # -- what it says

    def encode(self, event: MarketEvent, form: Form) -> str:
        """The text of an event."""
        data: object
        if isinstance(event.what, Fill | OddTrade):
            data = [_trade(event, event.what)]
        elif isinstance(event.what, TopOfBook):
            data = _quote(event, event.what)
        elif isinstance(event.what, DerivativeState):
            data = _ticker(event, event.what)
        else:
            data = _book(event, event.what)
        params = {"channel": _channel(event.subscription, form.speed or SPEED), "data": data}
        return _json({"jsonrpc": "2.0", "method": "subscription", "params": params})

    def heartbeat(self, now_ns: int) -> str:
        """`test_request`."""
        del now_ns
        return _json({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}})

    def farewell(self, now_ns: int) -> str:
        """It announces nothing on a connection: what comes is a heartbeat that wants no answer."""
        del now_ns
        return _json({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "heartbeat"}})

    def refusal(self, status: int) -> str:
        """Code 10028; 11094 where it is the server's own fault."""
        if status >= 500:
            return _error(None, 11094, "internal_server_error")
        return _error(None, 10028, f"too_many_requests ({status})")

    def answer(self, path: str, query: Mapping[str, str], books: Books) -> RestAnswer:
        """`get_instruments` of all, and `get_instrument` of one."""
        if path == "/api/v2/public/get_instruments":
            there = [spec for spec in books.specs.values() if not spec.is_delisted]
            return RestAnswer(200, 1, _result(None, list(map(_entry, there))), "get_instruments")
        if path != "/api/v2/public/get_instrument":
            return RestAnswer(404, 1, _error(None, -32601, "Method not found"))
        spec = books.specs.get(query.get("instrument_name", ""))
        if spec is None:
            return RestAnswer(400, 1, _error(None, 13020, "not_found"))
        return RestAnswer(200, 1, _result(None, _entry(spec)), "get_instrument")

    # -- what it hears

    def open(self, path: str, query: Mapping[str, str]) -> Opening:
        """Nothing is asked for by the handshake."""
        del path, query
        return Opening()

    def receive(self, text: str, held: frozenset[Subscription], books: Books, form: Form) -> Reaction:
        """Log in, subscribe, unsubscribe, set_heartbeat and test; what is not known is left out of the answer."""
        try:
            request = _REQUEST.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            return Reaction((_error(None, -32600, f"request entity is no valid JSON-RPC: {error}"),))
        if request.method == "public/auth":
            return self._log_in(request, form)
        scope, _, method = request.method.partition("/")
        is_raw = any(name.endswith(f".{RAW}") for name in request.params.channels)
        if (scope == "private" or is_raw) and not form.is_known:
            refusal = (13009, "unauthorized") if scope == "private" else (13778, "raw_subscriptions_not_available")
            return Reaction((_error(request.id, *refusal),))
        wanted = {name: one for name in request.params.channels if (one := _subscription(name)) is not None}
        known = {name: one for name, one in wanted.items() if one.symbol in books.specs}
        done, found = Reaction((_result(request.id, list(known)),)), tuple(known.values())
        if method == "subscribe":
            new = tuple(one for one in found if one not in held)
            return done._replace(subscribe=new, form=form._replace(speed=RAW) if is_raw else None)
        if method == "unsubscribe":
            return done._replace(unsubscribe=found)
        if request.method == "public/set_heartbeat" and request.params.interval is not None:
            return Reaction((_result(request.id, "ok"),), heartbeat_every_s=request.params.interval)
        if request.method == "public/test":
            return Reaction((_result(request.id, {"version": "1.2.26"}),), answers_heartbeat=True)
        return Reaction((_error(request.id, -32601, "Method not found"),))

    def _log_in(self, request: _DeribitRequest, form: Form) -> Reaction:
        """Grant a session to the one client there is, or renew it."""
        told = request.params
        is_named = (told.client_id, told.client_secret) == (CLIENT_ID, CLIENT_SECRET)
        if (told.grant_type == "client_credentials" and is_named) or told.refresh_token == _REFRESH:
            tokens = {"access_token": "an-access-token", "refresh_token": _REFRESH, "token_type": "bearer"}
            granted = {**tokens, "expires_in": self.login_s, "scope": "connection"}
            known = form._replace(is_known=True)
            return Reaction((_result(request.id, granted),), form=known, lasts_s=self.login_s)
        return Reaction((_error(request.id, 13004, "invalid_credentials"),))

    # -- what a client that keeps to its rules says

    def subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """One request for everything."""
        return [_subscribe([Subscription(symbol, stream) for symbol in symbols for stream in BOOK_STREAMS])]

    def derivative_subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """One request for all tickers."""
        return [_subscribe([Subscription(symbol, StreamKind.MARK) for symbol in symbols])]

    def listing_targets(self, symbols: Sequence[str]) -> list[str]:
        """The whole list."""
        del symbols
        return ["/api/v2/public/get_instruments?currency=any&expired=false"]

    def book_target(self, symbol: str) -> str:
        """None: books come in the stream."""
        del symbol
        return ""

    def is_older(self, update: DepthUpdate, snapshot_id: int) -> bool:
        """By the id of the update."""
        return update.last_id <= snapshot_id


def _book(event: MarketEvent, what: DepthUpdate | WholeBook) -> Fields:
    bids, asks = event.level_texts()
    head = {"timestamp": event.matched_ns // NS_PER_MS, "instrument_name": event.spec.symbol}
    if isinstance(what, WholeBook):
        ids: Fields = {"type": "snapshot", "change_id": what.sequence}
    else:
        ids = {"type": "change", "change_id": what.last_id, "prev_change_id": what.previous_id}
    first = "new" if isinstance(what, WholeBook) else "change"
    return {**head, **ids, "bids": _levels(bids, first), "asks": _levels(asks, first)}


def _levels(levels: Sequence[tuple[str, str]], action: str) -> list[list[object]]:
    return [[action if size.strip("0.") else "delete", _number(price), _number(size)] for price, size in levels]


def _quote(event: MarketEvent, top: TopOfBook) -> Fields:
    spec = event.spec
    ((bid, bid_size), (ask, ask_size)) = spec.level_texts([(top.bid, top.bid_lots), (top.ask, top.ask_lots)])
    best = {"best_bid_price": bid, "best_bid_amount": bid_size, "best_ask_price": ask, "best_ask_amount": ask_size}
    head = {"timestamp": event.matched_ns // NS_PER_MS, "instrument_name": spec.symbol}
    return {**head, **{name: _number(text) for name, text in best.items()}}


def _ticker(event: MarketEvent, told: DerivativeState) -> Fields:
    head = {"timestamp": event.matched_ns // NS_PER_MS, "instrument_name": event.spec.symbol, "state": "open"}
    prices = {"mark_price": _number(told.mark_text), "index_price": _number(told.index_text)}
    interest = {"open_interest": _number(event.spec.size_text(told.open_lots)), "stats": {"volume": None}}
    funding = {"current_funding": float(told.rate_text), "funding_8h": 0.0} if told.rate is not None else {}
    return {**head, **prices, **interest, **funding}


def _trade(event: MarketEvent, trade: Fill | OddTrade) -> Fields:
    spec = event.spec
    head = {"timestamp": event.matched_ns // NS_PER_MS, "instrument_name": spec.symbol, "trade_id": str(trade.trade_id)}
    head["trade_seq"] = trade.trade_id
    if isinstance(trade, OddTrade):
        block = {"direction": "buy", "block_trade_id": f"BLOCK-{trade.trade_id}"}
        return {**head, "price": _number(spec.price_text(spec.price_ticks)), "amount": 250_000.0, **block}
    deal = {"price": _number(spec.price_text(trade.tick)), "amount": _number(spec.size_text(trade.lots))}
    return {**head, **deal, "direction": "buy" if trade.buyer_is_aggressor else "sell", "tick_direction": 0}


def _entry(spec: MarketSpec) -> Fields:
    terms = spec.symbol.split("-")[1:]
    kind = {"kind": "option", "option_type": "call"} if len(terms) == 3 else {"kind": "future"}
    period = {"settlement_period": "perpetual" if terms == ["PERPETUAL"] else "month", "instrument_type": "reversed"}
    coins = {"base_currency": spec.base, "quote_currency": spec.quote, "counter_currency": "USD"}
    grid = {"tick_size": _number(spec.tick_size), "tick_size_steps": [], "min_trade_amount": _number(spec.lot_size)}
    state = {"is_active": False, "state": "closed"} if spec.is_delisted else {"is_active": True}
    return {"instrument_name": spec.symbol, **kind, **period, **coins, **grid, **state}


def _number(text: str) -> object:
    """A JSON number; what is none stays the text that it is, as damage on the way may leave it."""
    return float(text) if _PLAIN.fullmatch(text) else text


def _subscribe(wanted: Sequence[Subscription]) -> str:
    names = list(map(_channel, wanted))
    return _json({"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": {"channels": names}})


def _channel(subscription: Subscription, speed: str = SPEED) -> str:
    return CHANNELS[subscription.stream].format(subscription.symbol, speed)


def _subscription(channel: str) -> Subscription | None:
    match = _CHANNEL.fullmatch(channel)
    if match is None or bool(match[3]) != (match[1] != "quote"):
        return None
    return Subscription(match[2], _STREAMS[match[1]])


def _result(request_id: object, result: object) -> str:
    return _json({"jsonrpc": "2.0", "id": request_id, "result": result})


def _error(request_id: object, code: int, message: str) -> str:
    return _json({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


VENUE = DeribitVenue()
