"""What a check finds, and its words where it could not look."""

from __future__ import annotations

from typing import NamedTuple

from schemas.errors import BrokerUnreachable, PipelineError, TopicMismatch


class Check(NamedTuple):
    """One finding.

    Attributes:
        name: What was looked at.
        ok: Whether it is as it should be.
        detail: What was found.
        remedy: What mends it; empty where nothing is to be mended.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def failed(name: str, error: PipelineError) -> Check:
    """What an error says that kept a check from looking."""
    return Check(name, False, error.cause, error.next_step)


def unknown(name: str, error: BrokerUnreachable | TopicMismatch) -> Check:
    """What cannot be known for a reason that another check names, with what mends it."""
    missing = "no broker answers" if isinstance(error, BrokerUnreachable) else "topics are missing"
    return Check(name, False, f"not known while {missing}")
