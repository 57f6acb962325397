"""What a server says in its answer of how long it wants to be left alone, and other numbers in headers: bounded.

The one reader of `Retry-After`: a venue's REST interface, its WebSocket handshakes and the language model's endpoint
all go through it. It reads what a header or a body tells as seconds, as a date or as a moment since 1970; junk is no
answer. Time is a parameter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT_S: Final = 15 * 60.0
"""However long a server asks to be left alone, it is asked again after this: a wrong header must not end a feed."""
LONGEST_BAN_S: Final = (3 * 24 + 1) * 3600.0
"""The longest ban that a venue documents (HTTP 418), three days, and an hour by which its clock may be ahead of ours:
asking inside it would lengthen it."""
MAX_CHARACTERS: Final = 64
"""Of a header that is read; the longest date in use has 31."""
MAX_BODY_CHARACTERS: Final = 1_000
"""Of a body in which a time is looked for."""

_SECONDS: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?", re.ASCII)
_COUNT: Final = re.compile(r"[0-9]{1,9}", re.ASCII)

_HEADERS: Final[Mapping[str, float]] = {
    "retry-after-ms": 1e-3,
    "x-ms-retry-after-ms": 1e-3,
    "x-ratelimit-reset-after": 1.0,
    "gw-ratelimit-reset": 1e-3,
    "x-bapi-limit-reset-timestamp": 0.0,
    "x-gate-ratelimit-reset-timestamp": 0.0,
}
"""Other headers that tell a wait, with the seconds in their unit; 0 where they tell a moment."""

_RESET_NAME: Final = re.compile(
    r"(?:x-|anthropic-)?rate-?limit(?:bysize)?-(?:[a-z]+-){0,3}reset(?:-[a-z]+){0,3}", re.ASCII
)
"""Of requests, tokens or both, in whatever order: `-input-tokens-reset` as `-reset-requests-day`."""
_POLICY: Final = re.compile(r"(?:^|[;,\s])(t|reset|r|remaining)=([0-9]{1,9})(?![0-9.])", re.ASCII)
"""What the header `RateLimit` tells, by either draft of it: `"day";r=0;t=30`, or `limit=9, remaining=0, reset=30`."""
_DURATION: Final = re.compile(
    r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m(?!s))?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)s)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?",
    re.ASCII,
)
"""As Go writes a span: 1h2m3.5s, 20ms."""
_FIRST_MOMENT_S: Final = 5e8
"""A number from here on is a moment since 1970, below it a span."""
_KEY: Final = r"(?<![a-z])(?:until|till|retry|try|again|wait|ban|unban|block|lift|reset|expir|unlock)[a-z]{0,8}"
_MOMENT: Final = re.compile(_KEY + r"[^0-9.]{1,24}([0-9]{10,19})(?![0-9])", re.IGNORECASE | re.ASCII)
_DATE: Final = re.compile(
    _KEY + r"[^0-9.]{1,24}([0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]{1,6})?)"
    r" ?([+-][0-9]{2}:?[0-9]{2})?",
    re.IGNORECASE | re.ASCII,
)
_UNIT: Final = r"(milliseconds?|millis|msec|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)"
_SPAN: Final = re.compile(
    _KEY + r"[^0-9.]{1,24}([0-9]{1,9}(?:\.[0-9]{1,9})?)(?![0-9.:/-]?[0-9]) ?" + _UNIT + r"?(?![a-z])",
    re.IGNORECASE | re.ASCII,
)
_MORE: Final = re.compile(
    r",? ?(?:and )?([0-9]{1,9}(?:\.[0-9]{1,9})?) ?" + _UNIT + r"(?![a-z])", re.IGNORECASE | re.ASCII
)
"""What follows on a span with a unit: the 30.5s of 6m30.5s, the 5 minutes of 2 hours and 5 minutes."""
_SPAN_IN_MS: Final = re.compile(r"(?:ms|millis\w*)[\"'\s:=]{1,6}[0-9.]+$", re.IGNORECASE | re.ASCII)
_UNIT_S: Final[Mapping[str, float]] = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_wait(headers: Iterable[tuple[str, str]], body: str, now_s: float, longest_s: float) -> float | None:
    """How long an answer asks to be left alone: the longest of all it says.

    What is longer than any server means is not believed: it is asked again after `LONGEST_WAIT_S`.

    Args:
        headers: Names and texts; of several of one name the first counts.
        body: What it says besides; one that calls the client banned until a moment says so here.
        now_s: Seconds since the epoch.
        longest_s: The longest wait that is believed, seconds.

    Returns:
        Seconds, not below 0; None where nothing readable is said.
    """
    told: dict[str, str] = {}
    for name, text in headers:
        told.setdefault(name.lower(), text)
    waits = [_header(told.get(name, ""), unit_s, now_s) for name, unit_s in _HEADERS.items()]
    waits += [read_retry_after(told.get("retry-after", ""), now_s, math.inf), *_spoken(body, now_s)]
    found = [wait_s for wait_s in waits if wait_s is not None]
    if not found:
        return None
    wait_s = max(0.0, *found)
    return wait_s if wait_s <= longest_s else LONGEST_WAIT_S


def read_reset(headers: Iterable[tuple[str, str]], now_s: float) -> float | None:
    """How long until limits are counted anew, by headers such as `x-ratelimit-reset-requests: 6m0s`: the longest.

    Only of an answer that refuses for a limit: others name when limits are counted anew, too. Of limits of which
    something is left, as `x-ratelimit-remaining-requests: 10` tells, none refused.

    Args:
        headers: Names and texts.
        now_s: Seconds since the epoch.

    Returns:
        Seconds from 0 to `LONGEST_WAIT_S`; None where no header says so.
    """
    told = {name.lower(): text.strip() for name, text in headers}
    resets = [name for name in told if _RESET_NAME.fullmatch(name)]
    spent = [name for name in resets if not read_count(told.get(name.replace("reset", "remaining"), ""))]
    found = [wait_s for name in spent or resets if (wait_s := _reset_s(told[name], now_s)) is not None]
    found += _policies(told.get("ratelimit", ""))
    return min(max(0.0, *found), LONGEST_WAIT_S) if found else None


def read_retry_after(header: str, now_s: float, longest_s: float = LONGEST_WAIT_S) -> float | None:
    """How long a server asks to be left alone, at most `longest_s` seconds.

    Args:
        header: The header's text: seconds or an HTTP date (RFC 9110, 10.2.3); fractions of a second occur too.
        now_s: Seconds since the epoch.
        longest_s: However long it asks for.

    Returns:
        Seconds, not below 0; None where the header is neither (a sign, an exponent, `inf`, `nan`, too long, no date).
    """
    text = header.strip()
    if len(text) > MAX_CHARACTERS:
        return None
    wait_s = float(text) if _SECONDS.fullmatch(text) else _until(text, now_s)
    return None if wait_s is None else min(max(0.0, wait_s), longest_s)


def read_count(header: str) -> int | None:
    """A whole number below a thousand million; None where the header is none."""
    text = header.strip()
    return int(text) if _COUNT.fullmatch(text) else None


def read_date(header: str) -> float | None:
    """The moment that a `Date` header tells, seconds UTC, to the second; None where it tells none."""
    try:
        moment = parsedate_to_datetime(header)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):  # what the standard library raises for text that is none
        return None


def _until(date: str, now_s: float) -> float | None:
    moment_s = read_date(date)
    return None if moment_s is None else moment_s - now_s


def _header(text: str, unit_s: float, now_s: float) -> float | None:
    """Read a header that is a number: a span in its unit, or a moment."""
    text = text.strip()
    if not _SECONDS.fullmatch(text):
        return None
    return float(text) * unit_s if unit_s else _moment_s(text) - now_s


def _reset_s(text: str, now_s: float) -> float | None:
    """Read a span in seconds, a span with units, a moment or a date."""
    if len(text) > MAX_CHARACTERS:
        return None
    if _SECONDS.fullmatch(text):
        return float(text) if float(text) < _FIRST_MOMENT_S else _moment_s(text) - now_s
    span = _DURATION.fullmatch(text)
    if text and span:
        hours, minutes, seconds, millis = (float(part or 0.0) for part in span.groups())
        return 3600.0 * hours + 60.0 * minutes + seconds + 1e-3 * millis
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s


def _policies(header: str) -> list[float]:
    """Read what a header tells of several limits at once: how long until those are counted anew that are used up."""
    if len(header) > 4 * MAX_CHARACTERS:
        return []
    limits = [dict[str, str](_POLICY.findall(limit)) for limit in re.split(r",\s*(?=\")", header)]
    left = [limit.get("r") or limit.get("remaining", "0") for limit in limits]
    resets = [limit.get("t", limit.get("reset", "")) for limit in limits]
    return [float(reset) for reset, rest in zip(resets, left, strict=True) if reset and int(rest) == 0]


def _spoken(body: str, now_s: float) -> list[float]:
    """Find the waits that a sentence or a field of a body names: a moment, a date, a span."""
    text = body[:MAX_BODY_CHARACTERS]
    moments = [_moment_s(found) - now_s for found in _MOMENT.findall(text)]
    dates = [moment_s - now_s for found in _DATE.findall(text) if (moment_s := _date_s(*found)) is not None]
    return [*moments, *dates, *(_span_s(found) for found in _SPAN.finditer(text))]


def _span_s(found: re.Match[str]) -> float:
    """Read a span, of which a number and its unit may follow another."""
    unit = found[2] or ("ms" if _SPAN_IN_MS.search(found[0]) else "")
    total_s = _seconds(found[1], unit)
    more = _MORE.match(found.string, found.end()) if found[2] else None
    while more is not None:
        total_s += _seconds(more[1], more[2])
        more = _MORE.match(found.string, more.end())
    return total_s


def _seconds(number: str, unit: str) -> float:
    unit = unit.lower()
    return float(number) * _UNIT_S["ms" if unit[:2] == "ms" or unit.startswith("milli") else unit[:1]]


def _moment_s(digits: str) -> float:
    """Read a moment since 1970, in the unit that its size tells: seconds, milliseconds, micro- or nanoseconds."""
    moment = float(digits)
    while moment >= 1e11:
        moment /= 1e3
    return moment


def _date_s(date: str, zone: str) -> float | None:
    try:
        return datetime.fromisoformat(date.replace("/", "-") + (zone or "+00:00")).timestamp()
    except ValueError:
        return None
