"""Labels with a known skill: each column is a run of its own, so that many seeds are one array."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from research.evaluation.evidence import first_shown, gains, log_evidence
from research.evaluation.forecasters import by_label
from research.evaluation.marks import Floats, Numbers

NEUTRAL = 0.4


class Shown(NamedTuple):
    """For each seed the mark (from 0) at which the model was shown better, and worse; -1 where it never was."""

    better: Numbers
    worse: Numbers


def outcomes(chance: np.random.Generator, marks: int, seeds: int, stays: float = 0.5) -> Floats:
    """A target that comes every other time, and stays as it was with this chance."""
    turns = np.cumsum(chance.random((marks, seeds)) >= stays, axis=0)
    return ((turns + chance.integers(0, 2, seeds)) % 2).astype(np.float64)


def labels(chance: np.random.Generator, came: Floats, right: float) -> Numbers:
    """Neutral (0), or one of two labels (1, 2) that is right with this chance."""
    says = np.where(chance.random(came.shape) < right, came, 1.0 - came).astype(np.int64) + 1
    return np.where(chance.random(came.shape) < NEUTRAL, 0, says)


def play(rules: float, model: float, marks: int, seeds: int, stays: float = 0.5) -> Shown:
    """Rules and a model with these chances of being right, against each other, by the evaluation's own code."""
    chance = np.random.default_rng(20_240_808)
    came = outcomes(chance, marks, seeds, stays)
    said = [by_label(labels(chance, came, right), came) for right in (rules, model)]
    columns = [gains(*(part[:, seed : seed + 1] for part in (*said, came))) for seed in range(seeds)]
    gain, most = (np.stack(parts, axis=1) for parts in zip(*columns, strict=True))
    scored = np.arange(1, marks + 1)[:, None]
    return Shown(*(first_shown(log_evidence(sign * gain, most), scored) for sign in (1.0, -1.0)))


def share(shown: Numbers) -> float:
    return float((shown >= 0).mean())


def median_marks(shown: Numbers) -> float:
    """Marks until it was shown, in the median; a seed where it never was counts as endless."""
    return float(np.median(np.where(shown >= 0, shown + 1.0, np.inf)))
