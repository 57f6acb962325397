"""Clocks."""

from __future__ import annotations

import pytest

from obflow.clock import Clock, ManualClock, SystemClock


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
