"""Columns of tables: figures and what tells rows apart stay whole, words and headings give way."""

from __future__ import annotations

from obflow.columns import LONGEST_WHOLE, widths

HEADINGS = ("feed", "messages lost", "p99 ms", "source")
ROWS = [("binance-futures:BTCUSDT", "0.0000%", "1817", "simulator"), ("okx:BTC-USDT-SWAP", "–", "3", "live")]


def test_where_there_is_room_nothing_wraps() -> None:
    assert widths(HEADINGS, ROWS, 100) == [23, 13, 6, 9]


def test_headings_wrap_first_then_are_broken_and_then_words_are() -> None:
    assert widths(HEADINGS, ROWS, 47) == [23, 9, 6, 9]
    assert widths(HEADINGS, ROWS, 43) == [23, 7, 4, 9]
    assert widths(HEADINGS, ROWS, 38) == [23, 7, 4, 4]


def test_figures_that_have_no_room_are_not_broken() -> None:
    assert widths(HEADINGS, ROWS, 37) is None


def test_a_long_name_does_not_take_the_room_of_all_others() -> None:
    assert widths(("name", "count"), [("x" * 90, "7")], 80) == [75, 5]
    assert widths(("name", "count"), [("x" * 90, "7")], 45) == [40, 5]
    assert widths(("name", "count"), [("x" * 90, "7")], LONGEST_WHOLE + 1) == [LONGEST_WHOLE, 1]


def test_a_table_without_rows_is_as_wide_as_its_headings() -> None:
    assert widths(("name", "count"), [], 80) == [4, 5]
