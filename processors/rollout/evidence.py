"""Evidence against a rate of bad questions, valid however often and however long one looks (an e-process).

E = mean over q of (q/p0)^S ((1-q)/(1-p0))^(n-S). Where the rate is p0, its mean is 1 at every n, so that it ever
exceeds 100 with a probability of 1 % (Ville). Which of the questions were bad does not matter, only how many.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

LARGEST: Final = 1e300
"""Evidence beyond it is told as this."""


class TestedRate(NamedTuple):
    """What is tested.

    Attributes:
        healthy: Share of bad questions that is no reason to worry.
        worse: Shares that are.
    """

    healthy: float
    worse: tuple[float, ...]


TWO_PERCENT: Final = TestedRate(0.02, (0.05, 0.1, 0.2, 0.5, 0.95))
FIVE_PERCENT: Final = TestedRate(0.05, (0.1, 0.2, 0.4, 0.7, 0.97))


def evidence(rate: TestedRate, questions: int, bad: int) -> float:
    """How many times likelier worse rates make this many bad ones than the healthy rate does; 1 without questions."""
    logs = [
        bad * math.log(worse / rate.healthy) + (questions - bad) * math.log((1 - worse) / (1 - rate.healthy))
        for worse in rate.worse
    ]
    largest = max(logs)
    mean = largest + math.log(sum(math.exp(one - largest) for one in logs) / len(logs))
    return math.exp(min(mean, math.log(LARGEST)))
