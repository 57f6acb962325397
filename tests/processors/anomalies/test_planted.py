"""Planted orders are found, and those that lack a part of the pattern are not: section 2, "Planted in the simulator".

The market is a generator made for them, in which mid and trades can be led while an order stands; the simulator's own,
in which nothing is planted, says how often a pattern shows by chance.
`make test` runs a slice, `OBFLOW_FUZZ=all` (`make fuzz`) the whole: 100 episodes in two hours. `-s` shows the curve.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import NamedTuple

import pytest

from processors.anomalies.orders import GoneOrder
from tests.processors.anomalies.books import EVERY_SCORE, SETTINGS, found_steps
from tests.processors.anomalies.planted import Missing, PlantedMarket, Truth
from tests.processors.anomalies.simulated import simulated_records

WHOLE = os.environ.get("OBFLOW_FUZZ") == "all"
HOURS, EPISODES = (2.0, 100) if WHOLE else (0.2, 10)
LEAST_RECALL, MOST_FALSE_AN_HOUR, MOST_OF_CONTROLS = 0.9, 6.0, 0.1
BARS = [number / 20 for number in range(1, 20)]


class Scores(NamedTuple):
    """Scores of the orders that were planted, and of all others; how many were planted."""

    planted: list[float]
    others: list[float]
    truths: int

    def recall(self, bar: float) -> float:
        """Share of the planted orders that score so much."""
        return sum(score >= bar for score in self.planted) / self.truths

    def precision(self, bar: float) -> float:
        """Share of planted ones among those that score so much; 1 where none does."""
        true, false = (sum(score >= bar for score in scores) for scores in (self.planted, self.others))
        return true / (true + false) if true + false else 1.0


@cache
def scores(missing: Missing, seed: int = 1) -> Scores:
    market = PlantedMarket(seed, HOURS * 3_600, EPISODES, missing)
    gone = found_steps(market.records(), EVERY_SCORE).gone
    truths = set(market.truths)
    planted = [one.score for one in gone if as_truth(one) in truths]
    return Scores(planted, [one.score for one in gone if as_truth(one) not in truths], len(truths))


def curve(found: Scores) -> str:
    """Recall and precision by bar, as a table for people."""
    lines = [f"\n{found.truths} planted in {HOURS} h", "  bar  recall  precision  false an hour"]
    for bar in BARS:
        false = sum(score >= bar for score in found.others) / HOURS
        lines.append(f" {bar:.2f}  {found.recall(bar):6.2f}  {found.precision(bar):9.2f}  {false:13.1f}")
    return "\n".join([*lines, ""])


def as_truth(gone: GoneOrder) -> Truth:
    order = gone.order
    return Truth(order.side, order.tick, order.opened_ns, order.opened_ns + round(gone.life_s * 1e9))


def test_planted_orders_are_found_at_few_false_ones_an_hour() -> None:
    found, bar = scores(Missing.NOTHING), SETTINGS.order_score
    sys.stdout.write(curve(found))
    assert found.truths == EPISODES
    assert found.recall(bar) >= LEAST_RECALL
    assert sum(score >= bar for score in found.others) <= MOST_FALSE_AN_HOUR * HOURS


def test_a_higher_bar_finds_fewer_of_them() -> None:
    found = scores(Missing.NOTHING)
    recalls = [found.recall(bar) for bar in BARS]
    assert recalls == sorted(recalls, reverse=True)
    assert found.others, "the market has large orders that mean nothing, too"


def test_the_simulators_own_market_shows_few_patterns_by_chance() -> None:
    """In two hours of it 6 an hour at most; orders that are watched there are some."""
    hours = 2.0 if WHOLE else 0.1
    found = found_steps(simulated_records(1, hours * 3_600))
    assert found.counts["orders_scored"] >= 20 * hours
    assert len(found.gone) <= MOST_FALSE_AN_HOUR * hours


@pytest.mark.parametrize("missing", [Missing.TRADES, Missing.MOVE, Missing.CANCEL])
def test_planted_orders_that_lack_a_part_are_not_found(missing: Missing) -> None:
    found = scores(missing)
    assert len(found.planted) == EPISODES, "all of them were watched to their end"
    assert found.recall(SETTINGS.order_score) <= MOST_OF_CONTROLS
