import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderbook.book import Book, BookSide
from orderbook.known import WHOLE, Compared, compare_books

Levels = list[tuple[int, int]]

LEVELS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=30)
MESSAGES = st.lists(LEVELS, max_size=12)


def columns(levels: Levels) -> tuple[list[int], list[int]]:
    return [tick for tick, _ in levels], [lots for _, lots in levels]


def plain(messages: list[Levels]) -> dict[int, int]:
    """The same side as a dict and nothing else."""
    levels: dict[int, int] = {}
    for message in messages:
        for tick, lots in message:
            levels[tick] = lots
            if not lots:
                del levels[tick]
    return levels


@given(MESSAGES, st.booleans())
def test_a_side_holds_what_a_plain_dict_would_hold_sorted(messages: list[Levels], is_bid: bool) -> None:
    side = BookSide(is_bid=is_bid)
    for message in messages:
        side.update(*columns(message))
    expected = sorted(plain(messages).items(), reverse=is_bid)
    assert list(side.levels()) == expected
    assert side.top(5) == expected[:5]
    assert side.prices == sorted(side.lots)
    assert len(side) == len(expected)
    assert side.best() == (expected[0][0] if expected else None)


@given(LEVELS, st.booleans())
def test_a_replaced_side_is_the_snapshot_without_zeros(levels: Levels, is_bid: bool) -> None:
    side = BookSide(is_bid=is_bid)
    side.update([99], [7])
    side.replace(*columns(levels))
    assert side.lots == {tick: lots for tick, lots in dict(levels).items() if lots}
    assert side.prices == sorted(side.lots)


def test_removing_an_absent_level_is_normal() -> None:
    book = Book()
    book.update([10], [0], [11], [0])
    assert book == Book()


def test_a_level_may_come_and_go_within_one_message() -> None:
    side = BookSide(is_bid=True)
    side.update([10, 10, 11, 11], [5, 0, 0, 3])
    assert side.lots == {11: 3}
    assert side.prices == [11]


def test_an_empty_book_has_no_best() -> None:
    book = Book()
    assert (book.best_bid, book.best_ask) == (None, None)
    assert not book.is_crossed


def test_the_best_of_each_side_is_the_highest_bid_and_the_lowest_ask() -> None:
    book = Book()
    book.replace([9, 10, 8], [1, 2, 3], [13, 12, 14], [4, 5, 6])
    assert (book.best_bid, book.bids.lots[10], book.best_ask, book.asks.lots[12]) == (10, 2, 12, 5)
    assert (book.top_bids(2), book.top_asks(2)) == ([(10, 2), (9, 1)], [(12, 5), (13, 4)])
    assert (book.bid_levels, book.ask_levels) == (3, 3)


@pytest.mark.parametrize(("bid", "ask", "is_crossed"), [(10, 11, False), (10, 10, False), (11, 10, True)])
def test_a_locked_book_is_not_crossed(bid: int, ask: int, is_crossed: bool) -> None:
    book = Book()
    book.update([bid], [1], [ask], [1])
    assert book.is_crossed is is_crossed


@given(LEVELS, LEVELS)
def test_a_book_written_as_a_snapshot_and_read_back_is_equal(bids: Levels, asks: Levels) -> None:
    book, again = Book(), Book()
    book.replace(*columns(bids), *columns(asks))
    again.replace(*book.arrays())
    assert again == book
    assert compare_books(book, WHOLE, again, WHOLE) == Compared(book.bid_levels + book.ask_levels, 0)


def test_books_differ_where_one_size_differs() -> None:
    book, other = Book(), Book()
    book.replace([10], [1], [11], [1])
    other.replace([10], [1], [11], [2])
    assert book != other
    assert compare_books(book, WHOLE, other, WHOLE) == Compared(2, 1)
    assert book != "a book"


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        BookSide(is_bid=True).update([1, 2], [1])


@given(MESSAGES, st.booleans(), st.integers(1, 6))
def test_a_depth_bound_evicts_the_farthest_levels_and_is_exact_inside_its_horizon(
    messages: list[Levels], is_bid: bool, bound: int
) -> None:
    bounded, whole = BookSide(is_bid=is_bid, max_levels=bound), BookSide(is_bid=is_bid)
    for message in messages:
        before = len(plain_union(bounded, message))
        evicted = bounded.evicted
        bounded.update(*columns(message))
        whole.update(*columns(message))
        assert bounded.evicted - evicted == max(0, before - bound)
        assert len(bounded) <= bound
    if bounded.horizon is None:
        assert bounded.lots == whole.lots
        return
    sign = 1 if is_bid else -1
    inside = {tick: lots for tick, lots in whole.lots.items() if sign * (tick - bounded.horizon) > 0}
    assert {t: n for t, n in bounded.lots.items() if sign * (t - bounded.horizon) > 0} == inside


def plain_union(side: BookSide, message: Levels) -> dict[int, int]:
    levels = dict(side.lots)
    for tick, lots in message:
        levels[tick] = lots
        if not lots:
            del levels[tick]
    return levels


@pytest.mark.parametrize(("lots", "wrong"), [([1, 1, 9], 0), ([1, 2, 1], 1)])
def test_a_bounded_book_still_sees_a_difference_inside_its_horizon(lots: list[int], wrong: int) -> None:
    book, whole = Book(max_levels=2), Book()
    book.replace([], [], [10, 11, 12], [1, 1, 1])
    assert (book.asks.prices, book.asks.evicted, book.asks.horizon) == ([10, 11], 1, 12)
    whole.replace([], [], [10, 11, 12], lots)
    assert compare_books(book, WHOLE, whole, WHOLE) == Compared(2, wrong)


def test_a_depth_bound_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="keeps nothing"):
        Book(max_levels=0)
