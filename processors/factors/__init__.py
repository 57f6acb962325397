"""Engines that compute the factors of order books: one folder each, one line each. `engine.py` says what one is."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

from processors.factors.engine import Engine
from processors.factors.reference.engine import ReferenceEngine
from schemas.errors import UsageError

ENGINES: Final[dict[str, type[Engine[Any, Any]]]] = {
    "reference": ReferenceEngine,
}


def engine_named(name: str) -> type[Engine[Any, Any]]:
    """The engine of this name.

    Raises:
        UsageError: There is none.
    """
    try:
        return ENGINES[name]
    except KeyError:
        close = get_close_matches(name, ENGINES, n=1)
        step = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(ENGINES))}"
        raise UsageError(f"there is no engine {name!r}", next_step=step) from None
