"""One instrument's feed as the edge tells of it: connections, time and trouble in, records to publish out.

`feed_state` says what a feed shows, `statuses` writes it. A connection that is lost takes the book with it (`chain`);
time and trouble leave the book as it is.
"""

from __future__ import annotations

from producers.books.bridge import Bridge
from producers.books.chain import UpdateChain
from producers.books.feed_state import FeedTracker, LinkEvent
from producers.books.kept import KeptBook
from producers.books.records import ProducerRecord
from producers.books.statuses import StatusWriter
from producers.contract import Channel
from schemas.messages import FeedState


class InstrumentFeed:
    """The feed of one instrument at its producer.

    Args:
        tracker: What is known of it.
        kept: Its book.
        chain: The book's updates, over one connection or two.
        bridge: Where they wait.
        statuses: Writes what the feed is.
        stale_ns: After so long without a message a channel counts as silent.
    """

    def __init__(
        self,
        tracker: FeedTracker,
        kept: KeptBook,
        chain: UpdateChain,
        *,
        bridge: Bridge,
        statuses: StatusWriter,
        stale_ns: int,
    ) -> None:
        self._tracker = tracker
        self._kept = kept
        self._chain = chain
        self._bridge = bridge
        self._statuses = statuses
        self._stale_ns = stale_ns

    @property
    def state(self) -> FeedState:
        """What the feed is now."""
        return self._statuses.state

    @property
    def silences(self) -> tuple[Channel, ...]:
        """Channels that are silent."""
        return self._tracker.silences

    def lacks_trades(self, received_ns: int) -> bool:
        """Whether trades of another channel count, since their own is silent."""
        return self._tracker.lacks_trades(received_ns, self._stale_ns)

    def on_connect(self, received_ns: int) -> list[ProducerRecord]:
        """Note that the connection stands. A snapshot is needed once a delta came: an earlier one could not be bridged.

        Without an `on_disconnect` before it, on a book that is LIVE, the connection was lost unseen.
        """
        now = self._kept.clock(received_ns)
        if self._kept.is_live or self._bridge.receiving:
            self._chain.lose_connection(now)
        self._tracker.since_ns = now
        self._tracker.note(LinkEvent.OPENED)
        return self._statuses.told()

    def on_disconnect(self, received_ns: int) -> list[ProducerRecord]:
        """Note that the connection is lost, and with it everything that waited."""
        self._chain.lose_connection(self._kept.clock(received_ns))
        self._tracker.note(LinkEvent.LOST)
        return self._statuses.told()

    def on_overlap(self, received_ns: int) -> list[ProducerRecord]:
        """Note that a second connection brings this instrument from now on, and will stay when the first one ends."""
        self._kept.clock(received_ns)
        self._chain.begin_overlap()
        return []

    def on_overlap_end(self, received_ns: int) -> list[ProducerRecord]:
        """Note that one of two connections has ended: what only it could have brought before what waits is missing."""
        self._chain.end_overlap(self._kept.clock(received_ns))
        return self._kept.drain()

    def on_look(self, now_ns: int) -> list[ProducerRecord]:
        """Say so once where a channel has fallen silent. Live feeds only: a replay has no clock.

        Depth alone decides about the state: a book whose updates stopped is not kept fresh by trades or quotes.
        """
        self._tracker.note_time(self._kept.clock(now_ns), self._stale_ns)
        return self._statuses.told()

    def on_heartbeat(self, now_ns: int) -> list[ProducerRecord]:
        """Say that this feed is alive, and what is wrong with it; as a change where it changed."""
        return self.on_look(now_ns) or [self._statuses.heartbeat()]

    def on_trouble(self, about: str, sentence: str, now_ns: int) -> list[ProducerRecord]:
        """Take note of what the edge found to be wrong with this feed; an empty sentence says that it is over."""
        self._kept.clock(now_ns)
        if sentence:
            self._tracker.troubles[about] = sentence
        else:
            self._tracker.troubles.pop(about, None)
        return self._statuses.told()

    def on_stop(self, received_ns: int, detail: str = "") -> list[ProducerRecord]:
        """Say that the producer ends. Readers' books stay what they are and age; a restart raises the epoch."""
        self._kept.clock(received_ns)
        self._tracker.note(LinkEvent.STOPPED)
        self._kept.quotes.finish()
        return self._statuses.told(detail)
