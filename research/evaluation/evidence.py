"""How strongly the marks speak for one forecaster against another, at any time.

E is a product of bets at fair odds: where the model is no better, E is expected to stay at most 1, and reaches 20 at
any time with a chance of 5 % at most, however long one looks and however outcomes hang together, as long as the targets
of two marks do not overlap (Choe & Ramdas, "Comparing sequential forecasters", Operations Research 2024).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from research.evaluation.marks import Floats, Numbers
from research.evaluation.protocol import BETS, EVIDENCE, LEAST_MARKS, MOST_LOST

LARGEST_LOG: Final = 700.0
"""Beyond that an E is no finite number any more."""
LEAST_MOST: Final = 1e-9
"""Below that each bet is small enough as it is."""


class Gains(NamedTuple):
    """By how much the model's Brier score is below the rules' at each mark.

    Attributes:
        gain: Mean over the instruments that have an outcome: a mark is one observation, since instruments move
            together. NaN where none has.
        most: The most it could have been either way, known before the outcome.
    """

    gain: Floats
    most: Floats


def gains(rules: Floats, model: Floats, outcomes: Floats) -> Gains:
    """Compare two forecasters' probabilities, (marks, instruments), mark by mark; NaN outcomes do not count."""
    known = np.isfinite(outcomes)
    count = known.sum(axis=1)
    gain = np.where(known, (rules - outcomes) ** 2 - (model - outcomes) ** 2, 0.0).sum(axis=1)
    both = rules + model
    most = np.where(known, np.abs(rules - model) * np.maximum(both, 2.0 - both), 0.0).sum(axis=1)
    scored = np.where(count > 0, count, np.nan)
    return Gains(gain / scored, most / scored)


def log_evidence(gain: Floats, most: Floats) -> Floats:
    """Sum up ln E after each mark that the gains are above zero in the mean, down the first axis; NaN changes nothing.

    Of each bet at most nine tenths can be lost. Give the gains with the other sign for the evidence of the contrary.
    """
    step = np.where(np.isfinite(gain), gain, 0.0)
    largest = MOST_LOST / np.fmax(most, LEAST_MOST)
    paths = [np.cumsum(np.log1p(np.minimum(bet, largest) * step), axis=0) for bet in BETS]
    total = np.logaddexp.reduce(paths, axis=0) - math.log(len(BETS))
    return np.asarray(total, dtype=np.float64)


def together(logs: list[Floats]) -> Floats:
    """Take ln of the mean of several E: evidence of all targets at once, however they hang together."""
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - math.log(len(logs)), dtype=np.float64)


def first_shown(log_e: Floats, scored: Numbers) -> Numbers:
    """Index of the first mark at which E is enough and so are the marks scored until then; -1 where there is none.

    Args:
        log_e: ln E after each mark, down the first axis.
        scored: Marks scored up to each one, of a shape that fits.
    """
    shown = (log_e >= math.log(EVIDENCE)) & (scored >= LEAST_MARKS)
    return np.where(shown.any(axis=0), shown.argmax(axis=0), -1)


def finite_e(log_e: float) -> float:
    """E itself, as a number that is always finite."""
    return math.exp(min(log_e, LARGEST_LOG))
