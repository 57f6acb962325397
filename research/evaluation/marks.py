"""Marks, and what came after each: arrays of (marks, instruments), in which NaN is null and never leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from research.evaluation.protocol import HISTORY_MARKS, LEAST_HISTORY, MARK_S
from research.evaluation.rows import Minute
from schemas.units import NS_PER_SECOND

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]
TARGETS: Final = ("volatile", "up")
_MARK_NS: Final = MARK_S * NS_PER_SECOND


class Marks(NamedTuple):
    """The marks of all instruments.

    Attributes:
        times_ns: Each mark once, rising.
        instruments: Names of the columns.
        variance, return_bps: What the minute after the mark did.
        targets: By name of the target, 1.0 where it came, 0.0 where it did not.
    """

    times_ns: Numbers
    instruments: tuple[str, ...]
    variance: Floats
    return_bps: Floats
    targets: dict[str, Floats]


def marks_of(minutes: Sequence[Minute]) -> Marks:
    """Lay the minutes out as marks, and say of each whether it was volatile and whether the mid rose."""
    times = np.unique(np.array([minute.mark_ns for minute in minutes], dtype=np.int64))
    instruments = tuple(sorted({minute.instrument for minute in minutes}))
    column = {name: number for number, name in enumerate(instruments)}
    variance, return_bps = (np.full((len(times), len(instruments)), np.nan) for _ in range(2))
    rows = np.searchsorted(times, [minute.mark_ns for minute in minutes])
    for row, minute in zip(rows, minutes, strict=True):
        place = (row, column[minute.instrument])
        variance[place] = np.nan if minute.realised_variance is None else minute.realised_variance
        return_bps[place] = np.nan if minute.return_bps is None else minute.return_bps
    columns = [_volatile(times, variance[:, number]) for number in range(len(instruments))]
    volatile = np.stack(columns, axis=1) if columns else variance
    up = np.where(return_bps == 0.0, np.nan, _flag(return_bps > 0.0, return_bps))
    return Marks(times, instruments, variance, return_bps, {"volatile": volatile, "up": up})


def _volatile(times: Numbers, variance: Floats) -> Floats:
    """Whether each variance is above the median of the 60 minutes before; null with fewer than 30 of them."""
    past = np.full((len(times), HISTORY_MARKS), np.nan)
    for back in range(1, HISTORY_MARKS + 1):
        wanted = times - back * _MARK_NS
        places = np.searchsorted(times, wanted)
        past[:, back - 1] = np.where(times[places] == wanted, variance[places], np.nan)
    known = np.isfinite(past).sum(axis=1)
    ordered = np.sort(past, axis=1)  # NaN last
    low, high = (np.clip(place, 0, HISTORY_MARKS - 1)[:, None] for place in ((known - 1) // 2, known // 2))
    middle = (np.take_along_axis(ordered, low, axis=1) + np.take_along_axis(ordered, high, axis=1))[:, 0] / 2.0
    return np.where(known < LEAST_HISTORY, np.nan, _flag(variance > middle, variance))


def _flag(is_so: Flags, where_known: Floats) -> Floats:
    return np.where(np.isfinite(where_known), is_so.astype(np.float64), np.nan)
