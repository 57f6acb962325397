"""How often the rules change their mind on noise, and how soon they tell a lasting shift; intelligence page, section 4.

Simulated with known truth: the imbalance is an autoregression of standard deviation 0.1, the realised variance the sum
of five squared normal returns. `make test` runs a slice, `OBFLOW_FUZZ=all` the whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from statistics import median

import pytest

from processors.regimes.rules import RuleState, Verdict, judge
from processors.regimes.window import WINDOW_NS
from schemas.messages import Regime
from schemas.units import NS_PER_SECOND
from tests.processors.regimes.generated import RULES
from tests.processors.regimes.test_rules import window

WHOLE = os.environ.get("OBFLOW_FUZZ") == "all"
WINDOWS = 20_000 if WHOLE else 5_000
SHIFTS = 200 if WHOLE else 60
WINDOW_S = WINDOW_NS / NS_PER_SECOND
SD = 0.1
BEFORE, AFTER = 180, 60
"""Windows before a shift and after it: 15 and 5 minutes."""


def noise(chance: Random, count: int, persistence: float) -> Iterator[float]:
    """An autoregression of standard deviation `SD`."""
    value = chance.gauss(0.0, SD)
    for _ in range(count):
        value = persistence * value + chance.gauss(0.0, SD * (1.0 - persistence**2) ** 0.5)
        yield value


def judged(chance: Random, imbalances: Iterator[float]) -> list[Verdict]:
    state = RuleState()
    return [
        judge(state, window(index, value, sum(chance.gauss(0.0, 1e-5) ** 2 for _ in range(5))), RULES)
        for index, value in enumerate(imbalances)
    ]


def pulses(verdicts: list[Verdict]) -> list[int]:
    """Where a change begins to be told."""
    told = [verdict.label is Regime.REGIME_CHANGE for verdict in verdicts]
    return [index for index, is_told in enumerate(told) if is_told and not told[index - 1]]


@pytest.mark.parametrize("persistence", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_on_noise_labels_flip_seldom_and_a_change_is_hardly_ever_told(persistence: float) -> None:
    chance = Random(f"noise {persistence}")
    verdicts = judged(chance, noise(chance, WINDOWS, persistence))
    hours = WINDOWS * WINDOW_S / 3_600
    flips = sum(one.label is not other.label for one, other in pairwise(verdicts))
    assert flips / hours <= 65, flips / hours
    assert len(pulses(verdicts)) / hours <= 1, len(pulses(verdicts)) / hours


@pytest.mark.parametrize(("shift_sd", "share", "within_s"), [(3.0, 0.80, 60.0), (4.0, 0.98, 45.0)])
def test_a_lasting_shift_is_told_soon_and_once(shift_sd: float, share: float, within_s: float) -> None:
    found = list[float]()
    once = 0
    for seed in range(SHIFTS):
        chance = Random(f"shift {shift_sd} {seed}")
        values = noise(chance, BEFORE + AFTER, 0.6)
        shifted = (value + (shift_sd * SD if index >= BEFORE else 0.0) for index, value in enumerate(values))
        told = [index for index in pulses(judged(chance, shifted)) if index >= BEFORE]
        if told:
            found.append((told[0] - BEFORE + 1) * WINDOW_S)
        once += len(told) == 1
    assert len(found) / SHIFTS >= share, len(found) / SHIFTS
    assert median(found) <= within_s, median(found)
    assert once / len(found) >= 0.98, once / len(found)
