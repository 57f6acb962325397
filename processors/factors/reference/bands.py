"""Notional within x bps of mid, x in 5, 10, 20, 25, ends included, by integer tests: no epsilon.

Bid k is inside where 20000·b_k ≥ (b_1 + a_1)(10000 - x) in ticks, ask k where 20000·a_k ≤ (b_1 + a_1)(10000 + x).
Totals are exact integers (Σ ticks·lots; on inverse contracts Σ lots), so the order of summation does not matter; each
becomes a float once, in `Grid.notional`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from operator import mul
from typing import Final

from orderbook.book import Book, BookSide

BANDS_BPS: Final = (5, 10, 20, 25)


class Bands:
    """The bands of one book.

    Attributes:
        bids, asks: Exact integer totals within 5, 10, 20 and 25 bps; None where the band leaves what is known.
    """

    __slots__ = ("asks", "bids")

    def __init__(
        self, book: Book, bid_limit: int | None, ask_limit: int | None, sum_ticks: int, *, is_inverse: bool
    ) -> None:
        self.bids = _bid_totals(book.bids, bid_limit, sum_ticks, is_inverse=is_inverse)
        self.asks = _ask_totals(book.asks, ask_limit, sum_ticks, is_inverse=is_inverse)


def _bid_totals(side: BookSide, limit: int | None, sum_ticks: int, *, is_inverse: bool) -> list[int | None]:
    totals: list[int | None] = []
    inside, end = 0, len(side.prices)
    for bps in BANDS_BPS:
        lowest = -(-sum_ticks * (10_000 - bps) // 20_000)  # rounded up
        if limit is not None and lowest < limit:
            break
        start = bisect_left(side.prices, lowest, 0, end)
        inside += _total(side.lots, side.prices[start:end], is_inverse=is_inverse)
        totals.append(inside)
        end = start
    return _filled(totals)


def _ask_totals(side: BookSide, limit: int | None, sum_ticks: int, *, is_inverse: bool) -> list[int | None]:
    totals: list[int | None] = []
    inside, start = 0, 0
    for bps in BANDS_BPS:
        highest = sum_ticks * (10_000 + bps) // 20_000
        if limit is not None and highest > limit:
            break
        end = bisect_right(side.prices, highest, start)
        inside += _total(side.lots, side.prices[start:end], is_inverse=is_inverse)
        totals.append(inside)
        start = end
    return _filled(totals)


def _filled(totals: list[int | None]) -> list[int | None]:
    return totals + [None] * (len(BANDS_BPS) - len(totals))


def _total(lots: Mapping[int, int], prices: Sequence[int], *, is_inverse: bool) -> int:
    sizes = map(lots.__getitem__, prices)
    return sum(sizes) if is_inverse else sum(map(mul, prices, sizes))
