"""What simulated labels with a known skill are called (intelligence.md, section 8).

`make test` plays 60 seeds, `OBFLOW_FUZZ=all` (`make fuzz`) the 500 of the design, and how long the smallest edge takes.
"""

from __future__ import annotations

import os

import pytest

from research.evaluation.protocol import EXPECTED_MARKS
from tests.research.evaluation.simulated import median_marks, play, share

WHOLE = os.environ.get("OBFLOW_FUZZ") == "all"
SEEDS = 500 if WHOLE else 60


@pytest.mark.parametrize(("right", "stays"), [(0.50, 0.5), (0.60, 0.5), (0.60, 0.8)])
def test_a_model_of_equal_skill_is_hardly_ever_called_better(right: float, stays: float) -> None:
    shown = play(right, right, marks=4_000, seeds=SEEDS, stays=stays)
    assert share(shown.better) <= 0.05
    assert share(shown.worse) <= 0.05


@pytest.mark.parametrize(("rules", "model", "most"), [(0.55, 0.65, 1_000), (0.60, 0.70, 700)])
def test_a_model_that_is_right_ten_points_more_often_is_found(rules: float, model: float, most: int) -> None:
    shown = play(rules, model, marks=4_000, seeds=SEEDS)
    assert share(shown.better) >= 0.95
    assert median_marks(shown.better) <= most


def test_a_useless_model_is_called_worse_than_rules_that_know_something() -> None:
    assert share(play(0.60, 0.50, marks=3_000, seeds=SEEDS).worse) >= 0.90


@pytest.mark.skipif(not WHOLE, reason="takes ten seconds: OBFLOW_FUZZ=all plays it")
def test_an_edge_of_five_points_takes_as_many_marks_as_the_report_says() -> None:
    found = median_marks(play(0.55, 0.60, marks=12_000, seeds=SEEDS).better)
    assert found == pytest.approx(EXPECTED_MARKS, rel=0.1)
