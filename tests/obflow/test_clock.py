"""Clocks."""

from __future__ import annotations

import pytest

from obflow.clock import Clock, RisingClock, SystemClock
from schemas.units import NS_PER_SECOND
from tests.support.manual_clock import ManualClock


def test_the_system_clock_does_not_run_backwards() -> None:
    clock: Clock = SystemClock()
    first = clock.monotonic_ns()
    assert clock.monotonic_ns() >= first
    assert clock.now_ns() > 1_700_000_000_000_000_000


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(now_ns=1_000)
    assert (clock.now_ns(), clock.monotonic_ns()) == (1_000, 0)
    clock.advance(0.5)
    assert (clock.now_ns(), clock.monotonic_ns()) == (500_001_000, 500_000_000)


def test_a_stepped_wall_clock_leaves_intervals_alone() -> None:
    clock = ManualClock(now_ns=10_000_000_000)
    clock.step_wall(-3)
    assert (clock.now_ns(), clock.monotonic_ns()) == (7_000_000_000, 0)


def test_a_manual_clock_refuses_to_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        ManualClock().advance(-1)


def test_a_rising_clock_stands_still_while_the_wall_clock_catches_up() -> None:
    wall = ManualClock(5 * NS_PER_SECOND)
    clock = RisingClock(wall)
    first = clock.now_ns()
    wall.step_wall(-2)
    assert clock.now_ns() == first == 5 * NS_PER_SECOND
    wall.advance(1)
    assert (clock.now_ns(), clock.monotonic_ns()) == (first, NS_PER_SECOND)
    wall.advance(2)
    assert clock.now_ns() == first + NS_PER_SECOND
