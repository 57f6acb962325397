"""How far a language model has been rolled out: the record of `rollout.v1`, a state or a request to change it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from schemas.bounds import Count, Few, Label, Share100, Text, TimeNs, Weight
from schemas.evaluations import RegimeWorth

STATE_KEY: Final = "regimes"
"""Key of the state: the newest record of it holds."""
REQUEST_KEY: Final = "regimes:request"
"""Key of what somebody asks for by hand."""


class RolloutStage(StrEnum):
    """How far."""

    OFF = "off"
    """The live arm is asked, nothing is in force."""
    SHADOW = "shadow"
    """The candidate is asked about every instrument, nothing is in force."""
    CANARY = "canary"
    """The candidate is in force for a share of the instruments."""
    PROMOTED = "promoted"
    """The candidate has become the live arm, in force for all; the other arm is idle."""
    ROLLED_BACK = "rolled_back"
    """Nothing is in force, until it is armed again by hand."""


class RolloutAction(StrEnum):
    """What may be asked for by hand."""

    PROMOTE = "promote"
    HOLD = "hold"
    ROLLBACK = "rollback"
    REARM = "rearm"
    ENABLE = "enable"
    DISABLE = "disable"


class RolloutGuard(StrEnum):
    """What ends a rollout."""

    FAILURE = "failure"
    SLOW = "slow"
    UNFAITHFUL = "unfaithful"
    COST = "cost"


class RolloutRecord(msgspec.Struct, frozen=True, gc=False):
    """A state of the rollout, or a request to change it (`rollout.v1`). A state is the row of the change that made it.

    Attributes:
        step: Of a state: one more than that of the state before. The first record of a step counts, any later does not.
            Of a request: 0.
        enabled: Whether any question is asked at all.
        live, candidate: Arms: blue or green; the same where there is one.
        stage, percent: How far; of the instruments, those whose share lies below `percent` have the candidate in force.
        instruments: Which those are, as `venue:symbol`, in order of their names.
        is_held: Whether the stage stays until somebody says otherwise.
        since_ns: When the stage began, ns UTC by the controller's clock.
        decided_ns: When this was decided.
        questions: Of the candidate in the stage before this change.
        failure, slow, unfaithful: Evidence of each guard then.
        worth: Of the candidate then, where somebody judged it against the rules; null where nobody did.
        e_better, e_worse, marks: The evidence for either, and of how many minutes.
        guard: The one that was crossed, if that is what changed it.
        reason: Why, as a sentence.
        by: Who: the controller, or whoever asked by hand.
        request_id: Of the request that was answered last; of a request, its own.
        action: Of a request: what is asked for; null is a state.
    """

    step: Count
    enabled: bool
    live: Label
    candidate: Label
    stage: RolloutStage
    percent: Share100
    instruments: list[Label]
    is_held: bool
    since_ns: TimeNs
    decided_ns: TimeNs
    reason: Text
    by: Label
    questions: Few = 0
    failure: Weight | None = None
    slow: Weight | None = None
    unfaithful: Weight | None = None
    worth: RegimeWorth | None = None
    e_better: Weight | None = None
    e_worse: Weight | None = None
    marks: Few | None = None
    guard: RolloutGuard | None = None
    request_id: Label = ""
    action: RolloutAction | None = None
