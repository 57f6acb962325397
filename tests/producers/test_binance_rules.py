"""The venues' rules, case by case."""

from __future__ import annotations

import pytest

from producers.exchanges.binance.rules import BinanceFuturesRule, BinanceSpotRule
from producers.messages import DepthDelta
from producers.sequencing import Alignment, Continuity, LastUpdate

L = 100
MS = 1_000_000


def delta(first: int, last: int, previous: int | None = None, exchange_ns: int | None = 5 * MS) -> DepthDelta:
    return DepthDelta("S", first, last, [], [], previous, exchange_ns)


@pytest.mark.parametrize(
    ("first", "last", "previous", "expected"),
    [
        (90, 99, 89, Alignment.STALE),  # u < L
        (90, 100, 89, Alignment.BRIDGES),  # u == L: seen in recordings
        (100, 110, 95, Alignment.BRIDGES),  # U == L
        (90, 110, 89, Alignment.BRIDGES),
        (105, 110, 100, Alignment.BRIDGES),  # pu == L: seen in recordings, though U > L
        (101, 110, 99, Alignment.TOO_LATE),
        (105, 110, 104, Alignment.TOO_LATE),
    ],
)
def test_a_futures_update_is_placed_against_a_snapshot(
    first: int, last: int, previous: int, expected: Alignment
) -> None:
    assert BinanceFuturesRule().align(delta(first, last, previous), L) is expected


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (90, 99, Alignment.STALE),
        (90, 100, Alignment.STALE),  # u <= L
        (90, 101, Alignment.BRIDGES),
        (101, 110, Alignment.BRIDGES),  # U == L + 1
        (102, 110, Alignment.TOO_LATE),
    ],
)
def test_a_spot_update_is_placed_against_a_snapshot(first: int, last: int, expected: Alignment) -> None:
    assert BinanceSpotRule().align(delta(first, last), L) is expected


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (delta(105, 110, 100), Continuity.NEXT),
        (delta(105, 110, 99), Continuity.GAP),
        (delta(101, 110, 104), Continuity.GAP),
        (delta(95, 110, 94), Continuity.GAP),  # overlaps without connecting
        (delta(90, 100, 89), Continuity.DUPLICATE),  # the last one again
        (delta(80, 89, 79), Continuity.DUPLICATE),  # an older one
        (delta(90, 100, 100), Continuity.DUPLICATE),  # nothing new in it
        (delta(80, 89, 79, exchange_ns=6 * MS), Continuity.GAP),  # lower ids at a later time: the venue restarted them
        (delta(80, 89, 79, exchange_ns=None), Continuity.DUPLICATE),
        (delta(1, 2, 100, exchange_ns=6 * MS), Continuity.NEXT),  # falls, but says it connects
    ],
)
def test_a_futures_update_follows_repeats_or_leaves_a_gap(update: DepthDelta, expected: Continuity) -> None:
    assert BinanceFuturesRule().follow(update, LastUpdate(100, 5 * MS)) is expected


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (delta(101, 110), Continuity.NEXT),
        (delta(102, 110), Continuity.GAP),
        (delta(100, 110), Continuity.NEXT),  # overlaps: U < id + 1 <= u
        (delta(50, 101), Continuity.NEXT),
        (delta(100, 110, exchange_ns=4 * MS), Continuity.NEXT),
        (delta(90, 100), Continuity.DUPLICATE),
        (delta(80, 85), Continuity.DUPLICATE),
        (delta(80, 85, exchange_ns=6 * MS), Continuity.GAP),
    ],
)
def test_a_spot_update_follows_repeats_or_leaves_a_gap(update: DepthDelta, expected: Continuity) -> None:
    assert BinanceSpotRule().follow(update, LastUpdate(100, 5 * MS)) is expected
