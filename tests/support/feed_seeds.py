"""Which seeds of feeds a run of the tests plays: a slice, all of them, or one that is named."""

from __future__ import annotations

import os
from typing import Final

ALL: Final = 10_000
SLICE: Final = 48
"""So many have every fault at every venue."""


def feed_seeds() -> range:
    """Those of this run."""
    named = os.environ.get("OBFLOW_SEED")
    if named:
        return range(int(named), int(named) + 1)
    return range(ALL if os.environ.get("OBFLOW_FUZZ") == "all" else SLICE)


def describe_seeds() -> str:
    """The same for people."""
    seeds = feed_seeds()
    return f"{seeds[0]} to {seeds[-1]} of {ALL} (OBFLOW_SEED=… plays one, OBFLOW_FUZZ=all plays all)"
