"""The best levels of a compiled book, as levels and as texts, are those of the plain one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderbook.book import Book
from orderbook.kernel.book import CompiledBook
from tests.support.tiers import fourth_of

NEAR, FAR = st.integers(1, 400), st.integers(1, 10**7)
LEVELS = st.dictionaries(NEAR | FAR, st.integers(1, 10**15), max_size=60)


@given(bids=LEVELS, asks=LEVELS, count=st.integers(0, 70))
@settings(max_examples=fourth_of(60))
def test_the_nearest_levels_are_those_of_the_plain_book(bids: dict[int, int], asks: dict[int, int], count: int) -> None:
    plain, compiled = Book(), CompiledBook()
    for book in (plain, compiled):
        book.replace([*bids], [*bids.values()], [*asks], [*asks.values()])
    assert compiled.top_bids(count) == list(plain.top_bids(count))
    assert compiled.top_asks(count) == list(plain.top_asks(count))


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_levels_beyond_the_window_are_found_too(side: str) -> None:
    prices = [10**6, 10**6 + 10**5, 10**6 + 3 * 10**5]
    levels = (prices, [1, 2, 3], [], []) if side == "bids" else ([], [], prices, [1, 2, 3])
    compiled = CompiledBook()
    compiled.replace(*levels)
    top = compiled.top_bids(2) if side == "bids" else compiled.top_asks(2)
    assert top == ([(prices[2], 3), (prices[1], 2)] if side == "bids" else [(prices[0], 1), (prices[1], 2)])
