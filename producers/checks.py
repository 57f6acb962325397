"""What `obflow doctor` asks about the feeds: the newest word of each, judged apart from where it was read.

What a feed shows is a state and a sentence for people (`books/feed_state.py`, `live/feed.py`, `live/gate.py`); the
parts of sentences below are theirs, and a test holds the two together.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from obflow.clock_offsets import SET_THE_CLOCK, TOLERATED_S
from obflow.findings import Check, unknown
from obflow.settings import Settings
from obflow.terminal import shell_word
from obflow.topics import topic_name
from obflow.whole_log import read_tail
from schemas.codec import decode_as
from schemas.errors import BrokerUnreachable, MessageError, TopicMismatch
from schemas.messages import FeedState, FeedStatus, InstrumentKey, Source
from schemas.topics import FEED_STATUS
from schemas.units import NS_PER_MS

LAST_RECORDS: Final = 5_000
"""Read of each partition: with a heartbeat every ten seconds, hours of a few instruments."""
SILENT_S: Final = 30.0
"""A producer says every ten seconds that it is alive."""
STUCK_S: Final = 60.0
"""A feed that is not live for so long does not come back by itself."""
SHOWN: Final = 5

DELISTED: Final = "it will not trade again"
LISTED_AS: Final = "the venue lists it as"
REFUSED: Final = tuple(f"the venue {what}" for what in ("refuses requests", "serves nobody", "turns this address away"))
NOTHING_CAME: Final = ("no depth update for", "since it was subscribed", "no connection for")


class Trouble(StrEnum):
    """What can be wrong with a feed; the value is the name of its check."""

    GONE = "feed silent"
    DELISTED = "symbol delisted"
    BREAK = "symbol in break"
    BAN = "ban in force"
    CHANNEL = "channel silent"
    STUCK = "feed not live"
    CLOCK = "feed clock"


class FeedLook(NamedTuple):
    """What is known of one feed.

    Attributes:
        status: Its newest word.
        written_ms: Kafka's time of it, ms UTC.
        since_ms: The same of the first word in a row with that state.
    """

    status: FeedStatus
    written_ms: int
    since_ms: int


def feed_checks(settings: Settings) -> list[Check]:
    """Whether every feed is live, and why not; replays are none."""
    try:
        newest = newest_feeds(settings)
    except (BrokerUnreachable, TopicMismatch) as error:
        return [unknown("feeds", error)]
    return feed_findings(newest.values(), time.time_ns() // NS_PER_MS)


def newest_feeds(settings: Settings) -> dict[InstrumentKey, FeedLook]:
    """The newest word of each live feed.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """
    found: dict[InstrumentKey, FeedLook] = {}
    for logged in read_tail(settings, topic_name(settings, FEED_STATUS), LAST_RECORDS):
        try:
            status = decode_as(FeedStatus, logged.value)
        except MessageError:
            continue  # a sink reads this topic too, and dead-letters that
        if status.source is not Source.REPLAY:
            found[status.instrument] = _followed(found.get(status.instrument), status, logged.written_ms)
    return found


def _followed(before: FeedLook | None, status: FeedStatus, written_ms: int) -> FeedLook:
    is_same = before is not None and before.status.state is status.state
    return FeedLook(status, written_ms, before.since_ms if before is not None and is_same else written_ms)


def feed_findings(feeds: Iterable[FeedLook], now_ms: int) -> list[Check]:
    """Judge feeds: a finding for each kind of trouble, with the feeds that have it."""
    feeds = list(feeds)
    troubled: Mapping[Trouble, list[tuple[InstrumentKey, str]]] = defaultdict(list)
    for feed in feeds:
        for kind, sentence in _troubles(feed, now_ms):
            troubled[kind].append((feed.status.instrument, sentence))
    if not troubled:
        live = sum(feed.status.state is not FeedState.STOPPED for feed in feeds)
        return [Check("feeds", True, f"{live} live, {len(feeds) - live} stopped" if feeds else "none is or was there")]
    told = {kind: sorted(troubled[kind]) for kind in Trouble if kind in troubled}
    return [Check(kind, False, _named(each), _remedy(kind, [of for of, _ in each])) for kind, each in told.items()]


def _remedy(kind: Trouble, instruments: Sequence[InstrumentKey]) -> str:
    """What mends it."""
    if kind is Trouble.GONE:
        return f"its log has the cause; start it again, as with {_commands(instruments[:SHOWN])}"
    if kind is Trouble.STUCK:
        return "see its log for the cause"
    if kind is Trouble.DELISTED:
        return "name one that trades"
    if kind is Trouble.BREAK:
        return "it trades again when its venue says so"
    if kind is Trouble.BAN:
        return "nothing is asked of the venue before it is over; whoever shares its address waits too"
    return "check the symbol" if kind is Trouble.CHANNEL else SET_THE_CLOCK


def _troubles(feed: FeedLook, now_ms: int) -> Iterable[tuple[Trouble, str]]:
    """What is wrong with a feed, by kind."""
    status, silent_s = feed.status, (now_ms - feed.written_ms) / 1000
    if status.state is FeedState.STOPPED:
        return [(Trouble.DELISTED, status.detail)] if DELISTED in status.detail else []
    if silent_s > SILENT_S:
        return [(Trouble.GONE, f"its producer has said nothing for {silent_s:.0f} s")]
    told = [(kind, part) for part in status.detail.split("; ") if (kind := _kind(part)) is not None]
    since_s = (now_ms - feed.since_ms) / 1000
    if not told and status.state is not FeedState.LIVE and since_s > STUCK_S:
        words = (status.state, f"for {since_s:.0f} s", status.reason, status.detail)
        told.append((Trouble.STUCK, ", ".join(filter(None, words))))
    ahead_s = (status.received_ns / NS_PER_MS - feed.written_ms) / 1000
    if ahead_s > TOLERATED_S:  # nothing is written before it was received
        told.append((Trouble.CLOCK, f"its producer's clock is {ahead_s:.1f} s ahead of the broker's"))
    return told


def _kind(part: str) -> Trouble | None:
    """Which trouble a part of a status's sentence tells."""
    if part.startswith(LISTED_AS):
        return Trouble.BREAK
    if part.startswith(REFUSED):
        return Trouble.BAN
    return Trouble.CHANNEL if any(words in part for words in NOTHING_CAME) else None


def _named(told: Sequence[tuple[InstrumentKey, str]]) -> str:
    more = f", and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return "; ".join(f"{instrument}: {sentence}" for instrument, sentence in told[:SHOWN]) + more


def _commands(instruments: Iterable[InstrumentKey]) -> str:
    """What produces instruments, a command for each venue."""
    symbols: Mapping[str, list[str]] = defaultdict(list)
    for instrument in instruments:
        symbols[instrument.venue].append(f"--symbol {shell_word(instrument.symbol)}")
    return " and ".join(f"`obflow produce {shell_word(venue)} {' '.join(each)}`" for venue, each in symbols.items())
