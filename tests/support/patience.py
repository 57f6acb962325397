"""How long tests wait on this machine, now: every deadline is multiplied by one factor, measured as the session starts.

A deadline says when something has failed, not how fast it is; on a machine that is busy with other work the same thing
takes several times as long. Where more programs want a core later than at the start, their number counts.
`OBFLOW_TEST_PATIENCE` gives the factor in place of the measurement.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from typing import Final

VARIABLE: Final = "OBFLOW_TEST_PATIENCE"
MOST: Final = 30.0
QUIET_S: Final = 0.12
"""What the task below takes on two idle cores: an interpreter that starts, and a bit of arithmetic."""
TASK: Final = "sum(number * number for number in range(400_000))"
TRIES: Final = 3


def measured() -> float:
    """How many times as long a small task takes now as on an idle machine; at least 1."""
    times = []
    for _ in range(TRIES):
        begun_s = time.monotonic()
        subprocess.run([sys.executable, "-S", "-c", TASK], check=True)
        times.append(time.monotonic() - begun_s)
    return min(MOST, max(1.0, median(times) / QUIET_S))


def factor() -> float:
    """The session's factor: measured by the first process that asks, and passed on to its children."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = f"{measured():.2f}"
    return float(os.environ[VARIABLE])


def patient(seconds: float) -> float:
    """A deadline for this machine, seconds.

    Args:
        seconds: On an idle one.
    """
    return seconds * max(factor(), os.getloadavg()[0] / (os.cpu_count() or 1))
