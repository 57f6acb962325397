"""The score and the evidence, by the check values of the design (intelligence.md, section 8)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from research.evaluation.evidence import finite_e, first_shown, gains, log_evidence, together
from research.evaluation.protocol import EVIDENCE

NAN = math.nan
SECTION_8 = [
    ([(0.5, 0.6, 1)], 1.16875),
    ([(0.5, 0.6, 1), (0.5, 0.4, 1)], 1.14521875),
    ([(0.5, 0.7, 0)], 0.6167515),
    ([(0.5, 0.5, 1)], 0.6167515),
]


def forecasts(marks: int) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.float64, (marks, 2), elements=st.floats(0.0, 1.0))


def test_evidence_has_the_check_values_of_section_8() -> None:
    table = np.full((len(SECTION_8), 2, 3), NAN)
    for mark, (instruments, _) in enumerate(SECTION_8):
        table[mark, : len(instruments)] = instruments
    found = gains(*(table[:, :, part] for part in range(3)))

    evidence = [finite_e(log_e) for log_e in log_evidence(found.gain, found.most)]

    assert evidence == pytest.approx([expected for _, expected in SECTION_8], abs=1e-9)


@given(forecasts(6), forecasts(6), arrays.arrays(np.float64, (6, 2), elements=st.sampled_from([0.0, 1.0, NAN])))
def test_no_bet_loses_more_than_nine_tenths(rules: np.ndarray, model: np.ndarray, came: np.ndarray) -> None:
    found = gains(rules, model, came)
    for gain in (found.gain, -found.gain):
        steps = np.diff(log_evidence(gain, found.most), prepend=0.0)
        assert (steps >= math.log(0.1) - 1e-9).all()
        assert (steps[np.isnan(gain)] == 0.0).all()


def test_equal_forecasts_and_marks_without_an_outcome_leave_evidence_at_one() -> None:
    p = np.full((5, 1), 0.3)
    found = gains(p, p, np.array([[1.0], [0.0], [NAN], [1.0], [NAN]]))
    assert log_evidence(found.gain, found.most).tolist() == pytest.approx([0.0] * 5, abs=1e-12)


def test_two_targets_have_the_mean_of_their_evidence_and_no_number_is_infinite() -> None:
    assert finite_e(float(together([np.array([math.log(30.0)]), np.array([math.log(10.0)])])[0])) == pytest.approx(20.0)
    assert math.isfinite(finite_e(1e6))


def test_enough_evidence_shows_nothing_before_two_hundred_marks() -> None:
    log_e = np.full(300, math.log(EVIDENCE))
    assert first_shown(log_e, np.arange(1, 301)) == 199
    assert first_shown(log_e, np.minimum(np.arange(1, 301), 199)) == -1
    assert first_shown(log_e - 0.001, np.arange(1, 301)) == -1
