"""Intervals of means over marks, by moving blocks: neighbours hang together, so they are drawn together.

Künsch (1989), "The jackknife and the bootstrap for general stationary observations". Chance comes from the seed alone.
"""

from __future__ import annotations

import numpy as np

from research.evaluation.marks import Floats
from research.evaluation.protocol import BLOCK_MARKS, DRAWS

Interval = tuple[float, float]


def ratio_interval(totals: Floats, counts: Floats, seed: int) -> Interval | None:
    """95 % interval of sum(totals)/sum(counts) over marks; null with fewer than two blocks of marks.

    Args:
        totals: One sum a mark.
        counts: How many values are in it.
        seed: Of the draws.
    """
    if len(totals) < 2 * BLOCK_MARKS:
        return None
    starts = len(totals) - BLOCK_MARKS + 1
    chosen = np.random.default_rng(seed).integers(0, starts, size=(DRAWS, -(-len(totals) // BLOCK_MARKS)))
    drawn = [_block_sums(column)[chosen].sum(axis=1) for column in (totals, counts)]
    means = drawn[0][drawn[1] > 0.0] / drawn[1][drawn[1] > 0.0]
    if 2 * len(means) < DRAWS:
        return None  # too rare to be in most of the draws
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def mean_interval(values: Floats, seed: int) -> Interval | None:
    """95 % interval of the mean of one value a mark; NaN marks are left out."""
    known = values[np.isfinite(values)]
    return ratio_interval(known, np.ones(len(known)), seed)


def _block_sums(column: Floats) -> Floats:
    ends = np.concatenate(([0.0], np.cumsum(column)))
    return np.asarray(ends[BLOCK_MARKS:] - ends[:-BLOCK_MARKS])
