"""One order book: sizes by price, and the prices in order.

A side is a dict of lots by tick, which answers "how much is there", and an ascending list of its prices, which answers
"what comes next". Nothing is ever trimmed at the best side. A depth bound, where set, evicts the levels farthest from
the best, counts them, and remembers from where on the side is incomplete.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence

Best = tuple[int | None, int | None, int | None, int | None]
"""Best bid, its lots, best ask, its lots; None where a side is empty."""


class BookSide:
    """One side of a book.

    Attributes:
        is_bid: True for bids (the highest price is best), False for asks.
        lots: Size by price, both integers; no entry is 0.
        prices: The prices of `lots`, ascending.
        max_levels: Depth bound, or None.
        evicted: Levels the bound took since the last `replace`.
        horizon: Nearest price the bound ever took since then: beyond it the side is incomplete. None: complete.
    """

    __slots__ = ("evicted", "horizon", "is_bid", "lots", "max_levels", "prices")

    def __init__(self, *, is_bid: bool, max_levels: int | None = None) -> None:
        self.is_bid = is_bid
        self.lots: dict[int, int] = {}
        self.prices: list[int] = []
        self.max_levels = max_levels
        self.evicted = 0
        self.horizon: int | None = None

    def replace(self, ticks: Sequence[int], lots: Sequence[int]) -> None:
        """Take these levels for the whole side; sizes of 0 are ignored, of a repeated price the last counts."""
        self.lots = levels_of(ticks, lots)
        self.prices = sorted(self.lots)
        self.evicted, self.horizon = 0, None
        self._evict()

    def update(self, ticks: Sequence[int], lots: Sequence[int]) -> None:
        """Set absolute sizes; 0 removes a level, and removing one that is absent is normal."""
        sizes, prices = self.lots, self.prices
        for tick, size in zip(ticks, lots, strict=True):
            if size:
                if tick not in sizes:
                    insort(prices, tick)
                sizes[tick] = size
            elif sizes.pop(tick, 0):
                del prices[bisect_left(prices, tick)]
        self._evict()

    def best(self) -> int | None:
        """The best price in ticks; None on an empty side."""
        if not self.prices:
            return None
        return self.prices[-1] if self.is_bid else self.prices[0]

    def top_prices(self, count: int) -> list[int]:
        """The `count` best prices (or as many as there are), best first."""
        return self.prices[: -count - 1 : -1] if self.is_bid else self.prices[:count]

    def top(self, count: int) -> list[tuple[int, int]]:
        """The `count` best levels as (ticks, lots), best first."""
        lots = self.lots
        return [(tick, lots[tick]) for tick in self.top_prices(count)]

    def count_down_to(self, tick: int | None) -> int:
        """How many levels lie at this price or above; all of them where it is None."""
        return len(self.prices) if tick is None else len(self.prices) - bisect_left(self.prices, tick)

    def count_up_to(self, tick: int | None) -> int:
        """How many levels lie at this price or below; all of them where it is None."""
        return len(self.prices) if tick is None else bisect_right(self.prices, tick)

    def sizes_at(self, ticks: Sequence[int]) -> list[int]:
        """Lots at each of these prices, 0 where there is no level."""
        lots = self.lots
        return [lots.get(tick, 0) for tick in ticks]

    def levels(self) -> Iterator[tuple[int, int]]:
        """All levels as (ticks, lots), best first."""
        lots = self.lots
        return ((tick, lots[tick]) for tick in (reversed(self.prices) if self.is_bid else self.prices))

    def __len__(self) -> int:
        return len(self.prices)

    def _evict(self) -> None:
        if self.max_levels is None or len(self.prices) <= self.max_levels:
            return
        excess = len(self.prices) - self.max_levels
        farthest = slice(None, excess) if self.is_bid else slice(self.max_levels, None)
        gone = self.prices[farthest]
        del self.prices[farthest]
        for tick in gone:
            del self.lots[tick]
        self.evicted += excess
        nearest = gone[-1] if self.is_bid else gone[0]
        if self.horizon is None:
            self.horizon = nearest
        else:
            self.horizon = max(self.horizon, nearest) if self.is_bid else min(self.horizon, nearest)


class Book:
    """Bids and asks of one instrument, in ticks and lots.

    Attributes:
        bids, asks: The sides.
    """

    __slots__ = ("asks", "bids")

    def __init__(self, max_levels: int | None = None) -> None:
        if max_levels is not None and max_levels < 1:
            raise ValueError(f"a depth bound of {max_levels} levels keeps nothing")
        self.bids = BookSide(is_bid=True, max_levels=max_levels)
        self.asks = BookSide(is_bid=False, max_levels=max_levels)

    def replace(
        self, bid_ticks: Sequence[int], bid_lots: Sequence[int], ask_ticks: Sequence[int], ask_lots: Sequence[int]
    ) -> None:
        """Take a snapshot for the whole book."""
        self.bids.replace(bid_ticks, bid_lots)
        self.asks.replace(ask_ticks, ask_lots)

    def update(
        self, bid_ticks: Sequence[int], bid_lots: Sequence[int], ask_ticks: Sequence[int], ask_lots: Sequence[int]
    ) -> None:
        """Apply one delta: absolute sizes, 0 removes."""
        self.bids.update(bid_ticks, bid_lots)
        self.asks.update(ask_ticks, ask_lots)

    def clear(self) -> None:
        """Forget every level."""
        self.replace((), (), (), ())

    @property
    def best_bid(self) -> int | None:
        """Highest bid in ticks, None without bids."""
        return self.bids.best()

    @property
    def best_ask(self) -> int | None:
        """Lowest ask in ticks, None without asks."""
        return self.asks.best()

    @property
    def bid_levels(self) -> int:
        """Number of bid levels."""
        return len(self.bids)

    @property
    def ask_levels(self) -> int:
        """Number of ask levels."""
        return len(self.asks)

    @property
    def evicted(self) -> int:
        """Levels a depth bound took from both sides since the last snapshot was taken."""
        return self.bids.evicted + self.asks.evicted

    @property
    def is_crossed(self) -> bool:
        """True where the best bid is above the best ask; equal is locked, not crossed."""
        bid, ask = self.bids.best(), self.asks.best()
        return bid is not None and ask is not None and bid > ask

    @property
    def best_levels(self) -> Best:
        """Best bid, its lots, best ask, its lots; None where a side is empty."""
        bid, ask = self.bids.best(), self.asks.best()
        bid_lots = None if bid is None else self.bids.lots[bid]
        return bid, bid_lots, ask, None if ask is None else self.asks.lots[ask]

    def top_bids(self, count: int) -> list[tuple[int, int]]:
        """The best bids as (ticks, lots), best first."""
        return self.bids.top(count)

    def top_asks(self, count: int) -> list[tuple[int, int]]:
        """The best asks as (ticks, lots), best first."""
        return self.asks.top(count)

    def arrays(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """All levels as a snapshot record carries them: bid ticks, bid lots, ask ticks, ask lots, best first."""
        bids, asks = self.bids.top_prices(len(self.bids)), self.asks.prices[:]
        return bids, self.bids.sizes_at(bids), asks, self.asks.sizes_at(asks)

    def __eq__(self, other: object) -> bool:
        """Books are equal where their levels are."""
        if not isinstance(other, Book):
            return NotImplemented
        return self.bids.lots == other.bids.lots and self.asks.lots == other.asks.lots

    __hash__ = None  # type: ignore[assignment]  # a book changes

    def __repr__(self) -> str:
        return f"Book({self.bid_levels} bids to {self.best_bid}, {self.ask_levels} asks from {self.best_ask})"


def levels_of(ticks: Sequence[int], lots: Sequence[int]) -> dict[int, int]:
    """Size by price of one side of a record, without sizes of 0; of a repeated price the last counts."""
    levels = dict(zip(ticks, lots, strict=True))
    if 0 in levels.values():
        return {tick: size for tick, size in levels.items() if size}
    return levels
