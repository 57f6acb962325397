"""Deadlines on a machine that does other work besides: as many times longer as there are programs for each core."""

from __future__ import annotations

import os


def stretched(seconds: float) -> float:
    """A bound that holds on an idle machine, as it holds on this one now."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
