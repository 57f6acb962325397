"""The venue's best quote against the book."""

from __future__ import annotations

import pytest

from orderbook.decimals import TextGrid
from producers.books.quotes import COMPARABLE_NS, MAX_QUOTES, MAX_UNJUDGED, BestLevels, QuoteCheck
from producers.messages import BestQuote

GRID = TextGrid.of("0.1", "0.001")
TOP = BestLevels(1000, 5, 1001, 7)


def quote(sequence: int | None, bid: str = "100.0", ask_size: str = "0.007") -> BestQuote:
    return BestQuote("S", bid, "0.005", "100.1", ask_size, sequence)


def test_an_update_is_judged_by_the_last_quote_of_its_id_even_if_that_comes_later() -> None:
    check = QuoteCheck()
    check.on_quote(quote(90, bid="99.9"), 0)
    check.on_book(100, TOP, GRID, 0)
    check.on_quote(quote(100), 0)
    assert check.checked == 0

    check.on_quote(quote(101, bid="99.0"), 0)

    assert (check.checked, check.wrong) == (1, 0)


def test_an_update_behind_the_quotes_is_judged_by_an_earlier_one() -> None:
    check = QuoteCheck()
    for sequence, bid in ((95, "99.0"), (99, "100.0"), (105, "99.5"), (107, "99.6")):
        check.on_quote(quote(sequence, bid), 0)

    check.on_book(100, TOP, GRID, 0)

    assert (check.checked, check.wrong) == (1, 0)


def test_another_price_or_size_is_wrong() -> None:
    for wrong in (quote(100, bid="100.1"), quote(100, ask_size="0.008"), quote(100, ask_size="0.0071")):
        check = QuoteCheck()
        check.on_quote(wrong, 0)
        check.on_book(100, TOP, GRID, 0)
        check.finish()

        assert (check.checked, check.wrong) == (1, 1)


def test_a_quote_that_the_grid_does_not_hold_is_no_empty_side() -> None:
    for off_grid in ("100.05", "9223372036854775807"):
        check = QuoteCheck()
        check.on_quote(quote(100, bid=off_grid), 0)
        check.on_book(100, TOP._replace(bid=None), GRID, 0)
        check.finish()

        assert (check.checked, check.wrong) == (1, 1)


@pytest.mark.parametrize(
    ("side", "bid", "size", "wrong"),
    [
        ((None, None), "0.0", "0.000", 0),
        ((None, None), "0", "0", 0),
        ((None, None), "100.0", "0.005", 1),  # a level where the book has none
        ((1000, 5), "0.0", "0.000", 1),  # none where the book has a level
        ((None, None), "100.0", "0", 0),  # some keep the last price of a side without orders
        ((None, None), "100.05", "0", 0),
        ((1000, 5), "100.0", "0", 1),
    ],
)
def test_a_side_quoted_with_size_0_agrees_with_an_empty_one_alone(
    side: tuple[int | None, int | None], bid: str, size: str, wrong: int
) -> None:
    numbered, unnumbered = QuoteCheck(), QuoteCheck()
    top = BestLevels(*side, *TOP[2:])
    numbered.on_quote(BestQuote("S", bid, size, "100.1", "0.007", 100), 0)
    numbered.on_book(100, top, GRID, 0)
    numbered.finish()
    unnumbered.on_quote(BestQuote("S", bid, size, "100.1", "0.007"), 0)
    unnumbered.on_book(100, top, GRID, 0)

    assert (numbered.checked, numbered.wrong) == (1, wrong)
    assert (unnumbered.compared, unnumbered.different) == (1, wrong)


def test_quotes_in_disorder_are_put_in_order() -> None:
    check = QuoteCheck()
    for sequence, bid in ((90, "99.0"), (101, "99.5"), (100, "100.0")):
        check.on_quote(quote(sequence, bid), 0)

    check.on_book(100, TOP, GRID, 0)

    assert (check.checked, check.wrong) == (1, 0)


def test_an_update_before_every_quote_is_not_judged() -> None:
    check = QuoteCheck()
    check.on_quote(quote(200), 0)
    check.on_book(100, TOP, GRID, 0)
    check.finish()

    assert check.checked == 0


def test_after_a_lost_connection_nothing_is_judged_by_what_came_before() -> None:
    check = QuoteCheck()
    check.on_quote(quote(90, bid="99.9"), 0)
    check.on_book(100, TOP, GRID, 0)
    check.forget()
    check.on_book(101, TOP, GRID, 0)
    check.finish()

    assert check.checked == 0


def test_a_quote_without_an_id_is_compared_within_a_second_and_never_called_wrong() -> None:
    check = QuoteCheck()
    check.on_quote(quote(None, bid="99.9"), 0)
    check.on_book(100, TOP, GRID, COMPARABLE_NS)
    check.on_book(101, TOP, GRID, COMPARABLE_NS + 1)

    assert (check.compared, check.different, check.checked, check.wrong) == (1, 1, 0, 0)


def test_what_waits_is_bounded() -> None:
    check = QuoteCheck()
    check.on_quote(quote(1), 0)
    for sequence in range(2, MAX_UNJUDGED + 12):
        check.on_book(sequence, TOP, GRID, 0)
    assert (check.checked, len(check._unjudged)) == (10, MAX_UNJUDGED)

    for sequence in range(10_000, 10_000 + 2 * MAX_QUOTES):
        check.on_quote(quote(sequence), 0)
    assert len(check._quotes) == MAX_QUOTES


def sample(bid: str = "100.0", ask: str = "100.1") -> BestQuote:
    return BestQuote("S", bid, "0.009", ask, "0.009", is_sampled=True)


def test_of_sampled_quotes_the_prices_count_each_side_by_itself() -> None:
    check = QuoteCheck()
    for at in range(10):
        check.on_quote(sample(ask="100.2"), 2 * at * COMPARABLE_NS)
        check.on_quote(sample(bid="99.9"), 2 * at * COMPARABLE_NS + 1)
        check.on_book(at, TOP, GRID, 2 * at * COMPARABLE_NS + 2)

    assert check.contradicted == 0
    assert check.different == 10


def test_a_best_price_that_no_sample_shows_contradicts_the_book() -> None:
    check = QuoteCheck()
    for at in range(5):
        check.on_quote(sample(bid="99.9"), 2 * at * COMPARABLE_NS)
        check.on_book(at, TOP, GRID, 2 * at * COMPARABLE_NS + 1)

    assert check.is_contradicted


def test_a_quote_that_has_held_for_longer_than_a_second_still_agrees_with_the_book() -> None:
    second, tenth = COMPARABLE_NS, COMPARABLE_NS // 10
    check = QuoteCheck()
    check.on_quote(quote(None), 0)
    for number in range(30, 40):  # depth below the best price goes on; best quotes come where they change alone
        check.on_book(number, TOP, GRID, number * tenth)
    check.on_quote(quote(None, bid="99.9"), 4 * second)
    check.on_quote(quote(None, bid="99.8"), 6 * second)

    assert check.contradicted == 0
