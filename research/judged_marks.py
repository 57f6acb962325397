"""What the log of verdicts on models calls for: a row of each verdict that lies there.

Whoever judges writes the row first, so that a verdict without one was lost by the table. A record that is none is
nobody's verdict: who obeys passes it over, and so does this.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from obflow.whole_log import Logged
from schemas.codec import decode_as
from schemas.errors import MessageError
from schemas.evaluations import RegimeEval


class JudgedMark(NamedTuple):
    """What identifies a verdict: on whom, by which protocol, after which mark (ns UTC)."""

    model: str
    protocol: str
    mark_ns: int


def judged_marks(log: Iterable[Logged]) -> set[JudgedMark]:
    """The verdicts on a log."""
    found = set()
    for logged in log:
        with suppress(MessageError):
            verdict = decode_as(RegimeEval, logged.value)
            found.add(JudgedMark(verdict.model, verdict.protocol, verdict.mark_ns))
    return found
