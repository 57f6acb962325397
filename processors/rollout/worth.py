"""What a model is worth beside the rules, as somebody else judged it: a part of what it takes to go on.

The judgement is made elsewhere (`obflow evaluate regimes --follow`) and lies in `regime-eval.v1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from schemas.evaluations import RegimeEval, RegimeWorth
from schemas.units import NS_PER_SECOND

LEAST_MARKS: Final = 200
"""With fewer minutes nobody says "worse", so that "not worse" means nothing yet."""


FRESH_NS: Final = 600 * NS_PER_SECOND
"""A verdict of an older minute is nobody's any more: whoever judges does it each minute."""


class WorthVerdict(NamedTuple):
    """A judgement of the candidate over the minutes so far.

    Attributes:
        worth: Better, worse or not shown.
        e_better, e_worse: Evidence for either, valid whenever one looks.
        marks: Minutes that were judged.
    """

    worth: RegimeWorth
    e_better: float
    e_worse: float
    marks: int


def is_not_worse(verdict: WorthVerdict | None) -> bool:
    """Whether enough was judged, and the model was not found worse than the rules."""
    return verdict is not None and verdict.marks >= LEAST_MARKS and verdict.worth is not RegimeWorth.WORSE


def is_worse(verdict: WorthVerdict | None) -> bool:
    """Whether the model was found worse than the rules."""
    return verdict is not None and verdict.worth is RegimeWorth.WORSE


def verdict_of(record: RegimeEval) -> WorthVerdict:
    """The event that a record is."""
    return WorthVerdict(record.verdict, record.e_better, record.e_worse, record.marks)


def newest_by_model(records: Iterable[RegimeEval]) -> Mapping[str, RegimeEval]:
    """Of each model the record of its newest mark; of two of one mark, the later in the log."""
    found: dict[str, RegimeEval] = {}
    for record in records:
        kept = found.get(record.model)
        if kept is None or record.mark_ns >= kept.mark_ns:
            found[record.model] = record
    return found


class HeardVerdicts:
    """What is known of each model by the records that came so far. One thread writes, others read whole assignments."""

    def __init__(self) -> None:
        self._newest: Mapping[str, RegimeEval] = {}

    def take(self, records: Iterable[RegimeEval]) -> None:
        """Take records in the order of the log."""
        self._newest = newest_by_model([*self._newest.values(), *records])

    def on(self, model: str, now_ns: int) -> WorthVerdict | None:
        """Give the verdict on a model; None where nobody judges it at the moment."""
        found = self._newest.get(model)
        return verdict_of(found) if found is not None and now_ns - found.mark_ns <= FRESH_NS else None
