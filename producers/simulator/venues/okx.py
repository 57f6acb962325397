"""OKX as the simulator plays it: spot, swaps and futures on one address; grids, prices and sizes as in late 2025.

Books come in the stream, 400 levels a side; what leaves them is deleted with size 0. `seqId` is not consecutive,
`prevSeqId` names the one before. The checksum is 0, as it is since 2026-06-23; `SUMMED` is the venue as it was before.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    Damage,
    DepthUpdate,
    MarketEvent,
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

LEVELS = 400
SUMMED_LEVELS = 25
CHANNELS = {
    "books": StreamKind.DEPTH,
    "trades": StreamKind.TRADE,
    "bbo-tbt": StreamKind.QUOTE,
    "mark-price": StreamKind.MARK,
    "funding-rate": StreamKind.FUNDING,
    "open-interest": StreamKind.OPEN_INTEREST,
}
_NAMES = {stream: name for name, stream in CHANNELS.items()}
_SYMBOL = re.compile(r"([A-Z0-9]{1,16})-(USDT|USDC|USD)(?:-(SWAP|[0-9]{6}))?")
_INVENTED = ListedMarket("0.001", "0.01", "100.000", "5.00")
_MARKETS = {
    "BTC-USDT": ListedMarket("0.1", "0.00000001", "61840.1", "0.01500000"),
    "BTC-USDT-SWAP": ListedMarket("0.1", "0.01", "61806.4", "11.00"),
    "BTC-USD-SWAP": ListedMarket("0.1", "1", "61810.9", "85"),
    "ETH-USDT-SWAP": ListedMarket("0.01", "0.01", "2683.31", "24.00"),
    "ETH-USDT": ListedMarket("0.01", "0.000001", "2684.20", "0.410000"),
    "SOL-USDT-SWAP": ListedMarket("0.01", "0.01", "152.30", "40.00"),
}
_VALUES = {"BTC": "0.01", "ETH": "0.1", "SOL": "1"}


class _OkxRequestArg(msgspec.Struct):
    channel: str
    instId: str  # noqa: N815 (the venue's name)


class _OkxRequest(msgspec.Struct):
    op: str
    args: list[_OkxRequestArg] = []


_REQUEST = msgspec.json.Decoder(_OkxRequest)
RULES = VenueRules(
    websocket_paths=("/ws/v5/public",),
    rest_paths=("/api/v5",),
    session=SessionRules(messages=RateLimit(10, 1.0), silence_s=30.0),
    weight=RateLimit(20, 2.0),
    book_in_stream=True,
    depth_levels=LEVELS,
    derivative_streams=(StreamKind.MARK, StreamKind.FUNDING, StreamKind.OPEN_INTEREST),
)


@dataclass(frozen=True)
class OkxVenue:
    """The venue; see `SimulatedVenue`."""

    name: str = "okx"
    rules: VenueRules = RULES
    listed: tuple[str, ...] = tuple(_MARKETS)
    websocket_target: str = "/ws/v5/public"
    derivatives_target: str = "/ws/v5/public"
    markets: Mapping[str, ListedMarket] = field(default_factory=lambda: _MARKETS)

    def market(self, symbol: str) -> MarketSpec:
        """The market behind a symbol: listed, or invented."""
        match = _SYMBOL.fullmatch(symbol)
        if match is None:
            raise UsageError(
                f"{symbol!r} is not a symbol of {self.name}",
                next_step=f"write it as the venue does: {self.listed[0]}",
            )
        spec = self.markets.get(symbol, _INVENTED).spec(self.name, symbol, match[1], match[2], hidden_ids=9)
        kind = _type_of(symbol)
        return spec._replace(is_derivative=kind != "SPOT", has_funding=kind == "SWAP")

    # -- what it says

    def encode(self, event: MarketEvent, form: Form) -> str:
        """The text of an event."""
        del form  # all connections read the same
        arg = {"channel": _NAMES[event.stream], "instId": event.spec.symbol}
        if isinstance(event.what, Fill):
            return _json({"arg": arg, "data": [_trade(event, event.what)]})
        if isinstance(event.what, DerivativeState):
            return _json({"arg": arg, "data": [_told(event, event.what)]})
        book, action = _book(event)
        action_of = {"action": action} if action else {}
        return _json({"arg": arg, **action_of, "data": [book]})

    def heartbeat(self, now_ns: int) -> str:
        """None: clients ping."""
        del now_ns
        return ""

    def farewell(self, now_ns: int) -> str:
        """Notice 64008."""
        del now_ns
        why = "The connection will soon be closed for a service upgrade. Please reconnect."
        return _json({"event": "notice", "code": "64008", "msg": why, "connId": "simulated"})

    def refusal(self, status: int) -> str:
        """Code 50011; 50026 where it is the server's own fault."""
        if status >= 500:
            return _json({"code": "50026", "msg": "System error. Try again later", "data": []})
        return _json({"code": "50011", "msg": f"Too Many Requests ({status})", "data": []})

    def answer(self, path: str, query: Mapping[str, str], books: Books) -> RestAnswer:
        """`instruments`, one type at a time, and `books`."""
        if path == "/api/v5/public/instruments":
            wanted = [spec for spec in books.specs.values() if _type_of(spec.symbol) == query.get("instType")]
            return RestAnswer(200, 1, _answered(list(map(_entry, wanted))), "instruments")
        if path != "/api/v5/market/books":
            return RestAnswer(404, 1, _json({"code": "404", "msg": "Not Found", "data": []}))
        spec = books.specs.get(query.get("instId", ""))
        if spec is None:
            return RestAnswer(200, 1, _json({"code": "51001", "msg": "Instrument ID does not exist.", "data": []}))
        view = books.true_book(spec.symbol, limit=LEVELS)
        sides = {"asks": _levels(spec.level_texts(view.asks)), "bids": _levels(spec.level_texts(view.bids))}
        book = {**sides, "ts": str(books.now_ns // NS_PER_MS), "seqId": view.sequence}
        return RestAnswer(200, 1, _answered([book]), f"depth:{spec.symbol}", view)

    # -- what it hears

    def open(self, path: str, query: Mapping[str, str]) -> Opening:
        """Nothing is asked for by the handshake."""
        del path, query
        return Opening()

    def receive(self, text: str, held: frozenset[Subscription], books: Books, form: Form) -> Reaction:
        """Subscribe, unsubscribe, and the text `ping`; each channel is acknowledged by itself."""
        del held, form
        if text == "ping":
            return Reaction(("pong",))
        try:
            request = _REQUEST.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return _refuse("60012", "Illegal request")
        if request.op not in ("subscribe", "unsubscribe") or not request.args:
            return _refuse("60012", "Illegal request: unknown op")
        found = []
        for arg in request.args:
            if arg.channel not in CHANNELS or not _has(Subscription(arg.instId, CHANNELS[arg.channel]), books):
                why = f"Wrong URL or channel:{arg.channel},instId:{arg.instId} doesn't exist."
                return _refuse("60018", why)
            found.append(Subscription(arg.instId, CHANNELS[arg.channel]))
        done = Reaction(tuple(_json({"event": request.op, "arg": _arg(one), "connId": "simulated"}) for one in found))
        if request.op == "subscribe":
            return done._replace(subscribe=tuple(found))
        return done._replace(unsubscribe=tuple(found))

    # -- what a client that keeps to its rules says

    def subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """One request for everything."""
        return [_subscribe([Subscription(symbol, stream) for symbol in symbols for stream in BOOK_STREAMS])]

    def derivative_subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """One request for everything; futures have no funding."""
        specs = [self.market(symbol) for symbol in symbols]
        wanted = [Subscription(spec.symbol, each) for spec in specs for each in StreamKind if _tells(spec, each)]
        return [_subscribe(wanted)] if wanted else []

    def listing_targets(self, symbols: Sequence[str]) -> list[str]:
        """A list a type."""
        types = dict.fromkeys(map(_type_of, symbols))
        return [f"/api/v5/public/instruments?instType={each}" for each in types]

    def book_target(self, symbol: str) -> str:
        """None: books come in the stream."""
        del symbol
        return ""

    def is_older(self, update: DepthUpdate, snapshot_id: int) -> bool:
        """By the id of the update."""
        return update.last_id <= snapshot_id


def _tells(spec: MarketSpec, stream: StreamKind) -> bool:
    """Whether an instrument has a stream of derivatives."""
    if stream is StreamKind.FUNDING:
        return spec.has_funding
    return spec.is_derivative and stream not in BOOK_STREAMS


def _has(wanted: Subscription, books: Books) -> bool:
    spec = books.specs.get(wanted.symbol)
    return spec is not None and (wanted.stream in BOOK_STREAMS or _tells(spec, wanted.stream))


def _told(event: MarketEvent, told: DerivativeState) -> Fields:
    """Data of a mark price, a funding rate or an open interest."""
    head = {"instId": event.spec.symbol, "instType": _type_of(event.spec.symbol)}
    time = {"ts": str(event.matched_ns // NS_PER_MS)}
    if event.stream is StreamKind.MARK:
        return {**head, "markPx": told.mark_text, **time}
    if event.stream is StreamKind.OPEN_INTEREST:
        return {**head, "oi": event.spec.size_text(told.open_lots), "oiCcy": "", **time}
    next_ms = (told.next_funding_ns or 0) // NS_PER_MS
    times = {"fundingTime": str(next_ms), "nextFundingTime": str(next_ms + 8 * 3_600_000)}
    return {**head, "fundingRate": told.rate_text, "nextFundingRate": "", **times, **time}


def _book(event: MarketEvent) -> tuple[Fields, str]:
    """Data and action of a book's message; best quotes have no action."""
    spec, what = event.spec, event.what
    if isinstance(what, TopOfBook):
        bids, asks = spec.level_texts([(what.bid, what.bid_lots)]), spec.level_texts([(what.ask, what.ask_lots)])
        ids, action = {"seqId": what.update_id}, ""
    else:
        assert isinstance(what, DepthUpdate | WholeBook)  # noqa: S101 (the stream says so)
        bids, asks = event.level_texts()
        whole = isinstance(what, WholeBook)
        last, previous = (what.sequence, -1) if isinstance(what, WholeBook) else (what.last_id, what.previous_id)
        ids = {"checksum": _checksum(event), "seqId": last, "prevSeqId": previous}
        action = "snapshot" if whole else "update"
    return {"asks": _levels(asks), "bids": _levels(bids), "ts": str(event.matched_ns // NS_PER_MS), **ids}, action


def _checksum(event: MarketEvent) -> int:
    """CRC-32 of the best levels as the venue writes them, bids and asks in turns; 0 where it makes none."""
    if event.summed is None:
        return 0
    bids, asks = event.spec.level_texts(event.summed.bids), event.spec.level_texts(event.summed.asks)
    sides = [(_trimmed(price), _trimmed(size)) for turn in zip(bids, asks, strict=True) for price, size in turn]
    total = zlib.crc32(":".join(f"{price}:{size}" for price, size in sides).encode())
    return (total ^ (event.damage is Damage.CHECKSUM)) - (2**32 if total >= 2**31 else 0)


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _levels(levels: Sequence[tuple[str, str]]) -> list[list[str]]:
    return [[price, size, "0", "1" if size.strip("0.") else "0"] for price, size in levels]


def _trade(event: MarketEvent, fill: Fill) -> Fields:
    spec, side = event.spec, "buy" if fill.buyer_is_aggressor else "sell"
    deal = {"px": spec.price_text(fill.tick), "sz": spec.size_text(fill.lots), "side": side}
    times = {"ts": str(event.matched_ns // NS_PER_MS), "count": "1"}
    return {"instId": spec.symbol, "tradeId": str(fill.trade_id), **deal, **times}


def _entry(spec: MarketSpec) -> Fields:
    kind, inverse = _type_of(spec.symbol), spec.quote == "USD"
    state = "expired" if spec.is_delisted else "live"
    head = {"instId": spec.symbol, "instType": kind, "tickSz": spec.tick_size, "lotSz": spec.lot_size, "state": state}
    if kind == "SPOT":
        return {**head, "baseCcy": spec.base, "quoteCcy": spec.quote, "ctVal": "", "ctMult": "", "ctType": ""}
    value = "100" if inverse else _VALUES.get(spec.base, "1")
    return {**head, "ctVal": value, "ctMult": "1", "ctType": "inverse" if inverse else "linear"}


def _type_of(symbol: str) -> str:
    end = symbol.split("-")[2:]
    return "SPOT" if not end else "SWAP" if end == ["SWAP"] else "FUTURES"


def _subscribe(wanted: Sequence[Subscription]) -> str:
    return _json({"op": "subscribe", "args": list(map(_arg, wanted))})


def _arg(subscription: Subscription) -> Fields:
    return {"channel": _NAMES[subscription.stream], "instId": subscription.symbol}


def _answered(data: list[Fields]) -> str:
    return _json({"code": "0", "msg": "", "data": data})


def _refuse(code: str, why: str) -> Reaction:
    return Reaction((_json({"event": "error", "code": code, "msg": why, "connId": "simulated"}),))


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


VENUE = OkxVenue()
SUMMED = OkxVenue(rules=RULES._replace(summed_levels=SUMMED_LEVELS))
