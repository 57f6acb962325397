"""A seeded order flow and the book it makes: no clock, the same seed is the same market.

Limit orders arrive and go around the touch with a heavy tail of distances, market orders consume the book, bursts come
at several times the usual rate and lean to one side, and a weak pull keeps the price from wandering off for good. Only
`Random.random`, and arithmetic that IEEE 754 rounds exactly, decide anything: no logarithm whose last bit differs from
one machine to the next.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from producers.simulator.market_spec import MarketSpec
from producers.simulator.true_book import Change, TrueBook
from schemas.units import NS_PER_MS, NS_PER_SECOND

OPENING_LEVELS = 1_300
"""Levels a side at the start: more than a snapshot of 1,000 shows, so that some are known from updates alone."""
MAX_LEVELS = 5_000
"""Levels a side; beyond it the farthest one goes: real books grow to this within minutes."""
MIN_LEVELS = 100
"""A side this thin is only added to."""
DENSE_LEVELS = 1_000
IDS_BEGIN_NS = 1_704_067_200 * NS_PER_SECOND
"""Trade ids begin higher by one each millisecond after this: a market that opens anew gives none of before again."""

BURST_EVERY_S = 8.0
BURST_SECONDS = (0.2, 1.8)
BURST_RATE = 6.0
MARKET_ORDERS, MARKET_ORDERS_IN_BURST, ADDS = 0.03, 0.07, 0.58
"""Shares of the order flow, cumulated; the rest takes liquidity away. More is added than taken: books grow."""


class Fill(NamedTuple):
    """One trade: a market order met one level."""

    trade_id: int
    tick: int
    lots: int
    buyer_is_aggressor: bool


class MarketStep(NamedTuple):
    """What happened at one moment."""

    ns: int
    changes: list[Change]
    fills: list[Fill]
    touched: bool
    """Whether the best bid or ask, or its size, is another."""


class Market:
    """One instrument's order flow.

    Args:
        spec: The instrument.
        seed: The same seed gives the same market.
        start_ns: Time of the opening, ns UTC.
        changes_per_second: Mean order events a second outside bursts.
        opening_levels: Levels a side that it starts with.

    Attributes:
        book: The true book.
        next_ns: Time of the next step.
    """

    def __init__(
        self,
        spec: MarketSpec,
        seed: int,
        start_ns: int,
        changes_per_second: float,
        opening_levels: int = OPENING_LEVELS,
    ) -> None:
        self.spec = spec
        self._random = Random(f"{seed}:{spec.venue}:{spec.symbol}").random  # noqa: S311 (a simulation, not a secret)
        self._rate = changes_per_second
        self._anchor = spec.price_ticks
        # Distances are of the order of 4 basis points, but at least some ticks where ticks are coarse.
        self._typical_distance = max(20, spec.price_ticks * 4 // 10_000)
        self._max_distance = spec.price_ticks // 5
        self._lean = 0.0
        self._burst_until_ns = 0
        self._trade_id = 1 + int(self._random() * 9e9) + max(0, start_ns - IDS_BEGIN_NS) // NS_PER_MS
        self._changes: list[Change] = []
        self.book = TrueBook(int(self._random() * 9e12))
        self._update_id = self.book.sequence
        self._open(opening_levels)
        self.next_ns = start_ns
        self._schedule()

    def step(self) -> MarketStep:
        """Let the next event happen, at `next_ns`, and schedule the one after."""
        before = self.book.top()
        ns, fills = self.next_ns, []
        self._changes = []
        kind = self._random()
        if kind < (MARKET_ORDERS_IN_BURST if self._in_burst else MARKET_ORDERS):
            fills = self._market_order()
        elif kind < ADDS:
            self._add()
        else:
            self._reduce()
        self._schedule()
        return MarketStep(ns, self._changes, fills, self.book.top() != before)

    def shift(self, ticks: int, ns: int) -> MarketStep:
        """Move every resting order by so many ticks, at once: the venue leads the others, or lags behind them."""
        self._changes = []
        for is_bid, side in ((True, self.book.bids), (False, self.book.asks)):
            before = dict(side)
            after = {tick + ticks: lots for tick, lots in before.items() if tick + ticks > 0}
            for tick in before.keys() | after.keys():
                if before.get(tick) != after.get(tick):
                    self._set(is_bid, tick, after.get(tick, 0))
        return MarketStep(ns, self._changes, [], touched=True)

    def refine(self, times: int) -> None:
        """Trade in finer ticks from here on, so many to one of the old ones."""
        self.spec = self.spec.refined(times)
        self._anchor *= times
        self._typical_distance *= times
        self._max_distance *= times
        self.book.refine(times)

    def _open(self, most: int) -> None:
        levels = min(most, self._anchor // 5)
        for is_bid, direction in ((True, -1), (False, 1)):
            tick = self._anchor + (0 if is_bid else 1)
            for rank in range(levels):
                if tick < 1:
                    break
                self._set(is_bid, tick, self._size(1.0))
                gap = 1 + int(1.6 * self._random())
                if rank >= DENSE_LEVELS:
                    gap += self._heavy(self._typical_distance // 10)
                tick += direction * gap
        self.book.forget()
        self.end_update()

    def end_update(self) -> None:
        """Let the changes from here on belong to the next update, where ids count updates."""
        self._update_id = self.book.sequence + 1

    @property
    def _in_burst(self) -> bool:
        return self.next_ns < self._burst_until_ns

    def _schedule(self) -> None:
        random = self._random
        rate = self._rate * (BURST_RATE if self._in_burst else 1.0)
        if not self._in_burst and random() < 1.0 / (self._rate * BURST_EVERY_S):
            shortest, longest = BURST_SECONDS
            self._burst_until_ns = self.next_ns + int((shortest + (longest - shortest) * random()) * NS_PER_SECOND)
            self._lean = 1.0 if random() < 0.5 else -1.0
        u = random()  # the cube crowds events together: the mean gap is 1/rate, the median half of it
        self.next_ns += 1 + int(4.0 * u * u * u * NS_PER_SECOND / rate)
        self._lean = 0.995 * self._lean + 0.1 * (random() - 0.5)

    def _buys(self, weight: float) -> bool:
        """Which side is next: the flow's lean, less the pull back to where the market opened."""
        away = (self.book.best_bid - self._anchor) / self._anchor
        lean = max(-1.0, min(1.0, self._lean - 20.0 * away))
        return self._random() < 0.5 + weight * lean

    def _market_order(self) -> list[Fill]:
        buys = self._buys(0.35)
        side = self.book.asks if buys else self.book.bids
        if len(side) <= MIN_LEVELS:
            self._add()
            return []
        left = self._size(0.5 if self._in_burst else 0.2)
        fills = []
        for _ in range(8):
            tick, lots = side.peekitem(0 if buys else -1)
            filled = min(left, lots)
            self._set(not buys, tick, lots - filled)
            self._trade_id += 1
            fills.append(Fill(self._trade_id, tick, filled, buys))
            left -= filled
            if not left:
                break
        return fills

    def _add(self) -> None:
        book, is_bid = self.book, self._buys(0.1)
        spread = book.best_ask - book.best_bid
        if spread > 1 and self._random() < 0.85:
            inside = 1 + int(self._random() * (spread - 1))
            tick = book.best_bid + inside if is_bid else book.best_ask - inside
        else:
            tick = book.best_bid - self._distance() if is_bid else book.best_ask + self._distance()
        if tick < 1:
            return
        side = book.bids if is_bid else book.asks
        self._set(is_bid, tick, side.get(tick, 0) + self._size(0.7))
        if len(side) > MAX_LEVELS:
            self._set(is_bid, side.peekitem(0 if is_bid else -1)[0], 0)

    def _reduce(self) -> None:
        book, is_bid = self.book, self._random() < 0.5
        side = book.bids if is_bid else book.asks
        if len(side) <= MIN_LEVELS:
            self._add()
            return
        tick = self._level_near(is_bid, self._distance() // 2)  # nearer than what is added: old orders stay far away
        lots = side[tick]
        at_touch = tick == (book.best_bid if is_bid else book.best_ask)
        keeps = self._random() < (0.8 if at_touch else 0.4)
        self._set(is_bid, tick, int(lots * self._random()) if keeps else 0)

    def _level_near(self, is_bid: bool, distance: int) -> int:
        """The existing level at this distance from the touch, or the next one outward, or the last there is."""
        ticks = (self.book.bids if is_bid else self.book.asks).keys()
        if is_bid:
            index = self.book.bids.bisect_right(self.book.best_bid - distance) - 1
            return int(ticks[max(index, 0)])
        index = self.book.asks.bisect_left(self.book.best_ask + distance)
        return int(ticks[min(index, len(ticks) - 1)])

    def _distance(self) -> int:
        """Ticks from the touch: three in ten at it or right behind, the rest with a heavy tail."""
        if self._random() < 0.3:
            u = self._random()
            return int(4.0 * u * u)
        return min(self._heavy(self._typical_distance), self._max_distance)

    def _size(self, scale: float) -> int:
        typical = max(1, int(self.spec.typical_lots * scale))
        return 1 + min(self._heavy(typical), 500 * typical)

    def _heavy(self, median: int) -> int:
        """A log-logistic number: half are below the median, one in twenty is nineteen times as large."""
        u = self._random()
        return int(median * u / (1.0 - u))

    def _set(self, is_bid: bool, tick: int, lots: int) -> None:
        change = Change(self._next_id(), is_bid, tick, lots)
        self.book.put(change)
        self._changes.append(change)

    def _next_id(self) -> int:
        if self.spec.ids_count_updates:
            return self._update_id
        skipped = int(self._random() * self.spec.hidden_ids) if self.spec.hidden_ids else 0
        return self.book.sequence + 1 + skipped
