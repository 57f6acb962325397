"""What a producer says of one instrument's feed, as records: told once where it changed, and again with each heartbeat.

`feed_state` says what the feed shows; why its book is not LIVE is kept here, since both are told together.
"""

from __future__ import annotations

from producers.books.feed_state import FeedTracker
from producers.books.kept import KeptBook
from producers.books.records import ProducerRecord
from schemas.messages import FeedState, FeedStatus, Reason


class StatusWriter:
    """Writes the statuses of one instrument's feed among the records of its book.

    Args:
        kept: The book, and the records that are to be published.
        feed: What is known of the feed.

    Attributes:
        reason: Why the book is not LIVE, the newest reason; None where it is, or where nothing went wrong yet.
    """

    def __init__(self, kept: KeptBook, feed: FeedTracker) -> None:
        self.reason: Reason | None = None
        self._kept = kept
        self._feed = feed

    @property
    def state(self) -> FeedState:
        """What the feed is now."""
        return self._feed.state(self._kept.tracked.validity)

    def append_if_changed(self, detail: str = "") -> None:
        """Say what the feed is, where that is not what was said last."""
        if self._feed.is_news(self._kept.tracked.validity, self.reason, self._kept.records.epoch):
            self.append(detail)

    def append(self, detail: str) -> None:
        """Say what the feed is, whatever was said last."""
        self._kept.out.append(self._status(detail, heartbeat=False))

    def told(self, detail: str = "") -> list[ProducerRecord]:
        """Give what the input at hand is to publish, and with it what the feed is where that changed."""
        self.append_if_changed(detail)
        return self._kept.drain()

    def heartbeat(self) -> FeedStatus:
        """Write that the feed is alive, and what is wrong with it."""
        return self._status("", heartbeat=True)

    def _status(self, detail: str, *, heartbeat: bool) -> FeedStatus:
        kept, now = self._kept, self._kept.now_ns
        detail = "; ".join(filter(None, (detail, self._feed.detail(now))))
        return kept.records.status(
            self.state, self.reason, kept.tracked.sequence, now, heartbeat=heartbeat, detail=detail
        )
