"""Engines that compute the factors of order books: one folder each, one line each. `engine.py` says what one is."""

from __future__ import annotations

from typing import Any, Final

from processors.contract import line_named
from processors.factors.engine import Engine
from processors.factors.kernel.engine import KernelEngine
from processors.factors.reference.engine import ReferenceEngine

ENGINES: Final[dict[str, type[Engine[Any, Any]]]] = {
    "kernel": KernelEngine,
    "reference": ReferenceEngine,
}


def engine_named(name: str) -> type[Engine[Any, Any]]:
    """The engine of this name.

    Raises:
        UsageError: There is none.
    """
    return line_named("engine", name, ENGINES)
