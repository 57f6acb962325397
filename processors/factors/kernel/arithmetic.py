"""Arithmetic as Python does it on integers of any size, on int64 as long as they stay below `MOST`."""

from __future__ import annotations

from typing import Final

from schemas.kernel.compiled import compiled

MOST: Final = 2**61
"""Integers of the kernel stay below this, so that a sum of two is an int64; beyond it a record is the reference's."""
_MOST_FLOAT: Final = float(MOST)
_EXACT: Final = 2**53
"""Up to here an integer is a float."""
_BITS: Final = 55
"""Bits of a quotient that decide how it is rounded, with one more for what is left over."""


@compiled
def fits(one: int, other: int) -> bool:
    """Say whether the product of two integers stays below MOST, with some to spare for the rounding."""
    return abs(float(one) * float(other)) < _MOST_FLOAT


@compiled
def true_divide(numerator: int, denominator: int) -> float:
    """Divide two integers as Python's `/` does: rounded once, correctly.

    Args:
        numerator: Any whose size is below 2^62.
        denominator: 1 to 2^62.
    """
    if -_EXACT <= numerator <= _EXACT and denominator <= _EXACT:
        return float(numerator) / float(denominator)
    return -_divide(-numerator, denominator) if numerator < 0 else _divide(numerator, denominator)


@compiled
def ratio(bid: int, ask: int) -> float:
    """Compute (bid - ask)/(bid + ask); NaN where both are 0."""
    return true_divide(bid - ask, bid + ask) if bid + ask else float("nan")


@compiled
def _divide(numerator: int, denominator: int) -> float:
    """Long division: enough bits that the last one can carry whether anything is left over."""
    quotient, rest = numerator // denominator, numerator % denominator
    shift = 0
    while quotient >> _BITS == 0 and shift < 2 * _BITS + 10:
        rest <<= 1
        quotient <<= 1
        if rest >= denominator:
            rest -= denominator
            quotient |= 1
        shift += 1
    if rest:
        quotient |= 1
    scale = 1.0
    for _ in range(shift):
        scale *= 0.5
    return float(quotient) * scale
