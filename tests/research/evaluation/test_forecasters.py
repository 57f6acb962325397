"""Who is heard at a mark, and what their words were worth until then (intelligence.md, section 8, 2)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from research.evaluation.forecasters import NONE, as_given, by_label, known_at, running_frequency
from research.evaluation.marks import marks_of
from research.evaluation.rows import Minute, RegimeForecast

SECOND_NS = 10**9
MARK_NS = 600 * SECOND_NS
NAN = math.nan


@pytest.mark.parametrize(
    ("decided_ns", "heard", "counted"),
    [
        (MARK_NS, True, True),
        (MARK_NS + 1, False, False),
        (MARK_NS - 60 * SECOND_NS, True, True),
        (MARK_NS - 60 * SECOND_NS - 1, False, True),
    ],
    ids=["at the mark", "just after it", "a minute old", "older than a minute"],
)
def test_a_forecast_is_heard_up_to_a_minute_after_it_was_known(decided_ns: int, heard: bool, counted: bool) -> None:
    marks = marks_of([Minute("A", MARK_NS, 1.0, 1.0), Minute("B", MARK_NS, 1.0, 1.0)])
    found = known_at(marks, [RegimeForecast("A", decided_ns, "m", "VOLATILE", p_up=0.7)])

    assert found.keys.tolist() == [[0 if heard else NONE, NONE]]
    assert str(found.p["up"].tolist()) == str([[0.7 if heard else NAN, NAN]])
    assert found.counted.tolist() == [[counted, False]]


def test_a_frequency_counts_earlier_outcomes_of_the_same_label_alone() -> None:
    keys = np.array([[0], [0], [1], [0], [NONE], [1]])
    came = np.array([[1.0], [NAN], [0.0], [1.0], [1.0], [1.0]])
    assert running_frequency(keys, came)[:, 0] == pytest.approx([1 / 2, 2 / 3, 1 / 2, 2 / 3, 1 / 2, 1 / 3])
    assert by_label(keys, came)[4, 0] == pytest.approx((1 + 2) / (2 + 3))  # nothing said: the base rate
    assert as_given(np.full((6, 1), NAN), came)[1, 0] == pytest.approx(2 / 3)


def test_labels_of_another_rule_set_have_a_memory_of_their_own() -> None:
    marks = marks_of([Minute("A", k * 60 * SECOND_NS, 1.0, 1.0) for k in range(3)])
    rows = [RegimeForecast("A", k * 60 * SECOND_NS, "rules", "BALANCED", judge=judge) for k, judge in enumerate("aab")]
    found = known_at(marks, rows)
    assert by_label(found.keys, marks.targets["up"])[:, 0] == pytest.approx([1 / 2, 2 / 3, 1 / 2])
    assert found.labels.tolist() == [[0], [0], [0]]
