"""The Bazaar itself: its true books, and what it says of them. Shares no code with the adapter or the pipeline."""

from __future__ import annotations

from binascii import crc32
from decimal import Decimal
from random import Random
from typing import Any

Side = dict[Decimal, Decimal]
Json = dict[str, Any]

KEPT = 2_000
"""States of a book that can still be asked for."""


class Market:
    """One instrument: a book that changes, and the number of its last change. Numbers rise, but not by one."""

    def __init__(self, symbol: str, seed: int = 0) -> None:
        self.symbol = symbol
        self.random = Random(f"{symbol}:{seed}")
        self.bids: Side = {Decimal("100.0") - step * Decimal("0.1"): Decimal(step) for step in range(1, 21)}
        self.asks: Side = {Decimal("100.0") + step * Decimal("0.1"): Decimal(step) for step in range(1, 21)}
        self.n = 100
        self.trades = 0
        self.states: dict[int, tuple[Side, Side]] = {}
        self._keep()

    def change(self) -> Json:
        """A few levels change; the update that says so."""
        after, self.n = self.n, self.n + self.random.randrange(1, 4)
        changed: tuple[Side, Side] = ({}, {})
        for _ in range(self.random.randrange(1, 4)):
            is_bid = self.random.random() < 0.5
            side, other = (self.bids, self.asks) if is_bid else (self.asks, self.bids)
            edge = min(other) if is_bid else max(other)
            price = edge + (-1 if is_bid else 1) * Decimal("0.1") * self.random.randrange(1, 12)
            if price in side and len(side) > 8 and self.random.random() < 0.5:
                del side[price]
            else:
                side[price] = Decimal(self.random.randrange(1, 9_000)) / 1000
            changed[0 if is_bid else 1][price] = side.get(price, Decimal(0))
        self._keep()
        return self._said(changed, after, whole=False)

    def whole(self) -> Json:
        """The whole book."""
        return self._said((self.bids, self.asks), self.n, whole=True)

    def restart(self) -> Json:
        """The service begins anew: the same book, its numbers from one."""
        self.n = 1
        self._keep()
        return self.whole()

    def trade(self) -> Json:
        """A trade at the best bid or ask."""
        self.trades += 1
        buys = self.random.random() < 0.5
        price, size = min(self.asks) if buys else max(self.bids), Decimal(self.random.randrange(1, 900)) / 1000
        said = {"s": self.symbol, "id": f"t{self.trades}", "price": _text(price), "size": _text(size)}
        return {**said, "taker": "buy" if buys else "sell"}

    def best(self) -> Json:
        """The best levels."""
        bid, ask = max(self.bids), min(self.asks)
        return {
            "s": self.symbol,
            "n": self.n,
            "bid": [_text(bid), _text(self.bids[bid])],
            "ask": [_text(ask), _text(self.asks[ask])],
        }

    def listed(self) -> Json:
        """Its entry in the list of markets."""
        base, quote = self.symbol[:-4], self.symbol[-4:]
        return {"s": self.symbol, "base": base, "quote": quote, "tick": "0.10", "lot": "0.001"}

    def _said(self, levels: tuple[Side, Side], after: int, *, whole: bool) -> Json:
        bids, asks = ([[_text(price), _text(size)] for price, size in side.items()] for side in levels)
        said: Json = {"s": self.symbol, "n": self.n, "after": after, "bids": bids, "asks": asks, "sum": self._sum()}
        return {**said, "whole": True} if whole else said

    def _sum(self) -> int:
        best = [*sorted(self.bids.items(), reverse=True)[:5], *sorted(self.asks.items())[:5]]
        return crc32("|".join(f"{_text(price)}:{_text(size)}" for price, size in best).encode())

    def _keep(self) -> None:
        self.states[self.n] = (dict(self.bids), dict(self.asks))
        if len(self.states) > KEPT:
            del self.states[next(iter(self.states))]


def _text(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
