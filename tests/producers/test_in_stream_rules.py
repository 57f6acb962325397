"""Bybit's, OKX's and Deribit's rules: what follows, what repeats, what is missing, what bridges a fetched book."""

from __future__ import annotations

import pytest

from producers.exchanges.bybit.rules import BybitRule
from producers.exchanges.deribit.rules import DeribitRule
from producers.exchanges.okx.rules import OkxRule
from producers.messages import DepthDelta
from producers.sequencing import Alignment, Continuity, LastUpdate, SequenceRule

NEXT, DUPLICATE, GAP = Continuity
STALE, BRIDGES, TOO_LATE = Alignment
LAST = LastUpdate(100, 5_000)


def delta(last: int, previous: int | None, exchange_ns: int | None = 5_001) -> DepthDelta:
    return DepthDelta("X", last, last, [], [], previous, exchange_ns)


@pytest.mark.parametrize(
    ("rule", "update", "expected"),
    [
        (BybitRule(), delta(101, 100), NEXT),
        (BybitRule(), delta(102, 101), GAP),
        (BybitRule(), delta(100, 99, 5_000), DUPLICATE),
        (BybitRule(), delta(7, 6), GAP),  # numbers that begin anew without a whole book
        (OkxRule(), delta(137, 100), NEXT),
        (OkxRule(), delta(100, 100), NEXT),  # nothing changed for a minute
        (OkxRule(), delta(3, 100), NEXT),  # numbers begin anew
        (OkxRule(), delta(100, 90), DUPLICATE),
        (OkxRule(), delta(90, 80, 4_000), DUPLICATE),
        (OkxRule(), delta(137, 99), GAP),
        (OkxRule(), delta(137, 101), GAP),
        (OkxRule(), delta(90, 80), GAP),  # low numbers, but newer: not a repeat
        (OkxRule(), delta(3, None), NEXT),  # before numbers existed: the checksum tells
        (DeribitRule(), delta(137, 100), NEXT),
        (DeribitRule(), delta(137, 101), GAP),
        (DeribitRule(), delta(100, 90, 5_000), DUPLICATE),
    ],
)
def test_an_update_follows_repeats_or_shows_a_gap(rule: SequenceRule, update: DepthDelta, expected: Continuity) -> None:
    assert rule.follow(update, LAST) is expected


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (delta(100, 90), STALE),
        (delta(90, 80), STALE),
        (delta(120, 100), BRIDGES),
        (delta(120, 90), BRIDGES),
        (delta(100, 100), BRIDGES),  # nothing changed since the book
        (delta(3, 100), BRIDGES),  # numbers begin anew, right behind the book
        (delta(3, 90), STALE),
        (delta(3, 110), TOO_LATE),
        (delta(120, 110), TOO_LATE),
        (delta(120, None), TOO_LATE),
    ],
)
def test_a_book_of_okx_over_rest_is_bridged_by_the_update_that_spans_its_number(
    update: DepthDelta, expected: Alignment
) -> None:
    assert OkxRule().align(update, 100) is expected


@pytest.mark.parametrize("rule", [BybitRule(), DeribitRule()])
def test_other_books_come_in_the_stream_alone(rule: SequenceRule) -> None:
    assert rule.align(delta(101, 100), 100) is TOO_LATE
