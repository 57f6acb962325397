"""Deadlines of tests grow with how busy the machine is, and never shrink."""

from __future__ import annotations

import pytest

from tests.support import patience
from tests.support.patience import MOST, VARIABLE, factor, measured, patient


def test_a_factor_that_is_given_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2.5")

    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    assert factor() == 2.5
    assert patient(4) == 10.0


def test_programs_that_want_the_cores_later_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1.0")
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (27.0, 0.0, 0.0))
    assert patient(2) == 27.0


def test_the_first_who_asks_measures_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(patience, "measured", lambda: 3.0)
    assert factor() == 3.0
    monkeypatch.setattr(patience, "measured", lambda: 99.0)
    assert factor() == 3.0


def test_what_is_measured_is_never_below_one_nor_without_bound() -> None:
    assert 1.0 <= measured() <= MOST
