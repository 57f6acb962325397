"""Engines that compute the factors of order books: one folder each, one line each. `engine.py` says what one is."""

from __future__ import annotations

from typing import Any, Final, Protocol

from processors.contract import line_named
from processors.factors.engine import Engine
from processors.factors.kernel.engine import KernelEngine
from processors.factors.reference.engine import ReferenceEngine
from processors.factors.weights import OfiTable

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


class EngineOptions(Protocol):
    """What is read of the section `processor`."""

    @property
    def engine(self) -> str:
        """Name of the engine."""

    @property
    def thin_notional(self) -> float:
        """T of status THIN, quote units."""

    @property
    def ofi_weights(self) -> str:
        """Rows of weights of integrated order flow."""


class StageOptions(EngineOptions, Protocol):
    """What the stage of books reads of it besides."""

    @property
    def conflate_above_ms(self) -> float:
        """Age of records beyond which events are withheld; 0: never."""


def engine_of(options: EngineOptions) -> Engine[Any, Any]:
    """Make the engine that is set.

    Raises:
        UsageError: There is none of that name, or a row of weights is none.
    """
    return engine_named(options.engine)(options.thin_notional, OfiTable(options.ofi_weights))
