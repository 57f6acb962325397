"""Weights of integrated order flow (Cont, Cucuringu, Zhang 2023): one dated table, as text in the settings.

A row is `venue symbol from_date mean_size w1 … w10`, rows are separated by semicolons: w is the first principal
component of the flows at ten levels over a second, fitted on what came before the date, and mean_size the mean size of
a level then, base units. In force is the newest row whose date is not later than the record: dates are versions.
"""

from __future__ import annotations

from math import isfinite
from typing import Final, NamedTuple

from processors.derived.fees import date_ns
from schemas.errors import UsageError
from schemas.messages import InstrumentKey

LEVELS: Final = 10
FIELDS: Final = 4 + LEVELS
FOR_EVER_NS: Final = 2**62


class OfiWeights(NamedTuple):
    """What holds for an instrument from a date on.

    Attributes:
        from_ns: Start of the day it begins at, ns UTC.
        until_ns: Where the next row begins.
        scale: Mean size times Σ|w|, base units.
        weights: Of levels 1 to 10; none: nothing is known yet.
    """

    from_ns: int
    until_ns: int
    scale: float
    weights: tuple[float, ...]


class OfiTable:
    """Every row.

    Args:
        text: The rows.

    Raises:
        UsageError: A row is none.
    """

    def __init__(self, text: str = "") -> None:
        rows = sorted(_row(line) for line in text.split(";") if line.strip())
        self._rows: dict[InstrumentKey, list[OfiWeights]] = {}
        for key, weights in rows:
            before = self._rows.setdefault(key, [OfiWeights(-FOR_EVER_NS, FOR_EVER_NS, 0.0, ())])
            before[-1] = before[-1]._replace(until_ns=weights.from_ns)
            before.append(weights)

    def in_force(self, instrument: InstrumentKey, at_ns: int) -> OfiWeights:
        """What holds of an instrument at a moment."""
        for row in reversed(self._rows.get(instrument, ())):
            if row.from_ns <= at_ns:
                return row
        return NO_WEIGHTS


NO_WEIGHTS: Final = OfiWeights(-FOR_EVER_NS, FOR_EVER_NS, 0.0, ())
NO_TABLE: Final = OfiTable()


def _row(line: str) -> tuple[InstrumentKey, OfiWeights]:
    words = line.split()
    try:
        if len(words) != FIELDS:
            raise ValueError(f"{len(words)} words, not {FIELDS}")
        mean_size, *weights = map(float, words[3:])
        scale = mean_size * sum(map(abs, weights))
        if not isfinite(scale) or mean_size <= 0 or sum(weights) <= 0:
            raise ValueError("a mean size or a sum of weights that is not above 0")
        key = InstrumentKey(words[0], words[1])
        return key, OfiWeights(date_ns(words[2]), FOR_EVER_NS, scale, tuple(weights))
    except ValueError as error:
        raise UsageError(f"processor.ofi_weights has a row that is none: {' '.join(words)!r} ({error})") from None
