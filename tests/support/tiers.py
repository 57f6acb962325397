"""How much of a test runs with `make test`: which of its parameters, how many of its examples."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest


def tiered(values: Iterable[Any], *keep: Any) -> list[Any]:
    """Parameters in their order: those named for both tiers, the others exhaustive.

    Args:
        values: Every one that there is.
        keep: What `make test` keeps; each has to be one of them.

    Raises:
        ValueError: What was to be kept is not among them, or nothing was.
    """
    every = list(values)
    unknown = [one for one in keep if one not in every]
    if unknown or not keep:
        raise ValueError(f"`make test` keeps {unknown or 'none'} of {every}: name those that it shall run")
    return [one if one in keep else _exhaustive(one) for one in every]


def fourth_of(number: int) -> int:
    """Number of a property's examples: all with `make fuzz`, else a fourth, and each run has new ones."""
    return number if os.environ.get("OBFLOW_FUZZ") == "all" else max(10, number // 4)


def _exhaustive(value: Any) -> Any:
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=pytest.mark.exhaustive)
