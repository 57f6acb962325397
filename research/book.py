"""The book as it was known at a moment: every record received by then, none after."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TypedDict

from obflow.progress import Watch
from orderbook.validity import TrackedBook
from producers.recordings.reader import RecordingReplay, Scan
from research.verify import Level, top_levels
from schemas.bounds import INT64_MAX
from schemas.errors import UsageError
from schemas.messages import FeedStatus, L2Record, Reason
from schemas.units import NS_PER_SECOND

_FRACTION = re.compile(r"(.*:\d\d)[.,](\d+)(.*)")


class BookAt(TypedDict):
    """A book at a moment.

    Attributes:
        venue, symbol: The instrument.
        at_ns: The moment, ns UTC.
        state: AWAITING_SNAPSHOT, LIVE or INVALID; only a LIVE book may be believed.
        reason: Why it was not LIVE; null where it was, or where nothing went wrong.
        epoch: Its epoch, null before the first snapshot.
        sequence: Of the last update known; null before the first snapshot.
        exchange_ns, received_ns: Times of that update.
        bid_levels, ask_levels: Size of the book; of one that is INVALID the last known.
        bids, asks: Levels as decimal strings, best first.
    """

    venue: str
    symbol: str
    at_ns: int
    state: str
    reason: str | None
    epoch: int | None
    sequence: int | None
    exchange_ns: int | None
    received_ns: int | None
    bid_levels: int
    ask_levels: int
    bids: list[Level]
    asks: list[Level]


def require_within(found: Scan, at_ns: int) -> None:
    """See that a moment lies within a recording: of any other nothing is known.

    Raises:
        UsageError: It does not.
    """
    for edge, name, sign in ((found.first_ns, "before the first", -1), (found.last_ns, "behind the last", 1)):
        if (away_ns := sign * (at_ns - edge)) > 0:
            raise UsageError(
                f"{_iso(at_ns)} is {away_ns / NS_PER_SECOND:,.3f} s {name} frame of the recording",
                next_step=f"ask with --at from {_iso(found.first_ns)} to {_iso(found.last_ns)}",
            )


def _iso(at_ns: int) -> str:
    seconds, rest = divmod(at_ns, NS_PER_SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def book_at(replay: RecordingReplay, symbol: str, at_ns: int, levels: int, watch: Watch = iter) -> BookAt:
    """Read a recording as far as needed and give the book as known at `at_ns`.

    Args:
        replay: The recording, not yet iterated.
        symbol: An instrument of it.
        at_ns: The moment by our clock, ns UTC.
        levels: How many levels a side to give.
        watch: The recording's lines go through it.
    """
    tracked, reason = TrackedBook(), None
    last: L2Record | None = None
    for record in (record for step in watch(replay) for record in step.records):
        if not isinstance(record, L2Record | FeedStatus) or record.symbol != symbol:
            continue
        if isinstance(record, FeedStatus):
            reason = record.reason if record.received_ns <= at_ns else reason
            continue
        if record.received_ns > at_ns:
            break
        tracked.apply(record)
        last = record
    return _report(replay, symbol, at_ns, tracked, reason, last, levels)


def _report(
    replay: RecordingReplay,
    symbol: str,
    at_ns: int,
    tracked: TrackedBook,
    told: Reason | None,
    last: L2Record | None,
    levels: int,
) -> BookAt:
    bids, asks = top_levels(tracked, levels)
    reason = None if tracked.is_live else tracked.reason or told
    return BookAt(
        venue=replay.router.exchange.venue,
        symbol=symbol,
        at_ns=at_ns,
        state=tracked.validity.value.upper(),
        reason=reason.value if reason else None,
        epoch=tracked.epoch if last else None,
        sequence=tracked.sequence if last else None,
        exchange_ns=last.exchange_ns if last else None,
        received_ns=last.received_ns if last else None,
        bid_levels=tracked.book.bid_levels,
        ask_levels=tracked.book.ask_levels,
        bids=bids,
        asks=asks,
    )


def moment_ns(text: str) -> int:
    """A moment in ns UTC: a whole number of ns, or ISO 8601 with up to nine decimals (UTC where it names no zone).

    Raises:
        UsageError: Neither.

    >>> moment_ns("2024-08-08T23:54:20.5Z")
    1723161260500000000
    """
    if text.isascii() and text.isdigit() and len(text) <= len(str(INT64_MAX)) and int(text) <= INT64_MAX:
        return int(text)
    parts = _FRACTION.fullmatch(text)
    whole, fraction = (parts[1] + parts[3], parts[2]) if parts else (text, "")
    try:
        if len(fraction) > 9:
            raise ValueError(fraction)
        moment = datetime.fromisoformat(whole)
        if moment.microsecond:  # a fraction in a form we did not cut off: it would be lost below
            raise ValueError(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no moment", next_step="write 2024-08-08T23:54:20.5Z, or nanoseconds since 1970"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * NS_PER_SECOND + int(fraction.ljust(9, "0"))
