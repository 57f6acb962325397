"""What a model is worth beside the rules, as somebody else judged it: a part of what it takes to go on."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.rollouts import RolloutWorth

LEAST_MARKS: Final = 200
"""With fewer minutes nobody says "worse", so that "not worse" means nothing yet."""


class WorthVerdict(NamedTuple):
    """A judgement of the candidate over the minutes so far.

    Attributes:
        worth: Better, worse or not shown.
        e_better, e_worse: Evidence for either, valid whenever one looks.
        marks: Minutes that were judged.
    """

    worth: RolloutWorth
    e_better: float
    e_worse: float
    marks: int


def is_not_worse(verdict: WorthVerdict | None) -> bool:
    """Whether enough was judged, and the model was not found worse than the rules."""
    return verdict is not None and verdict.marks >= LEAST_MARKS and verdict.worth is not RolloutWorth.WORSE


def is_worse(verdict: WorthVerdict | None) -> bool:
    """Whether the model was found worse than the rules."""
    return verdict is not None and verdict.worth is RolloutWorth.WORSE
