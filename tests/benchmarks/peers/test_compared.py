"""What obflow and a peer made of the same frames is compared level by level, and told as it was measured."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat

import pytest

from schemas.messages import Kind, L2Record, Source
from tests.benchmarks.peers.compared import Figures, change_of, differences, sentence, table
from tests.benchmarks.peers.tardis_node import Change
from tests.benchmarks.test_producer import ROUNDS, alternate

AHEAD = Figures("bybit", 1_500, 30_000, 5e-6, 10e-6, 40e-6)
BEHIND = Figures("deribit", 36, 41, 1e-6, 9e-6, 6e-6)
CHANGE = Change("BTCUSDT", is_snapshot=False, bids=[(0.1, 3.0), (0.3, 0.0)], asks=[])


def test_the_ratio_is_ours_over_theirs_and_the_sentence_says_who_is_ahead() -> None:
    assert (AHEAD.ratio, BEHIND.ratio) == (pytest.approx(0.25), pytest.approx(1.5))
    assert "ours / theirs 0.25, obflow is ahead; 30,000 levels of 1,500 frames are the same" in sentence(AHEAD)
    assert "ours / theirs 1.50, tardis-node is ahead" in sentence(BEHIND)


def test_a_table_has_a_row_for_each_whoever_is_ahead() -> None:
    head, rule, *rows = table([AHEAD, BEHIND]).splitlines()
    assert rows[0] == "| bybit | 1,500 | 30,000 | 5.0 us | 10.0 us | 40.0 us | 0.25 |"
    assert rows[1].endswith("| 1.50 |")
    assert {line.count("|") for line in (head, rule, *rows)} == {8}


def test_rounds_alternate_and_the_median_of_each_counts() -> None:
    order = list[str]()

    def work(name: str, *seconds: float) -> Callable[[], float]:
        left = chain(seconds, repeat(seconds[-1]))

        def run() -> float:
            order.append(name)
            return next(left)

        return run

    assert alternate(work("ours", 9.0, 1.0, 2.0), work("theirs", 1.0, 3.0)) == [2.0, 3.0]
    assert order == ["ours", "theirs"] * ROUNDS


def test_a_record_is_the_floats_next_to_its_exact_levels() -> None:
    record = L2Record(
        venue="bybit",
        symbol="BTCUSDT",
        source=Source.REPLAY,
        kind=Kind.DELTA,
        epoch=1,
        sequence=2,
        received_ns=1,
        tick_size="0.1",
        lot_size="0.001",
        bid_ticks=[1, 3],
        bid_lots=[3000, 0],
    )
    assert change_of(record) == CHANGE


def test_a_level_that_differs_is_told_with_its_frame_but_not_order_or_capitals() -> None:
    turned = Change("btcusdt", is_snapshot=False, bids=CHANGE.bids[::-1], asks=[])
    other = Change("BTCUSDT", is_snapshot=False, bids=[(0.1, 3.0)], asks=[])
    assert differences([[CHANGE], [CHANGE]], [[CHANGE], [turned]]) == []
    assert [found[:7] for found in differences([[CHANGE], [CHANGE]], [[CHANGE], [other]])] == ["frame 1"]


@pytest.mark.parametrize(
    "theirs", [[], [[]], [[CHANGE, CHANGE]], [[CHANGE], [CHANGE]]], ids=["no frame", "no change", "two", "two frames"]
)
def test_a_frame_or_a_change_too_few_or_too_many_is_a_difference(theirs: list[list[Change]]) -> None:
    assert len(differences([[CHANGE]], theirs)) == 1
