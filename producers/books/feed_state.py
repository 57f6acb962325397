"""What a producer says of one instrument's feed, as tables: what its connection does, what that and the book show.

The connection decides first, then silence of depth, then the book. Each subscribed channel has an age: depth may not be
silent for long; trades and best quotes of a thin instrument may, so of them only the first message is missed. What is
told of a derivative comes by the clock, so that its silence is always missed; where the venue has none of it, never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from orderbook.validity import Validity
from producers.contract import Channel
from schemas.messages import FeedState, Reason
from schemas.units import NS_PER_SECOND

DERIVATIVE_EVERY_NS: Final = 10 * NS_PER_SECOND
"""What is told of a derivative comes at least this often: each second on Binance, on OKX where nothing changed."""


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
    (Validity.AWAITING_SNAPSHOT, True): FeedState.STALE,
    (Validity.LIVE, False): FeedState.LIVE,
    (Validity.LIVE, True): FeedState.STALE,
    (Validity.INVALID, False): FeedState.INVALID,
    (Validity.INVALID, True): FeedState.STALE,
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
        since_ns: `received_ns` of when its channels were subscribed last, or of the first look; 0 before that.
        depth_ns, trade_ns, quote_ns, derivative_ns: `received_ns` of the last message of a channel, 0 before the first.
        has_derivatives: Whether what is told of a derivative is subscribed.
        silent: Whether depth was silent for too long when that was last looked at; only depth ends it.
        missing: Of trades and quotes those without a first message for too long; and derivatives, where silent.
        stood_in: Whether the last trade came over a channel that stands in for that of trades.
        troubles: What else is wrong, sentences by what they are about.
        published: What the last status said.
    """

    link: Link = Link.CONNECTING
    since_ns: int = 0
    depth_ns: int = 0
    trade_ns: int = 0
    quote_ns: int = 0
    derivative_ns: int = 0
    has_derivatives: bool = False
    silent: bool = False
    missing: tuple[Channel, ...] = ()
    stood_in: bool = False
    troubles: dict[str, str] = field(default_factory=dict)
    published: tuple[object, ...] | None = None

    @property
    def silences(self) -> tuple[Channel, ...]:
        """Channels that are silent."""
        return (Channel.DEPTH, *self.missing) if self.silent else self.missing

    def note(self, event: LinkEvent) -> bool:
        """Note what happened to the connection; True where that changed anything."""
        before, self.link = self.link, AFTER[event][self.link]
        return self.link is not before

    def note_received(self) -> bool:
        """Note that something came; True where that changed anything."""
        return self.link is not _UP and self.note(LinkEvent.RECEIVED)  # mostly it is, and stays so

    def note_depth(self, now_ns: int) -> bool:
        """Note a depth update; True where that changed anything."""
        was_silent, self.silent, self.depth_ns = self.silent, False, now_ns
        if self.link is _UP:  # without a call: of each update
            return was_silent
        return self.note(LinkEvent.RECEIVED) or was_silent

    def note_trade(self, now_ns: int, *, stands_in: bool) -> None:
        """Note a trade, of its own channel or of one that stands in for that."""
        self.stood_in = stands_in
        if not stands_in:
            self.trade_ns = now_ns

    def note_time(self, now_ns: int, stale_ns: int) -> None:
        """Look how long each channel has been silent."""
        self.since_ns = self.since_ns or self.depth_ns or now_ns
        is_late = now_ns - self.since_ns > stale_ns
        self.silent = self.silent or (is_late and now_ns - self.depth_ns > stale_ns)
        heard = ((Channel.TRADE, self.trade_ns), (Channel.QUOTE, self.quote_ns))
        self.missing = tuple(
            channel
            for channel, last_ns in heard
            if last_ns < self.since_ns and (channel in self.missing or (is_late and self.link is Link.UP))
        )
        longest_ns = max(stale_ns, DERIVATIVE_EVERY_NS)
        if self.has_derivatives and now_ns - max(self.since_ns, self.derivative_ns) > longest_ns:
            self.missing = (*self.missing, Channel.DERIVATIVE)

    def lacks_trades(self, now_ns: int, stale_ns: int) -> bool:
        """Tell whether trades of another channel count, since their own is silent."""
        is_missed = 0 < self.since_ns < now_ns - stale_ns and self.trade_ns < self.since_ns
        return self.stood_in or is_missed

    def detail(self, now_ns: int) -> str:
        """Say what is wrong with it, as far as its state does not."""
        return "; ".join([*(self._of(channel, now_ns) for channel in self.silences), *self.troubles.values()])

    def _of(self, channel: Channel, now_ns: int) -> str:
        what = "depth update" if channel is Channel.DEPTH else channel.value
        if channel is Channel.DEPTH and self.link is Link.CONNECTING:
            return f"no connection for {(now_ns - self.since_ns) / NS_PER_SECOND:.0f} s"
        if channel is Channel.DEPTH and self.depth_ns:
            return f"no depth update for {(now_ns - self.depth_ns) / NS_PER_SECOND:.0f} s"
        if channel is Channel.DERIVATIVE and self.derivative_ns:
            return f"no derivative for {(now_ns - self.derivative_ns) / NS_PER_SECOND:.0f} s"
        return f"no {what} since it was subscribed {(now_ns - self.since_ns) / NS_PER_SECOND:.0f} s ago"

    def state(self, validity: Validity) -> FeedState:
        """Tell what the feed is now."""
        if self.link is Link.CONNECTING and self.silent:
            return FeedState.STALE
        return SHOWN.get(self.link) or SHOWN_UP[validity, self.silent]

    def is_news(self, validity: Validity, reason: Reason | None, epoch: int) -> bool:
        """Tell whether a status would differ from the last one, and take it as published."""
        says = (self.state(validity), reason, epoch, self.missing, *self.troubles.values())
        before, self.published = self.published, says
        return says != before
