"""Waiting for what has to come, without taking the machine from what is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.patience import patient

LEAST_PAUSE_S = 0.02
PAUSE_TO_LOOK = 9.0
"""A look that asks a broker or a database takes at most a tenth of the time …"""
LONG_PAUSE_S = 0.5
LONG_PAUSE_TO_LOOK = 3.0
"""… or a quarter, where that would be a longer pause than this one."""


def pause_s(looked_s: float) -> float:
    """How long to wait after a look that took so long."""
    return max(LEAST_PAUSE_S, min(LONG_PAUSE_S, PAUSE_TO_LOOK * looked_s), LONG_PAUSE_TO_LOOK * looked_s)


def eventually(condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    """Whether the condition holds before the time, on an idle machine, is over."""
    deadline = time.monotonic() + patient(timeout_s)
    while True:
        asked = time.monotonic()
        if condition():
            return True
        looked_s = time.monotonic() - asked
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s(looked_s))
