"""A reader of Binance's streams that shares no code with the pipeline: JSON, Decimal, dicts, the venue's own rules."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

Side = dict[Decimal, Decimal]


class RuleBroken(AssertionError):
    """The stream did something the venue's documentation rules out."""


class IndependentReader:
    """The local order book of one symbol, managed as the venue's documentation says, and checked at every step."""

    def __init__(self, futures: bool, tick: str, lot: str) -> None:
        self.futures = futures
        self.tick, self.lot = Decimal(tick), Decimal(lot)
        self.bids: Side = {}
        self.asks: Side = {}
        self.last_u = 0
        self.updates = self.applied = self.dropped = self.trades = self.quotes_checked = 0
        self.snapshot_range = (Decimal(0), Decimal(0))
        self._snapshot_id: int | None = None
        self._previous: dict[str, Any] | None = None
        self._waiting: list[dict[str, Any]] = []
        self._unjudged: list[tuple[int, tuple[Decimal, ...]]] = []
        self._quote: dict[str, Any] | None = None
        self._last_trade_id = 0

    def on_snapshot(self, body: dict[str, Any]) -> None:
        assert self._waiting, "a snapshot is asked for once updates arrive"
        self._snapshot_id = body["lastUpdateId"]
        self.bids, self.asks = self._levels(body["bids"]), self._levels(body["asks"])
        assert list(self.bids) == sorted(self.bids, reverse=True)
        assert list(self.asks) == sorted(self.asks)
        self.snapshot_range = (min(self.bids), max(self.asks))
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._apply(event)

    def on_event(self, stream: str, data: dict[str, Any]) -> None:
        kind = stream.partition("@")[2]
        if kind.startswith("depth"):
            self._on_depth(data)
        elif kind == "trade":
            self._on_trade(data)
        elif kind == "bookTicker":
            self._on_quote(data)

    def text(self) -> str:
        """The whole book, best levels first, one level a line."""
        sides = (("b", sorted(self.bids.items(), reverse=True)), ("a", sorted(self.asks.items())))
        return "".join(f"{side}{price} {size}\n" for side, levels in sides for price, size in levels)

    def _on_depth(self, event: dict[str, Any]) -> None:
        assert event["e"] == "depthUpdate"
        assert event["U"] <= event["u"]
        previous = self._previous
        if previous is not None:
            follows = event["pu"] == previous["u"] if self.futures else event["U"] == previous["u"] + 1
            if not follows:
                raise RuleBroken(f"{event['U']}..{event['u']} after {previous['u']}")
            assert event["E"] >= previous["E"]
        self._previous = event
        self.updates += 1
        if self._snapshot_id is None:
            self._waiting.append(event)
        else:
            self._apply(event)

    def _apply(self, event: dict[str, Any]) -> None:
        assert self._snapshot_id is not None
        stale = event["u"] < self._snapshot_id if self.futures else event["u"] <= self._snapshot_id
        if stale:
            self.dropped += 1
            return
        if not self.applied:
            bridges = event["U"] <= self._snapshot_id + (not self.futures) <= event["u"] + 1
            assert bridges or event.get("pu") == self._snapshot_id
        self.applied += 1
        self.last_u = event["u"]
        for side, levels in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, size in self._levels(levels, zero=True).items():
                side[price] = size
                if not size:
                    del side[price]
        bid, ask = max(self.bids), min(self.asks)
        assert bid < ask, "a healthy venue's book is never crossed"
        self._unjudged.append((event["u"], (bid, self.bids[bid], ask, self.asks[ask])))

    def _on_quote(self, quote: dict[str, Any]) -> None:
        """After each update the book shows the last quote whose id is at or below the update's."""
        while self._unjudged and self._unjudged[0][0] < quote["u"]:
            u, top = self._unjudged.pop(0)
            if self._quote is not None and self._quote["u"] <= u:
                assert top == tuple(Decimal(self._quote[name]) for name in "bBaA")
                self.quotes_checked += 1
        assert self._quote is None or quote["u"] > self._quote["u"]
        self._quote = quote

    def _on_trade(self, trade: dict[str, Any]) -> None:
        if trade.get("X", "MARKET") != "MARKET":
            return
        assert trade["t"] == self._last_trade_id + 1 or not self._last_trade_id
        self._last_trade_id = trade["t"]
        assert Decimal(trade["p"]) % self.tick == 0
        assert Decimal(trade["q"]) > 0
        self.trades += 1

    def _levels(self, levels: list[list[str]], *, zero: bool = False) -> Side:
        side = {Decimal(price): Decimal(size) for price, size in levels}
        assert len(side) == len(levels), "each price once"
        for price, size in side.items():
            assert price > 0
            assert price % self.tick == 0
            assert size % self.lot == 0
            assert size > 0 or (zero and size == 0)
        return side


def read_frame(readers: dict[str, IndependentReader], text: str) -> None:
    """Hand one WebSocket frame to the reader of its symbol; acknowledgements are nobody's."""
    frame = json.loads(text)
    if "stream" in frame:
        readers[frame["stream"].partition("@")[0].upper()].on_event(frame["stream"], frame["data"])


def assert_true_book(reader: IndependentReader, bids: list[list[str]], asks: list[list[str]]) -> None:
    """Every level the reader has is the venue's own, and none that it must have seen is missing."""
    low, high = reader.snapshot_range
    for held, levels in ((reader.bids, bids), (reader.asks, asks)):
        true = {Decimal(price): Decimal(size) for price, size in levels}
        assert {price: true.get(price) for price in held} == held
        seen = {price: size for price, size in true.items() if low <= price <= high}
        assert {price: held.get(price) for price in seen} == seen
