"""What the venues of Bybit share: topics, requests and acknowledgements, instrument lists by category.

Written from the documentation of v5. Books come in the stream, `u` counts the updates of a topic, what leaves the best
200 levels is deleted. A venue of the family is a file with one `BybitVenue`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

DEPTH = 200
TOPICS = {
    f"orderbook.{DEPTH}": StreamKind.DEPTH,
    "publicTrade": StreamKind.TRADE,
    "orderbook.1": StreamKind.QUOTE,
    "tickers": StreamKind.MARK,
}
_NAMES = {stream: name for name, stream in TOPICS.items()}
MAX_TOPICS = 10
"""Topics of one request."""
PAGE = 1000
_INVENTED = ListedMarket("0.001", "0.01", "100.000", "5.00")


def rules(*categories: str) -> VenueRules:
    """Addresses and limits, with a WebSocket path a category."""
    return VenueRules(
        websocket_paths=tuple(f"/v5/public/{category}" for category in categories),
        rest_paths=("/v5",),
        session=SessionRules(messages=RateLimit(20, 1.0), silence_s=600.0),
        weight=RateLimit(600, 5.0),
        odd_trade_every=400,
        book_in_stream=True,
        depth_levels=DEPTH,
        derivative_streams=() if categories == ("spot",) else (StreamKind.MARK,),
    )


class _BybitRequest(msgspec.Struct):
    op: str
    args: list[str] = []
    req_id: str = ""


_REQUEST = msgspec.json.Decoder(_BybitRequest)


@dataclass(frozen=True, kw_only=True)
class BybitVenue:
    """One venue of the family; see `SimulatedVenue`.

    Args:
        name: Exchange id.
        rules: Addresses and limits.
        symbol: Form of a symbol, with the group `base` and perhaps `quote`.
        markets: Listed markets by symbol.
        category: In which list an instrument stands.
        entry: Fields of an instrument in the list that only this venue's have.
    """

    name: str
    rules: VenueRules
    symbol: re.Pattern[str]
    markets: Mapping[str, ListedMarket]
    category: Callable[[str], str]
    entry: Callable[[MarketSpec], Fields]

    @property
    def listed(self) -> tuple[str, ...]:
        """Symbols with a market of their own."""
        return tuple(self.markets)

    def market(self, symbol: str) -> MarketSpec:
        """The market behind a symbol: listed, or invented."""
        match = self.symbol.fullmatch(symbol)
        if match is None:
            raise UsageError(
                f"{symbol!r} is not a symbol of {self.name}",
                next_step=f"write it as the venue does: {self.listed[0]}",
            )
        quote = match.groupdict().get("quote") or "USD"
        spec = self.markets.get(symbol, _INVENTED).spec(self.name, symbol, match["base"], quote)
        tells = bool(self.rules.derivative_streams)
        return spec._replace(ids_count_updates=True, is_derivative=tells, has_funding=tells)

    # -- what it says

    def encode(self, event: MarketEvent, form: Form) -> str:
        """The text of an event."""
        del form  # all connections read the same
        if isinstance(event.what, Fill | OddTrade):
            data: object = [_trade(event, event.what)]
            kind = "snapshot"
        elif isinstance(event.what, DerivativeState):
            data, kind = _ticker(event.spec, event.what)
        else:
            data, kind = self._book(event)
        head = {"topic": _topic(event.subscription), "type": kind, "ts": event.sent_ns // NS_PER_MS, "data": data}
        has_time = event.stream in (StreamKind.DEPTH, StreamKind.QUOTE)
        return _json({**head, "cts": event.matched_ns // NS_PER_MS} if has_time else head)

    def _book(self, event: MarketEvent) -> tuple[Fields, str]:
        spec, what = event.spec, event.what
        if isinstance(what, TopOfBook):
            number, kind = what.update_id, "snapshot"
            levels = spec.level_texts([(what.bid, what.bid_lots)]), spec.level_texts([(what.ask, what.ask_lots)])
        else:
            assert isinstance(what, DepthUpdate | WholeBook)  # noqa: S101 (the stream says so)
            levels, kind = event.level_texts(), "snapshot" if isinstance(what, WholeBook) else "delta"
            number = what.sequence if isinstance(what, WholeBook) else what.last_id
        return {"s": spec.symbol, "b": levels[0], "a": levels[1], "u": number, "seq": 3 * number + 1}, kind

    def heartbeat(self, now_ns: int) -> str:
        """None: clients ping."""
        del now_ns
        return ""

    def farewell(self, now_ns: int) -> str:
        """It announces nothing: what comes is one more answer to a ping."""
        del now_ns
        return _json({"success": True, "ret_msg": "pong", "conn_id": "simulated", "req_id": "", "op": "ping"})

    def refusal(self, status: int) -> str:
        """Code 10006; 10016 where it is the server's own fault."""
        if status >= 500:
            return _json({"retCode": 10016, "retMsg": "Server error."})
        return _json({"retCode": 10006, "retMsg": f"Too many visits. Exceeded the API Rate Limit. ({status})"})

    def answer(self, path: str, query: Mapping[str, str], books: Books) -> RestAnswer:
        """`instruments-info`, one category at a time."""
        if path != "/v5/market/instruments-info":
            return RestAnswer(404, 1, _json({"retCode": 404, "retMsg": "Not Found"}))
        category = query.get("category", "")
        specs = [
            spec for spec in books.specs.values() if self.category(spec.symbol) == category and not spec.is_delisted
        ]
        result = {"category": category, "list": list(map(self._entry, specs)), "nextPageCursor": ""}
        return RestAnswer(200, 1, _json({"retCode": 0, "retMsg": "OK", "result": result}), "instruments-info")

    def _entry(self, spec: MarketSpec) -> Fields:
        head = {"symbol": spec.symbol, "baseCoin": spec.base, "quoteCoin": spec.quote, "status": "Trading"}
        return {**head, "priceFilter": {"tickSize": spec.tick_size}, **self.entry(spec)}

    # -- what it hears

    def open(self, path: str, query: Mapping[str, str]) -> Opening:
        """Nothing is asked for by the handshake; both paths of contracts know all contracts here."""
        del path, query
        return Opening()

    def receive(self, text: str, held: frozenset[Subscription], books: Books, form: Form) -> Reaction:
        """Subscribe, unsubscribe and ping; subscribed again without leaving it before is refused."""
        del form  # the path decided it
        try:
            request = _REQUEST.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            return _answer(_BybitRequest("subscribe"), f"error:bad request,{error}")
        if request.op == "ping":
            return Reaction((_json({"success": True, "ret_msg": "pong", "conn_id": "simulated", "op": "ping"}),))
        found = {name: _subscription(name) for name in request.args}
        wanted = tuple(one for one in found.values() if one and self._has(one, books))
        if request.op not in ("subscribe", "unsubscribe") or len(request.args) > MAX_TOPICS:
            return _answer(request, "error:unknown op, or too many args")
        if len(wanted) < len(found):
            unknown = next(name for name, one in found.items() if one not in wanted)
            return _answer(request, f"error:handler not found,topic:{unknown}")
        if request.op == "unsubscribe":
            return _answer(request)._replace(unsubscribe=wanted)
        if twice := [one for one in wanted if one in held]:
            return _answer(request, f"error:already subscribed,topic:{_topic(twice[0])}")
        return _answer(request)._replace(subscribe=wanted)

    def _has(self, wanted: Subscription, books: Books) -> bool:
        tells = wanted.stream in (*BOOK_STREAMS, *self.rules.derivative_streams)
        return tells and wanted.symbol in books.specs

    # -- what a client that keeps to its rules says

    @property
    def websocket_target(self) -> str:
        """Path of the handshake."""
        return self.rules.websocket_paths[0]

    def subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """One request an instrument."""
        return [_subscribe([_topic(Subscription(symbol, stream)) for stream in BOOK_STREAMS]) for symbol in symbols]

    @property
    def derivatives_target(self) -> str:
        """Path of the handshake; empty on spot."""
        return self.websocket_target if self.rules.derivative_streams else ""

    def derivative_subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """One request an instrument."""
        return [_subscribe([_topic(Subscription(symbol, StreamKind.MARK))]) for symbol in symbols]

    def listing_targets(self, symbols: Sequence[str]) -> list[str]:
        """A list a category."""
        categories = dict.fromkeys(map(self.category, symbols))
        return [f"/v5/market/instruments-info?category={category}&limit={PAGE}" for category in categories]

    def book_target(self, symbol: str) -> str:
        """None: books come in the stream."""
        del symbol
        return ""

    def is_older(self, update: DepthUpdate, snapshot_id: int) -> bool:
        """By the number of the update."""
        return update.last_id <= snapshot_id


def _trade(event: MarketEvent, trade: Fill | OddTrade) -> Fields:
    spec, is_block = event.spec, isinstance(trade, OddTrade)
    tick, lots, buys = (spec.price_ticks, 1, True) if isinstance(trade, OddTrade) else trade[1:]
    deal = {"T": event.matched_ns // NS_PER_MS, "s": spec.symbol, "S": "Buy" if buys else "Sell"}
    deal |= {"v": spec.size_text(lots), "p": spec.price_text(tick), "L": "ZeroPlusTick"}
    return {**deal, "i": f"0000-{trade.trade_id}", "BT": is_block, "RPI": False}


def _ticker(spec: MarketSpec, told: DerivativeState) -> tuple[Fields, str]:
    """A ticker: all of it, or the prices that changed."""
    prices = {"symbol": spec.symbol, "markPrice": told.mark_text, "indexPrice": told.index_text}
    if not told.is_whole:
        return prices, "delta"
    next_ms = str((told.next_funding_ns or 0) // NS_PER_MS)
    funding = {"fundingRate": told.rate_text, "nextFundingTime": next_ms, "fundingIntervalHour": "8"}
    return {**prices, **funding, "openInterest": spec.size_text(told.open_lots)}, "snapshot"


def _subscribe(topics: Sequence[str]) -> str:
    return _json({"op": "subscribe", "req_id": topics[0], "args": list(topics)})


def _topic(subscription: Subscription) -> str:
    return f"{_NAMES[subscription.stream]}.{subscription.symbol}"


def _subscription(topic: str) -> Subscription | None:
    name, _, symbol = topic.rpartition(".")
    return Subscription(symbol, TOPICS[name]) if name in TOPICS else None


def _answer(request: _BybitRequest, error: str = "") -> Reaction:
    said = {"success": not error, "ret_msg": error, "conn_id": "simulated", "req_id": request.req_id, "op": request.op}
    return Reaction((_json(said),))


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
