"""How far a level lies from mid, and what rests near it: by exact integers, ends included, as the factors' bands."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from orderbook.book import Book, BookSide


class OpenTop(NamedTuple):
    """The best prices of a book in which they do not meet, ticks."""

    bid: int
    ask: int

    @property
    def sum_ticks(self) -> int:
        """Twice the mid."""
        return self.bid + self.ask

    @property
    def spread_ticks(self) -> int:
        """Best ask less best bid."""
        return self.ask - self.bid

    @property
    def spread_bps(self) -> float:
        """Spread over mid."""
        return 2e4 * self.spread_ticks / self.sum_ticks


def open_top(book: Book) -> OpenTop | None:
    """The best prices; null where a side is empty, or the best prices are equal or crossed."""
    bid, ask = book.best_bid, book.best_ask
    return OpenTop(bid, ask) if bid is not None and ask is not None and bid < ask else None


class Band(NamedTuple):
    """Prices within some bps of mid, ends included, ticks."""

    low: int
    high: int

    @classmethod
    def of(cls, top: OpenTop, bps: int) -> Band:
        """Those within `bps` of the mid of a top."""
        low = -(-top.sum_ticks * (10_000 - bps) // 20_000)  # rounded up
        return cls(low, top.sum_ticks * (10_000 + bps) // 20_000)

    def holds(self, tick: int) -> bool:
        """Whether a price lies within."""
        return self.low <= tick <= self.high

    def lots(self, side: BookSide, limit: int | None) -> int | None:
        """What rests within on a side, lots; null where the band leaves what is known of it, up to `limit`."""
        if limit is not None and (self.low < limit if side.is_bid else self.high > limit):
            return None
        inside = side.prices[bisect_left(side.prices, self.low) : bisect_right(side.prices, self.high)]
        return sum(map(side.lots.__getitem__, inside))
