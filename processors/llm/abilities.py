"""What the last requests of an arm show of it: whether it answers, what it tells of usage, what it refused.

What an endpoint lacks is found out by asking, so that nothing shows it before the first question.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from obflow.findings import Check
from processors.rollout.endings import LACKING, OUR_OWN, VALID
from schemas.messages import LlmCall

TELLS: Final = {"input_tokens": "usage", "cached_tokens": "what it had kept", "reasoning_tokens": "what it thought"}
SHOWN: Final = 120
"""Characters of a refusal."""


def answers_finding(arm: str, calls: Iterable[LlmCall]) -> Check:
    """Say what an arm's requests show; nothing is to be mended by it.

    Args:
        arm: Its name; empty in rows of an older version.
        calls: Rows of any arm, of each instrument in order.
    """
    name = " ".join(filter(None, ("model answers", arm)))
    own = [call for call in calls if call.arm == arm and call.outcome not in OUR_OWN]
    if not own:
        return Check(name, True, "not asked yet")
    valid = sum(call.outcome in VALID for call in own)
    tells = [words for field, words in TELLS.items() if any(getattr(call, field) is not None for call in own)]
    usage = f"it tells {', '.join(tells)}" if tells else "it tells nothing of usage"
    return Check(name, True, f"{valid} of its last {len(own)} requests brought a valid one; {usage}{_refused(own)}")


def _refused(calls: Iterable[LlmCall]) -> str:
    lacking = [call for call in calls if call.status in LACKING]
    if not lacking:
        return "; nothing that was asked for was refused"
    newest = max(lacking, key=lambda call: call.started_ns)
    return f"; refused, and asked for less since: {newest.detail[:SHOWN]}"
