"""What every factor reads: the top of the book, taken once a record, and what the rolling factors share.

Distances from mid are exact integers before they become floats: with S = b_1 + a_1 in ticks, a level at p is
|2p - S|/S of mid away. Sizes are floats proportional to base size: lots, or on inverse contracts lots over price.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate
from operator import add, mul
from typing import Final

from orderbook.book import Book, BookSide
from orderbook.grid import Grid
from orderbook.validity import TrackedBook
from processors.factors.reference.bands import Bands
from processors.factors.rolling import Rolling
from processors.factors.weights import NO_WEIGHTS, OfiWeights
from schemas.messages import L2Record, Status

DEPTH: Final = 20
"""Levels of each side that factors look at one by one."""


def total(values: Iterable[float]) -> float:
    """Plain sum from left to right. The built-in `sum` compensates floats from Python 3.12 on: other last bits."""
    return reduce(add, values, 0.0)


def ratio(bid: float, ask: float) -> float | None:
    """(bid - ask)/(bid + ask): in [-1, 1], + is bid heavy; None where both are 0."""
    whole = bid + ask
    return (bid - ask) / whole if whole else None


class TopLevels:
    """The best levels of one side that are known, best first.

    Attributes:
        ticks, lots: Up to `DEPTH` levels.
        sizes: Floats proportional to base size.
        is_whole: No level of the side is missing, however far out.
    """

    __slots__ = ("_is_bid", "_worst", "is_whole", "lots", "sizes", "ticks")

    def __init__(self, side: BookSide, grid: Grid, limit: int | None) -> None:
        """Take the top of a side, up to the farthest price it is known at; None where all of it is known."""
        self.ticks = side.top_prices(DEPTH)
        self.is_whole = limit is None
        if limit is not None and self.ticks and (self.ticks[-1] - limit) * (1 if side.is_bid else -1) < 0:
            self.ticks = [tick for tick in self.ticks if (tick >= limit if side.is_bid else tick <= limit)]
        self.lots = [side.lots[tick] for tick in self.ticks]
        self.sizes = list(map(grid.proportional, self.ticks, self.lots))
        self._worst = self.ticks[-1] if len(self.ticks) == DEPTH else None
        self._is_bid = side.is_bid

    def knows(self, levels: int) -> bool:
        """True where the best so many levels are known, or all there are."""
        return self.is_whole or len(self.ticks) >= levels

    def reaches(self, tick: int) -> bool:
        """True where an occupied price is among the best `DEPTH`; to be asked where those are known."""
        if self._worst is None:
            return True
        return tick >= self._worst if self._is_bid else tick <= self._worst


class Tops:
    """Both tops of one book.

    Attributes:
        grid: The book's grid.
        bids, asks: The best levels of each side.
        is_two_sided: Both sides have a level.
        is_open: Two-sided with the best bid below the best ask.
        sum_ticks: b_1 + a_1 in ticks, S; 0 where not two-sided.
        bid_limit, ask_limit: Farthest price of each side up to which nothing is missing, ticks; None: nothing is.
    """

    __slots__ = ("ask_limit", "asks", "bid_limit", "bids", "grid", "is_open", "is_two_sided", "sum_ticks")

    def __init__(self, tracked: TrackedBook, grid: Grid) -> None:
        book, known = tracked.book, tracked.known
        self.grid, self.bid_limit, self.ask_limit = grid, known.bid_limit(book), known.ask_limit(book)
        self.bids = TopLevels(book.bids, grid, self.bid_limit)
        self.asks = TopLevels(book.asks, grid, self.ask_limit)
        self.is_two_sided = bool(self.bids.ticks and self.asks.ticks)
        self.is_open = self.is_two_sided and self.bids.ticks[0] < self.asks.ticks[0]
        self.sum_ticks = self.bids.ticks[0] + self.asks.ticks[0] if self.is_two_sided else 0

    def knows(self, levels: int) -> bool:
        """True where the best so many levels of both sides are known, or all there are."""
        return self.bids.knows(levels) and self.asks.knows(levels)


class BookView:
    """One book right after one record: the argument of every factor.

    Attributes:
        grid: Turns ticks and lots into prices, sizes and notionals.
        tops: The tops after the record.
        before: The tops before it; None where the record made the book LIVE.
        bid_levels, ask_levels: Levels within what is known.
        flow: Order flow at the best quotes that the record carries; None where it carries none.
        received_ns: The record's time.
        thin_notional: T, quote units.
        rolling: The rolling state, this record's delta included, its event not.
        weights: Of integrated order flow, where there are any.
    On an open book also (elsewhere they are not set, and no factor that reads them is called):
        bands: Notionals within 5, 10 and 25 bps of mid, each None where the band leaves what is known.
        bid_totals, ask_totals: Lots over the top 1, 2, 3 … levels.
        bid_gaps, ask_gaps: Distances from mid over mid, best first.
        notional: N, the notional of the top 10 of both sides, quote units; of those that are known.
    """

    __slots__ = (
        "ask_gaps",
        "ask_levels",
        "ask_totals",
        "bands",
        "before",
        "bid_gaps",
        "bid_levels",
        "bid_totals",
        "flow",
        "grid",
        "notional",
        "received_ns",
        "rolling",
        "thin_notional",
        "tops",
        "weights",
    )

    def __init__(
        self,
        book: Book,
        tops: Tops,
        before: Tops | None,
        rolling: Rolling,
        record: L2Record,
        thin_notional: float,
        weights: OfiWeights = NO_WEIGHTS,
    ) -> None:
        self.grid, self.tops, self.before = tops.grid, tops, before
        self.bid_levels = book.bids.count_down_to(tops.bid_limit)
        self.ask_levels = book.asks.count_up_to(tops.ask_limit)
        self.received_ns, self.thin_notional, self.rolling = record.received_ns, thin_notional, rolling
        self.flow, self.weights = record.quote_flow_lots, weights
        if tops.is_open:
            self._measure(book)

    def _measure(self, book: Book) -> None:
        bids, asks, mid2 = self.tops.bids, self.tops.asks, self.tops.sum_ticks
        self.bands = Bands(book, self.tops.bid_limit, self.tops.ask_limit, mid2, is_inverse=self.grid.is_inverse)
        self.bid_totals, self.ask_totals = list(accumulate(bids.lots)), list(accumulate(asks.lots))
        self.bid_gaps = [(mid2 - 2 * tick) / mid2 for tick in bids.ticks]
        self.ask_gaps = [(2 * tick - mid2) / mid2 for tick in asks.ticks]
        self.notional = self.grid.notional(self._weighed(bids) + self._weighed(asks))

    def _weighed(self, top: TopLevels) -> int:
        if self.grid.is_inverse:
            return sum(top.lots[:10])
        return sum(map(mul, top.ticks[:10], top.lots))

    @property
    def status(self) -> Status:
        """State of a LIVE book: the first that holds."""
        bids, asks = self.tops.bids.ticks, self.tops.asks.ticks
        if not self.tops.is_two_sided:
            return Status.ONE_SIDED if bids or asks else Status.EMPTY
        if bids[0] > asks[0]:
            return Status.CROSSED
        if bids[0] == asks[0]:
            return Status.LOCKED
        return Status.THIN if self.notional < self.thin_notional else Status.OK


def weighted(weights: Sequence[float], sizes: Sequence[float]) -> float:
    """Σ weight·size from the best level outward, over the shorter of the two."""
    return total(map(mul, weights, sizes))
