"""Readers that one look does not judge are looked at again after one pause, which all of them share."""

from __future__ import annotations

import time

import pytest

from obflow.flow import GroupLook, LogFollower
from obflow.group_looks import WatchedReader

READER = LogFollower("rows of factors", "table factors", "obflow sink", 10.0)
STUCK = GroupLook("factors.v1", {0: 0}, {0: 7}, {0: 3}, {0: 60.0})
WELL = STUCK._replace(positions={0: 7}, ages_s={})


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes on while somebody sleeps, and no other way."""
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 + sum(slept))
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_several_that_do_not_move_cost_one_pause(pauses: list[float]) -> None:
    watched = [WatchedReader(READER, lambda: STUCK, 3.0) for _ in range(11)]
    found = [finding for one in watched for finding in one.findings()]

    assert [finding.ok for finding in found] == [False] * 11
    assert sum(pauses) == 3.0


def test_one_that_keeps_up_is_looked_at_once(pauses: list[float]) -> None:
    looks = iter([WELL])
    [found] = WatchedReader(READER, lambda: next(looks), 3.0).findings()

    assert found.ok
    assert pauses == []
