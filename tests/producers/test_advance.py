"""What was lost, by the venue's numbers alone. Every venue's rules and faults: `test_feed_seeds.py`."""

from __future__ import annotations

import pytest

from producers.books.advance import Advance
from producers.messages import DepthDelta


def update(last: int, previous: int | None = None, first: int | None = None) -> DepthDelta:
    return DepthDelta("X", last if first is None else first, last, [], [], previous)


@pytest.mark.parametrize(
    ("updates", "seen", "lost"),
    [
        ([update(10, 9), update(11, 10), update(12, 11)], 2, 0),
        ([update(10, 9), update(13, 12)], 1, 2),
        ([update(10, 9), update(20, first=16)], 5, 5),  # no word of the one before: the first change says it
        ([update(10, 9), update(12, 11), update(11, 10)], 1, 1),  # late is lost
        ([update(10, 9), update(10, 9), update(11, 10)], 1, 0),
        ([update(10, 9), update(10, 10), update(14, 10)], 4, 0),  # nothing changed for a minute
    ],
)
def test_numbers_tell_what_came_and_what_did_not(updates: list[DepthDelta], seen: int, lost: int) -> None:
    advance = Advance()
    for each in updates:
        advance.note(each)

    assert (advance.seen, advance.lost, advance.restarts) == (seen, lost, 0)


def test_a_live_books_number_stands_for_each_update_up_to_it() -> None:
    advance = Advance()
    for number in (10, 14, 14, 12):
        advance.follow(number)

    assert advance == Advance(14, seen=4)


@pytest.mark.parametrize(("sequence", "is_known", "expected"), [(14, False, 4), (14, True, 0), (10, False, 0)])
def test_a_whole_book_stands_for_updates_that_did_not_come(sequence: int, is_known: bool, expected: int) -> None:
    advance = Advance(10)
    advance.jump(sequence, is_known=is_known)

    assert advance == Advance(sequence, lost=expected)


def test_numbers_that_begin_anew_say_nothing_of_what_was_lost() -> None:
    by_book, by_update, by_chain = Advance(10), Advance(10), Advance(10)
    by_book.jump(1)
    by_update.note_all([update(2, 1), update(3, 2)], begins_anew=True)
    by_chain.note(update(3, 10))

    assert by_book == Advance(1, restarts=1)
    assert by_update == Advance(3, seen=1, restarts=1)
    assert by_chain == Advance(3, restarts=1)
