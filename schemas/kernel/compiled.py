"""How functions are compiled: no Python object inside, the lock let go, results kept on disk.

No fast-math: every sum keeps its order and every rounding its place, so that the bits are those of plain Python. A
division by zero gives infinity or NaN, as in hardware; where Python would raise, the code asks first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function at its first call, for the types it is called with."""
    made: F = njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)(function)
    return made
