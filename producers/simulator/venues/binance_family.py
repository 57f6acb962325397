"""What the venues of Binance share: stream names, requests and acknowledgements, envelopes, REST answers and errors.

A venue of the family is a file with one `BinanceVenue`: its numbers, and the fields of its messages in its own order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import orjson

from producers.simulator.contract import Books, Form, Opening, Reaction, RestAnswer, VenueRules
from producers.simulator.derivatives import DerivativeState
from producers.simulator.events import (
    BOOK_STREAMS,
    DEPTH_SPEED_NS,
    DepthUpdate,
    MarketEvent,
    StreamKind,
    Subscription,
    TopOfBook,
)
from producers.simulator.market_spec import ListedMarket, MarketSpec
from producers.simulator.true_book import WholeBook
from schemas.errors import UsageError
from schemas.units import NS_PER_MS, NS_PER_US

Fields = dict[str, Any]

CHANNELS = {
    f"depth@{DEPTH_SPEED_NS // NS_PER_MS}ms": StreamKind.DEPTH,
    "trade": StreamKind.TRADE,
    "bookTicker": StreamKind.QUOTE,
    "markPrice@1s": StreamKind.MARK,
}
_NAMES = {stream: name for name, stream in CHANNELS.items()}
MAX_STREAMS = 1024
"""Streams of one connection."""
SNAPSHOT_LEVELS = 1000
"""What a client asks for."""
_DIGITS = re.compile(r"[0-9]{1,9}")
_INVENTED = ListedMarket("0.001", "0.01", "100.000", "5.00")


class _Request(msgspec.Struct):
    method: str
    id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    params: list[str] = []


_REQUEST = msgspec.json.Decoder(_Request)
_SYMBOLS = msgspec.json.Decoder(list[str])


@dataclass(frozen=True, kw_only=True)
class BinanceVenue:
    """One venue of the family; see `SimulatedVenue`.

    Args:
        name: Exchange id.
        rules: Addresses and limits.
        rest: What the paths of its requests begin with.
        client_target: Path and query of the handshake that our client makes.
        microseconds: Whether `timeUnit=microsecond` is understood.
        symbol: Form of a symbol, with the groups `base` and `quote`.
        listed_suffix: What follows a listed base in its symbol.
        markets: Listed markets by base.
        decimals: Digits after the point of all numbers; None is as many as the grid has.
        hidden_ids: Most update ids that one change may skip.
        depth_limits: What `limit` of a depth request may be; empty is any up to the largest of `depth_weights`.
        depth_weights: Weight of a depth request by its largest limit.
        default_depth_limit: `limit` where none is given.
        listing_weight: Weight of a request for the instrument list.
        lists_in_part: Whether that list can be asked for by symbol.
        first_after: The first update after a snapshot of id L ends at L plus this, or later.
        depth: Fields of a depth update, from its levels' texts and the unit of time.
        trade: Fields of a trade.
        quote: Fields of a best quote.
        book: Fields of an answer with a book before its levels: instrument, its book, matching and sending time in ns.
        entry: Fields of an instrument in the list, but for its filters.
        mark: Fields of a mark price; None where there is none.
        derivatives_target: Path and query of the handshake for mark prices; empty where there are none.
        market_paths: Where mark prices are, if that is not where books are.
    """

    name: str
    rules: VenueRules
    rest: str
    client_target: str
    symbol: re.Pattern[str]
    markets: Mapping[str, ListedMarket]
    depth_weights: tuple[tuple[int, int], ...]
    default_depth_limit: int
    listing_weight: int
    first_after: int
    depth: Callable[[MarketEvent, DepthUpdate, int], Fields]
    trade: Callable[[MarketEvent, int], Fields]
    quote: Callable[[MarketEvent, int], Fields]
    book: Callable[[MarketSpec, WholeBook, int, int], Fields]
    entry: Callable[[MarketSpec], Fields]
    mark: Callable[[MarketEvent, DerivativeState, int], Fields] | None = None
    derivatives_target: str = ""
    market_paths: tuple[str, ...] = ()
    listed_suffix: str = "USDT"
    microseconds: bool = False
    decimals: int | None = None
    hidden_ids: int = 0
    depth_limits: tuple[int, ...] = ()
    lists_in_part: bool = False

    @property
    def listed(self) -> tuple[str, ...]:
        """Symbols with a market of their own."""
        return tuple(base + self.listed_suffix for base in self.markets)

    def market(self, symbol: str) -> MarketSpec:
        """The market behind a symbol: listed, or invented."""
        match = self.symbol.fullmatch(symbol)
        if match is None:
            raise UsageError(
                f"{symbol!r} is not a symbol of {self.name}",
                next_step=f"write it as the venue does: {self.listed[0]}",
            )
        base, quote = match["base"], match["quote"]
        listed = self.markets.get(base, _INVENTED) if self.listed_suffix.startswith(quote) else _INVENTED
        spec = listed.spec(self.name, symbol, base, quote, decimals=self.decimals, hidden_ids=self.hidden_ids)
        return spec._replace(is_derivative=self.mark is not None, has_funding=self.has_funding(symbol))

    def has_funding(self, symbol: str) -> bool:
        """Whether it is a perpetual: others have a date in their names."""
        return self.mark is not None and not symbol.rpartition("_")[2].isdecimal()

    # -- what it says

    def encode(self, event: MarketEvent, form: Form) -> str:
        """The text of an event: bare, or in the envelope that names its stream."""
        fields = self._fields(event, form.unit_ns)
        return _json({"stream": _stream_name(event.subscription), "data": fields} if form.envelope else fields)

    def _fields(self, event: MarketEvent, unit_ns: int) -> Fields:
        if isinstance(event.what, DepthUpdate):
            return self.depth(event, event.what, unit_ns)
        if isinstance(event.what, DerivativeState) and self.mark is not None:
            return self.mark(event, event.what, unit_ns)
        return (self.trade if event.stream is StreamKind.TRADE else self.quote)(event, unit_ns)

    def heartbeat(self, now_ns: int) -> str:
        """None: these venues ask by WebSocket pings."""
        del now_ns
        return ""

    def farewell(self, now_ns: int) -> str:
        """`serverShutdown`."""
        return _json({"e": "serverShutdown", "E": now_ns // NS_PER_MS})

    def refusal(self, status: int) -> str:
        """Code -1003; -1001 where it is the server's own fault."""
        if status >= 500:
            return _error(-1001, "Internal error; unable to process your request. Please try again.")
        return _error(-1003, "Way too many requests." if status == 418 else "Too much request weight used.")

    def answer(self, path: str, query: Mapping[str, str], books: Books) -> RestAnswer:
        """`depth`, `exchangeInfo`, `ping`, and `openInterest` of derivatives."""
        what = path.removeprefix(self.rest)
        if what == "/depth":
            limit = query.get("limit", str(self.default_depth_limit))
            return self._depth(query.get("symbol", ""), int(limit) if _DIGITS.fullmatch(limit) else 0, books)
        if what == "/exchangeInfo":
            return self._listing(query.get("symbols", ""), books)
        if what == "/openInterest" and self.rules.derivative_streams:
            return self._open_interest(query.get("symbol", ""), books)
        return RestAnswer(200, 1, "{}", "ping") if what == "/ping" else _refused(404, 1, -5000, "Path is not known.")

    def _depth(self, symbol: str, limit: int, books: Books) -> RestAnswer:
        if symbol not in books.specs:
            return _refused(400, 1, -1121, "Invalid symbol.")
        if not 1 <= limit <= self.depth_weights[-1][0] or (self.depth_limits and limit not in self.depth_limits):
            return _refused(400, 1, -4021, f"{limit} is not a valid depth limit.")
        weight = next(weight for most, weight in self.depth_weights if limit <= most)
        spec, view = books.specs[symbol], books.true_book(symbol, limit=limit)
        head = self.book(spec, view, books.matched_ns(symbol), books.now_ns)
        body = {**head, "bids": spec.level_texts(view.bids), "asks": spec.level_texts(view.asks)}
        return RestAnswer(200, weight, _json(body), f"depth:{symbol}", view)

    def _open_interest(self, symbol: str, books: Books) -> RestAnswer:
        if symbol not in books.specs:
            return _refused(400, 1, -1121, "Invalid symbol.")
        told = {"symbol": symbol, "openInterest": books.specs[symbol].size_text(books.open_lots(symbol))}
        return RestAnswer(200, 1, _json({**told, "time": books.now_ns // NS_PER_MS}), f"openInterest:{symbol}")

    def _listing(self, symbols: str, books: Books) -> RestAnswer:
        """The instrument list; in part where the venue can, and then refused if it does not trade one of them."""
        weight, wanted = self.listing_weight, self._listed_now(books)
        if symbols and self.lists_in_part:
            try:
                wanted = _SYMBOLS.decode(symbols)
            except (msgspec.DecodeError, RecursionError):
                return _refused(400, weight, -1100, "Illegal characters found in parameter 'symbols'.")
        if not set(self._listed_now(books)) >= set(wanted):
            return _refused(400, weight, -1121, "Invalid symbol.")
        entries = [{**self.entry(books.specs[name]), "filters": _filters(books.specs[name])} for name in wanted]
        limits = [
            _rate_limit("REQUEST_WEIGHT", 1, self.rules.weight.most),
            _rate_limit("RAW_REQUESTS", 5, 61_000),
        ]
        head = {"timezone": "UTC", "serverTime": books.now_ns // NS_PER_MS, "rateLimits": limits, "exchangeFilters": []}
        return RestAnswer(200, weight, _json({**head, "symbols": entries}), "exchangeInfo")

    def _listed_now(self, books: Books) -> list[str]:
        """What the list has an entry of: spot's has none of what was delisted."""
        return [symbol for symbol, spec in books.specs.items() if not (spec.is_delisted and self.lists_in_part)]

    # -- what it hears

    def open(self, path: str, query: Mapping[str, str]) -> Opening:
        """Streams by `?streams=a/b`; the envelope on `/stream`, none on `/ws`."""
        microseconds = self.microseconds and query.get("timeUnit", "").lower() == "microsecond"
        names = query.get("streams", "").split("/")
        subscriptions = tuple(found for name in names if (found := _subscription(name)))
        form = Form(NS_PER_US if microseconds else NS_PER_MS, path.endswith("/stream"))
        return Opening(form, subscriptions, self._carried_at(path))

    def _carried_at(self, path: str) -> frozenset[StreamKind]:
        if not self.market_paths:
            return frozenset(StreamKind)
        return frozenset({StreamKind.MARK} if path in self.market_paths else BOOK_STREAMS)

    def receive(self, text: str, held: frozenset[Subscription], books: Books, form: Form) -> Reaction:
        """SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS."""
        del form  # the path decided it
        try:
            request = _REQUEST.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            return _reject(2, f"Invalid request: {error}", None)
        if request.method == "LIST_SUBSCRIPTIONS":
            return _accept(request, sorted(map(_stream_name, held)))
        named = {name: _subscription(name) for name in request.params}
        found = tuple(one for one in named.values() if one and self._has(one, books))
        if len(found) < len(named) or request.method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            unknown = [name for name, one in named.items() if one not in found]
            return _reject(2, f"Invalid request: {' '.join(unknown) or 'unknown method'}", request.id)
        if request.method == "UNSUBSCRIBE":
            return _accept(request)._replace(unsubscribe=found)
        if len(held.union(found)) > MAX_STREAMS:
            return _reject(3, "Invalid request: too many streams on one connection", request.id)
        return _accept(request)._replace(subscribe=found)

    def _has(self, wanted: Subscription, books: Books) -> bool:
        return wanted.symbol in books.specs and (wanted.stream in BOOK_STREAMS or self.mark is not None)

    # -- what a client that keeps to its rules says

    @property
    def websocket_target(self) -> str:
        """Path and query of the handshake."""
        return self.client_target

    def subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """One SUBSCRIBE of everything."""
        return [_subscribe(symbols, BOOK_STREAMS)]

    def derivative_subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """One SUBSCRIBE of all mark prices."""
        return [_subscribe(symbols, (StreamKind.MARK,))]

    def listing_targets(self, symbols: Sequence[str]) -> list[str]:
        """The whole list."""
        del symbols
        return [f"{self.rest}/exchangeInfo"]

    def book_target(self, symbol: str) -> str:
        """1,000 levels."""
        return f"{self.rest}/depth?symbol={symbol}&limit={SNAPSHOT_LEVELS}"

    def is_older(self, update: DepthUpdate, snapshot_id: int) -> bool:
        """By the last id of the update."""
        return update.last_id < snapshot_id + self.first_after


def mark_fields(event: MarketEvent, told: DerivativeState, unit_ns: int) -> Fields:
    """A mark price; a delivery has an empty funding rate and the time 0."""
    head = {"e": "markPriceUpdate", "E": event.sent_ns // unit_ns, "s": event.spec.symbol}
    prices = {"p": told.mark_text, "P": told.index_text, "i": told.index_text}
    return {**head, **prices, "r": told.rate_text, "T": (told.next_funding_ns or 0) // unit_ns}


def quote_fields(event: MarketEvent) -> Fields:
    """The fields of a best quote that every venue of the family has."""
    spec, top = event.spec, event.what
    assert isinstance(top, TopOfBook)  # noqa: S101 (the stream says so)
    bid = {"b": spec.price_text(top.bid), "B": spec.size_text(top.bid_lots)}
    ask = {"a": spec.price_text(top.ask), "A": spec.size_text(top.ask_lots)}
    return {"u": top.update_id, "s": spec.symbol, **bid, **ask}


def _subscribe(symbols: Sequence[str], streams: Sequence[StreamKind]) -> str:
    names = [_stream_name(Subscription(symbol, stream)) for symbol in symbols for stream in streams]
    return _json({"method": "SUBSCRIBE", "params": names, "id": 1})


def _stream_name(subscription: Subscription) -> str:
    return f"{subscription.symbol.lower()}@{_NAMES[subscription.stream]}"


def _subscription(name: str) -> Subscription | None:
    symbol, _, channel = name.partition("@")
    return Subscription(symbol.upper(), CHANNELS[channel]) if symbol.islower() and channel in CHANNELS else None


def _filters(spec: MarketSpec) -> list[Fields]:
    highest, largest = spec.price_text(spec.price_ticks * 100), spec.size_text(spec.typical_lots * 100_000)
    price = {"minPrice": spec.tick_size, "maxPrice": highest, "tickSize": spec.tick_size}
    size = {"minQty": spec.lot_size, "maxQty": largest, "stepSize": spec.lot_size}
    return [{"filterType": "PRICE_FILTER", **price}, {"filterType": "LOT_SIZE", **size}]


def _rate_limit(kind: str, minutes: int, limit: int) -> Fields:
    return {"rateLimitType": kind, "interval": "MINUTE", "intervalNum": minutes, "limit": limit}


def _accept(request: _Request, result: object = None) -> Reaction:
    return Reaction((_json({"result": result, "id": request.id}),))


def _reject(code: int, message: str, request_id: int | None) -> Reaction:
    return Reaction((_json({"error": {"code": code, "msg": message}, "id": request_id}),))


def _refused(status: int, weight: int, code: int, message: str) -> RestAnswer:
    return RestAnswer(status, weight, _error(code, message))


def _error(code: int, message: str) -> str:
    return _json({"code": code, "msg": message})


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
