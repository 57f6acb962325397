"""Lengths of time as flags give them: `60s`, `5m`, `2h`, or a number of seconds."""

from __future__ import annotations

import re
from math import inf

from schemas.errors import UsageError

SECONDS_OF_UNIT = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_LENGTH = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smh]?)")


def seconds_of(flag: str, text: str | None, *, most_s: float = inf) -> float | None:
    """Read a length of time.

    Args:
        flag: The flag that gives it, for the sentence.
        text: What it says; None where it was not given.
        most_s: Longest that makes sense, seconds.

    Returns:
        Seconds, above zero; None where the flag was not given.

    Raises:
        UsageError: It is no length of time, none at all, or too long.
    """
    if text is None:
        return None
    match = _LENGTH.fullmatch(text)
    seconds = float(match[1]) * SECONDS_OF_UNIT[match[2]] if match else 0.0
    if not 0.0 < seconds < inf:
        raise UsageError(f"{flag} {text} is no length of time", next_step="write 60s, 5m or 2h")
    if seconds > most_s:
        raise UsageError(f"{flag} {text} is too long", next_step=f"at most {most_s / 3600:g}h")
    return seconds
