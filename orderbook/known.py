"""How far a book is known: up to which price of each side nothing is missing.

A venue's snapshot over REST holds so many levels a side. Orders that rest farther out and never change stay unknown,
and no delta tells of them: it tells of what changed. So a range is what the snapshot covered, and only another snapshot
widens it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from orderbook.book import Book, BookSide, levels_of
from schemas.bounds import INT64_MAX
from schemas.messages import Coverage, L2Record

_RANGE: Final = Coverage.RANGE  # looked up once: asked after each update


class Known(NamedTuple):
    """How far a book is known.

    Attributes:
        coverage: What the venue sends.
        bid, ask: Of a range, the farthest price of each side up to which nothing is missing, ticks; None where the
            whole side is known.
    """

    coverage: Coverage
    bid: int | None = None
    ask: int | None = None

    @classmethod
    def of(cls, record: L2Record) -> Known:
        """What a snapshot says of itself. Version 1 of the record said nothing: its books counted as whole."""
        if record.coverage is None:
            return WHOLE
        return cls(record.coverage, record.bid_known_ticks, record.ask_known_ticks)

    def bid_limit(self, book: Book) -> int | None:
        """Lowest bid price up to which nothing is missing now; None: no bid is missing."""
        limit = _worst(book.bids) if self.coverage is Coverage.TOP_N else self.bid
        evicted = book.bids.horizon
        return limit if evicted is None else nearer_bid(limit, evicted + 1)

    def ask_limit(self, book: Book) -> int | None:
        """Highest ask price up to which nothing is missing now; None: no ask is missing."""
        limit = _worst(book.asks) if self.coverage is Coverage.TOP_N else self.ask
        evicted = book.asks.horizon
        return limit if evicted is None else nearer_ask(limit, evicted - 1)

    def holds_best(self, book: Book) -> bool:
        """Whether the best prices are known to be the best: on a side known in part, one level within it is there."""
        return self.holds(book.best_bid, book.best_ask)

    def holds(self, bid: int | None, ask: int | None) -> bool:
        """Whether these best prices are known to be the best."""
        if self.coverage is not _RANGE:
            return True
        bid_is_known = self.bid is None or (bid is not None and bid >= self.bid)
        return bid_is_known and (self.ask is None or (ask is not None and ask <= self.ask))

    def scaled(self, ticks: int) -> Known:
        """The same on a grid whose tick goes so many times into one of this."""
        bid, ask = self.bid, self.ask
        farthest = None if ask is None else min(ask * ticks, INT64_MAX)  # the end may lie beyond every level
        return self._replace(bid=None if bid is None else bid * ticks, ask=farthest)


WHOLE: Final = Known(Coverage.WHOLE)


Side = tuple[Sequence[int], Sequence[int]]
"""Prices and sizes of one side of a record."""


def covering(coverage: Coverage, bids: Side, asks: Side) -> Known:
    """How far a venue's snapshot of these levels knows its book: a side without a level has none anywhere."""
    if coverage is not Coverage.RANGE:
        return Known(coverage)
    return Known(coverage, min(levels_of(*bids), default=None), max(levels_of(*asks), default=None))


def farther_bid(one: int | None, other: int | None) -> int | None:
    """The lower of two limits of the bids; None is the farthest."""
    return None if one is None or other is None else min(one, other)


def farther_ask(one: int | None, other: int | None) -> int | None:
    """The higher of two limits of the asks; None is the farthest."""
    return None if one is None or other is None else max(one, other)


def nearer_bid(one: int | None, other: int | None) -> int | None:
    """The higher of two limits of the bids; None is the farthest."""
    return max((limit for limit in (one, other) if limit is not None), default=None)


def nearer_ask(one: int | None, other: int | None) -> int | None:
    """The lower of two limits of the asks; None is the farthest."""
    return min((limit for limit in (one, other) if limit is not None), default=None)


class Compared(NamedTuple):
    """Two books compared where both are known: prices looked at, and those with another size."""

    levels: int
    wrong: int


def compare_books(one: Book, one_known: Known, other: Book, other_known: Known) -> Compared:
    """Compare two books at every price that both know."""
    lowest = nearer_bid(one_known.bid_limit(one), other_known.bid_limit(other))
    highest = nearer_ask(one_known.ask_limit(one), other_known.ask_limit(other))
    bids = one.bids.lots.keys() | other.bids.lots.keys()
    asks = one.asks.lots.keys() | other.asks.lots.keys()
    bids = bids if lowest is None else {tick for tick in bids if tick >= lowest}
    asks = asks if highest is None else {tick for tick in asks if tick <= highest}
    wrong = _differing(bids, one.bids.lots, other.bids.lots) + _differing(asks, one.asks.lots, other.asks.lots)
    return Compared(len(bids) + len(asks), wrong)


class Widened(NamedTuple):
    """A book made of two that agree where both are known.

    Attributes:
        known: As far as either knows it.
        levels: Its bids and its asks, (ticks, lots), best first.
    """

    known: Known
    levels: tuple[list[tuple[int, int]], list[tuple[int, int]]]


def widened(one: Book, one_known: Known, other: Book, other_known: Known) -> Widened:
    """Take each side from the book that knows it farther."""
    bid = farther_bid(one_known.bid_limit(one), other_known.bid_limit(other))
    ask = farther_ask(one_known.ask_limit(one), other_known.ask_limit(other))
    bids = other.bids if bid == other_known.bid_limit(other) else one.bids
    asks = other.asks if ask == other_known.ask_limit(other) else one.asks
    return Widened(Known(other_known.coverage, bid, ask), (list(bids.levels()), list(asks.levels())))


def _differing(ticks: set[int], one: Mapping[int, int], other: Mapping[int, int]) -> int:
    return sum(one.get(tick, 0) != other.get(tick, 0) for tick in ticks)


def _worst(side: BookSide) -> int | None:
    if not side.prices:
        return None
    return side.prices[0] if side.is_bid else side.prices[-1]
