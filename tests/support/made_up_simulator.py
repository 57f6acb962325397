"""A venue that nobody runs, as the simulator plays it: all that Binance is not.

ws /made                   {"do": "listen" | "leave" | "here" | "ask", "to": ["book:BTC-EUR", "deals:…", "best:…"],
                           "tag": "…", "every_s": 5}; answered by {"done": tag} or {"failed": tag, "why": "…"}
text `ping`                `pong`; a client that says nothing for 30 s is cut
{"there": true}            the venue's question; a client that does not say {"do": "here"} within 2 s is cut
{"ends": ms}               comes ahead of a connection's end
{"on": "book:…", "kind": "whole" | "change", "n": 8, "after": 7, "at": ns, "buy": [[p, s]], "sell": []}
                           n counts updates; the whole book comes with the subscription and replaces what was; 20
                           levels a side, what leaves them is deleted with size "0"
{"on": "deals:…", "id": 5, "at": ns, "p": "…", "s": "…", "taker": "buy" | "sell"}
{"on": "best:…", "n": 8, "at": ns, "buy": [p, s], "sell": [p, s]}
GET /made/list?part=0      {"markets": [{"name", "tick", "lot"}], "next": 1}; two a part, no next in the last
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import msgspec

from producers.simulator.contract import (
    Books,
    Form,
    Opening,
    RateLimit,
    Reaction,
    RestAnswer,
    SessionRules,
    SimulatedVenue,
    VenueRules,
)
from producers.simulator.events import BOOK_STREAMS, DepthUpdate, MarketEvent, StreamKind, Subscription, TopOfBook
from producers.simulator.market import Fill
from producers.simulator.market_spec import ListedMarket, MarketSpec
from producers.simulator.true_book import WholeBook
from schemas.errors import UsageError

LEVELS = 20
PART = 2
_NAMES = {StreamKind.DEPTH: "book", StreamKind.TRADE: "deals", StreamKind.QUOTE: "best"}
_STREAMS = {name: stream for stream, name in _NAMES.items()}
_MARKET = ListedMarket("0.5", "0.01", "60000.0", "0.20")


class _Request(msgspec.Struct):
    do: Literal["listen", "leave", "here", "ask"]
    to: list[str] = []
    tag: str | None = None
    every_s: float | None = None


_REQUEST = msgspec.json.Decoder(_Request)
RULES = VenueRules(
    websocket_paths=("/made",),
    rest_paths=("/made",),
    session=SessionRules(messages=RateLimit(20, 1.0), silence_s=30.0, heartbeat_answer_s=2.0),
    weight=RateLimit(30, 5.0),
    book_in_stream=True,
    depth_levels=LEVELS,
)


@dataclass(frozen=True)
class MadeUpVenue:
    """The venue; see `SimulatedVenue`."""

    rules: VenueRules = RULES
    name: str = "made-up"
    listed: tuple[str, ...] = ("BTC-EUR", "ETH-EUR", "SOL-EUR")
    websocket_target: str = "/made"

    def market(self, symbol: str) -> MarketSpec:
        match = re.fullmatch(r"([A-Z]+)-([A-Z]+)", symbol)
        if match is None:
            raise UsageError(f"{symbol!r} is not a symbol of {self.name}", next_step="write BTC-EUR")
        return _MARKET.spec(self.name, symbol, match[1], match[2])._replace(ids_count_updates=True)

    def encode(self, event: MarketEvent, form: Form) -> str:
        del form  # all connections read the same
        spec, what = event.spec, event.what
        head = {"on": _topic(event.subscription), "at": event.sent_ns}
        if isinstance(what, DepthUpdate | WholeBook):
            return json.dumps({**head, **_depth(what), **dict(zip(("buy", "sell"), event.level_texts(), strict=True))})
        if isinstance(what, TopOfBook):
            (buy,), (sell,) = (
                spec.level_texts([(what.bid, what.bid_lots)]),
                spec.level_texts([(what.ask, what.ask_lots)]),
            )
            return json.dumps({**head, "n": what.update_id, "buy": buy, "sell": sell})
        assert isinstance(what, Fill)
        deal = {"id": what.trade_id, "p": spec.price_text(what.tick), "s": spec.size_text(what.lots)}
        return json.dumps({**head, **deal, "taker": "buy" if what.buyer_is_aggressor else "sell"})

    def heartbeat(self, now_ns: int) -> str:
        del now_ns
        return json.dumps({"there": True})

    def farewell(self, now_ns: int) -> str:
        return json.dumps({"ends": now_ns // 10**6})

    def answer(self, path: str, query: Mapping[str, str], books: Books) -> RestAnswer:
        if path != "/made/list" or not query.get("part", "0").isdecimal():
            return RestAnswer(404, 1, json.dumps({"why": "no such page"}))
        part, specs = int(query.get("part", "0")), [spec for spec in books.specs.values() if not spec.is_delisted]
        markets = [{"name": spec.symbol, "tick": spec.tick_size, "lot": spec.lot_size} for spec in specs]
        rest = {"next": part + 1} if len(markets) > PART * (part + 1) else {}
        return RestAnswer(200, 10, json.dumps({"markets": markets[PART * part :][:PART], **rest}), "list")

    def refusal(self, status: int) -> str:
        return json.dumps({"why": f"come back later ({status})"})

    def open(self, path: str, query: Mapping[str, str]) -> Opening:
        del path, query
        return Opening()

    def receive(self, text: str, held: frozenset[Subscription], books: Books, form: Form) -> Reaction:
        del held, form  # listening again begins with the whole book again
        if text == "ping":
            return Reaction(("pong",))
        try:
            request = _REQUEST.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            return Reaction((json.dumps({"failed": None, "why": str(error)}),))
        found = tuple(filter(None, map(_subscription, request.to)))
        if len(found) < len(request.to) or not {one.symbol for one in found} <= books.specs.keys():
            return Reaction((json.dumps({"failed": request.tag, "why": "not traded here"}),))
        done = Reaction((json.dumps({"done": request.tag}),))
        return {
            "listen": done._replace(subscribe=found),
            "leave": done._replace(unsubscribe=found),
            "ask": done._replace(heartbeat_every_s=request.every_s),
            "here": Reaction(answers_heartbeat=True),
        }[request.do]

    def subscriptions(self, symbols: Sequence[str]) -> list[str]:
        topics = ([_topic(Subscription(symbol, stream)) for stream in BOOK_STREAMS] for symbol in symbols)
        return [json.dumps({"do": "listen", "to": to, "tag": f"t{n}"}) for n, to in zip(count(1), topics, strict=False)]

    @property
    def derivatives_target(self) -> str:
        return ""

    def derivative_subscriptions(self, symbols: Sequence[str]) -> list[str]:
        return []

    def listing_targets(self, symbols: Sequence[str]) -> list[str]:
        return [f"/made/list?part={part}" for part in range(-(-len(symbols) // PART))]

    def book_target(self, symbol: str) -> str:
        del symbol  # books come in the stream
        return ""

    def is_older(self, update: DepthUpdate, snapshot_id: int) -> bool:
        return update.last_id <= snapshot_id


def _depth(what: DepthUpdate | WholeBook) -> dict[str, Any]:
    if isinstance(what, WholeBook):
        return {"kind": "whole", "n": what.sequence}
    return {"kind": "change", "n": what.last_id, "after": what.previous_id}


def _topic(subscription: Subscription) -> str:
    return f"{_NAMES[subscription.stream]}:{subscription.symbol}"


def _subscription(topic: str) -> Subscription | None:
    name, _, symbol = topic.partition(":")
    return Subscription(symbol, _STREAMS[name]) if name in _STREAMS else None


MADE_UP: SimulatedVenue = MadeUpVenue()
