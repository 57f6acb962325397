"""Who forecast what at each mark: nothing that was decided, or came, after the mark is in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from research.evaluation.marks import Flags, Floats, Marks, Numbers
from research.evaluation.protocol import IDLE_S, KNOWN_S
from research.evaluation.rows import RegimeForecast
from schemas.units import NS_PER_SECOND

NONE = -1
"""Code of a label that is not there."""


class InForce(NamedTuple):
    """What one forecaster had said at each mark, as arrays of (marks, instruments).

    Attributes:
        keys: Code of the judge and label in force, `NONE` where there is none.
        labels: Code of the label alone; `names` has them.
        names: Labels by code.
        p: By name of the target, the probability given; NaN where none was.
        counted: Whether it answers at all at that time: its newest answer is at most an hour old.
    """

    keys: Numbers
    labels: Numbers
    names: tuple[str, ...]
    p: dict[str, Floats]
    counted: Flags


def known_at(marks: Marks, forecasts: Sequence[RegimeForecast]) -> InForce:
    """What of one forecaster's rows was in force at each mark."""
    names = tuple(sorted({row.label for row in forecasts}))
    judged = sorted({(row.judge, row.label) for row in forecasts})
    shape = (len(marks.times_ns), len(marks.instruments))
    keys, labels = np.full(shape, NONE), np.full(shape, NONE)
    p = {name: np.full(shape, np.nan) for name in ("volatile", "up")}
    counted = np.zeros(shape, dtype=np.bool_)
    for column, instrument in enumerate(marks.instruments):
        rows = sorted((row for row in forecasts if row.instrument == instrument), key=lambda row: row.decided_ns)
        if not rows:
            continue
        decided = np.array([row.decided_ns for row in rows], dtype=np.int64)
        place = np.searchsorted(decided, marks.times_ns, side="right") - 1
        age = np.where(place >= 0, marks.times_ns - decided[np.maximum(place, 0)], np.iinfo(np.int64).max)
        fresh = age <= KNOWN_S * NS_PER_SECOND
        counted[:, column] = age <= IDLE_S * NS_PER_SECOND
        keys[:, column] = np.where(fresh, np.array([judged.index((row.judge, row.label)) for row in rows])[place], NONE)
        labels[:, column] = np.where(fresh, np.array([names.index(row.label) for row in rows])[place], NONE)
        for target, given in (("volatile", [row.p_volatile for row in rows]), ("up", [row.p_up for row in rows])):
            p[target][:, column] = np.where(fresh, np.array(given, dtype=np.float64)[place], np.nan)
    return InForce(keys, labels, names, p, counted)


def running_frequency(keys: Numbers, outcomes: Floats) -> Floats:
    """(1 + hits)/(2 + n) over the earlier rows of the same column and key.

    Args:
        keys: Codes, (marks, columns).
        outcomes: 1.0, 0.0 or NaN of the same shape. The outcome of a mark is known at the next one, so it counts from
            there on.
    """
    known = np.isfinite(outcomes)
    hits = np.where(known, outcomes, 0.0)
    found = np.full(outcomes.shape, 0.5)
    for key in np.unique(keys):
        here = keys == key
        n, hit = _before(here & known), _before(np.where(here, hits, 0.0))
        found[here] = ((1.0 + hit) / (2.0 + n))[here]
    return found


def base_rate(outcomes: Floats) -> Floats:
    """The running frequency of the target, whatever anybody says."""
    return running_frequency(np.zeros(outcomes.shape, dtype=np.int64), outcomes)


def by_label(keys: Numbers, outcomes: Floats) -> Floats:
    """The running frequency given what was said; the base rate where nothing was."""
    return np.where(keys == NONE, base_rate(outcomes), running_frequency(keys, outcomes))


def as_given(p: Floats, outcomes: Floats) -> Floats:
    """The probability that was given; the base rate where none was."""
    return np.where(np.isfinite(p), p, base_rate(outcomes))


def _before(counted: Floats | Flags) -> Floats:
    """How much was counted in the rows above each, down each column."""
    added = counted.astype(np.float64)
    return np.asarray(np.cumsum(added, axis=0) - added)
