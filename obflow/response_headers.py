"""What a server says in its answer's headers, read as its frames are: bounded, and junk is no answer.

The one reader of `Retry-After`: a venue's REST interface, its WebSocket handshakes and the language model's endpoint
all go through it. Time is a parameter.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT_S: Final = 15 * 60.0
"""However long a server asks to be left alone, it is asked again after this: a wrong header must not end a feed."""
MAX_CHARACTERS: Final = 64
"""Of a header that is read; the longest date in use has 31."""

_SECONDS: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?", re.ASCII)
_COUNT: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def read_retry_after(header: str, now_s: float) -> float | None:
    """How long a server asks to be left alone, at most `LONGEST_WAIT_S` seconds.

    Args:
        header: The header's text: seconds or an HTTP date (RFC 9110, 10.2.3); fractions of a second occur too.
        now_s: Seconds since the epoch.

    Returns:
        Seconds, not below 0; None where the header is neither (a sign, an exponent, `inf`, `nan`, too long, no date).
    """
    text = header.strip()
    if len(text) > MAX_CHARACTERS:
        return None
    wait_s = float(text) if _SECONDS.fullmatch(text) else _until(text, now_s)
    return None if wait_s is None else min(max(0.0, wait_s), LONGEST_WAIT_S)


def read_count(header: str) -> int | None:
    """A whole number below a thousand million; None where the header is none."""
    text = header.strip()
    return int(text) if _COUNT.fullmatch(text) else None


def _until(date: str, now_s: float) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s
    except (ValueError, TypeError, IndexError, OverflowError):  # what the standard library raises for text that is none
        return None
