"""What a producer says of one instrument's feed, as tables: what its connection does, what that and the book show.

The connection decides first, then the book. Silence of depth tells STALE from LIVE and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orderbook.validity import Validity
from schemas.messages import FeedState, Reason
from schemas.units import NS_PER_SECOND


class Link(StrEnum):
    """The connection that carries an instrument."""

    CONNECTING = "connecting"
    """None stood yet, and nothing was received."""
    UP = "up"
    DOWN = "down"
    ENDED = "ended"
    """The producer ends."""


class LinkEvent(StrEnum):
    """What was noticed of the connection."""

    OPENED = "opened"
    RECEIVED = "received"
    FETCHED = "fetched"
    """An answer over REST, which says nothing of the stream."""
    LOST = "lost"
    STOPPED = "stopped"


_CONNECTING, _UP, _DOWN, _ENDED = Link

# What each event makes of each state of the connection, these in the order above.
AFTER: Final[dict[LinkEvent, dict[Link, Link]]] = {
    LinkEvent.OPENED: dict(zip(Link, (_UP, _UP, _UP, _UP), strict=True)),
    LinkEvent.RECEIVED: dict(zip(Link, (_UP, _UP, _UP, _UP), strict=True)),
    LinkEvent.FETCHED: dict(zip(Link, (_UP, _UP, _DOWN, _ENDED), strict=True)),
    LinkEvent.LOST: dict(zip(Link, (_DOWN, _DOWN, _DOWN, _ENDED), strict=True)),
    LinkEvent.STOPPED: dict(zip(Link, (_ENDED, _ENDED, _ENDED, _ENDED), strict=True)),
}

# What is shown while the connection is up, by what is known of the book, and by whether depth was silent for too long.
SHOWN_UP: Final[dict[tuple[Validity, bool], FeedState]] = {
    (Validity.AWAITING_SNAPSHOT, False): FeedState.AWAITING_SNAPSHOT,
    (Validity.AWAITING_SNAPSHOT, True): FeedState.AWAITING_SNAPSHOT,
    (Validity.LIVE, False): FeedState.LIVE,
    (Validity.LIVE, True): FeedState.STALE,
    (Validity.INVALID, False): FeedState.INVALID,
    (Validity.INVALID, True): FeedState.INVALID,
}
SHOWN: Final[dict[Link, FeedState]] = {
    Link.CONNECTING: FeedState.CONNECTING,
    Link.DOWN: FeedState.DISCONNECTED,
    Link.ENDED: FeedState.STOPPED,
}


@dataclass(slots=True)
class FeedTracker:
    """One instrument's feed.

    Attributes:
        link: Its connection.
        depth_ns: `received_ns` of the last depth update, 0 before the first; trades and quotes keep no book fresh.
        silent: Whether that was too long ago when it was last looked at.
        published: State, reason and epoch of the last status.
    """

    link: Link = Link.CONNECTING
    depth_ns: int = 0
    silent: bool = False
    published: tuple[FeedState, Reason | None, int] | None = None

    def note(self, event: LinkEvent) -> bool:
        """Note what happened to the connection; True where that changed anything."""
        before, self.link = self.link, AFTER[event][self.link]
        return self.link is not before

    def note_depth(self, now_ns: int) -> bool:
        """Note a depth update; True where that changed anything."""
        was_silent, self.silent, self.depth_ns = self.silent, False, now_ns
        return self.note(LinkEvent.RECEIVED) or was_silent

    def note_time(self, now_ns: int, stale_ns: int) -> str:
        """Look how long depth has been silent; says so where that is too long."""
        self.silent = now_ns - self.depth_ns > stale_ns
        if not self.silent:
            return ""
        lasted = f" for {(now_ns - self.depth_ns) / NS_PER_SECOND:.0f} s" if self.depth_ns else ""
        return f"no depth update{lasted}"

    def state(self, validity: Validity) -> FeedState:
        """Tell what the feed is now."""
        return SHOWN.get(self.link) or SHOWN_UP[validity, self.silent]

    def is_news(self, validity: Validity, reason: Reason | None, epoch: int) -> bool:
        """Tell whether a status would differ from the last one, and take it as published."""
        before, self.published = self.published, (self.state(validity), reason, epoch)
        return self.published != before
