"""Faults on purpose, at the pass that was asked for."""

from __future__ import annotations

import pytest

from obflow.faults import FaultPoints
from schemas.errors import SettingsError


def test_without_a_variable_nothing_fails() -> None:
    faults = FaultPoints.from_environment({"PATH": "/bin", "OBFLOW_KAFKA__PARTITIONS": "8"})

    assert not any(faults.fires("fail_send") for _ in range(100))


def test_a_point_fires_once_at_the_pass_named() -> None:
    faults = FaultPoints.from_environment({"OBFLOW_FAULT_FAIL_SEND": "3"})

    assert faults.armed == {"fail_send": 3}
    assert [faults.fires("fail_send") for _ in range(5)] == [False, False, True, False, False]


@pytest.mark.parametrize("value", ["0", "-1", "soon", ""])
def test_a_count_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="OBFLOW_FAULT_FAIL_SEND"):
        FaultPoints.from_environment({"OBFLOW_FAULT_FAIL_SEND": value})


def test_a_misspelt_point_is_refused() -> None:
    with pytest.raises(SettingsError, match="OBFLOW_FAULT_FAIL_SENT"):
        FaultPoints.from_environment({"OBFLOW_FAULT_FAIL_SENT": "1"})
